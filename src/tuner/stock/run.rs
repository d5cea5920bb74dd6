//! The processes of a run on its nodes, and the journal's only writer.

mod gpus;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use self::gpus::GpuNews;
use super::files::{self, Unsafe};
use super::gpu_use::GpuUsers;
use super::order::{ScriptPlace, order};
use super::outcome::{Outcome, judge, other_name, shown};
use super::plan::StockPlan;
use super::queue::{Against, Consequence, Queue};
use super::record::{StockRecord, Tuned};
use crate::device::Device;
use crate::events::{FileEvent, Left, NodeEvent, Observer, StockEvent, Work};
use crate::fs::write_atomic;
use crate::host::{Host, HostPath};
use crate::host_name::HostName;
use crate::tuner::error::RunError;
use crate::tuner::open_run::RunOf;
use crate::tuner::write::{WriteError, Written};
use crate::worker::script::{self, Attempt, ScriptOrder};

/// Where the files that the script wrote are kept, as it wrote them.
const CHECKPOINTS: &str = "batch-sizes";

/// After a node was out of reach it is tried again after this long, then after twice that, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A node that can run the script.
#[derive(Debug, Clone)]
pub(crate) struct StockNode {
    /// Its name.
    pub name: HostName,
    /// Where its processes run.
    pub host: Arc<dyn Host>,
    /// The interpreter that SGLang is in.
    pub python: HostPath,
    /// Where the script is.
    pub place: ScriptPlace,
    /// Variables that the inventory has for a node whose processes are in no container.
    pub variables: BTreeMap<String, String>,
    /// Who else computes on its GPU: it works once they are gone.
    pub in_use: Option<GpuUsers>,
}

impl StockNode {
    /// `order` with the node's variables; those that keep Ray at home stay as they are.
    fn with_variables(&self, mut order: ScriptOrder) -> ScriptOrder {
        for (name, value) in &self.variables {
            order.environment.entry(name.clone()).or_insert_with(|| Some(value.clone()));
        }
        order
    }
}

/// A plan to carry out, and where.
pub(crate) struct StockJob<'a> {
    /// What.
    pub plan: &'a StockPlan,
    /// The device of the plan.
    pub device: &'a Device,
    /// Where its journal and files lie.
    pub dir: &'a mut RunOf<StockRecord>,
    /// Who works.
    pub nodes: Vec<StockNode>,
    /// How long a process may write nothing.
    pub silence: Duration,
    /// How long a GPU that others use is waited for.
    pub wait: Duration,
    /// Pulled when the user wants out.
    pub cancel: CancellationToken,
    /// Who wants to know.
    pub observer: &'a mut dyn Observer,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct StockFinished {
    /// What is tuned.
    pub tuned: BTreeMap<u32, Tuned>,
    /// What of that is in no file.
    pub left_out: Vec<Unsafe>,
    /// What is not tuned, and the last that is known of each.
    pub missing: BTreeMap<u32, String>,
    /// The file; none where nothing could go into one.
    pub file: Option<Written>,
}

struct Letter {
    from: HostName,
    news: News,
}

enum News {
    Process { batch_size: u32, seconds: f64, said: Said },
    Gpu(GpuNews),
}

enum Said {
    Line(Option<String>),
    Ended(Attempt),
}

/// Carry out a plan to its file.
pub(crate) async fn run(job: StockJob<'_>) -> Result<StockFinished, RunError> {
    let StockJob { plan, device, dir, nodes, silence, wait, cancel, observer } = job;
    let tuned: BTreeMap<u32, Tuned> =
        dir.records.iter().filter_map(tuned_of).map(|tuned| (tuned.batch_size, tuned)).collect();
    let left: Vec<u32> = plan.batch_sizes.iter().copied().filter(|size| !tuned.contains_key(size)).collect();
    let free = nodes.iter().filter(|node| node.in_use.is_none());
    let mut queue = Queue::new(left, free.map(|node| node.name.clone()));
    for (on, batch_size, against) in dir.records.iter().filter_map(failure_of) {
        queue.failed_before(on, batch_size, against);
    }
    let (voice, mailbox) = unbounded_channel();
    // Pulled where the run cannot go on, too.
    let stop = cancel.child_token();
    let mut work = Tuning {
        plan,
        expected_file: files::file_name(plan, device),
        queue,
        nodes: nodes.into_iter().map(|node| (node.name.clone(), node)).collect(),
        pauses: BTreeMap::new(),
        reasons: BTreeMap::new(),
        running: 0,
        awaited: 0,
        tuned,
        told_of_name: false,
        silence,
        voice,
        stop: stop.clone(),
    };
    observer.say(StockEvent::Queued { work: work.so_far() });
    work.await_gpus(wait, observer);
    let mut mailbox = mailbox;
    let done = work.carry_out(dir, &mut mailbox, observer).await;
    stop.cancel();
    work.drain(dir, &mut mailbox, observer).await;
    observer.say(StockEvent::Ended { work: work.so_far() });
    for name in work.nodes.keys() {
        observer.say_from(name, NodeEvent::Left { how: Left::Drained });
    }
    done?;
    if cancel.is_cancelled() {
        return Err(RunError::Interrupted);
    }
    let Tuning { tuned, mut reasons, .. } = work;
    let (file, left_out) = files::write(plan, device, &tuned, dir.path())?;
    if let Some(file) = &file {
        dir.journal.append(&StockRecord::File { path: file.path.clone(), sha256: file.sha256.clone() })?;
        observer.say(FileEvent::Written { path: file.path.clone(), sha256: file.sha256.clone() });
    }
    let untuned = plan.batch_sizes.iter().filter(|size| !tuned.contains_key(size));
    let mut why = |size| reasons.remove(size).unwrap_or_else(|| "no node was left to run it".to_owned());
    let missing = untuned.map(|size| (*size, why(size))).collect();
    Ok(StockFinished { tuned, left_out, missing, file })
}

