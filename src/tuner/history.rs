//! What each node did for a run and when, by the run's journal. Pure.
//!
//! Times are those of the run: its sessions stand end to end, each from the moment it had its nodes to what was
//! last heard of one. What a node did after that, before the program was killed, nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::record::{Entry, Record};
use super::strategy::ArmFailure;
use super::strategy::paired::median;
use crate::events::Left;
use crate::host_name::HostName;
use crate::worker::protocol::{CompileOutcome, FailureReason, GpuReport, GpuState};

/// The work of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct History {
    /// Its sessions, in their order.
    pub sessions: Vec<SessionSpan>,
    /// Every node that had a part in it.
    pub nodes: BTreeMap<HostName, NodeHistory>,
    /// The time of all sessions, milliseconds.
    pub ends_ms: u64,
}

/// One life of the program over the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionSpan {
    /// When it opened the run, by the clock on the wall.
    pub opened: Timestamp,
    /// When it had its nodes, milliseconds of the run.
    pub from_ms: u64,
    /// Its last record.
    pub to_ms: u64,
}

/// What a node does at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doing {
    /// It times kernels.
    Measuring,
    /// It compiles, or gives or takes binaries.
    Compiling,
    /// It is there and has nothing to do.
    Idle,
    /// It is not there: it left, or takes no part in the session.
    Away,
}

/// A stretch of time in which a node did one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spell {
    /// Its beginning, milliseconds of the run.
    pub from_ms: u64,
    /// Its end.
    pub to_ms: u64,
    /// What it did.
    pub doing: Doing,
}

/// One node's part in a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NodeHistory {
    /// The GPU that it times on.
    pub gpu: Option<GpuReport>,
    /// From the node's first joining to the end of the run, without a gap.
    pub spells: Vec<Spell>,
    /// The sessions it took part in.
    pub sessions: u64,
    /// How often it came back after it had left, in one session.
    pub restarts: u64,
    /// Workers for measuring that were started in the place of others, without its leaving.
    pub replaced: u64,
    /// How it left, each with the time; a run that ended is no reason.
    pub departures: Vec<(u64, Left)>,
    /// What it was told to do: batches to compile, give or take, rounds and looks to time.
    pub orders: u64,
    /// Of these, what it was at when it left: somebody did that again.
    pub broken_off: u64,
    /// Kernels it proved for the run, those without a binary included.
    pub proven: u64,
    /// Of these, kernels without a binary.
    pub without_binary: u64,
    /// Kernels that an earlier run had proven for it.
    pub kept: u64,
    /// Binaries it made of kernels that were proven already, to launch them.
    pub binaries: u64,
    /// Binaries it took that other nodes had made.
    pub taken: u64,
    /// Kernels that were given up after workers died on them, the last one here; with what is known.
    pub given_up: Vec<String>,
    /// Rounds it measured.
    pub rounds: u64,
    /// Configs that could not be timed in a round, by reason.
    pub failures: BTreeMap<ArmFailure, u64>,
    /// The GPU after each round and each look at the sentinel, with the time.
    pub readings: Vec<(u64, GpuState)>,
    /// Looks at sentinels.
    pub looks: Vec<Look>,
}

/// One look at the sentinel of a batch size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    /// When, milliseconds of the run.
    pub at_ms: u64,
    /// The batch size that was being decided, tokens.
    pub batch_size: u32,
    /// The median time over that of the first look at the same batch size on this node while its GPU was awake; none
    /// where the GPU slept or nothing was timed.
    pub over_first: Option<f64>,
}

impl History {
    /// What `entries`, a journal, tell.
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut reading = Reading::default();
        entries.iter().for_each(|entry| reading.hears(entry));
        reading.finish()
    }

    /// Whether anything was measured.
    pub(crate) fn is_measured(&self) -> bool {
        self.nodes.values().any(|node| node.rounds > 0)
    }
}

impl NodeHistory {
    /// The time it spent `doing` so, milliseconds.
    pub(crate) fn spent_ms(&self, doing: Doing) -> u64 {
        self.spells.iter().filter(|spell| spell.doing == doing).map(Spell::ms).sum()
    }

