//! The nodes a run works on, and what its compilers are in: one with the image the user named, or all of a cluster, those
//! without an engine with their own Python. A run without either works on this machine, in no container.

mod place;

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use self::place::{Held, OpenPlace, Place, ReachedPlace};
use super::settings::MoeSettings;
use crate::artifact::Evidence;
use crate::cluster::facts::gpu_names;
use crate::cluster::inventory;
use crate::commands::tune::installation::same_target;
use crate::device::Device;
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host::ShellLine;
use crate::host_name::HostName;
use crate::runtime::Target;
use crate::tuner::error::RunError;
use crate::tuner::plan::PlannedImage;
use crate::tuner::session::{default_evidence, local_gpus};
use crate::worker::NoCompiler;
use crate::worker::environment::Environment;
use crate::worker::image::{ImageOnNode, Order};

/// Two nodes that compile with something else.
#[derive(Debug, thiserror::Error)]
#[error(
    "{other} has {} with Triton {}, {first} has {} with Triton {}: what one compiles says nothing of the other",
    .of_other.runtime, .of_other.triton, .of_first.runtime, .of_first.triton
)]
struct UnlikeNodes {
    first: HostName,
    of_first: Target,
    other: HostName,
    of_other: Target,
}

impl Failure for UnlikeNodes {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        Some("sparktune image sync brings the same image to every node".into())
    }
}

/// The nodes a run works on, before any was spoken to.
#[derive(Debug)]
pub(super) struct RunNodes {
    places: Vec<Place>,
    /// The GPUs that the inventory says its nodes have.
    expected_gpus: Vec<String>,
    /// Whether they are all of a cluster, of which some may be missing.
    cluster: bool,
}

/// The same, connected to.
#[derive(Debug)]
pub(super) struct ReachedNodes {
    nodes: Vec<ReachedPlace>,
    cluster: bool,
}

/// The containers of a run, and the ways to its nodes without one.
#[derive(Debug, Default)]
pub(super) struct RunContainers(Vec<Held>);

/// What came of the nodes' images.
#[derive(Debug)]
pub(super) struct FromNodes {
    /// The compilers, one a node.
    pub environments: Vec<Environment>,
    /// Their SGLang and Triton.
    pub target: Target,
    /// The image; none of a cluster, whose nodes may know it by several IDs: what compiled is in the journal.
    pub image: Option<PlannedImage>,
}

impl RunNodes {
    /// The nodes that `settings` mean; none where the run works on this machine. `recorded` is the image of a run that
    /// goes on.
    ///
    /// # Errors
    /// An inventory or an image's name that cannot be used.
    pub(super) fn find(
        settings: &MoeSettings,
        recorded: Option<&str>,
    ) -> Result<Option<Self>, Box<dyn Failure>> {
        let image = settings.image.as_deref();
        if let Some(path) = settings.cluster.as_deref() {
            let found = inventory::find(Some(path))?.inventory;
            let expected = found.nodes.iter().filter_map(|node| node.settings.expect_gpu());
            return Ok(Some(Self {
                expected_gpus: expected.map(str::to_owned).collect(),
                places: Place::all_of(&found, image)?,
                cluster: true,
            }));
        }
        let Some(image) = image.or(recorded) else { return Ok(None) };
        let places = vec![Place::of_image(ImageOnNode::find(image)?)];
        Ok(Some(Self { places, expected_gpus: Vec::new(), cluster: false }))
    }

    /// The commands that would make the containers of `order`, or ask a node's own Python, each with its node.
    pub(super) fn run_lines(&self, order: &Order<'_>) -> Vec<(HostName, ShellLine)> {
        self.places.iter().map(|place| (place.node().clone(), place.line(order))).collect()
    }

    /// The rung to aim at, by what is known without asking any node.
    pub(super) fn expected_evidence(&self, device: &Device) -> (Evidence, Option<String>) {
        let gpus = if self.cluster { self.expected_gpus.clone() } else { local_gpus() };
        default_evidence(device, &gpus, true)
    }

