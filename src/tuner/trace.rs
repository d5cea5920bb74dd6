//! What a search went through, for its report: every arm's times, and how the leaders came about.

use std::collections::HashMap;

use super::contests::Contests;
use super::strategy::paired::median;
use super::strategy::{Choice, Entrant, Round, Timings};
use crate::shape::{KernelConfig, Role};

/// The course of one search.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    times_us: HashMap<(usize, usize, usize), Vec<f64>>,
    /// Launches made by then, with the contest and its leader; one entry a change.
    leaders: Vec<(u64, usize, Choice)>,
}

/// How far a search had come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ConvergencePoint {
    /// Kernel launches so far.
    pub launches: u64,
    /// The leader's time over that of the last leader of its batch size.
    pub over_last: f64,
}

impl Trace {
    /// One round is over; `leader` leads its contest now.
    pub(crate) fn observe(
        &mut self,
        round: &Round,
        timings: &Timings,
        launches: u64,
        leader: Option<Choice>,
    ) {
        for (&entrant, time) in round.order.iter().zip(&timings.times_us) {
            if let (Entrant::Single { slot, arm }, Some(time)) = (&round.entrants[usize::from(entrant)], time)
            {
                self.times_us.entry((round.contest.index, *slot, *arm)).or_default().push(*time);
            }
        }
        let Some(leader) = leader else { return };
        let last = self.leaders.iter().rev().find(|it| it.1 == round.contest.index);
        if last.is_none_or(|it| it.2 != leader) {
            self.leaders.push((launches, round.contest.index, leader));
        }
    }

    /// What another trace holds, too.
    pub(crate) fn extend(&mut self, other: Trace) {
        for (arm, times) in other.times_us {
            self.times_us.entry(arm).or_default().extend(times);
        }
        self.leaders.extend(other.leaders);
    }

    /// How each contest's leader closed in on its last one, by contest; judged by all times there are now.
    pub(crate) fn convergence(&self, contests: usize) -> Vec<Vec<ConvergencePoint>> {
        (0..contests)
            .map(|contest| {
                let of = |(launches, at, choice): &(u64, usize, Choice)| {
                    (*at == contest).then(|| Some((*launches, self.whole_us(contest, choice)?))).flatten()
                };
                let times: Vec<(u64, f64)> = self.leaders.iter().filter_map(of).collect();
                let last = times.last().map_or(1.0, |it| it.1);
                let first = times.first().map_or(0, |it| it.0);
                let point = |(launches, us): (u64, f64)| ConvergencePoint {
                    launches: launches - first + 1,
                    over_last: us / last,
                };
                times.into_iter().map(point).collect()
            })
            .collect()
    }

    /// The median time of every config timed for `role` in a contest, microseconds.
    pub(crate) fn space(&self, contests: &Contests, contest: usize, role: Role) -> Vec<(KernelConfig, f64)> {
        let slot = usize::from(role == Role::Down);
        let mut timed: Vec<_> = self
            .times_us
            .iter()
            .filter(|((at, of, _), _)| (*at, *of) == (contest, slot))
            .filter_map(|((_, _, arm), times)| {
                Some((contests.config(contest, slot, *arm), median(&mut times.clone())?))
            })
            .collect();
        timed.sort_by_key(|it| it.0);
        timed
    }

    fn whole_us(&self, contest: usize, choice: &Choice) -> Option<f64> {
        let time =
            |(slot, arm): (usize, &usize)| median(&mut self.times_us.get(&(contest, slot, *arm))?.clone());
        choice.iter().enumerate().map(time).sum()
    }
}
