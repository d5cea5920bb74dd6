//! What a node's programs run in, and how the cluster's settings and the node's own come to that.

use std::collections::BTreeMap;

use super::document::{BareKeys, ContainerKeys, EngineChoice};
use crate::host::container_spec::{ContainerVariable, Gpus, Labels, NodePath, Restart};
use crate::host::{ContainerSpec, EngineKind};

/// What the cluster and each of its nodes may set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub engine: Option<EngineChoice>,
    pub image: Option<String>,
    pub expect_gpu: Option<String>,
    pub container: ContainerKeys,
    pub bare: BareKeys,
    pub environment: BTreeMap<String, ContainerVariable>,
}

/// What a node's programs run in: the node's own settings, else the cluster's, else the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings(Settings);

impl NodeSettings {
    /// The one rule: what a node sets takes the place of the cluster's setting of that name, lists and all; of the
    /// environment each variable for itself.
    pub(super) fn merged(cluster: &Settings, node: &Settings) -> Self {
        fn of<T: Clone>(node: &Option<T>, cluster: &Option<T>) -> Option<T> {
            node.as_ref().or(cluster.as_ref()).cloned()
        }
        // Every field by name, so that a new one cannot be forgotten.
        let Settings { engine, image, expect_gpu, container, bare, environment } = node;
        let ContainerKeys {
            name,
            network,
            ipc,
            gpus,
            ulimits,
            shm_size,
            devices,
            cap_add,
            volumes,
            entrypoint,
            command,
            restart,
        } = container;
        let BareKeys { virtualenv } = bare;
        let all = &cluster.container;
        let container = ContainerKeys {
            name: of(name, &all.name),
            network: of(network, &all.network),
            ipc: of(ipc, &all.ipc),
            gpus: of(gpus, &all.gpus),
            ulimits: of(ulimits, &all.ulimits),
            shm_size: of(shm_size, &all.shm_size),
            devices: of(devices, &all.devices),
            cap_add: of(cap_add, &all.cap_add),
            volumes: of(volumes, &all.volumes),
            entrypoint: of(entrypoint, &all.entrypoint),
            command: of(command, &all.command),
            restart: of(restart, &all.restart),
        };
        let variables = cluster.environment.iter().chain(environment);
        Self(Settings {
            engine: of(engine, &cluster.engine),
            image: of(image, &cluster.image),
            expect_gpu: of(expect_gpu, &cluster.expect_gpu),
            container,
            bare: BareKeys { virtualenv: of(virtualenv, &cluster.bare.virtualenv) },
            environment: variables.map(|(name, value)| (name.clone(), value.clone())).collect(),
        })
    }

    /// The engine whose containers its programs run in; none where they run on the node itself.
    pub fn engine(&self) -> Option<EngineKind> {
        // What most guides for these machines use.
        self.0.engine.unwrap_or(EngineChoice::Docker).kind()
    }

    /// The image of its containers. Always there with an engine.
    pub fn image(&self) -> Option<&str> {
        self.0.image.as_deref().filter(|_| self.engine().is_some())
    }

    /// The virtual environment that programs without a container run in; the node's own Python where not given.
    pub fn virtualenv(&self) -> Option<&NodePath> {
        self.0.bare.virtualenv.as_ref().filter(|_| self.engine().is_none())
    }

    /// The GPU it should have, as torch names it.
    pub fn expect_gpu(&self) -> Option<&str> {
        self.0.expect_gpu.as_deref()
    }

    /// Whether it is to have GPUs: unless its containers get none. Of a node without containers only what
    /// [`NodeSettings::expect_gpu`] says is known.
    pub fn wants_gpus(&self) -> bool {
        self.engine().is_some() && self.0.container.gpus != Some(Gpus::None)
    }

    /// Variables of whatever runs there.
    pub fn environment(&self) -> &BTreeMap<String, ContainerVariable> {
        &self.0.environment
    }

    /// The container that `labels` are for; none on a node without an engine.
    pub fn container(&self, labels: Labels) -> Option<ContainerSpec> {
        self.engine()?;
        Some(self.container_from(self.0.image.clone()?, labels))
    }

    /// The same from another image, whatever the node's engine.
    pub(crate) fn container_from(&self, image: String, labels: Labels) -> ContainerSpec {
        let keys = self.0.container.clone();
        let idle = || ["sleep", "infinity"].map(str::to_owned).to_vec();
        ContainerSpec {
            image,
            name: keys.name.unwrap_or_else(|| format!("sparktune-{}-{}", labels.cluster, labels.purpose)),
            network: keys.network.unwrap_or_else(|| "host".to_owned()),
            ipc: keys.ipc,
            gpus: keys.gpus.unwrap_or(Gpus::All),
            ulimits: keys.ulimits.unwrap_or_default(),
            shm_size: keys.shm_size,
            devices: keys.devices.unwrap_or_default(),
            cap_add: keys.cap_add.unwrap_or_default(),
            volumes: keys.volumes.unwrap_or_default(),
            environment: self.0.environment.clone(),
            entrypoint: keys.entrypoint,
            command: keys.command.unwrap_or_else(idle),
            restart: keys.restart.unwrap_or(Restart::No),
            labels,
        }
    }
}
