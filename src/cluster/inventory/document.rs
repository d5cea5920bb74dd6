//! The keys of `sparks.toml`, as they are written. What a value means, and whether it can be, is `check`'s.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Address, NodeRole, TlsFiles};
use crate::host::EngineKind;
use crate::host::container_spec::{
    ByteSize, Capability, Device, Gpus, Ipc, NodePath, Restart, Ulimit, Volume,
};
use crate::host_name::HostName;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub name: String,
    pub ssh_config: Option<PathBuf>,
    pub engine: Option<EngineChoice>,
    pub image: Option<String>,
    pub expect_gpu: Option<String>,
    #[serde(default)]
    pub container: ContainerKeys,
    #[serde(default)]
    pub bare: BareKeys,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub env_from: Vec<String>,
    #[serde(default)]
    pub nodes: Vec<NodeKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeKeys {
    pub name: HostName,
    pub role: Option<NodeRole>,
    pub address: Option<Address>,
    #[serde(default)]
    pub fabric: Vec<Address>,
    #[serde(default)]
    pub local: bool,
    // Not parsed here: a password must not get into a message.
    pub ssh: Option<String>,
    pub ssh_port: Option<u16>,
    pub through: Option<HostName>,
    pub engine_url: Option<String>,
    pub tls: Option<TlsFiles>,
    // From here on as the cluster's.
    pub engine: Option<EngineChoice>,
    pub image: Option<String>,
    pub expect_gpu: Option<String>,
    #[serde(default)]
    pub container: ContainerKeys,
    #[serde(default)]
    pub bare: BareKeys,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub env_from: Vec<String>,
}

/// What a node's programs run in, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// Containers of Docker.
    Docker,
    /// Containers of Podman.
    Podman,
    /// No containers.
    None,
}

impl EngineChoice {
    /// The engine, where there is one.
    pub fn kind(self) -> Option<EngineKind> {
        match self {
            EngineChoice::Docker => Some(EngineKind::Docker),
            EngineChoice::Podman => Some(EngineKind::Podman),
            EngineChoice::None => None,
        }
    }
}

/// `[container]`, of the cluster or of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContainerKeys {
    pub name: Option<String>,
    pub network: Option<String>,
    pub ipc: Option<Ipc>,
    pub gpus: Option<Gpus>,
    pub ulimits: Option<BTreeMap<String, Ulimit>>,
    pub shm_size: Option<ByteSize>,
    pub devices: Option<Vec<Device>>,
    pub cap_add: Option<Vec<Capability>>,
    pub volumes: Option<Vec<Volume>>,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub restart: Option<Restart>,
}

/// `[bare]`, of the cluster or of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BareKeys {
    pub virtualenv: Option<NodePath>,
}