fn tuned_of(record: &StockRecord) -> Option<Tuned> {
    match record {
        StockRecord::Tuned(tuned) => Some(tuned.clone()),
        _ => None,
    }
}

fn failure_of(record: &StockRecord) -> Option<(&HostName, u32, Against)> {
    match record {
        StockRecord::Failed { on, batch_size, .. } => Some((on, *batch_size, Against::Both)),
        StockRecord::Lost { on, batch_size, .. } => Some((on, *batch_size, Against::Node)),
        StockRecord::Tuned(_) | StockRecord::File { .. } => None,
    }
}

/// A run under way.
struct Tuning<'a> {
    plan: &'a StockPlan,
    expected_file: String,
    queue: Queue,
    /// Those that are not given up.
    nodes: BTreeMap<HostName, StockNode>,
    /// How long a node that was out of reach is left alone.
    pauses: BTreeMap<HostName, Duration>,
    /// Why a batch size is not tuned yet.
    reasons: BTreeMap<u32, String>,
    /// Processes.
    running: usize,
    /// Nodes whose GPU others use.
    awaited: usize,
    tuned: BTreeMap<u32, Tuned>,
    told_of_name: bool,
    silence: Duration,
    voice: UnboundedSender<Letter>,
    stop: CancellationToken,
}

