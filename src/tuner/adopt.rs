//! What a race decided, as entries of the files.

use std::collections::BTreeMap;

use super::contests::Contests;
use super::select::Selected;
use super::strategy::{Against, Choice, Contest, Decision, Grounds};
use crate::artifact::Evidence;
use crate::artifact::manifest::{ManifestDispute, ManifestMeasurement, ManifestSpeedup, Source};

/// Put `decisions`, and where there is none what led, in the place of what was selected without measurements. How
/// many were decided.
pub(super) fn adopt_all(
    contests: &Contests,
    decisions: Vec<Option<Decision>>,
    leaders: &BTreeMap<usize, Choice>,
    selected: &mut [Selected],
) -> usize {
    let decided = decisions.iter().flatten().count();
    for (contest, (entry, decision)) in selected.iter_mut().zip(decisions).enumerate() {
        let so_far = || best_so_far(&contests.problem.contests[contest], leaders.get(&contest));
        // Without either the entry stays what it would be without a GPU.
        if let Some(decision) = decision.or_else(so_far) {
            adopt(contests, contest, entry, &decision);
        }
    }
    decided
}

/// What to take where the budget ended before a decision: a default that runs stays unless it is beaten, but
/// where none runs the race's leader is better than the best guess.
fn best_so_far(contest: &Contest, leader: Option<&Choice>) -> Option<Decision> {
    let choice = leader.filter(|_| contest.default.is_none())?.clone();
    // No time: it was not confirmed, and claims no rung for it.
    Some(Decision { choice, grounds: Grounds::Fastest, time_us: None, second: None })
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
            Grounds::DefaultKept(_) | Grounds::Disputed(_) => Source::RuntimeDefault,
            Grounds::BeatsDefault(_) | Grounds::NoDefault | Grounds::Fastest => Source::Tuned,
        };
        if changed {
            choice.predicted_us = None;
        }
        match decision.grounds {
            Grounds::DefaultKept(_) | Grounds::Disputed(_) => choice.default_replaced = None,
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
    let alone = ManifestMeasurement { time_us, ..ManifestMeasurement::default() };
    Some(match decision.grounds {
        Grounds::BeatsDefault(against) => {
            let measurement = ManifestMeasurement {
                default_us: Some(round(against.default_us)),
                speedup: Some(speedup(&against)),
                confirmed_on: Some(1 + u32::from(decision.second.is_some())),
                ..alone
            };
            (Evidence::Confirmed, measurement)
        }
        Grounds::DefaultKept(_) => {
            (Evidence::Measured, ManifestMeasurement { default_us: Some(time_us), ..alone })
        }
        Grounds::Disputed(first) => {
            let second = decision.second.and_then(|second| second.against);
            let disputed =
                ManifestDispute { first: speedup(&first), second: second.map(|against| speedup(&against)) };
            let default_us = Some(time_us);
            (Evidence::Measured, ManifestMeasurement { default_us, disputed: Some(disputed), ..alone })
        }
        Grounds::NoDefault | Grounds::Fastest => (Evidence::Measured, alone),
    })
}

/// The same comparison the other way round: how many times as fast.
pub(super) fn speedup(against: &Against) -> ManifestSpeedup {
    ManifestSpeedup {
        lower: (-against.log_ratio.upper).exp(),
        estimate: (-against.log_ratio.estimate).exp(),
        upper: (-against.log_ratio.lower).exp(),
        pairs: against.pairs,
    }
}
