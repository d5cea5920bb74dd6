//! A folder of a node that a runtime reads its config files from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::ConfigFolderError;
use super::record::{Deployment, DeploymentRecord, digest};
use crate::host::ask::ask;
use crate::host::{Host, HostPath};
use crate::host_name::HostName;

const PROGRAM: &str = include_str!("../../../worker/node/deploy.py");
/// How long a node may take beyond what its files take on a slow link: a disk that flushes 50 files.
const LIMIT: Duration = Duration::from_secs(60);
/// The slowest link that files are moved over, bytes a second.
const SLOWEST_LINK: u64 = 100_000;

/// A folder of a node, and the interpreter that works there.
#[derive(Debug, Clone)]
pub struct ConfigFolder {
    /// The node, or a container on it.
    pub host: Arc<dyn Host>,
    /// The interpreter there.
    pub python: HostPath,
    /// The folder. It is made where it is not there.
    pub folder: HostPath,
    /// A folder above it that must be there, so that a wrong path is no new folder. It may be the same.
    pub above: HostPath,
}

/// What lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FolderContents {
    /// The folder itself, links followed.
    pub folder: HostPath,
    /// SHA-256 of every file `*.json`, by name.
    pub files: BTreeMap<String, String>,
    /// The last deployment.
    pub deployed: Option<DeploymentRecord>,
    /// When that was done there, by the node's clock: nanoseconds since 1970.
    changed_ns: Option<i64>,
    /// The node died while it renamed; the next deployment there ends that first.
    pub unfinished: bool,
}

impl FolderContents {
    /// When the last deployment, or a rollback to it, was done there, by the node's clock.
    pub fn changed(&self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_nanosecond(i128::from(self.changed_ns?)).ok()
    }
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Order<'a> {
    Find,
    Look,
    Stage { id: &'a str, seen: Option<&'a str>, files: Vec<Staged<'a>> },
    Commit { id: &'a str, names: Vec<&'a str>, record: Origin<'a> },
    Abort { id: &'a str },
    Rollback { id: &'a str },
}

#[derive(Serialize)]
struct Staged<'a> {
    name: &'a str,
    length: usize,
    sha256: String,
}

#[derive(Serialize)]
struct Origin<'a> {
    from: &'a str,
    at: jiff::Timestamp,
    tool_version: &'static str,
}

#[derive(Serialize)]
struct Addressed<'a> {
    folder: &'a HostPath,
    above: &'a HostPath,
    #[serde(flatten)]
    order: Order<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply<T> {
    Answer(T),
    Failed { what: String, path: Option<String>, message: String },
}

#[derive(Deserialize)]
struct Done {}

#[derive(Deserialize)]
struct Places {
    folders: Vec<HostPath>,
}

#[derive(Deserialize)]
struct Undone {
    undone: bool,
}

impl ConfigFolder {
    /// The node.
    pub fn on(&self) -> &HostName {
        self.host.name()
    }

    /// Folders that were deployed to: this one, and those below it in which SGLang would look for a Triton's files.
    pub async fn deployed_below(&self) -> Result<Vec<HostPath>, ConfigFolderError> {
        Ok(self.ask::<Places>(Order::Find, &[]).await?.folders)
    }

    /// What lies there.
    pub async fn look(&self) -> Result<FolderContents, ConfigFolderError> {
        self.ask(Order::Look, &[]).await
    }

    /// Bring the files over under other names, and keep what they will take the place of. Refused where the last
    /// deployment there is another than the one that `held` tells of.
    pub(super) async fn stage(
        &self,
        id: &str,
        held: &FolderContents,
        deployment: &Deployment,
    ) -> Result<(), ConfigFolderError> {
        let seen = held.deployed.as_ref().map(|record| record.id.as_str());
        let staged = |(name, bytes): (&'_ String, &Vec<u8>)| (name.clone(), bytes.len(), digest(bytes));
        let sizes: Vec<_> = deployment.files.iter().map(staged).collect();
        let files = sizes.iter().map(|(name, length, sha256)| Staged {
            name,
            length: *length,
            sha256: sha256.clone(),
        });
        let bytes: Vec<&[u8]> = deployment.files.values().map(Vec::as_slice).collect();
        self.ask::<Done>(Order::Stage { id, seen, files: files.collect() }, &bytes).await.map(drop)
    }

    /// Rename what is staged into place. Where the answer is lost, all of it was done, or nothing.
    pub(super) async fn commit(&self, id: &str, deployment: &Deployment) -> Result<(), ConfigFolderError> {
        let record = Origin {
            from: &deployment.from,
            at: jiff::Timestamp::now(),
            tool_version: env!("CARGO_PKG_VERSION"),
        };
        let names = deployment.files.keys().map(String::as_str).collect();
        self.ask::<Done>(Order::Commit { id, names, record }, &[]).await.map(drop)
    }

    /// Forget what is staged.
    pub(super) async fn abort(&self, id: &str) -> Result<(), ConfigFolderError> {
        self.ask::<Done>(Order::Abort { id }, &[]).await.map(drop)
    }

    /// Restore what deployment `id` took the place of; false where another one, or none, is the last.
    pub(super) async fn undo(&self, id: &str) -> Result<bool, ConfigFolderError> {
        Ok(self.ask::<Undone>(Order::Rollback { id }, &[]).await?.undone)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        order: Order<'_>,
        bytes: &[&[u8]],
    ) -> Result<T, ConfigFolderError> {
        let size: u64 = bytes.iter().map(|bytes| bytes.len() as u64).sum();
        let limit = LIMIT + Duration::from_secs(size / SLOWEST_LINK);
        let mut line = serde_json::to_vec(&Addressed { folder: &self.folder, above: &self.above, order })
            .expect("orders are plain data");
        line.push(b'\n');
        let input: Vec<&[u8]> = std::iter::once(line.as_slice()).chain(bytes.iter().copied()).collect();
        parse(&ask(&*self.host, &self.python, PROGRAM, &input, limit).await?)
    }
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ConfigFolderError> {
    match serde_json::from_slice(answer) {
        Ok(Reply::Answer(answer)) => Ok(answer),
        Ok(Reply::Failed { what, path, message }) => {
            let path = HostPath::new(path.unwrap_or_default());
            Err(match what.as_str() {
                "missing" => ConfigFolderError::Missing(path),
                "full" => ConfigFolderError::Full { path, message },
                "moved" => ConfigFolderError::Moved(path),
                "undone" => ConfigFolderError::NothingLeft(path),
                "read_only" | "denied" => ConfigFolderError::Denied { path, message },
                _ => ConfigFolderError::Refused { path, message },
            })
        }
        Err(error) => Err(ConfigFolderError::Garbled(error.to_string())),
    }
}
