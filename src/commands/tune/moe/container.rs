//! The container a run's compiler is in, where the user named an image.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::settings::MoeSettings;
use crate::artifact::Evidence;
use crate::commands::tune::installation::same_target;
use crate::events::Observer;
use crate::failure::Failure;
use crate::host::ShellLine;
use crate::runtime::Target;
use crate::tuner::plan::PlannedImage;
use crate::worker::environment::Environment;
use crate::worker::image::{ImageEnvironment, ImageOnNode, Order, TuningContainer};

/// A run's container; none where no image is named, or not yet.
#[derive(Debug, Default)]
pub(super) struct RunContainer(Option<TuningContainer>);

/// What came of an image.
#[derive(Debug)]
pub(super) struct FromImage {
    /// The compiler.
    pub environment: Environment,
    /// Its SGLang and Triton.
    pub target: Target,
    /// The image.
    pub image: PlannedImage,
}

/// What there is to know before a container is made.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    /// The image.
    pub image: &'a str,
    /// The run's directory.
    pub dir: PathBuf,
    /// The rung of the run: GPUs are for what is timed.
    pub evidence: Evidence,
    /// Whether the run was there before, and is locked.
    pub again: bool,
}

impl RunContainer {
    /// Bring up a container and take the compiler in it.
    pub(super) async fn open(
        &mut self,
        wish: &Wish<'_>,
        settings: &MoeSettings,
        cancel: &CancellationToken,
    ) -> Result<FromImage, Box<dyn Failure>> {
        let owner = owner(&wish.dir);
        let source = ImageOnNode::find(wish.image, settings.cluster.as_deref())?;
        let ImageEnvironment { environment, target, id, container } =
            source.open(&wish.order(&owner), cancel).await?;
        self.0 = Some(container);
        let said = (settings.subject.runtime, settings.subject.triton);
        same_target(
            &format!("the image `{}`", wish.image),
            (Some(target.runtime), Some(target.triton)),
            said,
        )?;
        Ok(FromImage { environment, target, image: PlannedImage { name: wish.image.to_owned(), id } })
    }

    /// Remove the container, whatever became of the run.
    pub(super) async fn remove(self, observer: &mut dyn Observer) {
        let Some(container) = self.0 else { return };
        let name = container.name().to_owned();
        if let Err(error) = container.remove().await {
            observer.note(format!("the container `{name}` could not be removed: {error}"));
        }
    }
}

impl Wish<'_> {
    fn order<'a>(&self, owner: &'a str) -> Order<'a> {
        Order { owner, gpus: self.evidence > Evidence::Compiled, again: self.again }
    }

    /// The command that would make the container.
    pub(super) fn run_line(&self, settings: &MoeSettings) -> Result<ShellLine, Box<dyn Failure>> {
        let source = ImageOnNode::find(self.image, settings.cluster.as_deref())?;
        Ok(source.run_line(&self.order(&owner(&self.dir))))
    }
}

/// What containers of the run in `dir` are labelled with. Another machine may have a run in a directory of that name,
/// and use the same engine.
fn owner(dir: &Path) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // A folder that is not there yet has no other form.
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    format!("{}:{}", machine.trim(), dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_owns_its_containers_by_where_it_lies() {
        let here = std::env::current_dir().unwrap().join("results/a");
        assert!(owner(Path::new("results/a")).ends_with(&format!(":{}", here.display())));
        assert_eq!(owner(Path::new("results/a")), owner(&here));
        assert_ne!(owner(Path::new("results/a")), owner(Path::new("results/b")));
    }
}
