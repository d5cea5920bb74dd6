//! Which units wait, which are out, and what is known of each.

use std::cmp::Reverse;
use std::collections::HashSet;

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
    /// Nodes that have its binary.
    on: HashSet<HostName>,
    /// Workers that died with it.
    deaths: u32,
    /// Where those of them were that had nothing else.
    died_alone_on: Vec<HostName>,
    /// The largest batch it may go out in: halved each time a worker dies with it.
    together: usize,
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
            on: work.on.into_iter().collect(),
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
        let shuns = |unit: &Unit| unit.died_alone_on.contains(node) && unit.has_fresh(nodes);
        let goes_out = |at: &UnitIndex| self.units[*at].waits() && !shuns(&self.units[*at]);
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
    pub(super) fn batch_of(&self, missing: Vec<UnitIndex>) -> Vec<UnitIndex> {
        self.batch(&missing, missing.len())
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

    /// Those of `needs` that `node` has no binary of, the dearest first. What does not compile has none anywhere;
    /// it was compiled everywhere it was asked for.
    pub(super) fn missing(&self, node: &HostName, needs: &[UnitIndex]) -> Vec<UnitIndex> {
        let lacks = |at: &UnitIndex| {
            let unit = &self.units[*at];
            !unit.on.contains(node) && !matches!(unit.judgement, Judgement::GivenUp)
        };
        let mut missing: Vec<UnitIndex> = needs.iter().copied().filter(lacks).collect();
        missing.sort_by_key(|&at| Reverse(self.units[at].cost));
        missing
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
        unit.on.insert(node.clone());
        (unit.deaths, unit.together) = (0, usize::MAX);
        unit.died_alone_on.clear();
        let first = unit.judgement == Judgement::None;
        if first {
            unit.judgement = Judgement::Known;
        }
        first
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
                Judgement::Known if here >= DEATHS as usize => {
                    unit.on.insert(node.clone());
                }
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

    fn waits(&self) -> bool {
        self.judgement == Judgement::None && self.out == 0
    }
}
