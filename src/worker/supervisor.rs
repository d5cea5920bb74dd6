//! Keeps compiling while workers die: unfinished units are queued again, killers are quarantined.

use std::collections::HashMap;
use std::sync::Arc;

use super::compile_worker::{BatchEnd, CompileJob, CompileWorker, CompilerIdentity};
use super::error::WorkerError;
use super::protocol::{CompileFailure, CompileOutcome, FailureReason, GpuReport, Unit};
use super::start::Starter;
use crate::failure::Failure;
use crate::host::HostPath;

/// Workers a unit may take down before it is given up.
const DEATHS_PER_UNIT: u32 = 2;
/// Workers that may get lost one after another, without a result between them.
pub(super) const LOSSES_IN_A_ROW: u32 = 3;

/// Hears how each unit ended, as it ends. What it cannot keep ends the compilation.
pub type OnUnit<'a, U> = &'a mut dyn FnMut(&U, CompileOutcome) -> Result<(), Box<dyn Failure>>;

/// Compiles units: the real worker, or a look-alike in tests.
pub trait Compiler {
    /// What compiles and what is compiled.
    fn identity(&self) -> &CompilerIdentity;

    /// Compile `units`, handing each outcome to `on_unit` as it ends, each unit exactly once.
    fn compile(
        &mut self,
        job: &CompileJob,
        units: &[Unit],
        on_unit: OnUnit<'_, Unit>,
    ) -> impl Future<Output = Result<(), WorkerError>>;
}

/// The real thing: a worker, started again when it dies or gets lost.
#[derive(Debug)]
pub struct Supervised {
    worker: CompileWorker,
}

impl Supervised {
    /// Start a worker and probe the kernel below `sglang_root`.
    pub async fn start(starter: Arc<dyn Starter>, sglang_root: HostPath) -> Result<Self, WorkerError> {
        Ok(Self { worker: CompileWorker::start(starter, sglang_root).await? })
    }

    /// How another worker is started beside this one, and where its kernels come from.
    pub fn launch(&self) -> (Arc<dyn Starter>, HostPath) {
        (self.worker.starter(), self.worker.sglang_root().clone())
    }

    /// The GPU the worker sees.
    pub async fn device(&mut self) -> Result<GpuReport, WorkerError> {
        self.worker.device().await
    }

    /// Processors the worker may use.
    pub fn cpus(&self) -> usize {
        self.worker.cpus()
    }

    /// End the worker and its children.
    pub async fn stop(self) {
        self.worker.stop().await;
    }
}

impl Compiler for Supervised {
    fn identity(&self) -> &CompilerIdentity {
        self.worker.identity()
    }

    async fn compile(
        &mut self,
        job: &CompileJob,
        units: &[Unit],
        on_unit: OnUnit<'_, Unit>,
    ) -> Result<(), WorkerError> {
        let mut left: Vec<Unit> = units.to_vec();
        let mut deaths: HashMap<String, u32> = HashMap::new();
        let (mut batch_deaths, mut losses) = (0, 0);
        while !left.is_empty() {
            // One death can be anybody's; after two, one unit a request: the next has one suspect.
            let together = batch_deaths < DEATHS_PER_UNIT;
            let batch = if together { left.clone() } else { vec![left[0].clone()] };
            let before = left.len();
            let end = self.worker.compile_batch(job, &batch, |unit, outcome| {
                left.retain(|other| other != unit);
                on_unit(unit, outcome)
            });
            match end.await {
                BatchEnd::Done => {}
                BatchEnd::Died { suspects, ending, log } => {
                    let alone = suspects.len() == 1;
                    batch_deaths += u32::from(together && !suspects.is_empty());
                    for name in suspects {
                        let count = deaths.entry(name.clone()).or_default();
                        *count += 1;
                        if alone
                            && *count >= DEATHS_PER_UNIT
                            && let Some(at) = left.iter().position(|unit| unit.unit == name)
                        {
                            let failure = CompileFailure {
                                reason: FailureReason::WorkerLost,
                                message: format!("{count} workers died on it, last {ending}{log}"),
                                seconds: 0.0,
                            };
                            let outcome = CompileOutcome::Failed(failure);
                            on_unit(&left.remove(at), outcome).map_err(WorkerError::Reader)?;
                        }
                    }
                }
                BatchEnd::Lost { why } => {
                    losses = if left.len() < before { 1 } else { losses + 1 };
                    if losses >= LOSSES_IN_A_ROW {
                        return Err(why);
                    }
                }
                BatchEnd::Refused(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
