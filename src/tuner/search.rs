//! A strategy at work: what it asks is measured, journalled, and only then told.
//!
//! A run that was killed goes on by telling each contest what the journal holds of it: given the same answers
//! it asks the same questions, so the end is that of a run nobody disturbed.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use super::contests::Contests;
use super::proofs::Record;
use super::sentinel::{CAPPED_BELOW, Sentinel, Steadiness};
use super::strategy::{
    ArmFailure, Choice, ContestId, ContestRun, Entrant, History, Round, RoutingSeed, Strategy, Timings,
    catch_up,
};
use super::trace::Trace;
use crate::events::{Event, Observer};
use crate::failure::{Failure, Kind};
use crate::journal::{Journal, JournalError};
use crate::worker::WorkerError;
use crate::worker::protocol::{ArmOutcome, TimedArm, TimedRouting, TimingRequest};
use crate::worker::timing::Timer;

/// Rounds between two looks at the sentinel.
const SENTINEL_EVERY: usize = 20;
/// How often a low clock is looked at again, after how many runs each, before it counts as capped.
const CAPPED_LOOKS: usize = 5;
const WAKING_RUNS: usize = 200;
/// Runs of the sentinel each time.
const SENTINEL_RUNS: usize = 5;

/// How far a search may go.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Measuring time, seconds, over all sessions of the run; none is no limit.
    pub budget_s: Option<f64>,
    /// End the run where the machine is not steady, instead of warning.
    pub strict: bool,
}

/// What a search cost.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spent {
    /// Time in rounds, seconds, set-up included.
    pub seconds: f64,
    /// Kernel launches, warm-ups included.
    pub launches: u64,
    /// Rounds.
    pub rounds: usize,
    /// Whether every contest was decided.
    pub complete: bool,
}

/// Why a search ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Nothing can be timed any more.
    #[error(transparent)]
    Timer(#[from] WorkerError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal's rounds are not what the strategy asks.
    #[error(
        "round {round} of the journal at batch size {batch_size} is not what this version's strategy asks there"
    )]
    OtherStrategy {
        /// Where.
        batch_size: u32,
        /// Which of that batch size's rounds, from 1.
        round: usize,
    },
    /// The clock is held down.
    #[error("the GPU's clock is held at {clock_mhz:.0} MHz under load, its maximum is {max_mhz:.0}: {why}")]
    CappedClock {
        /// Under load.
        clock_mhz: f64,
        /// What it could be.
        max_mhz: f64,
        /// What holds it down, as far as the driver tells.
        why: String,
    },
    /// The same config's time moved too far.
    #[error(
        "the machine is not steady: the same config took {change:.1} % more or less within batch size {batch_size}"
    )]
    Unsteady {
        /// Per cent.
        change: f64,
        /// Where.
        batch_size: u32,
    },
    /// The user stopped it.
    #[error("interrupted; every measurement so far is kept")]
    Interrupted,
}

impl Failure for SearchError {
    fn kind(&self) -> Kind {
        match self {
            SearchError::Timer(error) => error.kind(),
            SearchError::Journal(error) => error.kind(),
            SearchError::OtherStrategy { .. } => Kind::Input,
            SearchError::CappedClock { .. } | SearchError::Unsteady { .. } => Kind::Environment,
            SearchError::Interrupted => Kind::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            SearchError::Timer(error) => error.hint(),
            SearchError::Journal(error) => error.hint(),
            SearchError::OtherStrategy { .. } => {
                Some("resume with the --incumbent files it was started with, or start a new run".into())
            }
            SearchError::CappedClock { .. } => Some(
                "a DGX Spark whose USB-PD negotiation failed caps its GPU at 500 to 850 MHz: take the power \
                 supply off for a minute; times measured at a capped clock choose for a capped clock"
                    .into(),
            ),
            SearchError::Unsteady { .. } => {
                Some("end what else uses the GPU, or drop --strict to go on with a warning".into())
            }
            SearchError::Interrupted => None,
        }
    }
}

/// The device of a search, and how far it may be used.
#[derive(Debug)]
pub struct Bench<'a, T> {
    /// Times kernels.
    pub timer: &'a mut T,
    /// Its highest clock, MHz, if it tells.
    pub max_clock_mhz: Option<f64>,
    /// How far.
    pub limits: Limits,
}

/// What a search cost and went through.
#[derive(Debug, Default)]
pub struct Searched {
    /// The cost.
    pub spent: Spent,
    /// The course.
    pub trace: Trace,
    /// Every round with what came of it: those told from the journal, then those measured.
    pub rounds: Vec<(Round, Timings)>,
    /// What led each contest that the budget left undecided, by the contest's place.
    pub leaders: BTreeMap<usize, Choice>,
}

