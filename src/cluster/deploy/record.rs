//! What is deployed, and what a node keeps of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::host::HostPath;

/// What is ours in a folder, as `worker/node/deploy.py` lays it out.
const OURS: &str = ".sparktune";

/// Config files for one folder, by name, and where they are from.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The files.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Where they are from: a run, a folder, as the user named it.
    pub from: String,
}

/// What a node keeps of its last deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// The deployment; another one for every time, though the files be the same.
    pub id: String,
    /// Where the files are from.
    pub from: String,
    /// When, by the clock of the machine it was done from.
    pub at: Timestamp,
    /// The version of the program that did it.
    pub tool_version: String,
    /// The files.
    pub files: Vec<DeployedFile>,
}

impl DeploymentRecord {
    /// The file that holds the last deployment of `folder`.
    pub fn path(folder: &HostPath) -> HostPath {
        folder.join(OURS).join("deployed.json")
    }

    /// Where the file is kept that the file `name` of this deployment took the place of.
    pub fn kept(&self, folder: &HostPath, name: &str) -> HostPath {
        folder.join(OURS).join(&format!("before-{}", self.id)).join(name)
    }
}

/// A file of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedFile {
    /// Its name in the folder.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Whether another file was there before, which a rollback restores.
    pub replaced: bool,
}

/// SHA-256 of `bytes`, hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
