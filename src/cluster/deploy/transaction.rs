//! All nodes or none.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::error::{DeployError, FolderError, NodeFailure};
use super::folder::ConfigFolder;
use super::record::{Deployment, digest};

/// What is waited before a node whose answer was lost while it renamed is asked again: about as long as a link takes
/// that comes back by itself.
const ASK_AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(6)];

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
    let outcomes = match cancel.run_until_cancelled(look(deliveries)).await {
        Some(outcomes) => outcomes.map_err(DeployError::NothingChanged)?,
        None => return Err(DeployError::Interrupted),
    };
    let behind: Vec<&Delivery> = deliveries
        .iter()
        .zip(&outcomes)
        .filter_map(|(delivery, outcome)| (*outcome == Deployed::New).then_some(delivery))
        .collect();
    let staged = cancel.run_until_cancelled(on_all(&behind, |it| it.folder.stage(id, &it.deployment))).await;
    match staged {
        Some(failures) if failures.is_empty() => {}
        stopped => {
            // What stays where this fails is swept by the next deployment.
            on_all(&behind, |it| it.folder.abort(id)).await;
            return Err(stopped.map_or(DeployError::Interrupted, DeployError::NothingChanged));
        }
    }
    let failures = on_all(&behind, |it| commit(it, id, ask_again)).await;
    if failures.is_empty() {
        return Ok(outcomes);
    }
    Err(restore(&behind, failures, id).await)
}

/// Which folders need the files.
async fn look(deliveries: &[Delivery]) -> Result<Vec<Deployed>, Vec<NodeFailure>> {
    let looks = join_all(deliveries.iter().map(|it| it.folder.look())).await;
    let mut outcomes = Vec::new();
    let mut failures = Vec::new();
    for (Delivery { folder, deployment }, held) in deliveries.iter().zip(looks) {
        match held {
            Err(error) => failures.push(failure(folder, error)),
            Ok(held) => {
                let mut files = deployment.files.iter();
                let same = files.all(|(name, bytes)| held.files.get(name) == Some(&digest(bytes)));
                outcomes.push(if same && !held.unfinished { Deployed::Already } else { Deployed::New });
            }
        }
    }
    if failures.is_empty() { Ok(outcomes) } else { Err(failures) }
}

/// Rename there; where the answer is lost, find out what was done.
async fn commit(
    Delivery { folder, deployment }: &Delivery,
    id: &str,
    ask_again: &[Duration],
) -> Result<(), FolderError> {
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

/// Bring every folder back to what it had, those included that may have renamed without our hearing of it.
async fn restore(deliveries: &[&Delivery], failures: Vec<NodeFailure>, id: &str) -> DeployError {
    let failed = |folder: &ConfigFolder| {
        failures.iter().any(|failure| failure.on == *folder.on() && failure.folder == folder.folder)
    };
    let undone = join_all(deliveries.iter().map(|it| it.folder.undo(id))).await;
    let mut later = Vec::new();
    let (mut new, mut unknown) = (Vec::new(), Vec::new());
    for (Delivery { folder, .. }, undone) in deliveries.iter().zip(undone) {
        let Err(error) = undone else { continue };
        let told = !matches!(error, FolderError::Ask(_) | FolderError::Garbled(_));
        match (failed(folder), told) {
            // What it said when it was to rename stands.
            (true, true) => continue,
            (false, true) => new.push(folder.on().clone()),
            (_, false) => unknown.push(folder.on().clone()),
        }
        if !failed(folder) {
            later.push(failure(folder, error));
        }
    }
    if new.is_empty() && unknown.is_empty() {
        return DeployError::Restored(failures);
    }
    let failures = failures.into_iter().chain(later).collect();
    DeployError::Mixed { failures, new, unknown }
}

/// Restore in every folder what its last deployment took the place of; false where there was none. One outcome a
/// folder, in their order: those that can are restored, whatever becomes of the others.
pub async fn rollback(folders: &[ConfigFolder]) -> Vec<Result<bool, NodeFailure>> {
    let one = |folder: &ConfigFolder| {
        let folder = folder.clone();
        async move {
            let done = async {
                match folder.look().await?.deployed {
                    Some(record) => folder.undo(&record.id).await,
                    None => Ok(false),
                }
            };
            done.await.map_err(|error| failure(&folder, error))
        }
    };
    join_all(folders.iter().map(one)).await
}

/// `work` for all deliveries at once; what went wrong.
async fn on_all<'a, F: Future<Output = Result<(), FolderError>>>(
    deliveries: &[&'a Delivery],
    work: impl Fn(&'a Delivery) -> F,
) -> Vec<NodeFailure> {
    let outcomes = join_all(deliveries.iter().map(|delivery| work(delivery))).await;
    let failed = |(delivery, outcome): (&&Delivery, Result<(), FolderError>)| {
        outcome.err().map(|error| failure(&delivery.folder, error))
    };
    deliveries.iter().zip(outcomes).filter_map(failed).collect()
}

fn failure(folder: &ConfigFolder, error: FolderError) -> NodeFailure {
    NodeFailure { on: folder.on().clone(), folder: folder.folder.clone(), error }
}
