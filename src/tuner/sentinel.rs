//! One config timed again and again within a contest: what changes about it is the machine, not the config. While
//! it is warm, the clock is held against its maximum.

use super::strategy::paired::median;
use super::strategy::{Contest, Entrant, Round, RoutingSeed};
use crate::worker::protocol::GpuState;

/// Rounds between two looks at the sentinel.
const EVERY: usize = 20;
/// Runs of the sentinel each time.
const RUNS: usize = 5;
/// How often a low clock is looked at again, after how many runs each, before it counts as capped: an idle GPU takes
/// a while to wake up.
const CAPPED_LOOKS: usize = 5;
const WAKING_RUNS: usize = 200;

/// A sentinel that moves by more than this within one batch size is not noise.
pub(crate) const STEADY_WITHIN: f64 = 0.05;

/// Under load, a clock below this share of its maximum is capped. Power limits alone cost less.
const CAPPED_BELOW: f64 = 0.5;

/// What a look says of the machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Steadiness {
    /// The clock is low, and the GPU may only have slept: look again.
    LookAgain,
    /// As before, as far as one can tell.
    Steady,
    /// It changed by this share since the first look at this batch size.
    Moved(f64),
    /// The clock stays low under load.
    Capped {
        /// Under load, MHz.
        clock_mhz: f64,
        /// What it could be, MHz.
        max_mhz: f64,
        /// What holds it down, as far as the driver tells.
        why: String,
    },
}

/// The sentinel of one batch size on one node.
#[derive(Debug, Clone)]
pub(crate) struct Sentinel {
    entrant: Entrant,
    first_us: Option<f64>,
    /// Rounds since the last look.
    rounds: usize,
    /// Looks in a row at a low clock.
    low: usize,
}

impl Sentinel {
    /// What is timed again and again: the default's first slot where there is a default, else what `first`, the
    /// contest's first round, begins with.
    pub(crate) fn new(contest: &Contest, first: &Round) -> Self {
        let entrant = match &contest.default {
            Some(default) => Entrant::Single { slot: 0, arm: default[0] },
            None => first.entrants[0].clone(),
        };
        Self { entrant, first_us: None, rounds: EVERY, low: 0 }
    }

    /// The sentinel that an earlier session timed: `entrant`, which took `times_us` while the GPU was awake.
    pub(crate) fn known(entrant: Entrant, times_us: &[f64]) -> Self {
        Self { entrant, first_us: median(&mut times_us.to_vec()), rounds: EVERY, low: 0 }
    }

    /// What is timed.
    pub(crate) fn entrant(&self) -> &Entrant {
        &self.entrant
    }

    /// Whether it is time for a look: before the first round, and then now and again.
    pub(crate) fn is_due(&self) -> bool {
        self.rounds >= EVERY
    }

    /// A round of the contest was measured.
    pub(crate) fn round_passed(&mut self) {
        self.rounds += 1;
    }

    /// The measurement that is a look, in the place of `round`.
    pub(crate) fn look(&self, round: &Round) -> Round {
        Round {
            contest: round.contest,
            routing: RoutingSeed { skewed: false, seed: 0 },
            entrants: vec![self.entrant.clone()],
            order: vec![0; if self.low == 0 { RUNS } else { WAKING_RUNS }],
            warm_up: true,
            abort_above_us: None,
        }
    }

    /// What the look showed, on a GPU whose highest clock is `max_mhz`, if it tells.
    pub(crate) fn judge(&mut self, times_us: &[f64], state: &GpuState, max_mhz: Option<f64>) -> Steadiness {
        if let Some((clock_mhz, max_mhz)) = low_clock(state, max_mhz) {
            if self.low < CAPPED_LOOKS {
                self.low += 1;
                return Steadiness::LookAgain;
            }
            let why = match &state.throttle[..] {
                [] => "the driver gives no reason".to_owned(),
                reasons => reasons.join(", "),
            };
            return Steadiness::Capped { clock_mhz, max_mhz, why };
        }
        (self.rounds, self.low) = (0, 0);
        let Some(now_us) = median(&mut times_us.to_vec()) else { return Steadiness::Steady };
        let first_us = *self.first_us.get_or_insert(now_us);
        let change = (now_us / first_us - 1.0).abs();
        if change > STEADY_WITHIN { Steadiness::Moved(change) } else { Steadiness::Steady }
    }
}

