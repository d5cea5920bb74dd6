//! What a search tells of itself: what is new, and what earlier sessions left as one fact.

use super::Spent;
use crate::events::{DecisionGrounds, MeasureEvent, Observer, Seen, SpeedupSeen, Work};
use crate::host_name::HostName;
use crate::tuner::strategy::{Against, Contest, Decision, Grounds};

/// Tells of one search. Which contests are decided is remembered, so that each decision is told once.
#[derive(Debug)]
pub(super) struct Telling<'a> {
    contests: &'a [Contest],
    decided: Vec<bool>,
}

impl<'a> Telling<'a> {
    /// Of a search of `contests`.
    pub(super) fn new(observer: &mut dyn Observer, contests: &'a [Contest]) -> Self {
        let telling = Self { contests, decided: vec![false; contests.len()] };
        observer.say(MeasureEvent::Queued { work: telling.work() });
        telling
    }

    /// Earlier sessions had come to `decisions` after what was `spent`.
    pub(super) fn resumed(
        &mut self,
        observer: &mut dyn Observer,
        decisions: &[Option<Decision>],
        spent: &Spent,
    ) {
        for (decided, decision) in self.decided.iter_mut().zip(decisions) {
            *decided = decision.is_some();
        }
        let Spent { rounds, launches, seconds, .. } = *spent;
        observer.say(MeasureEvent::Resumed { rounds: rounds as u64, launches, seconds, work: self.work() });
    }

    /// The strategy stands at `decisions`.
    pub(super) fn stands_at(&mut self, observer: &mut dyn Observer, decisions: &[Option<Decision>]) {
        for (at, decision) in decisions.iter().enumerate().take(self.contests.len()) {
            let Some(decision) = decision.as_ref().filter(|_| !self.decided[at]) else { continue };
            self.decided[at] = true;
            observer.say(decided(self.contests[at].key, decision, self.work()));
        }
    }

    /// A second node has judged what the first chose for contest `at`: `judges`, in this order.
    pub(super) fn judged(
        &self,
        observer: &mut dyn Observer,
        at: usize,
        judges: &[HostName; 2],
        decisions: &[Option<Decision>],
    ) {
        let Some(Some(Decision { grounds, second: Some(second), .. })) = decisions.get(at) else { return };
        let (Grounds::BeatsDefault(first) | Grounds::Disputed(first)) = grounds else { return };
        let seen = |node: &HostName, against: Option<&Against>| Seen {
            node: node.clone(),
            speedup: against.map(|against| SpeedupSeen {
                lower: (-against.log_ratio.upper).exp(),
                estimate: (-against.log_ratio.estimate).exp(),
                upper: (-against.log_ratio.lower).exp(),
            }),
        };
        let seen = vec![seen(&judges[0], Some(first)), seen(&judges[1], second.against.as_ref())];
        let (batch_size, agrees) = (self.contests[at].key, second.agrees);
        observer.say_from(&judges[1], MeasureEvent::Judged { batch_size, agrees, seen });
    }

    /// A round of contest `at` was measured on `node`, which makes the cost `spent`.
    pub(super) fn measured(&self, observer: &mut dyn Observer, node: &HostName, at: usize, spent: &Spent) {
        let (batch_size, Spent { launches, seconds, .. }) = (self.contests[at].key, *spent);
        observer.say_from(node, MeasureEvent::Round { batch_size, launches, seconds });
    }

    /// The sentinel of contest `at` moved by `change_percent` on `node`.
    pub(super) fn unsteady(
        &self,
        observer: &mut dyn Observer,
        node: &HostName,
        at: usize,
        change_percent: f64,
    ) {
        let batch_size = self.contests[at].key;
        observer.say_from(node, MeasureEvent::Unsteady { batch_size, change_percent });
    }

    /// Nothing more is measured.
    pub(super) fn ended(&self, observer: &mut dyn Observer, spent: &Spent) {
        let (work, Spent { seconds, launches, rounds, complete }) = (self.work(), *spent);
        let rounds = rounds as u64;
        observer.say(MeasureEvent::Ended { complete, rounds, launches, seconds, work });
    }

    fn work(&self) -> Work {
        Work::new(self.decided.iter().filter(|decided| **decided).count(), self.contests.len())
    }
}

fn decided(batch_size: u32, decision: &Decision, work: Work) -> MeasureEvent {
    let (grounds, default_us) = match &decision.grounds {
        Grounds::BeatsDefault(against) => (DecisionGrounds::BeatsDefault, Some(against.default_us)),
        Grounds::DefaultKept(_) | Grounds::Disputed(_) => (DecisionGrounds::DefaultKept, decision.time_us),
        Grounds::NoDefault => (DecisionGrounds::NoDefault, None),
        Grounds::Fastest => (DecisionGrounds::Fastest, None),
    };
    MeasureEvent::Decided { batch_size, grounds, time_us: decision.time_us, default_us, work }
}
