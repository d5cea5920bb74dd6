//! The nodes of a run at work: one task a node, one mailbox, and the journal's only writer.
//!
//! The nodes carry out orders and say what came of them ([`node`]). The fleet alone decides: it asks the
//! [scheduler](super::schedule) what each idle node does, writes what it hears to the journal with one flush a batch
//! of mail, and only then tells strategies and observers of it. One machine is a fleet of one.
//!
//! Compiling and measuring never overlap on a node: it does one thing at a time.

pub(crate) mod executor;
mod node;
mod prove;
mod race;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::join_all;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::executor::Trouble;
pub(crate) use self::node::Node;
use self::node::{Letter, Order, Ordered, Said, serve};
use super::error::RunError;
use super::open_run::OpenRun;
use super::record::Record;
use super::schedule::{Able, Fate, RaceIndex, Scheduler, Task, UnitIndex, WorkUnit};
use crate::events::{Left, NodeEvent, Observer};
use crate::host_name::HostName;
use crate::worker::protocol::{GpuReport, Unit};
use crate::worker::{BinaryStore, CompilerIdentity, ResultCache};

/// Mail that is handled, and flushed to disk, together at most.
const MAIL: usize = 256;

/// The nodes of a run.
pub(crate) struct Fleet {
    members: BTreeMap<HostName, Member>,
    /// Those that are out of reach and looked for. Nothing waits for them.
    sought: BTreeMap<HostName, Member>,
    mailbox: UnboundedReceiver<Letter>,
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    cancel: CancellationToken,
    /// Whether the last mail was read: the user wants out.
    stopping: bool,
    /// The nodes that have the binary of a unit, by the unit's name.
    binaries: HashMap<Box<str>, Vec<HostName>>,
    /// Units of these that do not compile, by name.
    hollow: BTreeSet<Box<str>>,
    /// Nodes of which was told that a binary did not travel from them, or to them.
    told: BTreeSet<HostName>,
    /// What is compiled for.
    arch: String,
}

/// A node, as the fleet knows it.
struct Member {
    orders: UnboundedSender<Order>,
    /// The number of its last order.
    order: u64,
    /// Its last trouble, and whether it is expected: back from that, or once its GPU is free.
    trouble: Option<RunError>,
    away: bool,
    /// Who uses its GPU, as long as it waits for that to end.
    waits: Option<String>,
    able: Able,
    compiler: CompilerIdentity,
    gpu: Option<GpuReport>,
    kept: Option<ResultCache>,
    lasting: bool,
    store: Option<BinaryStore>,
}

/// How a node is let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    ForGood,
    UntilFound,
}

/// What everything in a fleet writes to and tells.
pub(crate) struct Ledger<'a> {
    /// The run with its journal; none where nothing is kept, as in a check.
    pub run: Option<&'a mut OpenRun>,
    /// Who wants to know.
    pub observer: &'a mut dyn Observer,
}

impl Ledger<'_> {
    /// Record what happened, with one flush for all. It counts once this returns.
    fn record(&mut self, records: impl IntoIterator<Item = Record>) -> Result<(), RunError> {
        match &mut self.run {
            Some(run) => run.record(records),
            None => Ok(()),
        }
    }

    /// Something happened now on which nothing hangs: it is on disk with the next record.
    fn note(&mut self, record: Record) {
        if let Some(run) = &mut self.run {
            run.note(record);
        }
    }
}

impl Fleet {
    /// Let `nodes` compile for `arch`, and measure, until `cancel` is pulled or the fleet is [closed](Self::close).
    pub(crate) fn assemble(nodes: Vec<Node>, arch: &str, cancel: CancellationToken) -> Self {
        let (say, mailbox) = unbounded_channel();
        let stop = CancellationToken::new();
        let mut fleet = Self {
            members: BTreeMap::new(),
            sought: BTreeMap::new(),
            mailbox,
            tasks: Vec::new(),
            stop: stop.clone(),
            cancel,
            stopping: false,
            binaries: HashMap::new(),
            hollow: BTreeSet::new(),
            told: BTreeSet::new(),
            arch: arch.to_owned(),
        };
        for Node { name, able, compiler, gpu, kept, lasting, waits, store, executor } in nodes {
            let (orders, inbox) = unbounded_channel();
            let away = waits.is_some();
            let life = serve(name.clone(), executor, inbox, say.clone(), away, stop.clone());
            fleet.tasks.push(tokio::spawn(life));
            let (order, trouble) = (0, None);
            fleet.members.insert(
                name,
                Member { orders, order, trouble, away, waits, able, compiler, gpu, kept, lasting, store },
            );
        }
        fleet
    }

