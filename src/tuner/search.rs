//! A strategy at work: what it asks is measured, journalled, and only then told.
//!
//! A run that was killed goes on by telling the strategy what the journal holds: given the same answers it
//! asks the same questions, so the end is that of a run nobody disturbed.

use tokio_util::sync::CancellationToken;

use super::contests::Contests;
use super::proofs::Record;
use super::sentinel::{CAPPED_BELOW, Sentinel, Steadiness};
use super::strategy::{ArmFailure, Entrant, Heard, Round, Strategy};
use super::telling::Telling;
use super::trace::Trace;
use crate::events::Observer;
use crate::failure::{Failure, Kind, forwards};
use crate::host_name::HostName;
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
    #[error("round {round} of the journal is not what this version's strategy asks there")]
    OtherStrategy {
        /// Which, from 1.
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

forwards! {
    impl Failure for SearchError forwarding Timer, Journal {
        Self::OtherStrategy { .. } => Kind::Input,
            "resume with the --incumbent files it was started with, or start a new run";
        Self::CappedClock { .. } => Kind::Environment,
            "a DGX Spark whose USB-PD negotiation failed caps its GPU at 500 to 850 MHz: take the power supply off for \
             a minute; times measured at a capped clock choose for a capped clock";
        Self::Unsteady { .. } => Kind::Environment,
            "end what else uses the GPU, or drop --strict to go on with a warning";
        Self::Interrupted => Kind::Interrupted;
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
}

/// What the journal of a measuring run holds of its rounds.
pub type Known = Vec<(Round, Heard)>;

/// Let `strategy` ask until it has decided or the limits are reached.
pub async fn search<T: Timer>(
    strategy: &mut dyn Strategy,
    contests: &Contests,
    bench: Bench<'_, T>,
    known: Known,
    journal: &mut Journal<Record>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Searched, SearchError> {
    let Bench { timer, max_clock_mhz, limits } = bench;
    let problem = &contests.problem;
    let slots = problem.contests.first().map_or(1, |contest| contest.slots.len());
    let Searched { mut spent, mut trace } = Searched::default();
    let mut telling = Telling::new(observer, &problem.contests, HostName::local(), known.len());
    let mut known = known.into_iter();
    let mut sentinel = Sentinel::default();
    loop {
        let next = strategy.next();
        telling.stands_at(strategy.decisions(), &spent);
        let Some(round) = next else {
            spent.complete = true;
            break;
        };
        let known = known.next();
        let replayed = known.is_some();
        let heard = match known {
            Some((asked, heard)) if asked == round => heard,
            Some(_) => return Err(SearchError::OtherStrategy { round: spent.rounds + 1 }),
            None => {
                if limits.budget_s.is_some_and(|budget| spent.seconds >= budget) {
                    break;
                }
                let batch_size = problem.contests[round.contest].key;
                let moved_on = sentinel.contest() != Some(round.contest);
                if moved_on || spent.rounds.is_multiple_of(SENTINEL_EVERY) {
                    let found =
                        look_at_sentinel(&mut sentinel, contests, &round, timer, max_clock_mhz, cancel);
                    if let Steadiness::Moved(change) = found.await? {
                        let change = change * 100.0;
                        if limits.strict {
                            return Err(SearchError::Unsteady { change, batch_size });
                        }
                        telling.unsteady(round.contest, change);
                    }
                }
                let heard = measure(contests, &round, timer, cancel).await?;
                journal.append(&Record::Round { round: round.clone(), heard: heard.clone() })?;
                heard
            }
        };
        spent.seconds += heard.seconds;
        spent.launches += round.launches(slots);
        spent.rounds += 1;
        strategy.observe(&round, &heard);
        trace.observe(&round, &heard, spent.launches, strategy.leader(round.contest));
        if !replayed {
            telling.measured(round.contest, &spent);
        }
    }
    telling.ended(&spent);
    Ok(Searched { spent, trace })
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
        routing: super::strategy::Routing { skewed: false, seed: 0 },
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
    Ok(sentinel.heard(round.contest, &timed.times_us.into_iter().flatten().collect::<Vec<_>>()))
}

async fn measure<T: Timer>(
    contests: &Contests,
    round: &Round,
    timer: &mut T,
    cancel: &CancellationToken,
) -> Result<Heard, SearchError> {
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
    Ok(Heard {
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
    let contest = round.contest;
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
