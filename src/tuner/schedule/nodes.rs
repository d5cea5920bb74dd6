//! Who is there, and what each is at.

use std::collections::BTreeMap;

use super::{RaceIndex, UnitIndex};
use crate::host_name::HostName;

/// What a node can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Able {
    /// Compilations at a time.
    pub(crate) jobs: usize,
    /// Whether kernels can be timed on it.
    pub(crate) times: bool,
}

/// What a node is at.
#[derive(Debug)]
pub(super) enum Busy {
    /// What is still to be reported, of these three.
    Compiling(Vec<UnitIndex>),
    Giving(Vec<UnitIndex>),
    Taking(Vec<UnitIndex>),
    Racing(RaceIndex),
}

#[derive(Debug)]
enum State {
    Idle,
    Busy(Busy),
    /// In trouble, and expected back.
    Away,
}

#[derive(Debug)]
struct Node {
    able: Able,
    state: State,
}

/// The nodes that are there or expected back. Ordered, so that equal histories give equal decisions.
#[derive(Debug, Default)]
pub(super) struct Nodes(BTreeMap<HostName, Node>);

impl Nodes {
    pub(super) fn join(&mut self, name: HostName, able: Able) {
        self.0.insert(name, Node { able, state: State::Idle });
    }

    pub(super) fn expect(&mut self, name: HostName, able: Able) {
        self.0.insert(name, Node { able, state: State::Away });
    }

    /// What a node can do, if it is there and idle.
    pub(super) fn idle(&self, name: &HostName) -> Option<Able> {
        self.0.get(name).filter(|node| matches!(node.state, State::Idle)).map(|node| node.able)
    }

    /// Whether the node times, now or when it is back.
    pub(super) fn times(&self, name: &HostName) -> bool {
        self.0.get(name).is_some_and(|node| node.able.times)
    }

    /// Whether a node that is there, or expected back, is one that `may`.
    pub(super) fn any(&self, may: impl Fn(&HostName, Able) -> bool) -> bool {
        self.0.iter().any(|(name, node)| may(name, node.able))
    }

    /// Compilations at a time of all together.
    pub(super) fn jobs(&self) -> usize {
        self.0.values().map(|node| node.able.jobs).sum()
    }

    pub(super) fn begin(&mut self, name: &HostName, busy: Busy) {
        if let Some(node) = self.0.get_mut(name) {
            node.state = State::Busy(busy);
        }
    }

    /// The contest a node races, if it does.
    pub(super) fn racing(&self, name: &HostName) -> Option<RaceIndex> {
        match self.0.get(name)?.state {
            State::Busy(Busy::Racing(race)) => Some(race),
            _ => None,
        }
    }

    /// Whether the node is there and will be idle before it races.
    pub(super) fn is_free_soon(&self, name: &HostName) -> bool {
        match self.0.get(name).map(|node| &node.state) {
            Some(State::Idle) => true,
            Some(State::Busy(busy)) => !matches!(busy, Busy::Racing(_)),
            Some(State::Away) | None => false,
        }
    }

    /// The node has reported a unit.
    pub(super) fn settle(&mut self, name: &HostName, unit: UnitIndex) {
        if let Some(Node {
            state: State::Busy(Busy::Compiling(left) | Busy::Giving(left) | Busy::Taking(left)),
            ..
        }) = self.0.get_mut(name)
        {
            left.retain(|other| *other != unit);
        }
    }

    /// The node is idle; what it was at, where that is what `ended` says.
    pub(super) fn end(&mut self, name: &HostName, ended: impl Fn(&Busy) -> bool) -> Option<Busy> {
        let node = self.0.get_mut(name)?;
        match std::mem::replace(&mut node.state, State::Idle) {
            State::Busy(busy) if ended(&busy) => Some(busy),
            other => {
                node.state = other;
                None
            }
        }
    }

    /// The node is in trouble; what it was at.
    pub(super) fn leave(&mut self, name: &HostName) -> Option<Busy> {
        match std::mem::replace(&mut self.0.get_mut(name)?.state, State::Away) {
            State::Busy(busy) => Some(busy),
            State::Idle | State::Away => None,
        }
    }

    /// The node does not come back.
    pub(super) fn forget(&mut self, name: &HostName) {
        self.0.remove(name);
    }

    pub(super) fn any_busy(&self) -> bool {
        self.0.values().any(|node| matches!(node.state, State::Busy(_)))
    }

    pub(super) fn any_away(&self) -> bool {
        self.0.values().any(|node| matches!(node.state, State::Away))
    }
}
