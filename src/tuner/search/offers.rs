//! Which contests may begin: what earlier sessions left of them, who can go on with each, and what is asked of a second
//! node.

use std::collections::BTreeSet;

use super::{Asking, ContestRounds, Course, Search};
use crate::host_name::HostName;
use crate::shape::{Role, Tile};
use crate::tuner::error::RunError;
use crate::tuner::strategy::{Choice, Confirmation, ContestId, catch_up};

/// A contest that may begin.
#[derive(Debug)]
pub(crate) struct Offer {
    /// Which.
    pub contest: ContestId,
    /// The node that can go on with it, where one began it that is there.
    pub begun_on: Option<HostName>,
    /// Of a confirmation: whom it is second to.
    pub second: Option<SecondTo>,
}

/// What a confirmation by a second node confirms.
#[derive(Debug)]
pub(crate) struct SecondTo {
    /// The node that raced it.
    pub first: HostName,
    /// The kernels it launches.
    pub kernels: Vec<(Role, Tile)>,
}

impl Search<'_> {
    /// Tell every contest what was measured of it before. What that decides is decided; what it does not waits for
    /// the node that can go on with it.
    pub(super) fn take_over(&mut self) -> Result<(), RunError> {
        let mut seen = BTreeSet::new();
        while let Some(contest) = self.strategy.ready().into_iter().find(|it| seen.insert(*it)) {
            self.take_over_contest(contest)?;
        }
        for Confirmation { contest, .. } in self.strategy.confirmations() {
            self.confirmations.insert(contest);
            self.take_over_contest(contest)?;
        }
        Ok(())
    }

    fn take_over_contest(&mut self, contest: ContestId) -> Result<(), RunError> {
        let mut decided = false;
        for ContestRounds { on, rounds } in self.past.take(contest) {
            let (mut run, mut course) = (self.strategy.begin(contest), Course::default());
            let spent = &mut self.searched.spent;
            let told = catch_up(&mut *run, &rounds, |run, round, timings| {
                course.count(spent, self.contests, &on, run, round, timings);
            });
            told.map_err(|divergence| self.other_strategy(contest, divergence.matched))?;
            match run.next() {
                // What others measured of a contest that is decided was paid for, and no more.
                _ if decided => {}
                Some(round) => {
                    let asking = Asking { contest, run, round, looking: false, course };
                    self.waiting.insert((contest, on), asking);
                }
                None => {
                    self.end(&on, run, course);
                    decided = true;
                }
            }
        }
        Ok(())
    }

    /// Contests that may begin now and were not offered yet, each with the node that can go on with it: of those that
    /// are `here`, if any is.
    pub(crate) fn offers(&mut self, here: &dyn Fn(&HostName) -> bool) -> Vec<Offer> {
        let ready = self.strategy.ready().into_iter().map(|contest| (contest, None));
        let confirmations: Vec<Confirmation> = self.strategy.confirmations();
        self.confirmations.extend(confirmations.iter().map(|it| it.contest));
        let second = |Confirmation { contest, choices }| {
            let first = self.searched.raced_on.get(&contest.index)?.clone();
            Some((contest, Some(SecondTo { first, kernels: self.kernels(contest, &choices) })))
        };
        let all: Vec<_> = ready.chain(confirmations.into_iter().filter_map(second)).collect();
        let new: Vec<_> = all.into_iter().filter(|(contest, _)| self.offered.insert(*contest)).collect();
        let offer = |(contest, second)| Offer { contest, begun_on: self.furthest(contest, here), second };
        new.into_iter().map(offer).collect()
    }

    /// The kernels that `choices` launch.
    fn kernels(&self, contest: ContestId, choices: &[Choice]) -> Vec<(Role, Tile)> {
        let of = |choice: &Choice| {
            let arms = choice.iter().enumerate();
            let kernel = |(slot, &arm): (usize, &usize)| {
                (Role::BOTH[slot], self.contests.config(contest.index, slot, arm).tile())
            };
            arms.map(kernel).collect::<Vec<_>>()
        };
        choices.iter().flat_map(of).collect()
    }

    /// Whether `contest` is a confirmation by a second node.
    pub(crate) fn is_confirmation(&self, contest: ContestId) -> bool {
        self.confirmations.contains(&contest)
    }

    /// The node, of those that `may`, that has measured most of a contest that waits.
    pub(super) fn furthest(&self, contest: ContestId, may: &dyn Fn(&HostName) -> bool) -> Option<HostName> {
        let begun = self.waiting.iter().filter(|((of, node), _)| *of == contest && may(node));
        begun.max_by_key(|(_, asking)| asking.course.rounds.len()).map(|((_, node), _)| node.clone())
    }
}
