//! Which units wait, which are out, and what is known of each.

use std::cmp::Reverse;
use std::collections::HashSet;

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
    /// Workers that died with it, and those of them that had nothing else.
    deaths: u32,
    deaths_alone: u32,
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
            deaths_alone: 0,
            together: usize::MAX,
        };
        let units: Vec<Unit> = work.into_iter().map(unit).collect();
        let mut order: Vec<UnitIndex> = (0..units.len()).collect();
        order.sort_by_key(|&at| Reverse(units[at].cost));
        Self { units, order }
    }

    /// What a node with `jobs` of the fleet's `all` compilations at a time compiles next.
    ///
    /// A node alone takes everything at once. Among several each batch is half of the node's share of what is left
    /// (guided self-scheduling, Polychronopoulos and Kuck 1987), so that all end at about the same time; but never
    /// fewer than it has processors for.
    pub(super) fn next_batch(&self, jobs: usize, all: usize) -> Option<Vec<UnitIndex>> {
        let waiting: Vec<UnitIndex> =
            self.order.iter().copied().filter(|&at| self.units[at].waits()).collect();
        let share = if jobs >= all { waiting.len() } else { (waiting.len() * jobs).div_ceil(2 * all) };
        let batch = self.batch(&waiting, share.max(jobs));
        (!batch.is_empty()).then_some(batch)
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
        (unit.deaths, unit.deaths_alone, unit.together) = (0, 0, usize::MAX);
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

    /// A worker died with these; the ones given up, each with the workers that died on it.
    pub(super) fn suspect(&mut self, batch: &[UnitIndex]) -> Vec<(UnitIndex, u32)> {
        let half = (batch.len() / 2).max(1);
        let mut given_up = Vec::new();
        self.put_back(batch);
        for &at in batch {
            let unit = &mut self.units[at];
            unit.deaths += 1;
            unit.deaths_alone += u32::from(batch.len() == 1);
            unit.together = half;
            if unit.deaths_alone >= DEATHS {
                if unit.judgement == Judgement::None {
                    given_up.push((at, unit.deaths));
                }
                unit.judgement = Judgement::GivenUp;
            }
        }
        given_up
    }

    pub(super) fn all_known(&self) -> bool {
        self.units.iter().all(|unit| unit.judgement != Judgement::None)
    }
}

impl Unit {
    fn waits(&self) -> bool {
        self.judgement == Judgement::None && self.out == 0
    }
}