/// Whether the GPU's clock is not low under load, as far as it tells.
pub(crate) fn is_awake(state: &GpuState, max_mhz: Option<f64>) -> bool {
    low_clock(state, max_mhz).is_none()
}

fn low_clock(state: &GpuState, max_mhz: Option<f64>) -> Option<(f64, f64)> {
    state.clock_mhz.zip(max_mhz).filter(|(now, max)| *now < max * CAPPED_BELOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::strategy::ContestId;

    fn sentinel() -> Sentinel {
        let contest = Contest { key: 1, slots: Vec::new(), default: Some(vec![7]), incumbents: Vec::new() };
        Sentinel::new(&contest, &round())
    }

    fn round() -> Round {
        Round {
            contest: ContestId::of(0),
            routing: RoutingSeed { skewed: true, seed: 3 },
            entrants: vec![Entrant::Single { slot: 1, arm: 4 }],
            order: vec![0; 9],
            warm_up: false,
            abort_above_us: Some(1.0),
        }
    }

    fn clocked(mhz: f64) -> GpuState {
        GpuState { clock_mhz: Some(mhz), throttle: vec!["power".into()], ..GpuState::default() }
    }

    #[test]
    fn the_default_is_timed_or_what_the_contest_begins_with() {
        assert_eq!(sentinel().look(&round()).entrants, [Entrant::Single { slot: 0, arm: 7 }]);
        let none = Contest { key: 1, slots: Vec::new(), default: None, incumbents: Vec::new() };
        assert_eq!(Sentinel::new(&none, &round()).look(&round()).entrants, round().entrants);
    }

    #[test]
    fn it_is_due_at_first_and_then_every_twenty_rounds() {
        let mut sentinel = sentinel();
        let mut looks = Vec::new();
        for at in 0..61 {
            if sentinel.is_due() {
                looks.push(at);
                sentinel.judge(&[1.0], &GpuState::default(), None);
            }
            sentinel.round_passed();
        }
        assert_eq!(looks, [0, 20, 40, 60]);
    }

    #[test]
    fn a_move_is_told_from_the_first_look_of_any_session() {
        let mut sentinel = Sentinel::known(Entrant::Single { slot: 1, arm: 2 }, &[99.0, 100.0, 101.0]);
        assert_eq!(sentinel.look(&round()).entrants, [Entrant::Single { slot: 1, arm: 2 }]);
        assert_eq!(sentinel.judge(&[104.0], &GpuState::default(), None), Steadiness::Steady);
        let Steadiness::Moved(change) = sentinel.judge(&[110.0], &GpuState::default(), None) else {
            panic!()
        };
        assert!((change - 0.1).abs() < 1e-9);
    }

    #[test]
    fn a_low_clock_counts_only_after_much_work() {
        let mut sentinel = sentinel();
        for runs in [5, 200, 200, 200, 200] {
            assert_eq!(sentinel.look(&round()).order.len(), runs);
            assert_eq!(sentinel.judge(&[1.0], &clocked(800.0), Some(2400.0)), Steadiness::LookAgain);
        }
        let capped = Steadiness::Capped { clock_mhz: 800.0, max_mhz: 2400.0, why: "power".into() };
        assert_eq!(sentinel.judge(&[1.0], &clocked(800.0), Some(2400.0)), capped);
        // A GPU that woke up is steady, and the next look is a short one.
        assert_eq!(sentinel.judge(&[1.0], &clocked(2300.0), Some(2400.0)), Steadiness::Steady);
        assert_eq!(sentinel.look(&round()).order.len(), 5);
    }
}
