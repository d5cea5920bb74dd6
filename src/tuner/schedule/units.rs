//! Which units wait, which are out, and what is known of each.

use std::cmp::Reverse;

use super::nodes::{Able, Nodes};
use super::{DEATHS, UnitIndex, WorkUnit};
use crate::host_name::HostName;

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// Nothing yet.
    None,
    /// It compiled, or was found not to compile.
    Known,
    /// Workers died on it again and again: it is not sent out any more.
    GivenUp,
}

#[derive(Debug)]
struct Unit {
    cost: u64,
    judgement: Judgement,
    /// How many nodes have it in a batch.
    out: u32,
    /// Nodes that have its binary, or know that there is none.
    on: Vec<HostName>,
    /// Whether a contest launches it.
    wanted: bool,
    /// Whether its binary was given.
    given: bool,
    /// Nodes that could not give it.
    kept_by: Vec<HostName>,
    /// Nodes that could not take it.
    closed_to: Vec<HostName>,
    /// Nodes that do without it: workers died on it there.
    missed_by: Vec<HostName>,
    /// Workers that died with it.
    deaths: u32,
    /// Where those of them were that had nothing else.
    died_alone_on: Vec<HostName>,
    /// The largest batch it may go out in: halved each time a worker dies with it.
    together: usize,
}

/// What a node lacks of what it needs.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    /// What it has to compile itself, the dearest first.
    pub(super) alone: Vec<UnitIndex>,
    /// Whether others have a part in making or giving some of it, and are not done.
    pub(super) with_others: bool,
    /// What it can take.
    pub(super) take: Vec<UnitIndex>,
}

/// All units of the work.
#[derive(Debug)]
pub(super) struct Units {
    units: Vec<Unit>,
    /// The dearest first.
    order: Vec<UnitIndex>,
}

impl Units {
    pub(super) fn new(work: Vec<WorkUnit>) -> Self {
        let unit = |work: WorkUnit| Unit {
            cost: work.cost,
            judgement: if work.known { Judgement::Known } else { Judgement::None },
            out: 0,
            kept_by: if work.hollow { work.on.clone() } else { Vec::new() },
            on: work.on,
            wanted: false,
            given: work.given,
            closed_to: Vec::new(),
            missed_by: Vec::new(),
            deaths: 0,
            died_alone_on: Vec::new(),
            together: usize::MAX,
        };
        let units: Vec<Unit> = work.into_iter().map(unit).collect();
        let mut order: Vec<UnitIndex> = (0..units.len()).collect();
        order.sort_by_key(|&at| Reverse(units[at].cost));
        Self { units, order }
    }

    /// What `node`, one of `nodes` that is `able`, compiles next.
    ///
    /// A node alone takes everything at once. Among several each batch is half of the node's share of what is left
    /// (guided self-scheduling, Polychronopoulos and Kuck 1987), by cost and not by count, since the dearest go first, so
    /// that all end at about the same time; but never fewer than it has processors for. What a worker of the node died on alone is for another one, where there is one.
    pub(super) fn next_batch(&self, node: &HostName, able: Able, nodes: &Nodes) -> Option<Vec<UnitIndex>> {
        let (jobs, all) = (able.jobs, nodes.jobs());
        let goes_out =
            |at: &UnitIndex| self.units[*at].waits() && !self.units[*at].is_shunned_by(node, nodes);
        let waiting: Vec<UnitIndex> = self.order.iter().copied().filter(goes_out).collect();
        let share = if jobs >= all { waiting.len() } else { self.share(&waiting, jobs, 2 * all) };
        let batch = self.batch(&waiting, share.max(jobs));
        (!batch.is_empty()).then_some(batch)
    }

    /// How many of `waiting`, from the first, cost `part` of `of` of what they all cost.
    fn share(&self, waiting: &[UnitIndex], part: usize, of: usize) -> usize {
        // Even what costs nothing has to be sent there and back.
        let cost = |at: &UnitIndex| u128::from(self.units[*at].cost.max(1));
        let wanted = waiting.iter().map(cost).sum::<u128>() * part as u128;
        let mut dealt = 0;
        let before = |at: &&UnitIndex| {
            let lacks = dealt * (of as u128) < wanted;
            dealt += cost(at);
            lacks
        };
        waiting.iter().take_while(before).count()
    }

    /// A batch of `missing`, which is not empty.
    pub(super) fn batch_of(&self, missing: &[UnitIndex]) -> Vec<UnitIndex> {
        self.batch(missing, missing.len())
    }

    /// Up to `most` of `waiting`. Those nobody suspects come first; suspects go out among themselves alone, or an
    /// innocent unit would become one by standing beside them.
    fn batch(&self, waiting: &[UnitIndex], most: usize) -> Vec<UnitIndex> {
        let innocent = |at: &UnitIndex| self.units[*at].deaths == 0;
        let mut batch: Vec<UnitIndex> = waiting.iter().copied().filter(innocent).take(most).collect();
        if batch.is_empty() {
            let together = waiting.iter().map(|&at| self.units[at].together).max().unwrap_or(0);
            let alike = |at: &UnitIndex| self.units[*at].together == together;
            batch = waiting.iter().copied().filter(alike).take(together.min(most)).collect();
        }
        batch
    }

    /// A contest launches these.
    pub(super) fn want(&mut self, needs: &[UnitIndex]) {
        for &at in needs {
            self.units[at].wanted = true;
        }
    }