impl Tuning<'_> {
    fn so_far(&self) -> Work {
        Work::new(self.tuned.len(), self.plan.batch_sizes.len())
    }

    /// Until nothing runs and nothing is left that could.
    async fn carry_out(
        &mut self,
        dir: &mut RunOf<StockRecord>,
        mailbox: &mut UnboundedReceiver<Letter>,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        loop {
            if !self.stop.is_cancelled() {
                for (name, batch_size) in self.queue.deal() {
                    self.start(&name, batch_size, observer);
                }
            }
            let letter = match self.running {
                0 if self.awaited == 0 || self.queue.is_empty() => return Ok(()),
                // Nobody but those who look at GPUs could say a word.
                0 => self.stop.run_until_cancelled(mailbox.recv()).await.flatten(),
                _ => mailbox.recv().await,
            };
            // The run holds a voice of its own: the box is never closed.
            let Some(Letter { from, news }) = letter else { return Ok(()) };
            match news {
                News::Gpu(news) => self.gpu(from, news, observer),
                News::Process { batch_size, seconds, said: Said::Line(line) } => {
                    let line = line.map(|line| shown(&line));
                    observer.say_from(&from, StockEvent::Running { batch_size, seconds, line });
                }
                News::Process { batch_size, seconds, said: Said::Ended(attempt) } => {
                    self.running -= 1;
                    self.ended(&from, batch_size, seconds, attempt, dir, observer)?;
                }
            }
        }
    }

    /// What still runs after an error, and was told to end, ends before anything else: nothing of ours stays on a node.
    /// What has come to a result all the same is kept.
    async fn drain(
        &mut self,
        dir: &mut RunOf<StockRecord>,
        mailbox: &mut UnboundedReceiver<Letter>,
        observer: &mut dyn Observer,
    ) {
        while self.running > 0 {
            let Some(Letter { from, news }) = mailbox.recv().await else { return };
            if let News::Process { batch_size, seconds, said: Said::Ended(attempt) } = news {
                self.running -= 1;
                // The run ends by the error before.
                let _ = self.ended(&from, batch_size, seconds, attempt, dir, observer);
            }
        }
    }

    fn start(&mut self, name: &HostName, batch_size: u32, observer: &mut dyn Observer) {
        let Some(node) = self.nodes.get(name).cloned() else { return };
        observer.say_from(name, StockEvent::Started { batch_size });
        let order = order(self.plan, batch_size, node.python.as_str(), &node.place, self.silence);
        let order = node.with_variables(order);
        let pause = self.pauses.get(name).copied().unwrap_or_default();
        let (voice, stop) = (self.voice.clone(), self.stop.clone());
        self.running += 1;
        tokio::spawn(attempt(node, order, batch_size, pause, voice, stop));
    }

    /// A process is over. What it came to is on disk before it counts.
    fn ended(
        &mut self,
        from: &HostName,
        batch_size: u32,
        seconds: f64,
        attempt: Attempt,
        dir: &mut RunOf<StockRecord>,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let (why, against) = match attempt {
            Attempt::Interrupted => return Ok(()),
            Attempt::Lost { why } => (why, Against::Node),
            Attempt::Ended(ended) => match judge(&ended, self.plan, batch_size) {
                Ok(outcome) => return self.keep(from, batch_size, seconds, outcome, dir, observer),
                Err(why) => {
                    tracing::info!(target: "worker", host = %from, "batch size {batch_size}: {}", ended.log);
                    (why, Against::Both)
                }
            },
        };
        let (on, said) = (from.clone(), why.clone());
        dir.journal.append(&match against {
            Against::Node => StockRecord::Lost { on, batch_size, why: said },
            Against::Both => StockRecord::Failed { on, batch_size, why: said },
        })?;
        if against == Against::Node {
            let pause = self.pauses.entry(from.clone()).or_default();
            *pause = (*pause * 2).max(FIRST_PAUSE);
        }
        let Consequence { size_given_up, node_given_up } = self.queue.failed(from, against);
        self.reasons.insert(batch_size, why.clone());
        observer.say_from(from, StockEvent::Failed { batch_size, why: why.clone(), again: !size_given_up });
        if node_given_up {
            let how = match against {
                Against::Node => Left::Lost { why },
                Against::Both => Left::Unfit { why },
            };
            self.nodes.remove(from);
            observer.say_from(from, NodeEvent::Left { how });
        }
        Ok(())
    }

    fn keep(
        &mut self,
        from: &HostName,
        batch_size: u32,
        seconds: f64,
        outcome: Outcome,
        dir: &mut RunOf<StockRecord>,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let Outcome { config, file, text } = outcome;
        self.queue.tuned(from);
        self.pauses.remove(from);
        checkpoint(dir.path(), batch_size, &text)?;
        // Hundredths of a second of hours tell nothing.
        let seconds = (seconds * 10.0).round() / 10.0;
        if !self.told_of_name
            && let Some(how) = other_name(&file, &self.expected_file)
        {
            self.told_of_name = true;
            observer.note(how);
        }
        let tuned = Tuned { on: from.clone(), batch_size, config, seconds, file };
        dir.journal.append(&StockRecord::Tuned(tuned.clone()))?;
        self.tuned.insert(batch_size, tuned);
        let work = self.so_far();
        observer.say_from(from, StockEvent::Tuned { batch_size, config, seconds, work });
        Ok(())
    }
}

fn checkpoint(run_dir: &Path, batch_size: u32, text: &str) -> Result<(), WriteError> {
    let folder = run_dir.join(CHECKPOINTS);
    fs_err::create_dir_all(&folder)?;
    write_atomic(&folder.join(format!("{batch_size}.json")), text.as_bytes())?;
    Ok(())
}

/// One process, from its start to its end.
async fn attempt(
    node: StockNode,
    order: ScriptOrder,
    batch_size: u32,
    pause: Duration,
    voice: UnboundedSender<Letter>,
    stop: CancellationToken,
) {
    let StockNode { name, host, python, place: _, variables: _, in_use: _ } = node;
    let paused = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    let began = Instant::now();
    let say = |said| {
        let seconds = began.elapsed().as_secs_f64();
        // The run outlives its processes; where it does not, nobody listens.
        let news = News::Process { batch_size, seconds, said };
        let _ = voice.send(Letter { from: name.clone(), news });
    };
    let attempt = match paused {
        None => Attempt::Interrupted,
        Some(()) => script::run(&*host, &python, &order, &stop, |line| say(Said::Line(line))).await,
    };
    say(Said::Ended(attempt));
}

#[cfg(test)]
mod tests;
