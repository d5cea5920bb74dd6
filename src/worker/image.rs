//! A compiler had from an image: a container of an engine, in which lie the SGLang and the Triton that a server
//! started from that image would run.
//!
//! The container is [short-lived](ContainerSpec::short_lived), and goes when the command ends. What a killed run leaves
//! behind is found by the run's name among its labels when that goes on, from whichever machine.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::environment::Environment;
use super::no_compiler::NoCompiler;
use super::start::OnHost;
use super::target_of::target_of;
use crate::cluster::connect::{self, ConnectError, Connected};
use crate::cluster::images::runs;
use crate::cluster::installed::{Family, NoPlace, probe};
use crate::cluster::inventory::{self, EngineChoice, Found, Inventory, Login, Node, NodeRole};
use crate::host::container_spec::{Gpus, Labels};
use crate::host::engine::{Engine, EngineError, EngineFailure, ImageName, ShortLived};
use crate::host::ssh::SshConnections;
use crate::host::{ContainerSpec, EngineKind, Host, HostPath, ShellLine};
use crate::host_name::HostName;
use crate::runtime::Target;

/// What a container of this kind is for, as its label says.
const PURPOSE: &str = "tune";

/// The folder of the container for the worker and what it keeps.
const CACHE: &str = "/tmp/sparktune";

/// An image, and the node whose engine makes a container of it.
#[derive(Debug, Clone)]
pub struct ImageOnNode {
    image: ImageName,
    cluster: String,
    node: Node,
    /// The same with another engine, where nothing says which it has.
    otherwise: Option<Node>,
    ssh: SshConnections,
}

/// The same within reach, with an engine that answered.
#[derive(Debug)]
pub struct ReachedImage {
    source: ImageOnNode,
    node: Connected,
    engine: Engine,
}

/// A container to make.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// Whose runtime it is to have.
    pub family: Family,
    /// Whose it is: the run.
    pub owner: &'a str,
    /// Whether it gets the node's GPUs.
    pub gpus: bool,
    /// Whether the same run was at work before, and may have left a container. Nobody else may be at it now.
    pub again: bool,
}

/// A container that is up, and the compiler in it.
#[derive(Debug)]
pub struct ImageEnvironment {
    /// The compiler.
    pub environment: Environment,
    /// The runtime and the Triton it has.
    pub target: Target,
    /// The engine's ID of the image, with `sha256:` before it.
    pub id: String,
    /// The container.
    pub container: TuningContainer,
}

/// A container that is up until it is removed.
#[derive(Debug)]
pub struct TuningContainer {
    container: ShortLived,
    // The way to the engine, which lasts as long as this.
    _node: Connected,
}

impl TuningContainer {
    /// Its name on the node.
    pub fn name(&self) -> &str {
        self.container.name()
    }

    /// Remove it, with all that runs in it.
    pub async fn remove(self) -> Result<(), EngineError> {
        self.container.close().await
    }
}

impl ImageOnNode {
    /// The image of this name, on the engine that the usual inventory has for this machine, or else for the head; without
    /// an inventory on this machine's Docker, or its Podman where it has no Docker.
    pub fn find(image: &str) -> Result<Self, NoCompiler> {
        Self::found(image, inventory::find(None)?)
    }

    fn found(image: &str, found: Found) -> Result<Self, NoCompiler> {
        let image = image.parse()?;
        let (inventory, path) = (found.inventory, found.path);
        let ssh = connect::ssh(&inventory);
        let usual = |engine| node_of(&Inventory::this_machine_with(engine));
        let (node, otherwise) = match path {
            Some(_) => (node_of(&inventory), None),
            None => (usual(EngineChoice::Docker), Some(usual(EngineChoice::Podman))),
        };
        Ok(Self { image, cluster: inventory.name, node, otherwise, ssh })
    }

    /// The image on `node` of the cluster `cluster`, which has an engine and is reached by `ssh`: the one that is
    /// `named`, or else the one that the node's own containers are made of.
    pub fn of_node(
        cluster: &str,
        node: &Node,
        named: Option<&ImageName>,
        ssh: &SshConnections,
    ) -> Result<Self, NoCompiler> {
        let own = || node.settings.image().unwrap_or_default().parse();
        Ok(Self {
            image: named.cloned().map_or_else(own, Ok)?,
            cluster: cluster.to_owned(),
            node: node.clone(),
            otherwise: None,
            ssh: ssh.clone(),
        })
    }

    /// The node.
    pub fn node(&self) -> &HostName {
        &self.node.name
    }

    /// The command that would make the container of `order`.
    pub fn run_line(&self, order: &Order<'_>) -> ShellLine {
        let engine = self.node.settings.engine().unwrap_or(EngineKind::Docker);
        self.spec(&self.node, order).short_lived_line(engine)
    }

    /// Connect to the node and its engine.
    pub async fn reach(self, cancel: &CancellationToken) -> Result<ReachedImage, NoCompiler> {
        let reached = cancel.run_until_cancelled(self.connect()).await;
        let (node, engine) = reached.ok_or(NoCompiler::Interrupted)??;
        Ok(ReachedImage { source: self, node, engine })
    }

    async fn connect(&self) -> Result<(Connected, Engine), ConnectError> {
        let first = reach(&self.node, &self.ssh).await;
        let Some(other) = self.otherwise.as_ref().filter(|_| is_not_there(&first)) else { return first };
        let second = reach(other, &self.ssh).await;
        // Where there is neither, the first is the one to tell of.
        if is_not_there(&second) { first } else { second }
    }