/// Let `strategy` ask until it has decided or the limits are reached, one contest after another; each is told
/// first what `history` holds of it.
pub async fn search<T: Timer>(
    strategy: &mut dyn Strategy,
    contests: &Contests,
    bench: Bench<'_, T>,
    mut history: History,
    journal: &mut Journal<Record>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Searched, SearchError> {
    let budget_s = bench.limits.budget_s.unwrap_or(f64::INFINITY) - history.seconds();
    let sentinel = Sentinel::default();
    let searched = Searched::default();
    let mut search = Search { contests, bench, budget_s, sentinel, journal, cancel, observer, searched };
    search.observer.on(&Event::SearchStarted { batch_sizes: contests.problem.contests.len() });
    let mut undecided = BTreeSet::new();
    let mut decided = 0;
    while let Some(contest) = strategy.ready().into_iter().find(|it| !undecided.contains(it)) {
        let mut run = strategy.begin(contest);
        search.tell(&mut *run, contest, history.take(contest))?;
        if search.measure(&mut *run).await? {
            strategy.end(run.finish());
        } else {
            undecided.insert(contest);
            search.searched.leaders.extend(run.leader().map(|leader| (contest.index, leader)));
        }
        let now_decided = strategy.decisions().iter().flatten().count();
        if now_decided != decided {
            decided = now_decided;
            search.observer.on(&Event::Decided { batch_sizes: decided });
        }
    }
    search.searched.spent.complete = undecided.is_empty();
    // What nobody asked for cannot have been asked by this strategy.
    if let Some(contest) = history.first().filter(|_| undecided.is_empty()) {
        return Err(search.other_strategy(contest, 0));
    }
    search.observer.on(&Event::SearchDone);
    Ok(search.searched)
}

/// A search under way.
struct Search<'a, T> {
    contests: &'a Contests,
    bench: Bench<'a, T>,
    /// What is left, seconds.
    budget_s: f64,
    sentinel: Sentinel,
    journal: &'a mut Journal<Record>,
    cancel: &'a CancellationToken,
    observer: &'a mut dyn Observer,
    searched: Searched,
}

impl<T: Timer> Search<'_, T> {
    /// Tell `run` what was measured of it before.
    fn tell(
        &mut self,
        run: &mut dyn ContestRun,
        contest: ContestId,
        rounds: Vec<(Round, Timings)>,
    ) -> Result<(), SearchError> {
        let told = catch_up(run, &rounds, |run, round, timings| self.count(run, round, timings));
        told.map_err(|divergence| self.other_strategy(contest, divergence.matched))
    }

    /// Measure what `run` asks; whether it came to its end before the budget did.
    async fn measure(&mut self, run: &mut dyn ContestRun) -> Result<bool, SearchError> {
        while let Some(round) = run.next() {
            if self.budget_s <= 0.0 {
                return Ok(false);
            }
            self.watch(&round).await?;
            let timings = measure(self.contests, &round, self.bench.timer, self.cancel).await?;
            self.journal.append(&Record::Round { round: round.clone(), timings: timings.clone() })?;
            self.budget_s -= timings.seconds;
            run.observe(&round, &timings);
            self.count(run, &round, &timings);
        }
        Ok(true)
    }

    /// Look at the sentinel where it is time to.
    async fn watch(&mut self, round: &Round) -> Result<(), SearchError> {
        let moved_on = self.sentinel.contest() != Some(round.contest.index);
        if !moved_on && !self.searched.spent.rounds.is_multiple_of(SENTINEL_EVERY) {
            return Ok(());
        }
        let Bench { timer, max_clock_mhz, limits } = &mut self.bench;
        let found =
            look_at_sentinel(&mut self.sentinel, self.contests, round, *timer, *max_clock_mhz, self.cancel);
        if let Steadiness::Moved(change) = found.await? {
            let strict = limits.strict;
            let (change, batch_size) = (change * 100.0, self.batch_size(round.contest));
            if strict {
                return Err(SearchError::Unsteady { change, batch_size });
            }
            self.observer.on(&Event::Warning(format!(
                "the machine is not steady: the same config took {change:.1} % more or less within batch \
                 size {batch_size}; pairs still compare, and intervals widen"
            )));
        }
        Ok(())
    }

    /// One more round is answered.
    fn count(&mut self, run: &dyn ContestRun, round: &Round, timings: &Timings) {
        let contest = &self.contests.problem.contests[round.contest.index];
        let Searched { spent, trace, rounds, .. } = &mut self.searched;
        spent.seconds += timings.seconds;
        spent.launches += round.launches(contest.slots.len());
        spent.rounds += 1;
        trace.observe(round, timings, spent.launches, run.leader());
        rounds.push((round.clone(), timings.clone()));
        self.observer.on(&Event::Measured {
            batch_size: contest.key,
            launches: spent.launches,
            seconds: spent.seconds,
        });
    }

    fn batch_size(&self, contest: ContestId) -> u32 {
        self.contests.problem.contests[contest.index].key
    }

    fn other_strategy(&self, contest: ContestId, matched: usize) -> SearchError {
        SearchError::OtherStrategy { batch_size: self.batch_size(contest), round: matched + 1 }
    }
}

