//! Recording: the whole space timed, for replays.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Compiling, RunDir, RunError, compile_job};
use crate::device::Device;
use crate::events::Observer;
use crate::tuner::contests::Contests;
use crate::tuner::plan::Plan;
use crate::tuner::proofs::Prover;
use crate::tuner::search::{Bench, Searched, Spent, search};
use crate::tuner::strategy::recording::Recording;
use crate::tuner::strategy::{Heard, Round};
use crate::worker::timing::Timer;
use crate::worker::{CachedCompiler, Compiler};

/// How much is recorded, and on what.
#[derive(Debug)]
pub struct RecordJob<'a, T> {
    /// The device, and how far it may be used.
    pub bench: Bench<'a, T>,
    /// Timed runs of each config in each session.
    pub repeats: usize,
    /// Passes over the whole space.
    pub sessions: usize,
}

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The space.
    pub contests: Contests,
    /// Every round with its answer.
    pub heard: Vec<(Round, Heard)>,
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
    let mut recording = Recording::new(Arc::clone(&contests.problem), job.repeats, job.sessions, 0);
    let known = std::mem::take(&mut dir.rounds);
    let journal = &mut dir.journal;
    let Searched { spent, .. } =
        search(&mut recording, &contests, job.bench, known, journal, cancel, observer).await?;
    Ok(Recorded { contests, heard: recording.into_heard(), spent })
}
