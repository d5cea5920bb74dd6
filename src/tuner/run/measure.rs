//! The measuring part of a run: what the race decided, as entries of the files.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::RunDir;
use crate::artifact::manifest::{ManifestMeasurement, ManifestSpeedup, Source};
use crate::artifact::{ConfigFile, Evidence};
use crate::events::Observer;
use crate::tuner::contests::Contests;
use crate::tuner::search::{Bench, SearchError, Searched, Spent, search};
use crate::tuner::select::Selected;
use crate::tuner::strategy::{Choice, Contest, Decision, Grounds, Method, StrategySpec};
use crate::tuner::trace::Trace;
use crate::worker::timing::Timer;

/// How kernels are timed in a run.
#[derive(Debug)]
pub struct Measuring<'a, T> {
    /// The device, and how far it may be used.
    pub bench: Bench<'a, T>,
    /// Seed of the strategy's dice, as the plan has it.
    pub seed: u64,
    /// Config files in use, up and down, whose entries deserve a hearing.
    pub incumbents: &'a [[ConfigFile; 2]],
}

/// What a race cost and went through.
#[derive(Debug)]
pub struct Raced {
    /// The cost.
    pub spent: Spent,
    /// Batch sizes decided.
    pub decided: usize,
    /// The space.
    pub contests: Contests,
    /// The course.
    pub trace: Trace,
}

impl<T: Timer> Measuring<'_, T> {
    /// Race, and put what was decided in the place of what was selected without measurements.
    pub(super) async fn decide(
        self,
        contests: Contests,
        dir: &mut RunDir,
        selected: &mut [Selected],
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Raced, SearchError> {
        let spec = StrategySpec { method: Method::Race(Default::default()), seed: self.seed };
        let mut strategy = spec.strategy(Arc::clone(&contests.problem));
        let history = std::mem::take(&mut dir.rounds);
        let journal = &mut dir.journal;
        let Searched { spent, trace, leaders, .. } =
            search(&mut *strategy, &contests, self.bench, history, journal, cancel, observer).await?;
        let decisions = strategy.decisions();
        let decided = decisions.iter().flatten().count();
        for (contest, (entry, decision)) in selected.iter_mut().zip(decisions).enumerate() {
            let so_far = || best_so_far(&contests.problem.contests[contest], leaders.get(&contest));
            // Without either the entry stays what it would be without a GPU.
            if let Some(decision) = decision.or_else(so_far) {
                adopt(&contests, contest, entry, &decision);
            }
        }
        Ok(Raced { spent, decided, contests, trace })
    }
}

/// What to take where the budget ended before a decision: a default that runs stays unless it is beaten, but
/// where none runs the race's leader is better than the best guess.
fn best_so_far(contest: &Contest, leader: Option<&Choice>) -> Option<Decision> {
    let choice = leader.filter(|_| contest.default.is_none())?.clone();
    // No time: it was not confirmed, and claims no rung for it.
    Some(Decision { choice, grounds: Grounds::Fastest, time_us: None })
}

/// Put a decision in the place of an entry.
fn adopt(contests: &Contests, contest: usize, entry: &mut Selected, decision: &Decision) {
    let measured = measurement(decision);
    let configs = contests.configs(contest, &decision.choice);
    for (choice, config) in [&mut entry.up, &mut entry.down].into_iter().zip(configs) {
        let changed = choice.config != config;
        choice.config = config;
        choice.measured = measured;
        choice.source = match decision.grounds {
            Grounds::DefaultKept(_) => Source::RuntimeDefault,
            Grounds::BeatsDefault(_) | Grounds::NoDefault | Grounds::Fastest => Source::Tuned,
        };
        if changed {
            choice.predicted_us = None;
        }
        match decision.grounds {
            Grounds::DefaultKept(_) => choice.default_replaced = None,
            Grounds::BeatsDefault(against) => {
                choice.default_replaced = Some(format!(
                    "{:.1} % slower in {} pairs",
                    ((-against.log_ratio.estimate).exp() - 1.0) * 100.0,
                    against.pairs
                ));
            }
            // Mostly the entry says already why it cannot run: it does not fit, or does not compile.
            Grounds::NoDefault | Grounds::Fastest => {
                choice.default_replaced.get_or_insert_with(|| "did not run on the device".to_owned());
            }
        }
    }
}

/// The rung a decision reached, with its figures; none where it rests on no time of its own.
fn measurement(decision: &Decision) -> Option<(Evidence, ManifestMeasurement)> {
    let round = |us: f64| (us * 1000.0).round() / 1000.0;
    let time_us = round(decision.time_us?);
    Some(match decision.grounds {
        Grounds::BeatsDefault(against) => {
            let speedup = ManifestSpeedup {
                lower: (-against.log_ratio.upper).exp(),
                estimate: (-against.log_ratio.estimate).exp(),
                upper: (-against.log_ratio.lower).exp(),
                pairs: against.pairs,
            };
            let default_us = Some(round(against.default_us));
            (Evidence::Confirmed, ManifestMeasurement { time_us, default_us, speedup: Some(speedup) })
        }
        Grounds::DefaultKept(_) => {
            (Evidence::Measured, ManifestMeasurement { time_us, default_us: Some(time_us), speedup: None })
        }
        Grounds::NoDefault | Grounds::Fastest => {
            (Evidence::Measured, ManifestMeasurement { time_us, default_us: None, speedup: None })
        }
    })
}