    /// The time it was at work, milliseconds.
    pub(crate) fn busy_ms(&self) -> u64 {
        self.spent_ms(Doing::Measuring) + self.spent_ms(Doing::Compiling)
    }

    /// The share of the time it was there in which it was at work, 0 to 1; none where it was there for no time.
    pub(crate) fn utilisation(&self) -> Option<f64> {
        let (busy, there) = (self.busy_ms(), self.busy_ms() + self.spent_ms(Doing::Idle));
        (there > 0).then(|| busy as f64 / there as f64)
    }

    /// The share of `from_ms..to_ms` that it spent `doing` so, 0 to 1.
    pub(crate) fn share(&self, doing: Doing, from_ms: u64, to_ms: u64) -> f64 {
        let within = |spell: &Spell| spell.to_ms.min(to_ms).saturating_sub(spell.from_ms.max(from_ms));
        let spent: u64 = self.spells.iter().filter(|spell| spell.doing == doing).map(within).sum();
        if to_ms > from_ms { spent as f64 / (to_ms - from_ms) as f64 } else { 0.0 }
    }

    /// The look that was furthest from the first one of its batch size: its ratio to that.
    pub(crate) fn furthest_drift(&self) -> Option<f64> {
        let ratios = self.looks.iter().filter_map(|look| look.over_first);
        ratios.max_by(|a, b| a.ln().abs().total_cmp(&b.ln().abs()))
    }

    /// Readings of the GPU in which something held its clock down.
    pub(crate) fn throttled(&self) -> impl Iterator<Item = &(u64, GpuState)> {
        self.readings.iter().filter(|(_, state)| !state.throttle.is_empty())
    }
}

impl Spell {
    fn ms(&self) -> u64 {
        self.to_ms - self.from_ms
    }
}

/// A journal as it is read.
#[derive(Debug, Default)]
struct Reading {
    history: History,
    /// What each node is at, and since when.
    at: BTreeMap<HostName, (Doing, u64)>,
    /// The first yardstick of each node and batch size, microseconds.
    first_us: BTreeMap<(HostName, u32), f64>,
    /// When the session had its nodes: by its own clock, and by the run's.
    session_ms: (u64, u64),
    /// Who joined the session.
    joined: BTreeSet<HostName>,
    /// Who left it and did not come back.
    left: BTreeSet<HostName>,
    now_ms: u64,
}