    /// Record who is there, and refuse who compiles with something else than `recorded`, what the run was compiled
    /// with so far.
    pub(crate) fn enlist(
        &mut self,
        recorded: Option<&CompilerIdentity>,
        ledger: &mut Ledger<'_>,
    ) -> Result<CompilerIdentity, RunError> {
        let mut ours = recorded.cloned();
        let mut first = None;
        let mut records: Vec<Record> =
            ledger.run.iter().map(|run| Record::Session { opened: run.opened_at() }).collect();
        for (name, member) in &self.members {
            if ours.is_none() {
                (ours, first) = (Some(member.compiler.clone()), Some(name));
            }
            if let Some(ours) = &ours {
                same_compiler(ours, &member.compiler).map_err(|other| match first {
                    Some(first) => other.between(first, name),
                    None => other.into(),
                })?;
            }
            if member.waits.is_none() {
                records.push(member.joined(name));
            }
        }
        ledger.record(records)?;
        for (name, member) in &self.members {
            let event = match &member.waits {
                None => member.arrival(),
                Some(why) => NodeEvent::Waiting { why: why.clone() },
            };
            ledger.observer.say_from(name, event);
        }
        ours.ok_or(RunError::NobodyLeft)
    }

    /// `node` has the binary of the unit of this name, or knows that it has none.
    ///
    /// Where nobody launches anything, nobody ever asks, and nothing is kept of it.
    pub(crate) fn has_binary(&mut self, unit: &str, node: &HostName) {
        if !self.launches() {
            return;
        }
        match self.binaries.get_mut(unit) {
            Some(on) if on.contains(node) => {}
            Some(on) => on.push(node.clone()),
            None => {
                self.binaries.insert(unit.into(), vec![node.clone()]);
            }
        }
    }

    /// The unit of this name does not compile: nobody has a binary of it to give.
    pub(crate) fn is_hollow(&mut self, unit: &str) {
        if self.launches() {
            self.hollow.insert(unit.into());
        }
    }

    /// Whether anything is launched on any node.
    fn launches(&self) -> bool {
        self.members.values().any(|member| member.able.times)
    }

    /// Whether the binary of `unit` was given by some node, in this session or an earlier one.
    fn was_given(&self, unit: &Unit) -> bool {
        // All compile alike, and so have one store.
        self.members.values().find_map(|member| member.store.as_ref()).is_some_and(|store| store.has(unit))
    }

    /// `node` had that binary in an earlier session. It has it still where its environment lasts.
    pub(crate) fn had_binary(&mut self, unit: &str, node: &HostName) {
        if self.members.get(node).is_some_and(|member| member.lasting) {
            self.has_binary(unit, node);
        }
    }

    /// End every worker, and record that the nodes left.
    pub(crate) async fn close(mut self, mut ledger: Ledger<'_>) {
        self.stop.cancel();
        join_all(std::mem::take(&mut self.tasks)).await;
        let joined = self.members.iter().filter(|(_, member)| member.waits.is_none());
        let left = |(node, _): (&HostName, _)| Record::Left { node: node.clone(), how: Left::Drained };
        // The run's outcome does not hang on it: whoever reads the journal sees that nothing came after.
        let _ = ledger.record(joined.map(left));
        for name in self.members.keys() {
            ledger.observer.say_from(name, NodeEvent::Left { how: Left::Drained });
        }
    }

