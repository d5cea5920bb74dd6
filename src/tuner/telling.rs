//! What a search tells of itself: what is new, and what an earlier session left as one fact.

use super::search::Spent;
use super::strategy::{Contest, Decision, Grounds};
use crate::events::{DecisionGrounds, MeasureEvent, Observer, Work};
use crate::host_name::HostName;

/// Tells of one search. Which contests are decided is remembered, so that each decision is told once.
pub(super) struct Telling<'a> {
    observer: &'a mut dyn Observer,
    contests: &'a [Contest],
    host: HostName,
    decided: Vec<bool>,
    /// Rounds of earlier sessions that are not gone through yet.
    replaying: usize,
}

impl<'a> Telling<'a> {
    /// Of a search of `contests` on `host`, of which `replayed` rounds are known already.
    pub(super) fn new(
        observer: &'a mut dyn Observer,
        contests: &'a [Contest],
        host: HostName,
        replayed: usize,
    ) -> Self {
        let decided = vec![false; contests.len()];
        let telling = Self { observer, contests, host, decided, replaying: replayed };
        telling.observer.say(MeasureEvent::Queued { work: telling.work() });
        telling
    }

    /// The strategy stands at `decisions` after what was `spent`.
    pub(super) fn stands_at(&mut self, decisions: Vec<Option<Decision>>, spent: &Spent) {
        let replaying = spent.rounds < self.replaying;
        let taken_over = !replaying && self.replaying > 0;
        for (at, decision) in decisions.into_iter().enumerate().take(self.contests.len()) {
            let Some(decision) = decision.filter(|_| !self.decided[at]) else { continue };
            self.decided[at] = true;
            if !replaying && !taken_over {
                let event = decided(self.contests[at].key, &decision, self.work());
                self.observer.say(event);
            }
        }
        if taken_over {
            self.replaying = 0;
            let Spent { rounds, launches, seconds, .. } = *spent;
            let work = self.work();
            self.observer.say(MeasureEvent::Resumed { rounds: rounds as u64, launches, seconds, work });
        }
    }

    /// A round of contest `at` was measured, which makes the cost `spent`.
    pub(super) fn measured(&mut self, at: usize, spent: &Spent) {
        let (batch_size, Spent { launches, seconds, .. }) = (self.contests[at].key, *spent);
        self.observer.say_from(&self.host, MeasureEvent::Round { batch_size, launches, seconds });
    }

    /// The sentinel of contest `at` moved by `change_percent`.
    pub(super) fn unsteady(&mut self, at: usize, change_percent: f64) {
        let batch_size = self.contests[at].key;
        self.observer.say_from(&self.host, MeasureEvent::Unsteady { batch_size, change_percent });
    }

    /// Nothing more is measured.
    pub(super) fn ended(self, spent: &Spent) {
        let (work, Spent { seconds, launches, rounds, complete }) = (self.work(), *spent);
        let rounds = rounds as u64;
        self.observer.say(MeasureEvent::Ended { complete, rounds, launches, seconds, work });
    }

    fn work(&self) -> Work {
        Work::new(self.decided.iter().filter(|decided| **decided).count(), self.contests.len())
    }
}

fn decided(batch_size: u32, decision: &Decision, work: Work) -> MeasureEvent {
    let (grounds, default_us) = match &decision.grounds {
        Grounds::BeatsDefault(against) => (DecisionGrounds::BeatsDefault, Some(against.default_us)),
        Grounds::DefaultKept(_) => (DecisionGrounds::DefaultKept, decision.time_us),
        Grounds::NoDefault => (DecisionGrounds::NoDefault, None),
        Grounds::Fastest => (DecisionGrounds::Fastest, None),
    };
    MeasureEvent::Decided { batch_size, grounds, time_us: decision.time_us, default_us, work }
}