impl Reading {
    fn hears(&mut self, Entry { at_ms, record }: &Entry) {
        // Files are written when the nodes have gone: that is no time of theirs.
        if matches!(record, Record::File { .. }) {
            return;
        }
        if let Record::Session { opened } = record {
            self.begin_session(*opened, *at_ms);
        }
        let since = at_ms.saturating_sub(self.session_ms.0);
        // Never backwards, whoever wrote the journal.
        self.now_ms = self.now_ms.max(self.session_ms.1.saturating_add(since));
        let now_ms = self.now_ms;
        match record {
            Record::Session { .. } | Record::File { .. } => {}
            Record::Joined { node, gpu, .. } => {
                self.turns(node, Doing::Idle);
                let (came_back, is_new) = (self.left.remove(node), self.joined.insert(node.clone()));
                let node = self.node(node);
                node.restarts += u64::from(came_back);
                node.sessions += u64::from(is_new);
                node.gpu = gpu.clone().or(node.gpu.take());
            }
            Record::Left { node: name, how } => {
                let was_at_work = self.is_at_work(name);
                if self.is_there(name) {
                    self.turns(name, Doing::Away);
                }
                if *how != Left::Drained {
                    self.left.insert(name.clone());
                    let node = self.node(name);
                    node.broken_off += u64::from(was_at_work);
                    node.departures.push((now_ms, how.clone()));
                }
            }
            Record::Ordered { on, kernels } => {
                self.node(on).orders += 1;
                if self.is_there(on) {
                    self.turns(on, if kernels.is_some() { Doing::Compiling } else { Doing::Measuring });
                }
            }
            Record::BatchEnded { on } => self.rests(on),
            Record::Proof { on, role, tile, result, kept } => {
                let node = self.node(on);
                match result {
                    CompileOutcome::Failed(failure) if failure.reason == FailureReason::WorkerLost => {
                        node.given_up.push(format!("{role} {tile}: {}", failure.message));
                    }
                    _ if *kept => node.kept += 1,
                    _ => {
                        node.proven += 1;
                        node.without_binary += u64::from(matches!(result, CompileOutcome::Failed(_)));
                    }
                }
            }
            Record::Binary { on, travelled, .. } => {
                let node = self.node(on);
                *(if *travelled { &mut node.taken } else { &mut node.binaries }) += 1;
            }
            Record::Round { on, timings, gpu, replaced, .. } => {
                self.rests(on);
                let node = self.node(on);
                node.rounds += 1;
                node.replaced += u64::from(*replaced);
                for (_, failure) in &timings.failures {
                    *node.failures.entry(*failure).or_default() += 1;
                }
                node.readings.push((now_ms, gpu.clone()));
            }
            Record::Sentinel { on, batch_size, awake, times_us, gpu, replaced, .. } => {
                self.rests(on);
                let over_first = if *awake { self.over_first(on, *batch_size, times_us) } else { None };
                let node = self.node(on);
                node.replaced += u64::from(*replaced);
                node.looks.push(Look { at_ms: now_ms, batch_size: *batch_size, over_first });
                node.readings.push((now_ms, gpu.clone()));
            }
        }
        if let Some(session) = self.history.sessions.last_mut() {
            session.to_ms = now_ms;
        }
    }

    /// Whoever was there is away until it joins again.
    fn begin_session(&mut self, opened: Timestamp, at_ms: u64) {
        self.all_turn_away();
        (self.joined, self.left) = (BTreeSet::new(), BTreeSet::new());
        self.session_ms = (at_ms, self.now_ms);
        self.history.sessions.push(SessionSpan { opened, from_ms: self.now_ms, to_ms: self.now_ms });
    }

    fn over_first(&mut self, on: &HostName, batch_size: u32, times_us: &[f64]) -> Option<f64> {
        let us = median(&mut times_us.to_vec()).filter(|us| us.is_finite() && *us > 0.0)?;
        let first = self.first_us.entry((on.clone(), batch_size)).or_insert(us);
        Some(us / *first).filter(|ratio| ratio.is_finite())
    }

    fn node(&mut self, name: &HostName) -> &mut NodeHistory {
        self.history.nodes.entry(name.clone()).or_default()
    }

    fn is_there(&self, name: &HostName) -> bool {
        self.at.get(name).is_some_and(|(doing, _)| *doing != Doing::Away)
    }

    fn is_at_work(&self, name: &HostName) -> bool {
        self.at.get(name).is_some_and(|(doing, _)| matches!(doing, Doing::Compiling | Doing::Measuring))
    }

    fn rests(&mut self, name: &HostName) {
        if self.is_at_work(name) {
            self.turns(name, Doing::Idle);
        }
    }

    /// From now on `name` is at something else.
    fn turns(&mut self, name: &HostName, doing: Doing) {
        let now_ms = self.now_ms;
        let before = self.at.insert(name.clone(), (doing, now_ms));
        let Some((doing, from_ms)) = before.filter(|(_, from_ms)| *from_ms < now_ms) else { return };
        let spells = &mut self.node(name).spells;
        match spells.last_mut().filter(|last| last.doing == doing) {
            Some(last) => last.to_ms = now_ms,
            None => spells.push(Spell { from_ms, to_ms: now_ms, doing }),
        }
    }

    fn all_turn_away(&mut self) {
        for name in self.at.keys().cloned().collect::<Vec<_>>() {
            self.turns(&name, Doing::Away);
        }
    }

    fn finish(mut self) -> History {
        self.all_turn_away();
        self.history.ends_ms = self.now_ms;
        self.history
    }
}

#[cfg(test)]
mod tests;
