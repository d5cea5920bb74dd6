//! What a container is created with, whichever engine creates it.
//!
//! Plain data: the inventory makes it, an engine's API or the command line of [`ContainerSpec::run_line`] is told it.
//! What is not named here the engine decides.

mod maker;
mod mounts;
mod short_lived;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use maker::Maker;
pub(super) use maker::MakerState;
pub use mounts::{Device, NodePath, Volume};
pub use values::{BadContainerValue, ByteSize, Capability, Ipc, Restart, Ulimit};

use super::shell::Word;
use super::{ShellLine, Variable};
use crate::secret::Secret;

/// Which engine keeps the containers. Told by what a node answers or its inventory says, never by a version number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Docker Engine.
    Docker,
    /// Podman, which speaks Docker's API and one of its own.
    Podman,
}

impl EngineKind {
    /// The engine's command.
    pub fn program(self) -> &'static str {
        match self {
            EngineKind::Docker => "docker",
            EngineKind::Podman => "podman",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// How a container gets the node's GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gpus {
    /// All of them, in the engine's own way: Docker's device request, Podman's CDI device.
    All,
    /// All of them, as the CDI device [`Gpus::CDI_DEVICE`] also where the engine is Docker, which must know CDI.
    Cdi,
    /// None: for machines without one.
    None,
}

impl Gpus {
    /// The CDI name of all GPUs, as NVIDIA's container toolkit writes it.
    pub const CDI_DEVICE: &str = "nvidia.com/gpu=all";

    /// Whether `engine` is asked for the CDI device rather than for GPUs.
    ///
    /// Podman always is: its Docker API drops requests for GPUs before 5.4 without an error, and then the container
    /// runs without them.
    pub fn by_cdi(self, engine: EngineKind) -> bool {
        match self {
            Gpus::All => engine == EngineKind::Podman,
            Gpus::Cdi => true,
            Gpus::None => false,
        }
    }
}

/// Where a container's environment variable has its value from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerVariable {
    /// This is it.
    Set(String),
    /// The variable of the same name where the harness runs, whose value nobody may see.
    FromHarness,
}

/// Secrets that a container needs and the harness's environment lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the container needs {}, which the environment of this program lacks", .0.join(", "))]
pub struct MissingSecrets(Vec<String>);

/// What says that a container is ours, what for and whose. Every container of ours has all of them but the maker, and one
/// without is never touched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// The cluster's name in its inventory.
    pub cluster: String,
    /// What the container is for: `tune`, `serve`.
    pub purpose: String,
    /// Whose it is: who started the command, or its run.
    pub owner: String,
    /// The process that made it, where it is only for a moment.
    pub maker: Option<Maker>,
    /// What else is to be known of it by whoever finds it, by keys without [`Labels::PREFIX`].
    pub more: BTreeMap<String, String>,
}

impl Labels {
    /// What every label's key begins with.
    pub const PREFIX: &str = "sparktune.";
    /// The project, as the value of the label `sparktune.project`: what all our containers have in common.
    pub const PROJECT: &str = env!("CARGO_PKG_NAME");

    /// Of a command of this program, on this machine.
    pub fn of_this_command(cluster: &str, purpose: &str) -> Self {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let owner = format!("{}:{}", machine.trim(), std::process::id());
        Self { cluster: cluster.to_owned(), purpose: purpose.to_owned(), owner, ..Self::default() }
    }

    /// Every label with its value, sorted by key: `cluster`, `owner`, `project`, `purpose` and `version` (of this
    /// program), the `maker` where there is one, and what there is of more, each behind [`Labels::PREFIX`].
    pub fn pairs(&self) -> BTreeMap<String, String> {
        let own = [
            ("project", Self::PROJECT),
            ("cluster", self.cluster.as_str()),
            ("purpose", &self.purpose),
            ("owner", &self.owner),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        let maker = self.maker.iter().map(|maker| ("maker", maker.as_str()));
        let more = self.more.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        more.chain(own)
            .chain(maker)
            .map(|(key, value)| (format!("{}{key}", Self::PREFIX), value.to_owned()))
            .collect()
    }
}

/// A container to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Its image: a name with a tag or digest, or an ID.
    pub image: String,
    /// Its name on the node.
    pub name: String,
    /// Its network: `host`, `none`, `bridge`, or one the engine knows by that name.
    pub network: String,
    /// Its IPC namespace; the engine's choice where not given.
    pub ipc: Option<Ipc>,
    /// Its GPUs.
    pub gpus: Gpus,
    /// Limits of its processes by their names: `memlock`, `stack`.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The size of `/dev/shm`; the engine's choice where not given, the node's own with the host's IPC namespace.
    pub shm_size: Option<ByteSize>,
    /// Devices of the node it may use.
    pub devices: Vec<Device>,
    /// Capabilities on top of the engine's usual ones.
    pub cap_add: Vec<Capability>,
    /// Folders and files of the node it sees.
    pub volumes: Vec<Volume>,
    /// Variables on top of the image's.
    pub environment: BTreeMap<String, ContainerVariable>,
    /// What is started in place of the image's entrypoint; empty for none at all.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments of the entrypoint, or the program where there is none; the image's own where empty.
    pub command: Vec<String>,
    /// When the engine starts it again.
    pub restart: Restart,
    /// Whose it is.
    pub labels: Labels,
}

