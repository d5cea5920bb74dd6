//! One worker that compiles, one batch at a time, with a typed account of how each batch ended.

use std::sync::Arc;
use std::time::Duration;

use super::error::WorkerError;
use super::link::Link;
use super::log::Log;
use super::protocol::{
    Batch, CompileOutcome, CompileTarget, GiveOutcome, GpuReport, LaunchShape, Message, Op, PackedUnit,
    Probe, TakeOutcome, Unit,
};
use super::start::Starter;
use crate::host::{Ending, HostPath};
use crate::host_name::HostName;

/// How long the worker may be at a unit beyond the unit's own limit: it kills the compiler then, and says so.
const UNIT_SLACK: Duration = Duration::from_secs(60);

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
    /// Where the worker keeps binaries for launching them later; where none are to be launched, nowhere.
    pub kernel_cache: Option<HostPath>,
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

/// How a batch ended.
#[derive(Debug)]
pub enum BatchEnd {
    /// Every unit has its outcome.
    Done,
    /// The worker died.
    Died {
        /// The units without an outcome, by name: one of them may have killed it. Empty where it died after its last
        /// result.
        suspects: Vec<String>,
        /// How it ended.
        ending: Ending,
        /// Its last words.
        log: Log,
    },
    /// The worker or the way to it was lost ([`WorkerError::is_loss`]), or a worker that had started before did not
    /// start again: nobody is to blame. Outcomes told until then count.
    Lost {
        /// The units without an outcome, by name. Empty where it was lost after its last result.
        left: Vec<String>,
        /// What was noticed.
        why: WorkerError,
    },
    /// The worker cannot do it: another attempt would end the same.
    Refused(WorkerError),
}

/// A worker that compiles. One that died, got lost or was given up is replaced when the next batch comes.
#[derive(Debug)]
pub struct CompileWorker {
    starter: Arc<dyn Starter>,
    sglang_root: HostPath,
    link: Option<Link>,
    identity: CompilerIdentity,
    cpus: usize,
}

impl CompileWorker {
    /// Start a worker and probe the kernel below `sglang_root`.
    pub async fn start(starter: Arc<dyn Starter>, sglang_root: HostPath) -> Result<Self, WorkerError> {
        let mut link = starter.start().await?;
        let Probe { kernel, ptxas, cpus } = link.probe(&sglang_root).await.map_err(|error| match error {
            WorkerError::Refused { code, message } if code == "triton_missing" => {
                let message = format!("`{}` has no Triton: {message}", link.program());
                WorkerError::Refused { code, message }
            }
            other => other,
        })?;
        let identity = CompilerIdentity {
            kernel_digest: kernel.digest,
            sglang_version: kernel.sglang_version,
            // A probe without Triton is refused by the worker.
            triton: link.hello().triton.clone().unwrap_or_default(),
            ptxas: ptxas.map(|found| found.version),
        };
        Ok(Self { starter, sglang_root, link: Some(link), identity, cpus })
    }

    /// What compiles and what is compiled.
    pub fn identity(&self) -> &CompilerIdentity {
        &self.identity
    }

    /// The host it is on.
    pub fn on(&self) -> &HostName {
        self.starter.on()
    }

    /// How another worker is started beside this one.
    pub fn starter(&self) -> Arc<dyn Starter> {
        self.starter.clone()
    }

    /// Where its kernels come from.
    pub fn sglang_root(&self) -> &HostPath {
        &self.sglang_root
    }

    /// Processors the worker may use.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// Have a worker that answers; another one where none does.
    pub async fn answers(&mut self) -> Result<(), WorkerError> {
        let sglang_root = self.sglang_root.clone();
        let answered = self.link().await?.probe(&sglang_root).await;
        if answered.is_err() {
            self.link = None;
        }
        answered.map(|_| ())
    }

    /// The GPU the worker sees. Where none answers, the next call asks another one.
    pub async fn device(&mut self) -> Result<GpuReport, WorkerError> {
        let answered = self.link().await?.device().await;
        if answered.as_ref().is_err_and(WorkerError::is_loss) {
            self.link = None;
        }
        answered
    }

    /// Compile `units`, handing each outcome to `on_unit` as it ends, none twice.
    ///
    /// Given up half-way, the batch is cancelled when the worker is next asked or stopped.
    pub async fn compile_batch<F>(&mut self, job: &CompileJob, units: &[Unit], on_unit: F) -> BatchEnd
    where
        F: FnMut(&Unit, CompileOutcome),
    {
        let request = Op::Compile(self.batch(job, units.to_vec()));
        let outcome = |message| match message {
            Message::Compiled { unit, outcome, .. } => Some((unit, outcome)),
            _ => None,
        };
        self.carry_out(job, request, units.iter().collect(), outcome, on_unit).await
    }

