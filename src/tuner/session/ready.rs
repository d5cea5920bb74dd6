//! One node made ready: a compiler in its environment, and a layer on its GPU where something is timed.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::SessionJob;
use super::compiler::start_compiler;
use super::gpu::{TimingHalf, WantedGpu};
use super::worker_executor::WorkerExecutor;
use crate::events::{NodeEvent, Observer};
use crate::failure::Failure;
use crate::host_name::HostName;
use crate::tuner::error::RunError;
use crate::tuner::fleet::Node;
use crate::tuner::fleet::executor::Trouble;
use crate::tuner::schedule::Able;
use crate::worker::environment::Environment;
use crate::worker::protocol::CompileTarget;
use crate::worker::{BinaryStore, CompileJob, ResultCache};

/// The node of `environment`, ready for `job`, or waiting for its GPU. Where that fails no worker is left on it.
pub(super) async fn make_ready(
    job: &SessionJob<'_>,
    environment: &Environment,
    cancel: &CancellationToken,
) -> Result<Node, Box<dyn Failure>> {
    let mut worker = start_compiler(environment, job.target, cancel).await?;
    let cache = &job.compiler.environment.cache;
    // A result kept by a run that launched nothing has no binary beside it.
    let cache = if job.timing.is_some() { cache.join("launched") } else { cache.clone() };
    let launched = environment.cache.join("launched").join("triton");
    let kernel_cache = job.timing.as_ref().map(|_| launched);
    let (mut timing, mut gpu) = (TimingHalf::None, None);
    if let Some(of_job) = &job.timing {
        let wanted = WantedGpu::new(job, of_job, &worker, kernel_cache.as_ref());
        let looked = cancel.run_until_cancelled(wanted.look(&mut worker)).await;
        match looked.unwrap_or_else(|| Err(RunError::Interrupted.into())) {
            Ok((half, report)) => (timing, gpu) = (half, Some(report)),
            Err(error) => {
                worker.stop().await;
                return Err(error);
            }
        }
    }
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
    let store = job.timing.as_ref().map(|_| BinaryStore::new(&cache, worker.identity(), &compile));
    // Nor has one that was kept from an environment that is gone, with all it held.
    let has_binaries = job.timing.is_none() || environment.lasting;
    Ok(Node {
        name: worker.on().clone(),
        able: Able { jobs: compile.jobs, times: gpu.is_some() },
        compiler: worker.identity().clone(),
        gpu,
        kept: has_binaries.then(|| ResultCache::new(&cache, worker.identity(), &compile)),
        lasting: environment.lasting,
        waits: timing.waits_for().map(str::to_owned),
        store: store.clone(),
        executor: Box::new(WorkerExecutor::new(worker, timing, compile, store)),
    })
}

/// Where all of `nodes` wait for their GPUs, wait until the first can work. Those that waited in vain have `failed`, and so
/// has one where the user wants out.
pub(super) async fn first_free(
    nodes: &mut Vec<Node>,
    failed: &mut Vec<(HostName, Box<dyn Failure>)>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) {
    if nodes.iter().any(|node| node.waits.is_none()) {
        return;
    }
    for Node { name, waits, .. } in nodes.iter() {
        observer.say_from(name, NodeEvent::Waiting { why: waits.clone().unwrap_or_default() });
    }
    let mut in_vain: Vec<(HostName, Box<dyn Failure>)> = Vec::new();
    {
        let (tell, mut told) = unbounded_channel();
        let mut waiting: FuturesUnordered<_> = nodes.iter_mut().map(|node| wait(node, &tell)).collect();
        loop {
            tokio::select! {
                biased;
                Some((name, why)) = told.recv() => observer.say_from(&name, NodeEvent::Waiting { why }),
                ended = waiting.next() => match ended {
                    Some(Err((name, trouble))) => in_vain.push((name, trouble.into_error().into())),
                    Some(Ok(())) | None => break,
                },
                () = cancel.cancelled() => break,
            }
        }
    }
    if cancel.is_cancelled()
        && let Some(node) = nodes.first()
    {
        in_vain.push((node.name.clone(), RunError::Interrupted.into()));
    }
    for (name, error) in in_vain {
        if let Some(at) = nodes.iter().position(|node| node.name == name) {
            nodes.swap_remove(at).executor.close().await;
        }
        failed.push((name, error));
    }
}

/// Wait until the GPU of `node` is free; `tell` hears who uses it.
async fn wait(
    node: &mut Node,
    tell: &UnboundedSender<(HostName, String)>,
) -> Result<(), (HostName, Trouble)> {
    let name = &node.name;
    let mut heard = |why| {
        // Whoever listens does so until one node is ready.
        let _ = tell.send((name.clone(), why));
    };
    node.executor.ready(&mut heard).await.map_err(|trouble| (name.clone(), trouble))?;
    node.waits = None;
    Ok(())
}