/// Every variable of `environment` with its value, what is secret as [`Variable::Secret`], taken from `of_harness`.
///
/// # Errors
/// All secrets that `of_harness` lacks.
pub fn variables(
    environment: &BTreeMap<String, ContainerVariable>,
    of_harness: impl Fn(&str) -> Option<Secret>,
) -> Result<BTreeMap<String, Variable>, MissingSecrets> {
    let mut missing = Vec::new();
    let mut found = BTreeMap::new();
    for (name, variable) in environment {
        let value = match variable {
            ContainerVariable::Set(value) => Variable::Set(value.clone()),
            ContainerVariable::FromHarness => match of_harness(name) {
                Some(secret) => Variable::Secret(secret),
                None => {
                    missing.push(name.clone());
                    continue;
                }
            },
        };
        found.insert(name.clone(), value);
    }
    if missing.is_empty() { Ok(found) } else { Err(MissingSecrets(missing)) }
}

impl ContainerSpec {
    /// The names of the variables that are secret.
    pub fn secrets(&self) -> BTreeSet<&str> {
        let from_harness = self.environment.iter().filter(|(_, it)| **it == ContainerVariable::FromHarness);
        from_harness.map(|(name, _)| name.as_str()).collect()
    }

    /// Its variables with their values, as [`variables`] has them.
    pub fn variables(
        &self,
        of_harness: impl Fn(&str) -> Option<Secret>,
    ) -> Result<BTreeMap<String, Variable>, MissingSecrets> {
        variables(&self.environment, of_harness)
    }

    /// The size of `/dev/shm` as `engine` is told it. With the node's own there is none to set: Docker takes no notice
    /// of one, Podman refuses it.
    pub(super) fn shm_size_for(&self, engine: EngineKind) -> Option<ByteSize> {
        self.shm_size.filter(|_| engine == EngineKind::Docker || self.ipc != Some(Ipc::Host))
    }

    /// The command that creates and starts the same container, detached. Secrets stand by name only, so that the
    /// engine's command takes them from the environment it is run in.
    pub fn run_line(&self, engine: EngineKind) -> ShellLine {
        self.line(engine, &["run", "--detach"])
    }

    /// The command that creates the same container and leaves it to be started.
    pub(super) fn create_line(&self, engine: EngineKind) -> ShellLine {
        self.line(engine, &["create"])
    }

    fn line(&self, engine: EngineKind, command: &[&str]) -> ShellLine {
        let mut line = Line(vec![Word::plain(engine.program())]);
        line.0.extend(command.iter().map(|word| Word::plain(*word)));
        line.flag("--name", &self.name);
        line.flag("--network", &self.network);
        if let Some(ipc) = self.ipc {
            line.flag("--ipc", ipc);
        }
        match (self.gpus, self.gpus.by_cdi(engine)) {
            (Gpus::None, _) => {}
            (_, true) => line.flag("--device", Gpus::CDI_DEVICE),
            (_, false) => line.flag("--gpus", "all"),
        }
        for (name, limit) in &self.ulimits {
            line.flag("--ulimit", format!("{name}={limit}"));
        }
        if let Some(size) = self.shm_size_for(engine) {
            line.flag("--shm-size", size);
        }
        for device in &self.devices {
            line.flag("--device", device);
        }
        for capability in &self.cap_add {
            line.flag("--cap-add", capability);
        }
        for volume in &self.volumes {
            line.0.push(Word::plain("--volume"));
            line.0.push(match &volume.source {
                NodePath::Absolute(_) => Word::Plain(volume.to_string()),
                // The shell of the node knows where its home is.
                NodePath::Home(_) => Word::BelowHome(volume.to_string().split_off("~/".len())),
            });
        }
        for (name, variable) in &self.environment {
            match variable {
                ContainerVariable::Set(value) => line.flag("--env", format!("{name}={value}")),
                ContainerVariable::FromHarness => line.flag("--env", name),
            }
        }
        if self.restart != Restart::No {
            line.flag("--restart", self.restart);
        }
        for (key, value) in self.labels.pairs() {
            line.flag("--label", format!("{key}={value}"));
        }
        // The option takes the program alone; its arguments stand before the command's.
        let mut arguments: &[String] = &[];
        if let Some(entrypoint) = &self.entrypoint {
            let (program, rest) = entrypoint.split_first().map_or(("", arguments), |(it, rest)| (it, rest));
            line.flag("--entrypoint", program);
            arguments = rest;
        }
        line.0.push(Word::plain(&self.image));
        line.0.extend(arguments.iter().chain(&self.command).map(Word::plain));
        ShellLine::of_words(&line.0)
    }
}

/// A command line that grows.
struct Line(Vec<Word>);

impl Line {
    fn flag(&mut self, name: &str, value: impl fmt::Display) {
        self.0.extend([Word::plain(name), Word::Plain(value.to_string())]);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;
