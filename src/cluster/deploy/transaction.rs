//! All nodes or none.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::error::{ConfigFolderError, DeployError, NodeFailure};
use super::folder::{ConfigFolder, FolderContents};
use super::record::{DeployedFile, Deployment, DeploymentRecord, digest};

/// What is waited before a node whose answer was lost while it renamed is asked again: about as long as a link takes
/// that comes back by itself.
const ASK_AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(6)];

/// How often folders are looked at before it is given up that others deploy to them meanwhile. One that was killed and
/// still renames is over by the second look.
const MOST_LOOKS: u32 = 3;

/// What became of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployed {
    /// It has the new files now.
    New,
    /// It had them before.
    Already,
}

/// Files, and the folder they are for. Nodes may differ in both: another GPU reads files of another name.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The folder.
    pub folder: ConfigFolder,
    /// The files.
    pub deployment: Deployment,
}

/// Deploy to the folders of all `deliveries`, or to none; one outcome each, in their order.
///
/// Once renaming has begun it is not given up: `cancel` is heard before.
pub async fn deploy(
    deliveries: &[Delivery],
    id: &str,
    cancel: &CancellationToken,
) -> Result<Vec<Deployed>, DeployError> {
    deploy_patiently(deliveries, id, cancel, &ASK_AGAIN).await
}

pub(super) async fn deploy_patiently(
    deliveries: &[Delivery],
    id: &str,
    cancel: &CancellationToken,
    ask_again: &[Duration],
) -> Result<Vec<Deployed>, DeployError> {
    let mut looks = 0;
    let Plan { outcomes, id, behind } = loop {
        looks += 1;
        let held = match cancel.run_until_cancelled(look(deliveries, id)).await {
            Some(held) => held.map_err(DeployError::NothingChanged)?,
            None => return Err(DeployError::Interrupted),
        };
        let plan = plan(deliveries, &held, id);
        let staging =
            on_all(&plan.behind, |it| it.delivery.folder.stage(&plan.id, &it.held, &it.delivery.deployment));
        let staged = cancel.run_until_cancelled(staging).await;
        let failures = match staged {
            Some(failures) if failures.is_empty() => break plan,
            stopped => {
                // What stays where this fails is swept by the next deployment.
                on_all(&plan.behind, |it| it.delivery.folder.abort(&plan.id)).await;
                stopped.ok_or(DeployError::Interrupted)?
            }
        };
        let moved = |failure: &NodeFailure| matches!(failure.error, ConfigFolderError::Moved(_));
        if looks == MOST_LOOKS || !failures.iter().all(moved) {
            return Err(DeployError::NothingChanged(failures));
        }
    };
    let failures = on_all(&behind, |it| commit(it.delivery, &id, ask_again)).await;
    if failures.is_empty() {
        return Ok(outcomes);
    }
    Err(restore(&behind, failures, &id).await)
}

/// What is to be done, by what the folders hold.
struct Plan<'a> {
    outcomes: Vec<Deployed>,
    id: String,
    behind: Vec<Behind<'a>>,
}

/// One that needs the files, and what its folder holds.
struct Behind<'a> {
    delivery: &'a Delivery,
    held: FolderContents,
}

fn plan<'a>(deliveries: &'a [Delivery], held: &[FolderContents], id: &str) -> Plan<'a> {
    let outcomes: Vec<Deployed> = deliveries.iter().zip(held).map(|(it, held)| it.outcome(held)).collect();
    let each = deliveries.iter().zip(held).zip(&outcomes);
    let behind = each.filter(|(_, outcome)| **outcome == Deployed::New);
    let behind = behind.map(|((delivery, held), _)| Behind { delivery, held: held.clone() }).collect();
    let id = begun_before(deliveries, held).unwrap_or_else(|| id.to_owned());
    Plan { outcomes, id, behind }
}

impl Delivery {
    /// Whether a folder that holds this needs the files.
    fn outcome(&self, held: &FolderContents) -> Deployed {
        let mut files = self.deployment.files.iter();
        let same = files.all(|(name, bytes)| held.files.get(name) == Some(&digest(bytes)));
        if same { Deployed::Already } else { Deployed::New }
    }

    /// Whether `record` is of these files, one and all.
    fn is_of(&self, record: &DeploymentRecord) -> bool {
        let files = &self.deployment.files;
        let is =
            |file: &DeployedFile| files.get(&file.name).is_some_and(|bytes| digest(bytes) == file.sha256);
        record.files.len() == files.len() && record.files.iter().all(is)
    }
}

/// What all folders hold, once those are done that had begun something and were kept from its end.
async fn look(deliveries: &[Delivery], id: &str) -> Result<Vec<FolderContents>, Vec<NodeFailure>> {
    let one = |folder: &ConfigFolder| {
        let folder = folder.clone();
        async move {
            let held = folder.look().await?;
            if !held.unfinished {
                return Ok(held);
            }
            folder.abort(id).await?;
            folder.look().await
        }
    };
    let looks = join_all(deliveries.iter().map(|it| one(&it.folder))).await;
    let mut all = Vec::new();
    let mut failures = Vec::new();
    for (Delivery { folder, .. }, held) in deliveries.iter().zip(looks) {
        match held {
            Err(error) => failures.push(failure(folder, error)),
            Ok(held) => all.push(held),
        }
    }
    if failures.is_empty() { Ok(all) } else { Err(failures) }
}

