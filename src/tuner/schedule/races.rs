//! Which contests wait, who races them, and which are over.

use super::nodes::{Able, Nodes};
use super::{DEATHS, RaceIndex, UnitIndex, WorkRace};
use crate::host_name::HostName;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting,
    /// A node races it, or compiles what it needs.
    Claimed(HostName),
    Ended,
    /// Workers died on it again and again.
    Lost,
}

#[derive(Debug)]
struct Race {
    work: WorkRace,
    state: State,
    /// Workers that died on it since it last went on.
    deaths: u32,
    /// Nodes that it was given up on: others begin it anew.
    given_up_on: Vec<HostName>,
}

impl Race {
    /// Whether `node` may race it, if it times.
    fn may(&self, node: &HostName) -> bool {
        self.work.second_to.as_ref() != Some(node)
    }

    /// Whether a node may race it that it was not given up on.
    fn has_fresh(&self, nodes: &Nodes) -> bool {
        nodes.any(|name, able| able.times && self.may(name) && !self.given_up_on.contains(name))
    }
}

/// All contests offered.
#[derive(Debug, Default)]
pub(super) struct Races(Vec<Race>);

impl Races {
    pub(super) fn offer(&mut self, work: WorkRace) -> RaceIndex {
        self.0.push(Race { work, state: State::Waiting, deaths: 0, given_up_on: Vec::new() });
        self.0.len() - 1
    }

    /// The contest that `node` should race: its own, one it began before, or the first that nobody else began.
    pub(super) fn ready(&self, node: &HostName, able: Able, nodes: &Nodes) -> Option<RaceIndex> {
        if !able.times {
            return None;
        }
        if let Some(own) = self.0.iter().position(|race| race.state == State::Claimed(node.clone())) {
            return Some(own);
        }
        // Who began it can go on where it stopped; anybody else begins anew.
        let others = |race: &Race| {
            race.work.begun_on.as_ref().is_some_and(|began| began != node && nodes.times(began))
        };
        let shuns = |race: &Race| race.given_up_on.contains(node) && race.has_fresh(nodes);
        let takes = |race: &Race| race.may(node) && !others(race) && !shuns(race);
        (0..self.0.len()).filter(|&at| self.0[at].state == State::Waiting && takes(&self.0[at])).min_by_key(
            |&at| {
                let work = &self.0[at].work;
                (work.second_to.is_some(), work.begun_on.as_ref() != Some(node), at)
            },
        )
    }

    pub(super) fn claim(&mut self, race: RaceIndex, node: &HostName) {
        self.0[race].state = State::Claimed(node.clone());
        self.0[race].work.begun_on = Some(node.clone());
    }

    pub(super) fn needs(&self, race: RaceIndex) -> &[UnitIndex] {
        &self.0[race].work.needs
    }

    pub(super) fn end(&mut self, race: RaceIndex) {
        self.0[race].state = State::Ended;
    }

    /// What `node` raced or prepared waits again.
    pub(super) fn release(&mut self, node: &HostName) {
        for race in &mut self.0 {
            if race.state == State::Claimed(node.clone()) {
                race.state = State::Waiting;
            }
        }
    }

    /// A round of it was measured.
    pub(super) fn went_on(&mut self, race: RaceIndex) {
        self.0[race].deaths = 0;
    }

    /// A worker died while it was raced on `node`. After the second in a row another node begins it anew, where there
    /// is one; what two nodes gave up is lost.
    pub(super) fn died_on(&mut self, race: RaceIndex, node: &HostName, nodes: &Nodes) {
        let race = &mut self.0[race];
        race.deaths += 1;
        if race.deaths < DEATHS {
            return;
        }
        race.deaths = 0;
        race.work.begun_on = None;
        race.given_up_on.push(node.clone());
        let several = race.given_up_on.iter().any(|other| other != node);
        if several || !race.has_fresh(nodes) {
            race.state = State::Lost;
        }
    }

    /// Whether there is nothing left to race, or nobody for what is left that can be done without.
    pub(super) fn all_over(&self, nodes: &Nodes) -> bool {
        self.0.iter().all(|race| match race.state {
            State::Ended | State::Lost => true,
            State::Waiting => {
                race.work.second_to.is_some() && !nodes.any(|name, able| able.times && race.may(name))
            }
            State::Claimed(_) => false,
        })
    }

    /// Those that were given up on `node` and not for good.
    pub(super) fn passed_on_by(&self, node: &HostName) -> Vec<RaceIndex> {
        let passed_on = |race: &Race| race.state != State::Lost && race.given_up_on.contains(node);
        (0..self.0.len()).filter(|&at| passed_on(&self.0[at])).collect()
    }

    pub(super) fn lost(&self) -> Vec<RaceIndex> {
        (0..self.0.len()).filter(|&at| self.0[at].state == State::Lost).collect()
    }
}