    /// What `node` can give and nobody has given.
    pub(super) fn to_give(&self, node: &HostName) -> Vec<UnitIndex> {
        let gives = |unit: &Unit| !unit.given && unit.on.contains(node) && !unit.kept_by.contains(node);
        (0..self.units.len()).filter(|&at| gives(&self.units[at])).collect()
    }

    /// What `node` has no binary of among `needs`, and how it comes by it. What does not compile has none anywhere; it
    /// was compiled everywhere it was asked for.
    pub(super) fn lacks(&self, node: &HostName, needs: &[UnitIndex], nodes: &Nodes) -> Lacks {
        let mut lacks = Lacks::default();
        for &at in needs {
            let unit = &self.units[at];
            let has = unit.on.contains(node) || unit.missed_by.contains(node);
            if has || unit.judgement == Judgement::GivenUp {
                continue;
            }
            if unit.closed_to.contains(node) {
                lacks.alone.push(at);
            } else if unit.given {
                lacks.take.push(at);
            } else if unit.is_to_come(node, nodes) {
                lacks.with_others = true;
            } else {
                lacks.alone.push(at);
            }
        }
        lacks.alone.sort_by_key(|&at| Reverse(self.units[at].cost));
        lacks
    }

    pub(super) fn send(&mut self, batch: &[UnitIndex]) {
        for &at in batch {
            self.units[at].out += 1;
        }
    }

    /// `node` has a result. Whether it is the first.
    pub(super) fn settle(&mut self, node: &HostName, at: UnitIndex) -> bool {
        let unit = &mut self.units[at];
        unit.out = unit.out.saturating_sub(1);
        add(&mut unit.on, node);
        (unit.deaths, unit.together) = (0, usize::MAX);
        unit.died_alone_on.clear();
        let first = unit.judgement == Judgement::None;
        if first {
            unit.judgement = Judgement::Known;
        }
        first
    }

    /// Whether `node` did give the binary.
    pub(super) fn gave(&mut self, node: &HostName, at: UnitIndex, did: bool) {
        let unit = &mut self.units[at];
        match did {
            true => unit.given = true,
            false => add(&mut unit.kept_by, node),
        }
    }

    /// Whether `node` did take the binary.
    pub(super) fn took(&mut self, node: &HostName, at: UnitIndex, did: bool) {
        let unit = &mut self.units[at];
        add(if did { &mut unit.on } else { &mut unit.closed_to }, node);
    }

    pub(super) fn put_back(&mut self, batch: &[UnitIndex]) {
        for &at in batch {
            self.units[at].out = self.units[at].out.saturating_sub(1);
        }
    }

    /// A worker of `node` died with these; the ones given up, each with the workers that died on it.
    pub(super) fn suspect(
        &mut self,
        node: &HostName,
        batch: &[UnitIndex],
        nodes: &Nodes,
    ) -> Vec<(UnitIndex, u32)> {
        let half = (batch.len() / 2).max(1);
        let mut given_up = Vec::new();
        self.put_back(batch);
        for &at in batch {
            let unit = &mut self.units[at];
            unit.deaths += 1;
            unit.together = half;
            if batch.len() > 1 {
                continue;
            }
            unit.died_alone_on.push(node.clone());
            let twice = unit.died_alone_on.len() >= DEATHS as usize;
            let here = unit.died_alone_on.iter().filter(|it| *it == node).count();
            match unit.judgement {
                Judgement::None if twice && (here < unit.died_alone_on.len() || !unit.has_fresh(nodes)) => {
                    given_up.push((at, unit.deaths));
                    unit.judgement = Judgement::GivenUp;
                }
                // It is known to compile, or not to; there is no binary of it to be had here.
                Judgement::Known if here >= DEATHS as usize => add(&mut unit.missed_by, node),
                Judgement::None | Judgement::Known | Judgement::GivenUp => {}
            }
        }
        given_up
    }

    pub(super) fn all_known(&self) -> bool {
        self.units.iter().all(|unit| unit.judgement != Judgement::None)
    }
}

impl Unit {
    /// Whether there is a node that no worker died on with it alone.
    fn has_fresh(&self, nodes: &Nodes) -> bool {
        nodes.any(|name, _| !self.died_alone_on.contains(name))
    }

    /// Whether it is to be compiled by whoever is free.
    fn waits(&self) -> bool {
        let is_nowhere = || self.wanted && !self.given && self.on.is_empty();
        self.out == 0
            && match self.judgement {
                Judgement::None => true,
                Judgement::Known => is_nowhere(),
                Judgement::GivenUp => false,
            }
    }

    /// Whether somebody who is free makes it, or gives it, before long.
    fn is_to_come(&self, node: &HostName, nodes: &Nodes) -> bool {
        let gives = |holder: &HostName| !self.kept_by.contains(holder) && nodes.is_free_soon(holder);
        let is_shared = self.waits() && !self.is_shunned_by(node, nodes);
        is_shared || self.out > 0 || self.on.iter().any(gives)
    }

    /// Whether it is for another node to tell what is wrong with it.
    fn is_shunned_by(&self, node: &HostName, nodes: &Nodes) -> bool {
        self.died_alone_on.contains(node) && self.has_fresh(nodes)
    }
}

fn add(nodes: &mut Vec<HostName>, node: &HostName) {
    if !nodes.contains(node) {
        nodes.push(node.clone());
    }
}
