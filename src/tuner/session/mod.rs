//! The nodes a command works with, made ready: environment, compiler, and the right GPU where something is timed.
//! One machine for now, as a fleet of one.

mod compiler;
mod gpu;
mod worker_executor;

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use self::compiler::start_compiler;
use self::gpu::start_timer;
use self::worker_executor::WorkerExecutor;
use super::error::RunError;
use super::fleet::{Fleet, Ledger, Node};
use super::open_run::OpenRun;
use super::plan::Plan;
use super::run::{self, Finished, Recorded, RunJob};
use super::schedule::Able;
use super::search::Limits;
use crate::artifact::Evidence;
use crate::device::Device;
use crate::events::Observer;
use crate::failure::Failure;
use crate::runtime::Target;
use crate::worker::environment::{self, Environment};
use crate::worker::protocol::{CompileOutcome, CompileTarget, GpuReport, LaunchShape, Unit};
use crate::worker::{CompileJob, ResultCache};

pub(crate) use self::compiler::CompilerSettings;
pub(crate) use self::gpu::{MeasuringSettings, default_evidence};

/// What a command asks of its nodes.
#[derive(Debug)]
pub(crate) struct SessionJob<'a> {
    /// What compiles.
    pub compiler: &'a CompilerSettings,
    /// Where, if that is there already; else the settings' environment is made ready.
    pub environment: Option<&'a Environment>,
    /// The runtime and Triton compiled for.
    pub target: Target,
    /// The device compiled for, and timed on.
    pub device: &'a Device,
    /// The layer.
    pub shape: LaunchShape,
    /// How kernels are timed; none where they are only compiled.
    pub timing: Option<Timing<'a>>,
}

/// What is timed, and how.
#[derive(Debug)]
pub(crate) struct Timing<'a> {
    /// How far measuring goes.
    pub settings: &'a MeasuringSettings,
    /// Of the experts, those every token goes through.
    pub fused_shared_experts: u32,
    /// The largest batch size, tokens.
    pub max_tokens: u32,
}

impl<'a> SessionJob<'a> {
    /// What `plan` asks: timing where its evidence needs it.
    pub(crate) fn of(
        plan: &Plan,
        device: &'a Device,
        compiler: &'a CompilerSettings,
        measuring: &'a MeasuringSettings,
    ) -> Self {
        let timing = (plan.evidence > Evidence::Compiled).then(|| Timing {
            settings: measuring,
            fused_shared_experts: plan.shape.fused_shared_experts,
            max_tokens: plan.batch_sizes.iter().copied().max().unwrap_or(1),
        });
        let shape = LaunchShape::new(&plan.shape, plan.model.ep);
        Self { compiler, environment: None, target: plan.target, device, shape, timing }
    }
}

/// Nodes that are ready to work.
pub(crate) struct Session {
    nodes: Vec<Node>,
    limits: Limits,
    arch: String,
    cancel: CancellationToken,
}

impl Session {
    /// Make this machine ready for `job`.
    pub(crate) async fn open(
        job: &SessionJob<'_>,
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Self, Box<dyn Failure>> {
        let environment = match job.environment {
            Some(environment) => environment.clone(),
            None => environment::ensure(&job.compiler.environment, job.target, cancel, observer).await?,
        };
        let mut worker = start_compiler(&environment, job.target, cancel).await?;
        let cache = &job.compiler.environment.cache;
        // A result kept by a run that launched nothing has no binary beside it.
        let cache = if job.timing.is_some() { cache.join("launched") } else { cache.clone() };
        let launched = environment.cache.join("launched").join("triton");
        let kernel_cache = job.timing.as_ref().map(|_| launched);
        let timer = match &job.timing {
            None => None,
            Some(timing) => match start_timer(job, timing, &mut worker, kernel_cache.clone()).await {
                Ok(started) => Some(started),
                Err(error) => {
                    worker.stop().await;
                    return Err(error);
                }
            },
        };
        let compile = CompileJob {
            target: CompileTarget {
                arch: job.device.compile_target.clone(),
                capability: job.device.capability(),
            },
            shape: job.shape,
            jobs: job.compiler.jobs.unwrap_or(worker.cpus()),
            timeout_s: job.compiler.timeout_s,
            kernel_cache,
        };
        let (timer, gpu) = timer.unzip();
        // Nor has one that was kept from an environment that is gone, with all it held.
        let has_binaries = job.timing.is_none() || environment.lasting;
        let node = Node {
            name: worker.on().clone(),
            able: Able { jobs: compile.jobs, times: timer.is_some() },
            compiler: worker.identity().clone(),
            gpu,
            kept: has_binaries.then(|| ResultCache::new(&cache, worker.identity(), &compile)),
            executor: Box::new(WorkerExecutor::new(worker, timer, compile)),
        };
        Ok(Self {
            nodes: vec![node],
            limits: job.timing.as_ref().map(|timing| timing.settings.limits).unwrap_or_default(),
            arch: job.device.compile_target.clone(),
            cancel: cancel.clone(),
        })
    }

    /// No nodes: enough for a plan that rests on predictions alone.
    pub(crate) fn without_nodes(device: &Device, cancel: &CancellationToken) -> Self {
        let arch = device.compile_target.clone();
        Self { nodes: Vec::new(), limits: Limits::default(), arch, cancel: cancel.clone() }
    }

    /// The GPU of the first node that times.
    pub(crate) fn gpu(&self) -> Option<&GpuReport> {
        self.nodes.iter().find_map(|node| node.gpu.as_ref())
    }

    /// Carry out `plan` in `dir`; every worker is ended with it.
    pub(crate) async fn run(
        self,
        plan: &Plan,
        device: &Device,
        dir: &mut OpenRun,
        observer: &mut dyn Observer,
    ) -> Result<Finished, RunError> {
        run::run(self.job(plan, device, dir, observer)).await
    }

    /// Time the whole space of `plan` in `dir`; every worker is ended with it.
    pub(crate) async fn record(
        self,
        plan: &Plan,
        device: &Device,
        dir: &mut OpenRun,
        observer: &mut dyn Observer,
    ) -> Result<Recorded, RunError> {
        run::record(self.job(plan, device, dir, observer)).await
    }

    /// What comes of compiling `units`, by their names; nothing is journalled. Every worker is ended with it.
    pub(crate) async fn compile(
        self,
        units: Vec<Unit>,
        observer: &mut dyn Observer,
    ) -> Result<BTreeMap<String, CompileOutcome>, RunError> {
        let mut fleet = Fleet::assemble(self.nodes, &self.arch, self.cancel);
        let mut ledger = Ledger { journal: None, observer };
        let outcomes = fleet.outcomes(units, &mut ledger).await;
        fleet.close(ledger).await;
        outcomes
    }

    fn job<'a>(
        self,
        plan: &'a Plan,
        device: &'a Device,
        dir: &'a mut OpenRun,
        observer: &'a mut dyn Observer,
    ) -> RunJob<'a> {
        RunJob { plan, device, dir, nodes: self.nodes, limits: self.limits, cancel: self.cancel, observer }
    }
}

#[cfg(test)]
mod tests;
