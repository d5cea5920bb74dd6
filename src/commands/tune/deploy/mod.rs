//! `sparktune deploy`: config files on every node, where that node's runtime looks; what lies there; whether servers have
//! loaded it; and back again.

mod dry_run;
mod files;
mod gpus;
mod partly;
mod place;
mod show;
mod verify;

use std::path::PathBuf;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub(super) use self::files::ForNodes;
pub(super) use self::gpus::Gpus;
use self::partly::Partly;
pub(super) use self::place::Place;
pub use self::place::PlaceChoice;
use crate::cluster::connect::{self, ConnectError, Connected, connect_all};
use crate::cluster::deploy::{
    ConfigFolder, ConfigFolderError, Delivery, DeployError, FolderContents, NodeFailure, deploy, rollback,
    undoable,
};
use crate::cluster::installed::Family;
use crate::cluster::inventory::{self, Inventory};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::{Failure, Kind};
use crate::host::container_spec::NodePath;
use crate::host_name::HostName;

/// What the user said.
#[derive(Debug)]
pub struct DeploySettings {
    /// The inventory; the usual one where not given.
    pub cluster: Option<PathBuf>,
    /// What to do.
    pub action: Action,
    /// Say by which commands, and do nothing.
    pub dry_run: bool,
    /// Where on each node.
    pub place: PlaceChoice,
    /// The runtime, where a node has both.
    pub family: Option<Family>,
    /// The user's own profiles.
    pub profiles: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

/// What is done with the nodes.
#[derive(Debug)]
pub enum Action {
    /// Bring these files and folders of them there.
    Deploy {
        /// Files and folders.
        paths: Vec<PathBuf>,
    },
    /// Say what was deployed.
    Status,
    /// Say whether every node's server has loaded it.
    Verify {
        /// What a node's server writes; none where that is the log of its container.
        logs: Vec<NodePath>,
    },
    /// Restore what was there before.
    Rollback,
}

/// Some nodes could not be reached or have no place for files; nothing was changed on any.
#[derive(Debug)]
struct NotReady {
    failures: Vec<Box<dyn Failure>>,
}

impl std::fmt::Display for NotReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing was changed on any node")?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

impl std::error::Error for NotReady {}

impl Failure for NotReady {
    fn kind(&self) -> Kind {
        // What can be mended here first.
        let first = [Kind::Input, Kind::CheckFailed];
        let any = |kind: &Kind| self.failures.iter().any(|failure| failure.kind() == *kind);
        first.into_iter().find(any).unwrap_or(Kind::Environment)
    }

