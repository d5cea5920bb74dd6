//! A compiler had from a node without an engine: its own Python, over its connection.
//!
//! Nothing is created on the node but the worker's files in the user's cache folder there. Workers end with the connection.

use tokio_util::sync::CancellationToken;

use super::environment::Environment;
use super::no_compiler::NoCompiler;
use super::start::OnHost;
use super::target_of::target_of;
use crate::cluster::connect::{self, Connected};
use crate::cluster::installed::{Family, NoPlace, probe};
use crate::cluster::inventory::{Login, Node};
use crate::host::container_spec::ContainerVariable;
use crate::host::ssh::{SshConnections, over_ssh};
use crate::host::{Program, ShellLine, Variable};
use crate::host_name::HostName;
use crate::runtime::Target;

/// The folder below the home there for the worker and what it keeps.
const CACHE: &str = ".cache/sparktune";

/// A node whose own Python compiles.
#[derive(Debug)]
pub struct BareNode {
    node: Node,
    ssh: SshConnections,
}

/// The same, connected to.
#[derive(Debug)]
pub struct ReachedBareNode {
    node: Connected,
}

/// A compiler on such a node, as long as the connection is held.
#[derive(Debug)]
pub struct BareEnvironment {
    /// Where it compiles.
    pub environment: Environment,
    /// Its runtime and Triton.
    pub target: Target,
    /// The way there.
    pub way: Connected,
}

impl BareNode {
    /// `node`, which is reached by `ssh`.
    pub fn new(node: &Node, ssh: &SshConnections) -> Self {
        Self { node: node.clone(), ssh: ssh.clone() }
    }

    /// The node.
    pub fn node(&self) -> &HostName {
        &self.node.name
    }

    /// The GPU that the inventory says the node has.
    pub fn expect_gpu(&self) -> Option<&str> {
        self.node.settings.expect_gpu()
    }

    /// The command that would ask its Python; the program by name and not by its text.
    pub fn ask_line(&self) -> ShellLine {
        let python = self.node.settings.virtualenv();
        let python = python.map_or_else(|| "python3".to_owned(), |dir| format!("{dir}/bin/python"));
        let line = ShellLine::of(&Program::new(python, ["-I", "-c", "node/runtime.py"]));
        match &self.node.reach.login {
            Some(Login::Ssh(route)) => over_ssh(route, self.ssh.settings(), &line),
            Some(Login::Local) | None => line,
        }
    }

    /// Connect to the node.
    pub async fn reach(self, cancel: &CancellationToken) -> Result<ReachedBareNode, NoCompiler> {
        let reached = cancel.run_until_cancelled(connect::connect(&self.node, &self.ssh)).await;
        Ok(ReachedBareNode { node: reached.ok_or(NoCompiler::Interrupted)?? })
    }
}

impl ReachedBareNode {
    /// The way there.
    pub fn connected(&self) -> &Connected {
        &self.node
    }

    /// See what its Python has of a family's runtime.
    pub async fn open(
        self,
        family: Family,
        cancel: &CancellationToken,
    ) -> Result<BareEnvironment, NoCompiler> {
        let asked = cancel.run_until_cancelled(self.ask(family)).await;
        let (environment, target) = asked.ok_or(NoCompiler::Interrupted)??;
        Ok(BareEnvironment { environment, target, way: self.node })
    }

    async fn ask(&self, family: Family) -> Result<(Environment, Target), NoCompiler> {
        let host = self.node.host()?.clone();
        let (home, python) = (self.node.home().await?, self.node.own_python().await?);
        let installed = probe(&*host, &python).await.map_err(|error| match error {
            NoPlace::Ask(error) => error.into(),
            error => NoCompiler::Garbled(error.to_string()),
        })?;
        let holder = || format!("{}: `{python}`", self.node.name());
        let (target, package_root) = target_of(&installed, family, holder)?;
        let cache = home.join(CACHE);
        let mut starter = OnHost::embedded(host, python.clone(), &cache);
        for (name, variable) in self.node.node.settings.environment() {
            if let ContainerVariable::Set(value) = variable {
                starter = starter.with(name, Variable::Set(value.clone()));
            }
        }
        // Which binaries lie there is not known here: results are kept by compiler, and not by node.
        Ok((Environment { starter, package_root, cache, lasting: false }, target))
    }
}
