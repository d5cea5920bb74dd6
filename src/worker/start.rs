//! Ways to start a worker.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};

use super::embedded;
use super::error::WorkerError;
use super::link::{Keepalive, Link};
use super::protocol::LEASH_VARIABLE;
use crate::host::{Host, HostPath, Program, Tree, Variable};
use crate::host_name::HostName;

/// Starts workers, each like the one before.
pub trait Starter: fmt::Debug + Send + Sync {
    /// The host its workers are on.
    fn on(&self) -> &HostName;

    /// Start one and wait for its hello.
    fn start(&self) -> BoxFuture<'_, Result<Link, WorkerError>>;
}

/// Starts workers on a host: the package is laid out there, and an interpreter runs it.
#[derive(Clone)]
pub struct OnHost {
    /// The host.
    pub host: Arc<dyn Host>,
    /// The interpreter there.
    pub python: HostPath,
    /// Variables on top of the host's own.
    pub variables: BTreeMap<String, Variable>,
    /// How both sides notice that the other is gone.
    pub keepalive: Keepalive,
    /// The folder that holds the package.
    package_dir: HostPath,
    /// The module that is run.
    module: String,
    /// What is laid out in the folder first; nothing where the package lies there already.
    package: Tree,
}

impl fmt::Debug for OnHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, python, variables, keepalive, package_dir, module, package: _ } = self;
        f.debug_struct("OnHost")
            .field("host", host)
            .field("python", python)
            .field("variables", variables)
            .field("keepalive", keepalive)
            .field("package_dir", package_dir)
            .field("module", module)
            .finish_non_exhaustive()
    }
}

impl OnHost {
    /// The worker this program carries, laid out below the folder `cache` of `host`.
    pub fn embedded(host: Arc<dyn Host>, python: HostPath, cache: &HostPath) -> Self {
        let package_dir = embedded::folder(cache);
        Self { package: embedded::tree(), ..Self::module(host, python, package_dir, embedded::PACKAGE_NAME) }
    }

    /// The worker that `module` is, which lies in the folder `package_dir` of `host`: a look-alike in tests.
    pub fn module(host: Arc<dyn Host>, python: HostPath, package_dir: HostPath, module: &str) -> Self {
        Self {
            host,
            python,
            variables: BTreeMap::new(),
            keepalive: Keepalive::default(),
            package_dir,
            module: module.to_owned(),
            package: Tree::default(),
        }
    }

    /// Set the variable `name` for the workers.
    #[must_use]
    pub fn with(mut self, name: &str, variable: Variable) -> Self {
        self.variables.insert(name.to_owned(), variable);
        self
    }

    fn program(&self) -> Program {
        // -B: the package may lie on a read-only disk; -u: lines must not wait in a buffer.
        let mut program = Program::new(self.python.as_str(), ["-B", "-u", "-m", &self.module])
            .with("PYTHONPATH", Variable::Set(self.package_dir.as_str().to_owned()))
            .with("PYTHONHOME", Variable::Unset)
            // The link may be lost before `begin` comes over.
            .with(LEASH_VARIABLE, Variable::Set(self.keepalive.leash.as_secs_f64().to_string()));
        program.environment.extend(self.variables.clone());
        program
    }
}

impl Starter for OnHost {
    fn on(&self) -> &HostName {
        self.host.name()
    }

    fn start(&self) -> BoxFuture<'_, Result<Link, WorkerError>> {
        async {
            self.host.put(&self.package, &self.package_dir).await?;
            let process = self.host.start(&self.program()).await?;
            let on = self.on().clone();
            let python = self.python.as_str().to_owned();
            Link::open(on, python, process, self.keepalive).await
        }
        .boxed()
    }
}
