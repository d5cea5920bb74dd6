//! A finished run's files brought to every node: `--deploy`.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::commands::tune::deploy::{self, Action, DeploySettings, PlaceChoice};
use crate::commands::{CommandResult, Output};
use crate::failure::{Failure, Kind};

/// Where a run's files go once it has ended.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The inventory.
    pub cluster: PathBuf,
    /// Where on each node.
    pub place: PlaceChoice,
    /// The user's own profiles.
    pub profiles: Option<PathBuf>,
    /// Print one JSON object, after the run's.
    pub json: bool,
}

/// Files that are there, and are not on the nodes.
#[derive(Debug, thiserror::Error)]
#[error("the run has ended and its files are in `{run}`; they could not be deployed: {error}", run = run.display())]
struct NotDeployed {
    run: PathBuf,
    error: Box<dyn Failure>,
}

impl Failure for NotDeployed {
    fn kind(&self) -> Kind {
        self.error.kind()
    }

    fn hint(&self) -> Option<String> {
        self.error.hint()
    }
}

impl Deployment {
    /// Whether every node has a place for files: what can be mended is better known before a run than after it.
    pub(super) async fn is_possible(&self, cancel: &CancellationToken) -> Result<(), Box<dyn Failure>> {
        deploy::are_ready(&self.settings(Action::Status), cancel).await
    }

    /// Bring the files of `run` to every node, or to none.
    pub(super) async fn deploy(
        &self,
        run: &Path,
        cancel: CancellationToken,
        out: &mut dyn Output,
    ) -> CommandResult {
        let paths = vec![run.to_owned()];
        let deployed = deploy::run(&self.settings(Action::Deploy { paths }), cancel, out).await;
        Ok(deployed.map_err(|error| NotDeployed { run: run.to_owned(), error })?)
    }

    /// The command that does the same with the files of `run`.
    pub(super) fn command(&self, run: &Path) -> String {
        let place = match &self.place {
            PlaceChoice::Inventory => String::new(),
            PlaceChoice::Container(name) => format!(" --container '{name}'"),
            PlaceChoice::Virtualenv(dir) => format!(" --virtualenv '{dir}'"),
            PlaceChoice::HostDir(dir) => format!(" --host-dir '{dir}'"),
        };
        format!("sparktune deploy --cluster '{}'{place} '{}'", self.cluster.display(), run.display())
    }

    fn settings(&self, action: Action) -> DeploySettings {
        let Self { cluster, place, profiles, json } = self.clone();
        DeploySettings { cluster: Some(cluster), action, dry_run: false, place, family: None, profiles, json }
    }
}