    /// The ID of the image, which must be there and run on the engine's machine.
    async fn image_id(&self, engine: &Engine) -> Result<String, NoCompiler> {
        let on = engine.node().clone();
        let image = engine.image(&self.image).await.map_err(|error| match error.what {
            EngineFailure::NoImage(image) => {
                NoCompiler::NotThere { on: on.clone(), engine: engine.kind(), image }
            }
            _ => error.into(),
        })?;
        let machine = engine.facts().await?.architecture;
        if !runs(&image.architecture, &machine) {
            let (built_for, image) = (image.architecture, self.image.to_string());
            return Err(NoCompiler::OtherArchitecture { on, image, built_for, machine });
        }
        Ok(image.id)
    }

    async fn ask(
        &self,
        container: &TuningContainer,
        family: Family,
    ) -> Result<(Environment, Target), NoCompiler> {
        let host = container.container.host();
        let (python, cache) = (HostPath::new("python3"), HostPath::new(CACHE));
        let installed = probe(&*host, &python).await.map_err(|error| match error {
            NoPlace::Ask(error) if error.is_no_python() => {
                NoCompiler::NoPython { image: self.image.to_string() }
            }
            NoPlace::Ask(error) => error.into(),
            error => NoCompiler::Garbled(error.to_string()),
        })?;
        let (target, package_root) = target_of(&installed, family, || format!("the image `{}`", self.image))?;
        let starter = OnHost::embedded(host, python, &cache);
        Ok((Environment { starter, package_root, cache, lasting: false }, target))
    }

    fn labels(&self, order: &Order<'_>) -> Labels {
        let (cluster, owner) = (self.cluster.clone(), order.owner.to_owned());
        Labels { cluster, purpose: PURPOSE.into(), owner, ..Labels::default() }
    }

    /// As the node's own containers are, but that it is short-lived.
    fn spec(&self, node: &Node, order: &Order<'_>) -> ContainerSpec {
        let spec = node.settings.container_from(self.image.to_string(), self.labels(order));
        let mut spec = spec.short_lived(&node.name);
        if !order.gpus {
            spec.gpus = Gpus::None;
        }
        spec
    }
}

impl ReachedImage {
    /// The node.
    pub fn node(&self) -> &HostName {
        self.node.name()
    }

    /// The image.
    pub fn image(&self) -> &ImageName {
        &self.source.image
    }

    /// The GPU that the inventory says the node has.
    pub fn expect_gpu(&self) -> Option<&str> {
        self.source.node.settings.expect_gpu()
    }

    /// The node as a host, where it can be logged in to.
    pub fn host(&self) -> Option<&Arc<dyn Host>> {
        self.node.host().ok()
    }

    /// Bring up the container of `order` and see what it has. Where that fails, it is gone again.
    pub async fn open(
        self,
        order: &Order<'_>,
        cancel: &CancellationToken,
    ) -> Result<ImageEnvironment, NoCompiler> {
        let Self { source, node, engine } = self;
        let looked = cancel.run_until_cancelled(async {
            let id = source.image_id(&engine).await?;
            if order.again {
                remove_left(&engine, &source.labels(order)).await?;
            }
            Ok::<_, NoCompiler>(id)
        });
        let id = looked.await.ok_or(NoCompiler::Interrupted)??;
        let spec = source.spec(&node.node, order);
        // Not given up half-way: what is being created cannot be removed yet.
        let home = node.home_for(&spec).await?;
        let host = node.host().ok().map(|host| &**host);
        let container =
            engine.run_short_lived(&spec, &home, host).await.map_err(|error| match error.what {
                EngineFailure::NoPython(image) => NoCompiler::NoPython { image },
                _ => error.into(),
            })?;
        let container = TuningContainer { container, _node: node };
        let asked = cancel.run_until_cancelled(source.ask(&container, order.family)).await;
        match asked.unwrap_or(Err(NoCompiler::Interrupted)) {
            Ok((environment, target)) => Ok(ImageEnvironment { environment, target, id, container }),
            Err(error) => {
                // The first error is the one to tell. A container that stays is found by its labels.
                let name = container.name().to_owned();
                if let Err(left) = container.remove().await {
                    tracing::warn!(container = name, "cannot remove a container: {left}");
                }
                Err(error)
            }
        }
    }
}

/// This machine, where the inventory has it; else its head.
fn node_of(inventory: &Inventory) -> Node {
    let local = inventory.nodes.iter().find(|node| node.reach.login == Some(Login::Local));
    let head = inventory.nodes.iter().find(|node| node.role == NodeRole::Head);
    local.or(head).unwrap_or(&inventory.nodes[0]).clone()
}

async fn reach(node: &Node, ssh: &SshConnections) -> Result<(Connected, Engine), ConnectError> {
    let connected = connect::connect(node, ssh).await?;
    let engine = connected.engine().await?.clone();
    Ok((connected, engine))
}

fn is_not_there<T>(reached: &Result<T, ConnectError>) -> bool {
    let error = reached.as_ref().err();
    error.is_some_and(|error| {
        matches!(error, ConnectError::Engine(EngineError { what: EngineFailure::NoSocket(_), .. }))
    })
}

/// Remove what earlier processes of the run with these `labels` have left, whichever machine they were on.
async fn remove_left(engine: &Engine, labels: &Labels) -> Result<(), EngineError> {
    let version = format!("{}version", Labels::PREFIX);
    // Whatever version of this program left them.
    let wanted = labels.pairs().into_iter().filter(|(key, _)| *key != version).collect();
    for left in engine.list(&wanted).await? {
        engine.remove(&left.container).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