    /// Have the binaries of `units`, that were compiled before, handed to `on_unit` as they come; otherwise the same.
    pub async fn give_batch<F>(&mut self, job: &CompileJob, units: &[Unit], on_unit: F) -> BatchEnd
    where
        F: FnMut(&Unit, GiveOutcome),
    {
        let request = Op::Give(self.batch(job, units.to_vec()));
        let outcome = |message| match message {
            Message::Given { unit, outcome, .. } => Some((unit, outcome)),
            _ => None,
        };
        self.carry_out(job, request, units.iter().collect(), outcome, on_unit).await
    }

    /// Have the worker keep the binaries of `units`; otherwise the same.
    pub async fn take_batch<F>(&mut self, job: &CompileJob, units: Vec<PackedUnit>, on_unit: F) -> BatchEnd
    where
        F: FnMut(&Unit, TakeOutcome),
    {
        let left: Vec<Unit> = units.iter().map(|packed| packed.unit.clone()).collect();
        let request = Op::Take(self.batch(job, units));
        let outcome = |message| match message {
            Message::Taken { unit, outcome, .. } => Some((unit, outcome)),
            _ => None,
        };
        self.carry_out(job, request, left.iter().collect(), outcome, on_unit).await
    }

    fn batch<U>(&self, job: &CompileJob, units: Vec<U>) -> Batch<U> {
        Batch {
            sglang_root: self.sglang_root.as_str().to_owned(),
            target: job.target.clone(),
            shape: job.shape,
            units,
            jobs: job.jobs,
            timeout_s: job.timeout_s,
            cache_dir: job.kernel_cache.as_ref().map(|dir| dir.as_str().to_owned()),
        }
    }

    /// Ask `request` about the units that are `left`, whose outcomes are what `outcome` makes of messages.
    async fn carry_out<T>(
        &mut self,
        job: &CompileJob,
        request: Op,
        mut left: Vec<&Unit>,
        outcome: impl Fn(Message) -> Option<(String, T)>,
        mut on_unit: impl FnMut(&Unit, T),
    ) -> BatchEnd {
        if let Err(why) = self.link().await {
            return BatchEnd::Lost { left: names(&left), why };
        }
        let on_message = |message| {
            // A unit the batch does not hold would be a worker's mistake that harms nobody.
            if let Some((name, outcome)) = outcome(message)
                && let Some(at) = left.iter().position(|unit| unit.unit == name)
            {
                on_unit(left.remove(at), outcome);
            }
        };
        let error = match self.attempt(job, request, on_message).await {
            Ok(()) if left.is_empty() => return BatchEnd::Done,
            Ok(()) => WorkerError::Garbled { line: "`done` before every unit ended".into() },
            Err(error) => error,
        };
        let link = self.link.take();
        match error {
            WorkerError::Died { ending, log } => BatchEnd::Died { suspects: names(&left), ending, log },
            // Nobody hears a request to stop. Dropping the link ends the worker where that can be done.
            why @ (WorkerError::Lost { .. } | WorkerError::Silent { .. }) => {
                BatchEnd::Lost { left: names(&left), why }
            }
            other => {
                // Whatever it is still doing, it does for nobody.
                if let Some(link) = link {
                    link.stop().await;
                }
                if other.is_loss() {
                    BatchEnd::Lost { left: names(&left), why: other }
                } else {
                    BatchEnd::Refused(other)
                }
            }
        }
    }

    async fn attempt(
        &mut self,
        job: &CompileJob,
        request: Op,
        mut on_message: impl FnMut(Message),
    ) -> Result<(), WorkerError> {
        // Something is always under way: no unit ends in so long only if the worker is stuck.
        let idle = Duration::from_secs(job.timeout_s) + UNIT_SLACK;
        let link = self.link().await?;
        let id = link.ask(request).await?;
        while let Some(message) = link.answer(id, idle).await? {
            on_message(message);
        }
        Ok(())
    }

    /// End the worker and its children.
    pub async fn stop(self) {
        if let Some(link) = self.link {
            link.leave().await;
        }
    }

    async fn link(&mut self) -> Result<&mut Link, WorkerError> {
        // What ended it between batches was none of the next one's units.
        self.link.take_if(|link| link.is_gone());
        if self.link.is_none() {
            self.link = Some(self.starter.start().await?);
        }
        Ok(self.link.as_mut().expect("just started"))
    }
}

fn names(units: &[&Unit]) -> Vec<String> {
    units.iter().map(|unit| unit.unit.clone()).collect()
}

#[cfg(test)]
mod tests;