    /// Connect to every node at once. Of a cluster those that cannot be reached are left out, and told.
    pub(super) async fn reach(
        self,
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<ReachedNodes, Box<dyn Failure>> {
        let Self { places, expected_gpus: _, cluster } = self;
        let names: Vec<HostName> = places.iter().map(|place| place.node().clone()).collect();
        let reaching = places.into_iter().map(|place| place.reach(cancel));
        let reached = names.into_iter().zip(join_all(reaching).await);
        Ok(ReachedNodes { nodes: taking_part(reached.collect(), cluster, observer)?, cluster })
    }
}

impl ReachedNodes {
    /// The rung to aim at, by the GPUs that are there: of a cluster those of its nodes, else this machine's.
    pub(super) async fn evidence(
        &self,
        device: &Device,
        cancel: &CancellationToken,
    ) -> Result<(Evidence, Option<String>), RunError> {
        let gpus = match self.cluster {
            true => {
                let asking = join_all(self.nodes.iter().map(gpus_of));
                cancel.run_until_cancelled(asking).await.ok_or(RunError::Interrupted)?.concat()
            }
            false => local_gpus(),
        };
        // An image that SGLang is served from has the Python to measure with.
        Ok(default_evidence(device, &gpus, true))
    }

    /// Bring up a container on every node at once, and take the compilers in them. Of a cluster a node where that fails
    /// is left out, and told. What is up is in `containers`, whatever comes of the rest.
    pub(super) async fn open(
        self,
        order: &Order<'_>,
        containers: &mut RunContainers,
        settings: &MoeSettings,
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<FromNodes, Box<dyn Failure>> {
        let Self { nodes, cluster } = self;
        let names: Vec<HostName> = nodes.iter().map(|node| node.node().clone()).collect();
        let opening = join_all(nodes.into_iter().map(|node| node.open(order, cancel)));
        let mut opened = Vec::new();
        for (node, came) in names.into_iter().zip(opening.await) {
            let came = came.map(|OpenPlace { environment, target, image, held }| {
                containers.0.push(held);
                (node.clone(), environment, target, image)
            });
            opened.push((node, came));
        }
        let opened = taking_part(opened, cluster, observer)?;
        let targets = opened.iter().map(|(node, _, target, image)| (node, *target, image.as_ref()));
        let target = target_of_all(targets, settings)?;
        let mut images = Vec::new();
        let mut environments = Vec::new();
        for (_, environment, _, image) in opened {
            environments.push(environment);
            images.push(image);
        }
        let image = images.pop().flatten().filter(|_| !cluster);
        Ok(FromNodes { environments, target, image })
    }
}

impl RunContainers {
    /// Remove the containers, whatever became of the run.
    pub(super) async fn remove(self, observer: &mut dyn Observer) {
        let containers = self.0.into_iter().filter_map(|held| match held {
            Held::Container(container) => Some(container),
            Held::Way { .. } => None,
        });
        let removing = containers.map(|container| async {
            let name = container.name().to_owned();
            (name, container.remove().await)
        });
        for (name, removed) in join_all(removing).await {
            if let Err(error) = removed {
                observer.note(format!("the container `{name}` could not be removed: {error}"));
            }
        }
    }
}

/// The GPUs of a node, as it says itself; where it says nothing, as the inventory has them.
async fn gpus_of(node: &ReachedPlace) -> Vec<String> {
    let said = match node.host() {
        Some(host) => gpu_names(host).await,
        None => None,
    };
    said.unwrap_or_else(|| node.expect_gpu().map(str::to_owned).into_iter().collect())
}

/// What came of the nodes that work. One node's failure is the run's; of a cluster it is told, as long as one is left and
/// the user did not stop it.
fn taking_part<T>(
    nodes: Vec<(HostName, Result<T, NoCompiler>)>,
    cluster: bool,
    observer: &mut dyn Observer,
) -> Result<Vec<T>, Box<dyn Failure>> {
    let mut working = Vec::new();
    let mut failed = Vec::new();
    for (node, came) in nodes {
        match came {
            Ok(came) => working.push(came),
            Err(error) => failed.push((node, error)),
        }
    }
    let stopped = failed.iter().position(|(_, error)| error.kind() == Kind::Interrupted);
    let last = stopped.or((!cluster || working.is_empty()).then_some(0)).filter(|_| !failed.is_empty());
    let last = last.map(|at| failed.remove(at).1);
    if stopped.is_none() {
        for (node, error) in failed {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            left_out(&node, &format!("{error}{hint}"), observer);
        }
    }
    if let Some(last) = last {
        return Err(last.into());
    }
    Ok(working)
}

fn left_out(node: &HostName, why: &dyn std::fmt::Display, observer: &mut dyn Observer) {
    observer.note(format!("{node} takes no part in this run: {why}"));
}

/// What containers of the run in `dir` are labelled with. Another machine may have a run in a directory of that name,
/// and use the same engine.
pub(super) fn owner(dir: &Path) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // A folder that is not there yet has no other form; neither ends with a slash.
    let dir =
        std::fs::canonicalize(dir).or_else(|_| std::path::absolute(dir)).unwrap_or_else(|_| dir.to_owned());
    format!("{}:{}", machine.trim(), dir.components().collect::<PathBuf>().display())
}

/// The target that all nodes have, which is the one that was said.
fn target_of_all<'a>(
    nodes: impl Iterator<Item = (&'a HostName, Target, Option<&'a PlannedImage>)>,
    settings: &MoeSettings,
) -> Result<Target, Box<dyn Failure>> {
    let said = (settings.subject.runtime, settings.subject.triton);
    let mut first: Option<(&HostName, Target)> = None;
    for (node, found, image) in nodes {
        let holder = image.map_or_else(|| node.to_string(), |image| format!("the image `{}`", image.name));
        same_target(&holder, (Some(found.runtime), Some(found.triton)), said)?;
        let (first, of_first) = *first.get_or_insert((node, found));
        if found != of_first {
            let (first, other) = (first.clone(), node.clone());
            return Err(UnlikeNodes { first, of_first, other, of_other: found }.into());
        }
    }
    // One node at least takes part.
    first.map(|(_, target)| target).ok_or_else(|| RunError::NobodyLeft.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Event, What};

    fn came(node: &str, lacks: bool) -> (HostName, Result<u32, NoCompiler>) {
        let image = || "a:b".to_owned();
        let result = if lacks { Err(NoCompiler::NoPython { image: image() }) } else { Ok(1) };
        (node.parse().unwrap(), result)
    }

    #[test]
    fn of_a_cluster_what_is_left_works_and_what_is_missing_is_told() {
        let mut heard: Vec<Event> = Vec::new();
        let nodes = vec![came("n1", false), came("n2", true), came("n3", false)];
        let working = taking_part(nodes, true, &mut heard).map_err(|error| error.to_string()).unwrap();
        assert_eq!(working, [1, 1]);
        let [Event { what: What::Note { text }, .. }] = &heard[..] else { panic!("{heard:?}") };
        let says = "n2 takes no part in this run: the image `a:b` has no `python3`; name an image ";
        assert!(text.starts_with(says), "{text}");
    }

    #[test]
    fn where_nobody_is_left_or_only_one_was_asked_it_is_an_error() {
        let mut heard: Vec<Event> = Vec::new();
        for (nodes, cluster) in
            [(vec![came("n1", true), came("n2", true)], true), (vec![came("n1", true)], false)]
        {
            let error = taking_part(nodes, cluster, &mut heard).unwrap_err();
            assert_eq!(error.to_string(), "the image `a:b` has no `python3`");
        }
        // The user's word goes before all else.
        let stopped = ("n3".parse().unwrap(), Err(NoCompiler::Interrupted));
        let error =
            taking_part(vec![came("n1", false), came("n2", true), stopped], true, &mut heard).unwrap_err();
        // Of those that failed all are told but the one that is the error.
        let told: Vec<String> = heard.iter().map(|event| format!("{:?}", event.what)).collect();
        assert_eq!(error.kind(), Kind::Interrupted);
        assert!(matches!(&told[..], [only] if only.contains("n2 takes no part")), "{told:?}");
    }

    #[test]
    fn a_run_owns_its_containers_by_where_it_lies() {
        let here = std::env::current_dir().unwrap().join("results/a");
        assert!(owner(Path::new("results/a")).ends_with(&format!(":{}", here.display())));
        assert_eq!(owner(Path::new("results/a")), owner(&here));
        assert_eq!(owner(Path::new("results/a/")), owner(&here));
        assert_eq!(owner(Path::new("src/")), owner(Path::new("./src")));
        assert_ne!(owner(Path::new("results/a")), owner(Path::new("results/b")));
    }
}
