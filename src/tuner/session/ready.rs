//! One node made ready: a compiler in its environment, and a layer on its GPU where something is timed.

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::SessionJob;
use super::compiler::start_compiler;
use super::gpu::start_timer;
use super::worker_executor::WorkerExecutor;
use crate::failure::Failure;
use crate::tuner::error::RunError;
use crate::tuner::fleet::Node;
use crate::tuner::schedule::Able;
use crate::worker::environment::Environment;
use crate::worker::protocol::CompileTarget;
use crate::worker::{BinaryStore, CompileJob, ResultCache};

/// The node of `environment`, ready for `job`; `tell` hears what it waits for. Where that fails no worker is left on it.
pub(super) async fn make_ready(
    job: &SessionJob<'_>,
    environment: &Environment,
    cancel: &CancellationToken,
    tell: &UnboundedSender<String>,
) -> Result<Node, Box<dyn Failure>> {
    let mut worker = start_compiler(environment, job.target, cancel).await?;
    let cache = &job.compiler.environment.cache;
    // A result kept by a run that launched nothing has no binary beside it.
    let cache = if job.timing.is_some() { cache.join("launched") } else { cache.clone() };
    let launched = environment.cache.join("launched").join("triton");
    let kernel_cache = job.timing.as_ref().map(|_| launched);
    let timer = match &job.timing {
        None => None,
        Some(timing) => {
            let starting = start_timer(job, timing, &mut worker, kernel_cache.clone(), tell);
            let started = cancel.run_until_cancelled(starting).await;
            match started.unwrap_or_else(|| Err(RunError::Interrupted.into())) {
                Ok(started) => Some(started),
                Err(error) => {
                    worker.stop().await;
                    return Err(error);
                }
            }
        }
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
    let store = job.timing.as_ref().map(|_| BinaryStore::new(&cache, worker.identity(), &compile));
    // Nor has one that was kept from an environment that is gone, with all it held.
    let has_binaries = job.timing.is_none() || environment.lasting;
    Ok(Node {
        name: worker.on().clone(),
        able: Able { jobs: compile.jobs, times: timer.is_some() },
        compiler: worker.identity().clone(),
        gpu,
        kept: has_binaries.then(|| ResultCache::new(&cache, worker.identity(), &compile)),
        lasting: environment.lasting,
        store: store.clone(),
        executor: Box::new(WorkerExecutor::new(worker, timer, compile, store)),
    })
}