/// The deployment of the same files that got to some folders and not to others, so that all of them are undone as one:
/// the last that any folder knows of.
fn begun_before(deliveries: &[Delivery], held: &[FolderContents]) -> Option<String> {
    let each =
        || deliveries.iter().zip(held).filter_map(|(it, held)| Some((it, held, held.deployed.as_ref()?)));
    let (_, _, last) = each().max_by_key(|(_, _, record)| record.at)?;
    let mut of_last = each().filter(|(_, _, record)| record.id == last.id);
    let begun = of_last.all(|(it, held, record)| it.outcome(held) == Deployed::Already && it.is_of(record));
    begun.then(|| last.id.clone())
}

/// Rename there; where the answer is lost, find out what was done.
async fn commit(
    Delivery { folder, deployment }: &Delivery,
    id: &str,
    ask_again: &[Duration],
) -> Result<(), ConfigFolderError> {
    let error = match folder.commit(id, deployment).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    for wait in ask_again {
        match folder.look().await {
            Ok(held) if held.deployed.as_ref().is_some_and(|record| record.id == id) => return Ok(()),
            // It may be at it.
            Ok(held) if held.unfinished => {}
            // Told, and nothing was done.
            Ok(_) => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(*wait).await;
    }
    Err(error)
}

/// What a folder holds that was to be brought back to what it had.
enum After {
    Old,
    New(ConfigFolderError),
    HalfWay(ConfigFolderError),
    Unknown(ConfigFolderError),
}

/// Bring every folder back to what it had, those included that may have renamed without our hearing of it.
async fn restore(deliveries: &[Behind<'_>], failures: Vec<NodeFailure>, id: &str) -> DeployError {
    let after = join_all(deliveries.iter().map(|it| bring_back(&it.delivery.folder, id))).await;
    let mut later = Vec::new();
    let (mut new, mut half_way, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (Behind { delivery: Delivery { folder, .. }, .. }, after) in deliveries.iter().zip(after) {
        let (nodes, error) = match after {
            After::Old => continue,
            After::New(error) => (&mut new, error),
            After::HalfWay(error) => (&mut half_way, error),
            After::Unknown(error) => (&mut unknown, error),
        };
        nodes.push(folder.on().clone());
        // What it said first is why.
        if !failures.iter().any(|first| first.on == *folder.on() && first.folder == folder.folder) {
            later.push(failure(folder, error));
        }
    }
    if later.is_empty() && new.is_empty() && half_way.is_empty() && unknown.is_empty() {
        return DeployError::Restored(failures);
    }
    let failures = failures.into_iter().chain(later).collect();
    DeployError::Mixed { failures, new, half_way, unknown }
}

async fn bring_back(folder: &ConfigFolder, id: &str) -> After {
    let Err(error) = folder.undo(id).await else { return After::Old };
    // What keeps it from being restored may have kept it from being changed too.
    match folder.look().await {
        Ok(held) if held.unfinished => After::HalfWay(error),
        Ok(held) if held.deployed.as_ref().is_some_and(|record| record.id == id) => After::New(error),
        Ok(_) => After::Old,
        Err(_) => After::Unknown(error),
    }
}

/// Restore in every folder what the last deployment to any of them took the place of; false where that one was not the
/// folder's last, because it did not get there or found its files there: an older one is left alone. One outcome a
/// folder, in their order: those that can are restored, whatever becomes of the others.
pub async fn rollback(folders: &[ConfigFolder]) -> Vec<Result<bool, NodeFailure>> {
    let looks = join_all(folders.iter().map(ConfigFolder::look)).await;
    let last = last(&looks);
    let one = |(folder, held): (&ConfigFolder, Result<FolderContents, ConfigFolderError>)| {
        let (folder, last) = (folder.clone(), last.clone());
        async move {
            let done = async {
                held?;
                match last {
                    Some(id) => folder.undo(&id).await,
                    None => Ok(false),
                }
            };
            done.await.map_err(|error| failure(&folder, error))
        }
    };
    join_all(folders.iter().zip(looks).map(one)).await
}

/// What [`rollback`] would undo in every folder; none where that had no part in the last deployment to any of them. All
/// answers, or what went wrong.
pub async fn undoable(folders: &[ConfigFolder]) -> Result<Vec<Option<DeploymentRecord>>, Vec<NodeFailure>> {
    let looks = join_all(folders.iter().map(ConfigFolder::look)).await;
    let last = last(&looks);
    let (mut records, mut failures) = (Vec::new(), Vec::new());
    for (folder, held) in folders.iter().zip(looks) {
        match held {
            Ok(held) => records.push(held.deployed.filter(|record| Some(&record.id) == last.as_ref())),
            Err(error) => failures.push(failure(folder, error)),
        }
    }
    if failures.is_empty() { Ok(records) } else { Err(failures) }
}

/// The last deployment that any of the folders knows of.
fn last(looks: &[Result<FolderContents, ConfigFolderError>]) -> Option<String> {
    let records = looks.iter().flatten().filter_map(|held| held.deployed.as_ref());
    records.max_by_key(|record| record.at).map(|record| record.id.clone())
}

/// `work` for all deliveries at once; what went wrong.
async fn on_all<'a, F: Future<Output = Result<(), ConfigFolderError>>>(
    deliveries: &'a [Behind<'_>],
    work: impl Fn(&'a Behind<'_>) -> F,
) -> Vec<NodeFailure> {
    let outcomes = join_all(deliveries.iter().map(work)).await;
    let failed = |(behind, outcome): (&Behind<'_>, Result<(), ConfigFolderError>)| {
        outcome.err().map(|error| failure(&behind.delivery.folder, error))
    };
    deliveries.iter().zip(outcomes).filter_map(failed).collect()
}

fn failure(folder: &ConfigFolder, error: ConfigFolderError) -> NodeFailure {
    NodeFailure { on: folder.on().clone(), folder: folder.folder.clone(), error }
}
