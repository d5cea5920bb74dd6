//! Who does what next: units to compile and contests to race, dealt out to the nodes of a fleet.
//!
//! Pure: no clock, no dice, no I/O. It is told who joined, what ended and who left, and says what each idle node
//! does next. The life of a unit: it *waits*, is *out* on a node, and is *known* once its result is recorded. A
//! worker that dies makes suspects of the units it had; they go out again in batches half as large, until workers
//! have died on one alone, twice, and it is given up. Where there are several nodes the second death must be on another
//! node than the first: workers of a node that is not well die on anything. A link that is lost blames nobody: what was
//! out there waits again.
//!
//! A contest is raced on one node from beginning to end, since nodes differ in clocks, and that node does nothing
//! else meanwhile. Before it begins, the node has a binary of every kernel that the contest may launch.
//!
//! Each binary is made by one node. As soon as there is something to race, a node *gives* those it has before it does
//! anything else, and whoever else needs one *takes* it. What cannot be given, or not be taken by a node, is compiled by
//! whoever needs it; nobody waits for a node that races.

mod nodes;
mod races;
mod units;

use crate::host_name::HostName;

use self::nodes::{Busy, Nodes};
use self::races::Races;
use self::units::Units;

pub(crate) use self::nodes::Able;

/// A unit to compile, by its index in what the scheduler was made with.
pub(crate) type UnitIndex = usize;
/// A contest to race, in the order in which they were [offered](Scheduler::offer).
pub(crate) type RaceIndex = usize;

/// Workers that may die on a unit with no other unit beside it, or on one round of a contest on one node, before it is
/// given up there. One death can be anybody's.
pub(crate) const DEATHS: u32 = 2;

/// One unit to compile.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkUnit {
    /// How long it takes beside the others, in any unit: the dearest are dealt out first.
    pub cost: u64,
    /// Whether its result is known already: then it is compiled only where a contest needs a binary that nobody has.
    pub known: bool,
    /// Nodes that have its binary, or know that there is none.
    pub on: Vec<HostName>,
    /// Whether it does not compile, so that those nodes have nothing to give.
    pub hollow: bool,
    /// Whether its binary was given: every node can take it.
    pub given: bool,
}

/// One contest to race.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkRace {
    /// Units whose binaries it launches.
    pub needs: Vec<UnitIndex>,
    /// The node that began it in an earlier session, whose measurements it can go on with there alone.
    pub begun_on: Option<HostName>,
    /// Of a confirmation by a second node: the first, which does not take it. Contests that others may wait for go
    /// first, and where no other node times, nobody waits for it.
    pub second_to: Option<HostName>,
}

/// What an idle node does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Compile these together.
    Compile(Vec<UnitIndex>),
    /// Give the binaries of these.
    Give(Vec<UnitIndex>),
    /// Take the binaries of these.
    Take(Vec<UnitIndex>),
    /// Race this contest.
    Race(RaceIndex),
}

/// What became of a node that is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its worker ended: what it was at may be the reason.
    Died,
    /// Nothing is heard of it: the link, or the machine. No unit's fault.
    Lost,
}

/// Deals out units and contests.
#[derive(Debug)]
pub(crate) struct Scheduler {
    units: Units,
    races: Races,
    nodes: Nodes,
}

impl Scheduler {
    /// Nothing is out and nobody has joined.
    pub(crate) fn new(units: Vec<WorkUnit>) -> Self {
        Self { units: Units::new(units), races: Races::default(), nodes: Nodes::default() }
    }

    /// A contest may begin: all that it waits for is over. Those offered first are raced first.
    pub(crate) fn offer(&mut self, race: WorkRace) -> RaceIndex {
        self.units.want(&race.needs);
        self.races.offer(race)
    }

    /// A node is in trouble from an earlier scheduler's time, and expected back.
    pub(crate) fn expects(&mut self, node: HostName, able: Able) {
        self.nodes.expect(node, able);
    }

    /// A node is there, for the first time or again, and idle.
    pub(crate) fn joined(&mut self, node: HostName, able: Able) {
        self.nodes.join(node, able);
    }

    /// What `node` does now; none where it is busy, not there, or nothing is to be done that it can do.
    pub(crate) fn next(&mut self, node: &HostName) -> Option<Task> {
        let able = self.nodes.idle(node)?;
        let task = self.task(node, able)?;
        let busy = match &task {
            Task::Compile(batch) => {
                self.units.send(batch);
                Busy::Compiling(batch.clone())
            }
            Task::Give(units) => Busy::Giving(units.clone()),
            Task::Take(units) => Busy::Taking(units.clone()),
            Task::Race(race) => Busy::Racing(*race),
        };
        self.nodes.begin(node, busy);
        Some(task)
    }

