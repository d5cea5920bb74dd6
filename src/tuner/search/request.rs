//! A round in the worker's terms, and the worker's answer in the strategy's.

use crate::tuner::contests::Contests;
use crate::tuner::strategy::{ArmFailure, Entrant, Round, Timings};
use crate::worker::protocol::{ArmOutcome, TimedArm, TimedRouting, TimingRequest};
use crate::worker::timing::Timed;

/// What is asked of the worker for `round`.
pub(super) fn request(contests: &Contests, round: &Round) -> TimingRequest {
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

/// What came of it, `seconds` after it was asked.
pub(super) fn timings(timed: &Timed, seconds: f64) -> Timings {
    let failure = |outcome| match outcome {
        ArmOutcome::OutOfResources => ArmFailure::OutOfResources,
        ArmOutcome::CompileFailed => ArmFailure::CompileFailed,
        ArmOutcome::WrongResult => ArmFailure::WrongResult,
        ArmOutcome::TimedOut => ArmFailure::TimedOut,
        ArmOutcome::WorkerLost => ArmFailure::WorkerLost,
    };
    // A time that is none is a run that was not made.
    let real = |time: &Option<f64>| time.filter(|it| it.is_finite() && *it > 0.0);
    Timings {
        times_us: timed.times_us.iter().map(real).collect(),
        failures: timed.failures.iter().map(|(arm, outcome, _)| (*arm, failure(*outcome))).collect(),
        seconds,
    }
}
