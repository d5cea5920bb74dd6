//! Who is there, and what each is at.

use std::collections::BTreeMap;

use super::{RaceIndex, UnitIndex};
use crate::host_name::HostName;

/// What a node can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Able {
    /// Compilations at a time.
    pub jobs: usize,
    /// Whether kernels can be timed on it.
    pub times: bool,
}

/// What a node is at.
#[derive(Debug)]
pub(super) enum Busy {
    /// What is still to be reported.
    Compiling(Vec<UnitIndex>),
    Racing(RaceIndex),
}

#[derive(Debug)]
struct Node {
    able: Able,
    busy: Option<Busy>,
}

/// The nodes that are there. Ordered, so that equal histories give equal decisions.
#[derive(Debug, Default)]
pub(super) struct Nodes(BTreeMap<HostName, Node>);

impl Nodes {
    pub(super) fn join(&mut self, name: HostName, able: Able) {
        self.0.insert(name, Node { able, busy: None });
    }

    /// What a node can do, if it is there and idle.
    pub(super) fn idle(&self, name: &HostName) -> Option<Able> {
        self.0.get(name).filter(|node| node.busy.is_none()).map(|node| node.able)
    }

    pub(super) fn is_here(&self, name: &HostName) -> bool {
        self.0.contains_key(name)
    }

    /// Compilations at a time of all together.
    pub(super) fn jobs(&self) -> usize {
        self.0.values().map(|node| node.able.jobs).sum()
    }

    pub(super) fn begin(&mut self, name: &HostName, busy: Busy) {
        if let Some(node) = self.0.get_mut(name) {
            node.busy = Some(busy);
        }
    }

    /// The contest a node races, if it does.
    pub(super) fn racing(&self, name: &HostName) -> Option<RaceIndex> {
        match self.0.get(name)?.busy {
            Some(Busy::Racing(race)) => Some(race),
            Some(Busy::Compiling(_)) | None => None,
        }
    }

    /// The node has reported a unit.
    pub(super) fn settle(&mut self, name: &HostName, unit: UnitIndex) {
        if let Some(Node { busy: Some(Busy::Compiling(left)), .. }) = self.0.get_mut(name) {
            left.retain(|other| *other != unit);
        }
    }

    /// The node is idle; what it was at.
    pub(super) fn end(&mut self, name: &HostName) -> Option<Busy> {
        self.0.get_mut(name)?.busy.take()
    }

    /// The node is gone; what it was at.
    pub(super) fn leave(&mut self, name: &HostName) -> Option<Busy> {
        self.0.remove(name)?.busy
    }

    pub(super) fn all_idle(&self) -> bool {
        self.0.values().all(|node| node.busy.is_none())
    }
}
