//! Keeps compiling while workers die: unfinished units are queued again, killers are quarantined.

use std::collections::HashMap;
use std::path::PathBuf;

use super::process::{Launch, OnUnit, Worker, WorkerError};
use super::protocol::GpuReport;
use super::protocol::{
    CompileFailure, CompileOutcome, CompileTarget, FailureReason, LaunchShape, Op, Probe, Unit,
};

/// Workers a unit may take down before it is given up.
const DEATHS_PER_UNIT: u32 = 2;

/// What all units of a job have in common.
#[derive(Debug, Clone)]
pub struct CompileJob {
    /// The GPU compiled for.
    pub target: CompileTarget,
    /// The layer.
    pub shape: LaunchShape,
    /// Processes at a time.
    pub jobs: usize,
    /// Time one unit may take, seconds.
    pub timeout_s: u64,
    /// Where binaries are kept for launching them later; where none are to be launched, nowhere.
    pub kernel_cache: Option<PathBuf>,
}

/// Everything outside a unit that its binary depends on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CompilerIdentity {
    /// SHA-256 of the kernel's source.
    pub kernel_digest: String,
    /// The SGLang the kernel belongs to, if that could be told.
    pub sglang_version: Option<String>,
    /// The Triton that compiles it.
    pub triton: String,
    /// The assembler's version, if one was found.
    pub ptxas: Option<String>,
}

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

/// The real thing: a worker process, started again when it dies.
#[derive(Debug)]
pub struct Supervised {
    launch: Launch,
    sglang_root: String,
    worker: Option<Worker>,
    identity: CompilerIdentity,
    cpus: usize,
}

impl Supervised {
    /// Start a worker and probe the kernel below `sglang_root`.
    pub async fn start(launch: Launch, sglang_root: &str) -> Result<Self, WorkerError> {
        let mut worker = Worker::start(&launch).await?;
        let Probe { kernel, ptxas, cpus } = worker.probe(sglang_root).await.map_err(|error| match error {
            WorkerError::Refused { code, message } if code == "triton_missing" => {
                let message = format!("`{}` has no Triton: {message}", launch.python.display());
                WorkerError::Refused { code, message }
            }
            other => other,
        })?;
        let identity = CompilerIdentity {
            kernel_digest: kernel.digest,
            sglang_version: kernel.sglang_version,
            // A probe without Triton is refused by the worker.
            triton: worker.hello().triton.clone().unwrap_or_default(),
            ptxas: ptxas.map(|found| found.version),
        };
        Ok(Self { launch, sglang_root: sglang_root.to_owned(), worker: Some(worker), identity, cpus })
    }

    /// How another worker is started beside this one, and where its kernels come from.
    pub fn launch(&self) -> (Launch, String) {
        (self.launch.clone(), self.sglang_root.clone())
    }

    /// The GPU the worker sees.
    pub async fn device(&mut self) -> Result<GpuReport, WorkerError> {
        self.worker().await?.device().await
    }

    /// Processors the worker may use.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// End the worker and its children.
    pub async fn stop(self) {
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
    }

    async fn worker(&mut self) -> Result<&mut Worker, WorkerError> {
        if self.worker.is_none() {
            self.worker = Some(Worker::start(&self.launch).await?);
        }
        Ok(self.worker.as_mut().expect("just started"))
    }
}

impl Compiler for Supervised {
    fn identity(&self) -> &CompilerIdentity {
        &self.identity
    }

    async fn compile(
        &mut self,
        job: &CompileJob,
        units: &[Unit],
        on_unit: OnUnit<'_, Unit>,
    ) -> Result<(), WorkerError> {
        let mut left: Vec<Unit> = units.to_vec();
        let mut deaths: HashMap<String, u32> = HashMap::new();
        let mut batch_deaths = 0;
        while !left.is_empty() {
            // One death can be anybody's; after two, one unit a request: the next has one suspect.
            let together = batch_deaths < DEATHS_PER_UNIT;
            let batch = if together { left.clone() } else { vec![left[0].clone()] };
            let request = Op::Compile {
                sglang_root: self.sglang_root.clone(),
                target: job.target.clone(),
                shape: job.shape,
                units: batch.clone(),
                jobs: job.jobs,
                timeout_s: job.timeout_s,
                cache_dir: job.kernel_cache.as_ref().map(|dir| dir.display().to_string()),
            };
            let worker = self.worker().await?;
            let result = worker
                .compile(request, &mut |name, outcome| {
                    // A unit the batch does not hold is a late answer to a request given up.
                    if let Some(at) = left.iter().position(|unit| unit.unit == name) {
                        on_unit(&left.remove(at), outcome)?;
                    }
                    Ok(())
                })
                .await;
            match result {
                Ok(()) => {
                    if batch.iter().any(|unit| left.contains(unit)) {
                        return Err(WorkerError::Garbled { line: "`done` before every unit ended".into() });
                    }
                }
                Err(WorkerError::Died { status, log }) => {
                    self.worker = None;
                    let suspects: Vec<Unit> = batch.into_iter().filter(|unit| left.contains(unit)).collect();
                    if suspects.is_empty() {
                        // It ended after its last result and before `done`: nothing is lost.
                        continue;
                    }
                    let alone = suspects.len() == 1;
                    batch_deaths += u32::from(together);
                    for unit in suspects {
                        let count = deaths.entry(unit.unit.clone()).or_default();
                        *count += 1;
                        if alone && *count >= DEATHS_PER_UNIT {
                            left.retain(|other| *other != unit);
                            let failure = CompileFailure {
                                reason: FailureReason::WorkerLost,
                                message: format!("{count} workers died on it, last {status}{log}"),
                                seconds: 0.0,
                            };
                            on_unit(&unit, CompileOutcome::Failed(failure)).map_err(WorkerError::Reader)?;
                        }
                    }
                }
                Err(other) => {
                    // Whatever it is still doing, it does for nobody.
                    if let Some(worker) = self.worker.take() {
                        worker.stop().await;
                    }
                    return Err(other);
                }
            }
        }
        Ok(())
    }
}
