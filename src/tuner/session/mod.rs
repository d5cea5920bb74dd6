//! The nodes a command works with, made ready: environment, compiler, and the right GPU where something is timed.
//! One machine is a fleet of one.

mod compiler;
mod gpu;
mod ready;
#[cfg(test)]
mod speed;
mod worker_executor;

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use self::ready::{first_free, make_ready};
use super::error::RunError;
use super::fleet::{Fleet, Ledger, Node};
use super::open_run::OpenRun;
use super::plan::Plan;
use super::run::{self, Finished, Recorded, RunJob};
use super::search::Limits;
use crate::artifact::Evidence;
use crate::device::Device;
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::runtime::Target;
use crate::worker::environment::{self, Environment};
use crate::worker::protocol::{CompileOutcome, GpuReport, LaunchShape, Unit};

pub(crate) use self::compiler::CompilerSettings;
pub(crate) use self::gpu::{LOOK_AGAIN, MeasuringSettings, default_evidence, local_gpus};

/// What a command asks of its nodes.
#[derive(Debug)]
pub(crate) struct SessionJob<'a> {
    /// What compiles.
    pub compiler: &'a CompilerSettings,
    /// Where, one a node, if they are there already; where there is none the settings' environment is made ready on this
    /// machine.
    pub environments: &'a [Environment],
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
        Self { compiler, environments: &[], target: plan.target, device, shape, timing }
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
    /// Make the nodes of `job` ready, all at once, until one can work: others may wait for their GPUs then, and work as soon
    /// as these are free. Where there are several, one that cannot be made ready is left out, and told.
    pub(crate) async fn open(
        job: &SessionJob<'_>,
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Self, Box<dyn Failure>> {
        let own;
        let environments = match job.environments {
            [] => {
                own = environment::ensure(&job.compiler.environment, job.target, cancel, observer).await?;
                std::slice::from_ref(&own)
            }
            given => given,
        };
        let making = environments.iter().map(|environment| make_ready(job, environment, cancel));
        let (mut nodes, mut failed) = (Vec::new(), Vec::new());
        for (environment, made) in environments.iter().zip(join_all(making).await) {
            match made {
                Ok(node) => nodes.push(node),
                Err(error) => failed.push((environment.starter.host.name().clone(), error)),
            }
        }
        first_free(&mut nodes, &mut failed, cancel, observer).await;
        let stopped = failed.iter().position(|(_, error)| error.kind() == Kind::Interrupted);
        if let Some(at) = stopped.or(nodes.is_empty().then_some(0)).filter(|_| !failed.is_empty()) {
            join_all(nodes.into_iter().map(|node| node.executor.close())).await;
            return Err(failed.swap_remove(at).1);
        }
        for (node, error) in failed {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            observer.note(format!("{node} takes no part in this run: {error}{hint}"));
        }
        Ok(Self {
            nodes,
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
        let mut ledger = Ledger { run: None, observer };
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