    fn task(&mut self, node: &HostName, able: Able) -> Option<Task> {
        if !self.races.all_over(&self.nodes) && self.nodes.any(|other, able| other != node && able.times) {
            // Once it races it gives nothing.
            let to_give = self.units.to_give(node);
            if !to_give.is_empty() {
                return Some(Task::Give(to_give));
            }
        }
        let next_batch = |units: &Units, nodes| units.next_batch(node, able, nodes).map(Task::Compile);
        let Some(race) = self.races.ready(node, able, &self.nodes) else {
            return next_batch(&self.units, &self.nodes);
        };
        // From now on it is this node's.
        self.races.claim(race, node);
        let lacks = self.units.lacks(node, self.races.needs(race), &self.nodes);
        if !lacks.alone.is_empty() {
            return Some(Task::Compile(self.units.batch_of(&lacks.alone)));
        }
        if lacks.with_others {
            // Its share of what nobody has, or of what others wait for; if there is none, it waits.
            return next_batch(&self.units, &self.nodes);
        }
        Some(if lacks.take.is_empty() { Task::Race(race) } else { Task::Take(lacks.take) })
    }

    /// `node` has compiled `unit`, or found that it does not compile. Whether the result is news: each unit has one.
    pub(crate) fn compiled(&mut self, node: &HostName, unit: UnitIndex) -> bool {
        // A late word about a unit that is not out there any more still is a result.
        self.nodes.settle(node, unit);
        self.units.settle(node, unit)
    }

    /// `node` has given the binary of `unit`, or could not.
    pub(crate) fn gave(&mut self, node: &HostName, unit: UnitIndex, did: bool) {
        self.nodes.settle(node, unit);
        self.units.gave(node, unit, did);
    }

    /// `node` has taken the binary of `unit`, or could not.
    pub(crate) fn took(&mut self, node: &HostName, unit: UnitIndex, did: bool) {
        self.nodes.settle(node, unit);
        self.units.took(node, unit, did);
    }

    /// `node` has nothing left of its batch to report. What it was to compile and did not report waits again.
    pub(crate) fn batch_ended(&mut self, node: &HostName) {
        match self.nodes.end(node, |busy| !matches!(busy, Busy::Racing(_))) {
            Some(Busy::Compiling(left)) => self.units.put_back(&left),
            Some(Busy::Giving(left)) => left.iter().for_each(|&unit| self.units.gave(node, unit, false)),
            Some(Busy::Taking(left)) => left.iter().for_each(|&unit| self.units.took(node, unit, false)),
            Some(Busy::Racing(_)) | None => {}
        }
    }

    /// A round of what `node` races was measured: whatever its workers died on before, it goes on.
    pub(crate) fn race_went_on(&mut self, node: &HostName) {
        if let Some(race) = self.nodes.racing(node) {
            self.races.went_on(race);
        }
    }

    /// The contest that `node` raced is over.
    pub(crate) fn race_ended(&mut self, node: &HostName) {
        if let Some(Busy::Racing(race)) = self.nodes.end(node, |busy| matches!(busy, Busy::Racing(_))) {
            self.races.end(race);
        }
    }

    /// `node` is in trouble, and expected back: what it raced waits for it. The units that must not be sent out
    /// again, each with the workers that died on it.
    pub(crate) fn left(&mut self, node: &HostName, how: Fate) -> Vec<(UnitIndex, u32)> {
        let busy = self.nodes.leave(node);
        self.races.release(node);
        match (busy, how) {
            (Some(Busy::Compiling(suspects)), Fate::Died) => {
                return self.units.suspect(node, &suspects, &self.nodes);
            }
            (Some(Busy::Compiling(innocent)), Fate::Lost) => self.units.put_back(&innocent),
            // What it died on is not tried again: there is another way to a binary.
            (Some(Busy::Giving(left)), Fate::Died) => {
                left.iter().for_each(|&unit| self.units.gave(node, unit, false));
            }
            (Some(Busy::Taking(left)), Fate::Died) => {
                left.iter().for_each(|&unit| self.units.took(node, unit, false));
            }
            (Some(Busy::Racing(race)), Fate::Died) => self.races.died_on(race, node, &self.nodes),
            (Some(Busy::Giving(_) | Busy::Taking(_) | Busy::Racing(_)), Fate::Lost) | (None, _) => {}
        }
        Vec::new()
    }

    /// Whether nothing is left to do of all there is so far, and nobody is at anything.
    pub(crate) fn is_done(&self) -> bool {
        self.units.all_known() && self.races.all_over(&self.nodes) && !self.nodes.any_busy()
    }

    /// `node` does not come back: what waits for it may begin anew elsewhere.
    pub(crate) fn gone(&mut self, node: &HostName) {
        self.nodes.forget(node);
    }

    /// Whether something is left to do, and nobody is at anything or expected back: it stays so.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.is_done() && !self.nodes.any_busy() && !self.nodes.any_away()
    }

    /// Contests that `node` gave up and that go on elsewhere: workers died on them there.
    pub(crate) fn passed_on_by(&self, node: &HostName) -> Vec<RaceIndex> {
        self.races.passed_on_by(node)
    }

    /// Contests that were given up: workers died on them.
    pub(crate) fn lost_races(&self) -> Vec<RaceIndex> {
        self.races.lost()
    }
}

#[cfg(test)]
mod tests;
