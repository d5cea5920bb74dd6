//! Recording: the whole space timed, for replays.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Compiling, RunDir, RunError, compile_job};
use crate::device::Device;
use crate::events::{Event, Observer};
use crate::tuner::contests::Contests;
use crate::tuner::plan::Plan;
use crate::tuner::proofs::Prover;
use crate::tuner::search::{Bench, Searched, Spent, search};
use crate::tuner::strategy::recording::{Options, Recording};
use crate::tuner::strategy::{Round, Timings};
use crate::worker::timing::Timer;
use crate::worker::{CachedCompiler, Compiler};

/// What is recorded, and on what.
#[derive(Debug)]
pub struct RecordJob<'a, T> {
    /// The device, and how far it may be used.
    pub bench: Bench<'a, T>,
    /// How much.
    pub options: Options,
}

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The space.
    pub contests: Contests,
    /// Every round with what came of it, in the order of measuring.
    pub rounds: Vec<(Round, Timings)>,
    /// What it cost.
    pub spent: Spent,
}

/// Compile the space of `plan`, then time all of it in `dir`.
pub async fn record<C: Compiler, T: Timer>(
    plan: &Plan,
    device: &Device,
    dir: &mut RunDir,
    compiling: Compiling<'_, C>,
    job: RecordJob<'_, T>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Recorded, RunError> {
    let compile = compile_job(plan, device, &compiling);
    let compiler = CachedCompiler::new(compiling.compiler, compile, compiling.cache, cancel.clone());
    // Every config of the space: one without a binary has a row that says so.
    let contests = Contests::new(plan, device, &Default::default(), &[]);
    let mut prover = Prover::new(compiler, &mut dir.journal, dir.compiler.as_ref())?;
    prover.prove(&contests.kernels(), &mut dir.proofs, observer).await?;
    prover.ready(&contests.large_batch_units(plan, device), observer).await?;
    dir.compiler = Some(prover.identity().clone());
    observer.on(&Event::CompileDone);
    let mut recording = Recording::new(Arc::clone(&contests.problem), job.options, 0);
    let history = std::mem::take(&mut dir.rounds);
    let journal = &mut dir.journal;
    let Searched { spent, rounds, .. } =
        search(&mut recording, &contests, job.bench, history, journal, cancel, observer).await?;
    Ok(Recorded { contests, rounds, spent })
}
