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

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::future::join_all;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::executor::Trouble;
pub(crate) use self::node::Node;
use self::node::{Order, Said, serve};
use super::error::RunError;
use super::record::Record;
use super::schedule::{Able, Scheduler, Task, UnitIndex};
use crate::events::{Left, NodeEvent, Observer};
use crate::host_name::HostName;
use crate::journal::Journal;
use crate::worker::CompilerIdentity;
use crate::worker::ResultCache;
use crate::worker::protocol::{GpuReport, Unit};

/// Mail that is handled, and flushed to disk, together at most.
const MAIL: usize = 256;

/// The nodes of a run.
pub(crate) struct Fleet {
    members: BTreeMap<HostName, Member>,
    mailbox: UnboundedReceiver<(HostName, Said)>,
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    cancel: CancellationToken,
    /// Whether the last mail was read: the user wants out.
    stopping: bool,
    /// The nodes that have the binary of a unit, by the unit's name.
    binaries: HashMap<String, HashSet<HostName>>,
    /// What is compiled for.
    arch: String,
    /// Why the last node that left did.
    last_trouble: Option<RunError>,
}

/// A node, as the fleet knows it.
struct Member {
    orders: UnboundedSender<Order>,
    able: Able,
    compiler: CompilerIdentity,
    gpu: Option<GpuReport>,
    kept: Option<ResultCache>,
}

/// What everything in a fleet writes to and tells.
pub(crate) struct Ledger<'a> {
    /// The run's journal; none where nothing is kept, as in a check.
    pub journal: Option<&'a mut Journal<Record>>,
    /// Who wants to know.
    pub observer: &'a mut dyn Observer,
}