    fn hint(&self) -> Option<String> {
        self.failures.iter().find_map(|failure| failure.hint())
    }
}

/// Some nodes could not be restored.
#[derive(Debug, thiserror::Error)]
enum NotRestored {
    #[error("{} of {asked} nodes could not be restored, the others were:{}", .failures.len(), show::lines(.failures))]
    Some { asked: usize, failures: Vec<NodeFailure> },
    #[error("nothing was restored, every node has what it had:{}", show::lines(.failures))]
    All { failures: Vec<NodeFailure> },
}

impl Failure for NotRestored {
    fn kind(&self) -> Kind {
        match self {
            NotRestored::Some { .. } => Kind::Incomplete,
            NotRestored::All { .. } => Kind::Environment,
        }
    }
}

/// Some nodes could not say what they hold.
#[derive(Debug, thiserror::Error)]
#[error("{} of {asked} nodes could not say what they hold:{}", .failures.len(), show::lines(.failures))]
struct Unseen {
    asked: usize,
    failures: Vec<NodeFailure>,
}

impl Failure for Unseen {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

/// A node, the way to it, where files go there, and which.
pub(super) struct Ready {
    pub(super) node: Connected,
    pub(super) place: Place,
    /// Not known where nothing is to be deployed.
    pub(super) gpus: Gpus,
}

impl Ready {
    fn name(&self) -> &HostName {
        self.node.name()
    }
}

/// Deploy, roll back, or say what is there.
pub async fn run(
    settings: &DeploySettings,
    cancel: CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    let found = inventory::find(settings.cluster.as_deref())?;
    // Every file is read and judged before any node is asked.
    let files = match &settings.action {
        Action::Deploy { paths } => Some(ForNodes::read(paths, settings.profiles.as_deref())?),
        Action::Status | Action::Verify { .. } | Action::Rollback => None,
    };
    let ready = cancel.run_until_cancelled(ready(&found.inventory, settings, files.as_ref())).await;
    let (ready, failures) = ready.ok_or(DeployError::Interrupted)?;
    let asked = ready.len() + failures.len();
    match settings.action {
        _ if failures.is_empty() => act(settings, ready, files, cancel, out).await,
        // Whoever only asks hears what the others say.
        Action::Status | Action::Verify { .. } => {
            let mut failures = failures;
            if !ready.is_empty()
                && let Err(error) = act(settings, ready, files, cancel, out).await
            {
                if error.kind() == Kind::Interrupted {
                    return Err(error);
                }
                failures.push(error);
            }
            Err(Partly { asked, what: "be asked", failures }.into())
        }
        Action::Deploy { .. } | Action::Rollback => Err(NotReady { failures }.into()),
    }
}

/// Whether files could be deployed: every node is reached, and the place that `settings` mean is there.
pub(super) async fn are_ready(
    settings: &DeploySettings,
    cancel: &CancellationToken,
) -> Result<(), Box<dyn Failure>> {
    let inventory = inventory::find(settings.cluster.as_deref())?.inventory;
    let connect = connect::settings(&inventory);
    let asking = async {
        let looking = connect_all(&inventory.nodes, &connect).await.into_iter().map(|node| async {
            let node = node?;
            let folder = match &settings.place {
                // Which folder below it is meant depends on the files.
                PlaceChoice::HostDir(dir) => place::named(&node, dir).await?,
                choice => place::find(&node, choice, settings.family, None).await?.folder,
            };
            let failure =
                |error| NodeFailure { on: folder.on().clone(), folder: folder.folder.clone(), error };
            folder.look().await.map_err(failure)?;
            Ok::<_, Box<dyn Failure>>(())
        });
        join_all(looking).await
    };
    let looked = cancel.run_until_cancelled(asking).await.ok_or(DeployError::Interrupted)?;
    let failures: Vec<Box<dyn Failure>> = looked.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() { Ok(()) } else { Err(NotReady { failures }.into()) }
}

/// Do it on the nodes that are `ready`.
async fn act(
    settings: &DeploySettings,
    ready: Vec<Ready>,
    files: Option<ForNodes>,
    cancel: CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    match (&settings.action, files) {
        (Action::Deploy { .. }, Some(files)) => {
            let refused = files.refusals(&ready);
            if !refused.is_empty() {
                return Err(NotReady { failures: refused }.into());
            }
            let deliveries: Vec<Delivery> = ready
                .iter()
                .map(|it| Delivery { folder: it.place.folder.clone(), deployment: files.of(it) })
                .collect();
            if settings.dry_run {
                dry_run::deploy(&ready, &deliveries, &files, out).map_err(OutputError)?;
                return Ok(Verdict::Done);
            }
            let outcomes = deploy(&deliveries, &id(), &cancel).await?;
            show::deployed(&ready, &deliveries, &outcomes, settings.json, out).map_err(OutputError)?;
            Ok(Verdict::Done)
        }
        (Action::Rollback, _) => {
            let folders: Vec<ConfigFolder> = ready.iter().map(|it| it.place.folder.clone()).collect();
            if settings.dry_run {
                let unseen = |failures| Unseen { asked: folders.len(), failures };
                let records = undoable(&folders).await.map_err(unseen)?;
                dry_run::rollback(&ready, &records, out).map_err(OutputError)?;
                return Ok(Verdict::Done);
            }
            let outcomes = rollback(&folders).await;
            show::restored(&ready, &outcomes, settings.json, out).map_err(OutputError)?;
            let asked = outcomes.len();
            // A node that had nothing to restore is none that was.
            let any = outcomes.iter().any(|outcome| matches!(outcome, Ok(true)));
            let failures: Vec<NodeFailure> = outcomes.into_iter().filter_map(Result::err).collect();
            match any {
                _ if failures.is_empty() => Ok(Verdict::Done),
                false => Err(NotRestored::All { failures }.into()),
                true => Err(NotRestored::Some { asked, failures }.into()),
            }
        }
        (Action::Verify { logs }, _) => {
            let logs = verify::logs(&ready, logs)?;
            if settings.dry_run {
                dry_run::verify(&ready, &logs, out).map_err(OutputError)?;
                return Ok(Verdict::Done);
            }
            let judging = verify::verify(&ready, &logs, settings.json, out);
            cancel.run_until_cancelled(judging).await.unwrap_or(Err(DeployError::Interrupted.into()))
        }
        (Action::Status | Action::Deploy { .. }, _) => {
            if settings.dry_run {
                dry_run::status(&ready, out).map_err(OutputError)?;
                return Ok(Verdict::Done);
            }
            let held = join_all(ready.iter().map(|it| it.place.folder.look())).await;
            let sound = show::status(&ready, &held, settings.json, out).map_err(OutputError)?;
            let unseen = |(node, held): (&Ready, Result<FolderContents, ConfigFolderError>)| {
                let folder = &node.place.folder;
                let failure =
                    |error| NodeFailure { on: folder.on().clone(), folder: folder.folder.clone(), error };
                held.err().map(failure)
            };
            let failures: Vec<NodeFailure> = ready.iter().zip(held).filter_map(unseen).collect();
            if !failures.is_empty() {
                return Err(Unseen { asked: ready.len(), failures }.into());
            }
            Ok(if sound { Verdict::Done } else { Verdict::CheckSaidNo })
        }
    }
}

/// The nodes of `inventory`, connected to, with the place for files found there; and why others are not among them.
async fn ready(
    inventory: &Inventory,
    settings: &DeploySettings,
    files: Option<&ForNodes>,
) -> (Vec<Ready>, Vec<Box<dyn Failure>>) {
    let connected = connect_all(&inventory.nodes, &connect::settings(inventory)).await;
    let places = connected.into_iter().map(|node| async {
        let node = node.map_err(|error: ConnectError| Box::new(error) as Box<dyn Failure>)?;
        let gpus = async {
            match files {
                Some(_) => Gpus::of(&node).await,
                None => Gpus::unknown(),
            }
        };
        let (place, gpus) = tokio::join!(place::find(&node, &settings.place, settings.family, files), gpus);
        let place = place?;
        Ok(Ready { node, place, gpus })
    });
    let outcomes: Vec<Result<Ready, Box<dyn Failure>>> = join_all(places).await;
    let mut ready = Vec::new();
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(node) => ready.push(node),
            Err(failure) => failures.push(failure),
        }
    }
    (ready, failures)
}

/// A name that no other deployment of this cluster has: the time, and which of this second's it is.
fn id() -> String {
    format!("{}-{}", Timestamp::now().strftime("%Y%m%d-%H%M%S"), std::process::id())
}