    /// The next mail, in the order of its arrival. It waits as long as the nodes do: each has its own time limits.
    ///
    /// Once the user stops the run, what has arrived until then is mail for the last time.
    async fn hear(&mut self) -> Result<Vec<(HostName, Said)>, RunError> {
        let mut mail = Vec::new();
        let mut received = 1;
        if !self.cancel.is_cancelled() {
            tokio::select! {
                count = self.mailbox.recv_many(&mut mail, MAIL) => received = count,
                () = self.cancel.cancelled() => {}
            }
        }
        if received == 0 {
            // Every node's task has ended.
            return Err(RunError::NobodyLeft);
        }
        if mail.is_empty() {
            if !std::mem::replace(&mut self.stopping, true) {
                while let Ok(letter) = self.mailbox.try_recv() {
                    mail.push(letter);
                }
            }
            if mail.is_empty() {
                return Err(RunError::Interrupted);
            }
        }
        let fresh = |letter: &Letter| {
            let member = self.members.get(&letter.from).or_else(|| self.sought.get(&letter.from));
            member.is_some_and(|member| member.order == letter.order)
        };
        mail.retain(fresh);
        Ok(mail.into_iter().map(|letter| (letter.from, letter.said)).collect())
    }

    /// Give every idle node something to do; the races that begin by it. An error where something is left that nobody
    /// can do.
    fn assign(
        &mut self,
        scheduler: &mut Scheduler,
        units: &[Unit],
        ledger: &mut Ledger<'_>,
    ) -> Result<Vec<(HostName, RaceIndex)>, RunError> {
        let mut races = Vec::new();
        for (name, member) in &mut self.members {
            let of = |batch: Vec<UnitIndex>| batch.into_iter().map(|at| (at, units[at].clone())).collect();
            let work = match scheduler.next(name) {
                Some(Task::Compile(batch)) => Ordered::Compile(of(batch)),
                Some(Task::Give(batch)) => Ordered::Give(of(batch)),
                Some(Task::Take(batch)) => Ordered::Take(of(batch)),
                Some(Task::Race(race)) => {
                    races.push((name.clone(), race));
                    continue;
                }
                None => continue,
            };
            ledger.note(Record::Ordered { on: name.clone(), kernels: work.kernels() });
            member.order(work);
        }
        if scheduler.is_stuck() {
            let trouble = self.members.values_mut().find_map(|member| member.trouble.take());
            return Err(trouble.unwrap_or(RunError::NobodyLeft));
        }
        Ok(races)
    }

    /// A scheduler for `units` with every member in it.
    fn scheduler(&self, units: &[Unit], known: bool) -> Scheduler {
        let mut scheduler = Scheduler::new(units.iter().map(|unit| self.work(unit, known)).collect());
        for (name, member) in &self.members {
            match member.away {
                true => scheduler.expects(name.clone(), member.able),
                false => scheduler.joined(name.clone(), member.able),
            }
        }
        scheduler
    }

    fn work(&self, unit: &Unit, known: bool) -> WorkUnit {
        let on = self.binaries.get(unit.unit.as_str()).cloned().unwrap_or_default();
        let hollow = self.hollow.contains(unit.unit.as_str());
        WorkUnit { cost: compile_cost(unit), known, on, hollow, given: self.was_given(unit) }
    }

    /// What follows from `node`'s trouble: how it left, and the units that are given up, each with the reason.
    fn trouble(
        &mut self,
        node: &HostName,
        trouble: Trouble,
        scheduler: &mut Scheduler,
    ) -> (Left, Vec<(UnitIndex, String)>) {
        let (fate, error, how): (_, _, fn(String) -> Left) = match trouble {
            Trouble::Died(error) => (Fate::Died, error, |status| Left::Died { status }),
            Trouble::Lost(error) => (Fate::Lost, error, |why| Left::Lost { why }),
            Trouble::Unfit(error) => (Fate::Lost, error, |why| Left::Unfit { why }),
        };
        let why = error.to_string();
        let given_up = scheduler.left(node, fate).into_iter();
        let given_up: Vec<_> = given_up
            .map(|(unit, deaths)| (unit, format!("{deaths} workers died on it, last: {why}")))
            .collect();
        if let Some(member) = self.members.get_mut(node) {
            (member.trouble, member.away) = (Some(error.into()), true);
        }
        (how(why), given_up)
    }

