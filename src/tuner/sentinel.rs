//! One config timed again and again: what changes about it is the machine, not the config.

use super::strategy::paired::median;
use super::strategy::{Entrant, Round, SearchProblem};

/// A sentinel that moves by more than this within one batch size is not noise.
const STEADY_WITHIN: f64 = 0.05;

/// Under load, a clock below this share of its maximum is capped. Power limits alone cost less.
pub const CAPPED_BELOW: f64 = 0.5;

/// What the sentinel says of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Steadiness {
    /// As before, as far as one can tell.
    Steady,
    /// It changed by this share since the first look at this batch size.
    Moved(f64),
}

/// The sentinel of the contest under way.
#[derive(Debug, Default)]
pub struct Sentinel {
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    contest: usize,
    entrant: Entrant,
    first_us: Option<f64>,
}

impl Sentinel {
    /// The contest being watched.
    pub fn contest(&self) -> Option<usize> {
        self.watched.as_ref().map(|watched| watched.contest)
    }

    /// What to time: the default's first slot where there is a default, else what the round begins with.
    pub fn entrant(&mut self, problem: &SearchProblem, round: &Round) -> Entrant {
        if let Some(watched) = &self.watched
            && watched.contest == round.contest.index
        {
            return watched.entrant.clone();
        }
        let entrant = match &problem.contests[round.contest.index].default {
            Some(default) => Entrant::Single { slot: 0, arm: default[0] },
            None => round.entrants[0].clone(),
        };
        self.watched =
            Some(Watched { contest: round.contest.index, entrant: entrant.clone(), first_us: None });
        entrant
    }

    /// What the sentinel took this time.
    pub fn observe(&mut self, contest: usize, times_us: &[f64]) -> Steadiness {
        let Some(now_us) = median(&mut times_us.to_vec()) else { return Steadiness::Steady };
        let Some(watched) = self.watched.as_mut().filter(|watched| watched.contest == contest) else {
            return Steadiness::Steady;
        };
        let first_us = *watched.first_us.get_or_insert(now_us);
        let change = (now_us / first_us - 1.0).abs();
        if change > STEADY_WITHIN { Steadiness::Moved(change) } else { Steadiness::Steady }
    }
}
