//! The compiler a command asked for: its environment, and a worker started in it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::runtime::{Target, TritonVersion};
use crate::tuner::error::RunError;
use crate::worker::CompileWorker;
use crate::worker::environment;

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

/// Start a worker for `target` in the environment the settings ask for.
pub(super) async fn start_compiler(
    settings: &CompilerSettings,
    target: Target,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<CompileWorker, Box<dyn Failure>> {
    let environment = environment::ensure(&settings.environment, target, cancel, observer).await?;
    let python = environment.starter.python.clone();
    let compiler = tokio::select! {
        compiler = CompileWorker::start(Arc::new(environment.starter), environment.sglang_root) => compiler?,
        () = cancel.cancelled() => return Err(RunError::Interrupted.into()),
    };
    let found = &compiler.identity().triton;
    if *found != target.triton.to_string() {
        let found = found.clone();
        compiler.stop().await;
        return Err(OtherTriton { python, found, wanted: target.triton }.into());
    }
    Ok(compiler)
}