    /// Whether it is on record that `node` works: one that waits for its GPU does not yet.
    fn has_joined(&self, node: &HostName) -> bool {
        self.members.get(node).is_some_and(|member| member.waits.is_none())
    }

    /// `node` can go on after trouble or waiting: the record of it, and what is told once that is on disk.
    fn back(&mut self, node: &HostName, scheduler: &mut Scheduler) -> Option<(Record, NodeEvent)> {
        if let Some(found) = self.sought.remove(node) {
            self.members.insert(node.clone(), found);
        }
        let member = self.members.get_mut(node)?;
        (member.away, member.waits) = (false, None);
        scheduler.joined(node.clone(), member.able);
        Some((member.joined(node), member.arrival()))
    }

    /// `node` is out, for good or until it is found again. An error where it was the last.
    fn dismiss(
        &mut self,
        node: &HostName,
        parting: Parting,
        scheduler: &mut Scheduler,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        scheduler.gone(node);
        let Some(mut member) = self.members.remove(node) else {
            if self.sought.remove(node).is_some() {
                observer.note(format!("{node} works no more for this run: it was found again and cannot"));
            }
            return Ok(());
        };
        let why = member.trouble.take().unwrap_or(RunError::NobodyLeft);
        if self.members.is_empty() {
            return Err(why);
        }
        observer.note(match (parting, &member.waits) {
            (Parting::ForGood, Some(_)) => format!("{node} takes no part in this run: {why}"),
            (Parting::ForGood, None) => format!("{node} works no more for this run: {why}"),
            (Parting::UntilFound, _) => {
                format!("{node} is out of reach, and works for this run again once it answers: {why}")
            }
        });
        if parting == Parting::UntilFound {
            self.sought.insert(node.clone(), member);
        }
        Ok(())
    }
}

impl Drop for Fleet {
    /// Workers end with whoever they work for, also where nobody [closes](Fleet::close) the fleet.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Member {
    fn order(&mut self, work: Ordered) {
        self.order += 1;
        // A node that ended has said so: it is in the mail.
        let _ = self.orders.send(Order { number: self.order, work });
    }

    fn joined(&self, name: &HostName) -> Record {
        Record::Joined { node: name.clone(), compiler: self.compiler.clone(), gpu: self.gpu.clone() }
    }

    fn arrival(&self) -> NodeEvent {
        let gpu = self.gpu.as_ref().map(|gpu| gpu.name.clone());
        NodeEvent::Joined { processors: self.able.jobs as u64, gpu }
    }
}

/// Grows with the time a unit compiles: unrolled accumulator tiles dominate it (the worker orders a batch alike).
fn compile_cost(unit: &Unit) -> u64 {
    let config = &unit.config;
    u64::from(config.block_size_m) * u64::from(config.block_size_n) * u64::from(config.num_stages)
}

/// Two compilers that are not the same.
struct OtherCompiler {
    field: &'static str,
    was: String,
    now: String,
}

impl OtherCompiler {
    /// One of two nodes that begin a run together.
    fn between(self, first: &HostName, other: &HostName) -> RunError {
        let Self { field, was, now } = self;
        RunError::UnlikeNodes { first: first.clone(), other: other.clone(), field, was, now }
    }
}

impl From<OtherCompiler> for RunError {
    fn from(OtherCompiler { field, was, now }: OtherCompiler) -> Self {
        Self::OtherCompiler { field, was, now }
    }
}

/// Results of another kernel, Triton or assembler prove nothing about this one.
fn same_compiler(was: &CompilerIdentity, now: &CompilerIdentity) -> Result<(), OtherCompiler> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    for (field, was, now) in [
        ("kernel source", was.kernel_digest.clone(), now.kernel_digest.clone()),
        ("Triton", was.triton.clone(), now.triton.clone()),
        ("ptxas", or_none(&was.ptxas), or_none(&now.ptxas)),
    ] {
        if was != now {
            return Err(OtherCompiler { field, was, now });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
