//! The compiler a command asked for, and a worker started in its environment.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::runtime::{Target, TritonVersion};
use crate::tuner::error::RunError;
use crate::worker::CompileWorker;
use crate::worker::environment::{self, Environment};

/// What compiles, and how much of it at a time.
#[derive(Debug, Clone)]
pub struct CompilerSettings {
    /// The environment.
    pub environment: environment::EnvironmentSettings,
    /// Compilations at a time; every processor where not given.
    pub jobs: Option<usize>,
    /// Time one compilation may take, seconds.
    pub timeout_s: u64,
}

/// The Python the user named has another Triton than the target.
#[derive(Debug, thiserror::Error)]
#[error("`{python}` has Triton {found}, the target needs {wanted}")]
pub(super) struct OtherTriton {
    python: HostPath,
    found: String,
    wanted: TritonVersion,
}

impl Failure for OtherTriton {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some(format!("pass --triton {} if the server runs with that one", self.found))
    }
}

/// Start a worker for `target` in `environment`.
pub(super) async fn start_compiler(
    environment: &Environment,
    target: Target,
    cancel: &CancellationToken,
) -> Result<CompileWorker, Box<dyn Failure>> {
    let python = environment.starter.python.clone();
    let starter = Arc::new(environment.starter.clone());
    let compiler = tokio::select! {
        compiler = CompileWorker::start(starter, environment.package_root.clone()) => compiler?,
        () = cancel.cancelled() => return Err(RunError::Interrupted.into()),
    };
    match same_triton(python, &compiler.identity().triton, target.triton) {
        Ok(()) => Ok(compiler),
        Err(other) => {
            compiler.stop().await;
            Err(other.into())
        }
    }
}

/// A binary of another Triton proves nothing about what the server compiles.
fn same_triton(python: HostPath, found: &str, wanted: TritonVersion) -> Result<(), OtherTriton> {
    if found == wanted.to_string() {
        return Ok(());
    }
    Err(OtherTriton { python, found: found.to_owned(), wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_targets_own_triton_is_accepted() {
        let wanted: TritonVersion = "3.5.0".parse().unwrap();
        let held = |found| same_triton(HostPath::new("/opt/python"), found, wanted);
        assert!(held("3.5.0").is_ok());
        for found in ["3.5.1", "3.8.0", "3.5", "3.5.0+git1234", "13.5.0", " 3.5.0", "none", ""] {
            let other = held(found).unwrap_err();
            let said = format!("`/opt/python` has Triton {found}, the target needs 3.5.0");
            assert_eq!((other.to_string(), other.kind()), (said, Kind::Input));
            assert!(other.hint().unwrap().starts_with(&format!("pass --triton {found} ")), "{found}");
        }
    }
}