/// Time the contest's sentinel, and hold the clock against its maximum while it is warm.
async fn look_at_sentinel<T: Timer>(
    sentinel: &mut Sentinel,
    contests: &Contests,
    round: &Round,
    timer: &mut T,
    max_clock_mhz: Option<f64>,
    cancel: &CancellationToken,
) -> Result<Steadiness, SearchError> {
    let entrant = sentinel.entrant(&contests.problem, round);
    let look = Round {
        contest: round.contest,
        routing: RoutingSeed { skewed: false, seed: 0 },
        entrants: vec![entrant],
        order: vec![0; SENTINEL_RUNS],
        warm_up: true,
        abort_above_us: None,
    };
    let mut request = request(contests, &look);
    let mut looks = 0;
    let timed = loop {
        let timed = tokio::select! {
            timed = timer.time(&request) => timed?,
            () = cancel.cancelled() => return Err(SearchError::Interrupted),
        };
        let capped = timed.state.clock_mhz.zip(max_clock_mhz).filter(|(now, max)| *now < max * CAPPED_BELOW);
        let Some((clock_mhz, max_mhz)) = capped else { break timed };
        if looks == CAPPED_LOOKS {
            let why = if timed.state.throttle.is_empty() {
                "the driver gives no reason".to_owned()
            } else {
                timed.state.throttle.join(", ")
            };
            return Err(SearchError::CappedClock { clock_mhz, max_mhz, why });
        }
        // An idle GPU takes a while to wake up: more work before the verdict.
        request.order = vec![0; WAKING_RUNS];
        looks += 1;
    };
    Ok(sentinel.observe(round.contest.index, &timed.times_us.into_iter().flatten().collect::<Vec<_>>()))
}

async fn measure<T: Timer>(
    contests: &Contests,
    round: &Round,
    timer: &mut T,
    cancel: &CancellationToken,
) -> Result<Timings, SearchError> {
    let began = std::time::Instant::now();
    let request = request(contests, round);
    let timed = tokio::select! {
        timed = timer.time(&request) => timed?,
        () = cancel.cancelled() => return Err(SearchError::Interrupted),
    };
    let failure = |outcome| match outcome {
        ArmOutcome::OutOfResources => ArmFailure::OutOfResources,
        ArmOutcome::CompileFailed => ArmFailure::CompileFailed,
        ArmOutcome::WrongResult => ArmFailure::WrongResult,
        ArmOutcome::TimedOut => ArmFailure::TimedOut,
        ArmOutcome::WorkerLost => ArmFailure::WorkerLost,
    };
    Ok(Timings {
        // A time that is none is a run that was not made.
        times_us: timed
            .times_us
            .into_iter()
            .map(|time| time.filter(|it| it.is_finite() && *it > 0.0))
            .collect(),
        failures: timed.failures.into_iter().map(|(arm, outcome, _)| (arm, failure(outcome))).collect(),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// A round in the worker's terms.
fn request(contests: &Contests, round: &Round) -> TimingRequest {
    let contest = round.contest.index;
    let arm = |entrant: &Entrant| match entrant {
        Entrant::Single { slot: 0, arm } => TimedArm::Up { config: contests.config(contest, 0, *arm) },
        Entrant::Single { slot, arm } => TimedArm::Down { config: contests.config(contest, *slot, *arm) },
        Entrant::Whole(choice) => {
            let [up, down] = contests.configs(contest, choice);
            TimedArm::Path { up, down }
        }
    };
    TimingRequest {
        batch_size: contests.problem.contests[contest].key,
        routing: TimedRouting {
            kind: if round.routing.skewed { "skewed" } else { "uniform" },
            seed: round.routing.seed,
        },
        arms: round.entrants.iter().map(arm).collect(),
        order: round.order.clone(),
        warm_up: u32::from(round.warm_up),
        abort_above_us: round.abort_above_us,
    }
}