impl Ledger<'_> {
    /// Record what happened, with one flush for all. It counts once this returns.
    fn record(&mut self, records: &[Record]) -> Result<(), RunError> {
        match &mut self.journal {
            Some(journal) => Ok(journal.append_all(records)?),
            None => Ok(()),
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
            mailbox,
            tasks: Vec::new(),
            stop: stop.clone(),
            cancel,
            stopping: false,
            binaries: HashMap::new(),
            arch: arch.to_owned(),
            last_trouble: None,
        };
        for Node { name, able, compiler, gpu, kept, executor } in nodes {
            let (orders, inbox) = unbounded_channel();
            fleet.tasks.push(tokio::spawn(serve(name.clone(), executor, inbox, say.clone(), stop.clone())));
            fleet.members.insert(name, Member { orders, able, compiler, gpu, kept });
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
        let mut joined = Vec::new();
        for (name, member) in &self.members {
            let theirs = &member.compiler;
            same_compiler(ours.get_or_insert_with(|| theirs.clone()), theirs)?;
            joined.push(member.joined(name));
        }
        ledger.record(&joined)?;
        for (name, member) in &self.members {
            ledger.observer.say_from(name, member.arrival());
        }
        ours.ok_or(RunError::NobodyLeft)
    }

    /// `node` has the binary of the unit of this name, or knows that it has none.
    pub(crate) fn has_binary(&mut self, unit: &str, node: &HostName) {
        self.binaries.entry(unit.to_owned()).or_default().insert(node.clone());
    }

    /// End every worker, and record that the nodes left.
    pub(crate) async fn close(mut self, mut ledger: Ledger<'_>) {
        self.stop.cancel();
        join_all(std::mem::take(&mut self.tasks)).await;
        let left = |node: &HostName| Record::Left { node: node.clone(), how: Left::Drained };
        // The run's outcome does not hang on it: whoever reads the journal sees that nothing came after.
        let _ = ledger.record(&self.members.keys().map(left).collect::<Vec<_>>());
        for name in self.members.keys() {
            ledger.observer.say_from(name, NodeEvent::Left { how: Left::Drained });
        }
    }

    /// The next mail, in the order of its arrival. It waits as long as the nodes do: each has its own time limits.
    ///
    /// Once the user stops the run, what has arrived until then is mail for the last time.
    async fn hear(&mut self) -> Result<Vec<(HostName, Said)>, RunError> {
        let mut mail = Vec::new();
        if !self.cancel.is_cancelled() {
            tokio::select! {
                _ = self.mailbox.recv_many(&mut mail, MAIL) => return Ok(mail),
                () = self.cancel.cancelled() => {}
            }
        }
        if !std::mem::replace(&mut self.stopping, true) {
            while let Ok(letter) = self.mailbox.try_recv() {
                mail.push(letter);
            }
        }
        if mail.is_empty() { Err(RunError::Interrupted) } else { Ok(mail) }
    }

    /// Give every idle node something to do; the races that begin by it.
    fn assign(&self, scheduler: &mut Scheduler, units: &[Unit]) -> Vec<(HostName, usize)> {
        let mut races = Vec::new();
        for (name, member) in &self.members {
            match scheduler.next(name) {
                Some(Task::Compile(batch)) => {
                    let batch = batch.into_iter().map(|at| (at, units[at].clone())).collect();
                    member.order(Order::Compile(batch));
                }
                Some(Task::Race(race)) => races.push((name.clone(), race)),
                None => {}
            }
        }
        races
    }

    /// A scheduler for `units` with every member in it.
    fn scheduler(&self, units: &[Unit], known: bool) -> Scheduler {
        let mut scheduler = Scheduler::new(units.iter().map(|unit| self.work(unit, known)).collect());
        for (name, member) in &self.members {
            scheduler.joined(name.clone(), member.able);
        }
        scheduler
    }

    fn work(&self, unit: &Unit, known: bool) -> super::schedule::WorkUnit {
        let on = self.binaries.get(&unit.unit).into_iter().flatten().cloned().collect();
        super::schedule::WorkUnit { cost: compile_cost(unit), known, on }
    }

    /// `node` is in trouble: what it was at is dealt with. The units given up, each with the reason.
    fn trouble(
        &mut self,
        node: &HostName,
        trouble: Trouble,
        scheduler: &mut Scheduler,
    ) -> (Record, Left, Vec<(UnitIndex, String)>) {
        use super::schedule::Left as Fate;
        let (fate, error) = match trouble {
            Trouble::Died(error) => (Fate::Died, error),
            Trouble::Lost(error) | Trouble::Unfit(error) => (Fate::Lost, error),
        };
        let why = error.to_string();
        let given_up = scheduler.left(node, fate).into_iter();
        let given_up =
            given_up.map(|(unit, deaths)| (unit, format!("{deaths} workers died on it, last: {why}")));
        let how = match fate {
            Fate::Died => Left::Died { status: why.clone() },
            Fate::Lost => Left::Lost { why: why.clone() },
        };
        let given_up = given_up.collect();
        self.last_trouble = Some(error.into());
        (Record::Left { node: node.clone(), how: how.clone() }, how, given_up)
    }

    /// `node` can go on after trouble.
    fn back(
        &self,
        node: &HostName,
        scheduler: &mut Scheduler,
        observer: &mut dyn Observer,
    ) -> Option<Record> {
        let member = self.members.get(node)?;
        scheduler.joined(node.clone(), member.able);
        observer.say_from(node, member.arrival());
        Some(member.joined(node))
    }

    /// `node` is out for good. An error where it was the last.
    fn dismiss(&mut self, node: &HostName, observer: &mut dyn Observer) -> Result<(), RunError> {
        self.members.remove(node);
        let why = self.last_trouble.take().unwrap_or(RunError::NobodyLeft);
        if self.members.is_empty() {
            return Err(why);
        }
        observer.note(format!("{node} works no more for this run: {why}"));
        self.last_trouble = Some(why);
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
    fn order(&self, order: Order) {
        // A node that ended has said so: it is in the mail.
        let _ = self.orders.send(order);
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

/// Results of another kernel, Triton or assembler prove nothing about this one.
fn same_compiler(was: &CompilerIdentity, now: &CompilerIdentity) -> Result<(), RunError> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    for (field, was, now) in [
        ("kernel source", was.kernel_digest.clone(), now.kernel_digest.clone()),
        ("Triton", was.triton.clone(), now.triton.clone()),
        ("ptxas", or_none(&was.ptxas), or_none(&now.ptxas)),
    ] {
        if was != now {
            return Err(RunError::OtherCompiler { field, was, now });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
