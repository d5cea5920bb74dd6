//! A run at work: sends every conversation when it is due, on a thread that does nothing else.
//!
//! What shows progress, writes files and asks the server for its metrics lives on other threads, so that
//! it cannot make a token look late.

mod health;
mod live;
mod nap;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::health::HealthProbe;
pub(crate) use self::live::Live;
use self::nap::Nap;
use super::arrival::Schedule;
use super::client::{Attempt, Client, Halt, Watcher};
use super::conversation::{Conversation, Turn};
use super::plan::LoadPlan;
use super::record::{FailureClass, Outcome, RequestRecord};
use super::stream::body::{self, Exchange};
use super::summary::ClientHealth;
use crate::failure::{Failure, Kind};

/// File descriptors beside the connections: files, pipes, timers, the metrics' connection.
const OTHER_FILES: u64 = 64;

/// Requests due this soon find their connections open.
const FIRST_MOMENT: Duration = Duration::from_millis(100);

/// Sockets are looked at after so many turns of the scheduler, busy or not. tokio's 61 would leave answers
/// unread for milliseconds while a thousand requests go out.
const POLL_EVERY: u32 = 8;

/// What a run needs.
#[derive(Debug)]
pub(crate) struct Run {
    /// What is sent and how.
    pub plan: LoadPlan,
    /// What is said.
    pub conversations: Vec<Conversation>,
    /// When.
    pub schedule: Schedule,
    /// Makes request ids distinct between runs.
    pub id: String,
    /// Whether records hold the answers' texts.
    pub keep_text: bool,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct RunEnd {
    /// When it began: the zero of its records' times.
    pub began: Instant,
    /// Whether the client kept up.
    pub client: ClientHealth,
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunnerError {
    /// More connections than this process may have.
    #[error("{in_flight} requests in flight need {needed} open files, and the limit is {limit} (ulimit -Hn)")]
    OpenFiles {
        /// Conversations the plan can have in flight, each with its connection.
        in_flight: u64,
        /// Files that takes.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The operating system refused.
    #[error("cannot start the measuring thread: {0}")]
    Thread(#[from] io::Error),
    /// A fault of this program.
    #[error("the measuring thread ended in a panic; please report this")]
    Panicked,
}

impl Failure for RunnerError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        match self {
            RunnerError::OpenFiles { .. } => {
                Some("lower --concurrency, or raise the limit of open files".into())
            }
            _ => None,
        }
    }
}

/// Send everything, and every request's record to `records` as it ends. Returns when the last has ended, or
/// soon after `stop`: what is in flight then ends as interrupted, what is not sent yet never is.
///
/// `client` is made on the measuring thread, which it must not leave.
pub(crate) async fn run<Make>(
    run: Run,
    client: Make,
    live: Arc<Live>,
    records: mpsc::UnboundedSender<RequestRecord>,
    stop: CancellationToken,
) -> Result<RunEnd, RunnerError>
where
    Make: FnOnce() -> Client + Send + 'static,
{
    allow_open_files(&run)?;
    let (done, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("measuring".into()).spawn(move || {
        let ended = measure(run, client(), live, records, stop);
        // Nobody listens any more where the whole program is ending.
        let _ = done.send(ended);
    })?;
    ended.await.map_err(|_| RunnerError::Panicked)?
}

fn measure(
    run: Run,
    client: Client,
    live: Arc<Live>,
    records: mpsc::UnboundedSender<RequestRecord>,
    stop: CancellationToken,
) -> Result<RunEnd, RunnerError> {
    let nap = Nap::new(client.stamps().clone());
    let rests = nap.clone();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(POLL_EVERY)
        .on_thread_park(move || rests.before_park())
        .build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let (client, halt) = (Rc::new(client), Halt::new(stop));
        // Where that is stopped, nothing below is sent either.
        let _ = halt.unless_stopped(client.open_ahead(wanted_at_once(&run))).await;
        let (probe, stamps) = (Rc::new(HealthProbe::start()), client.stamps().clone());
        let began = Instant::now();
        let sender = Sender {
            client,
            plan: run.plan,
            id: run.id,
            keep_text: run.keep_text,
            began,
            live,
            nap,
            probe: probe.clone(),
            records,
            halt,
        };
        send_all(Rc::new(sender), run.conversations, run.schedule).await;
        Ok(RunEnd { began, client: probe.report(stamps.kernel_share()) })
    })
}

/// Connections that the run's first moment needs.
fn wanted_at_once(run: &Run) -> usize {
    let slots = run.plan.concurrency.map_or(usize::MAX, |limit| limit as usize);
    let due = match &run.schedule {
        Schedule::Closed => run.conversations.len(),
        Schedule::Open(times) => times.iter().take_while(|at| **at < FIRST_MOMENT).count(),
    };
    due.min(slots)
}

/// Start every conversation when it is due and has a slot, and wait for all that were started.
async fn send_all(sender: Rc<Sender>, conversations: Vec<Conversation>, schedule: Schedule) {
    let slots = sender.plan.concurrency.map(|limit| Arc::new(Semaphore::new(limit as usize)));
    let mut running = JoinSet::new();
    for (place, conversation) in conversations.into_iter().enumerate() {
        let due = match &schedule {
            Schedule::Closed => None,
            Schedule::Open(times) => times.get(place).map(|offset| sender.began + *offset),
        };
        match (due, &slots) {
            // A closed loop: the next goes out when a slot is free.
            (None, Some(slots)) => {
                let Some(free) = sender.halt.unless_stopped(slots.clone().acquire_owned()).await else {
                    break;
                };
                let sender = sender.clone();
                running.spawn_local(async move {
                    sender.converse(conversation, None, Slot::Held(free.ok())).await
                });
            }
            (None, None) => {
                if sender.halt.is_stopped() {
                    break;
                }
                let sender = sender.clone();
                running.spawn_local(async move { sender.converse(conversation, None, Slot::None).await });
            }
            (Some(due), slots) => {
                if sender.halt.unless_stopped(tokio::time::sleep_until(due.into())).await.is_none() {
                    break;
                }
                let slot = slots.clone().map_or(Slot::None, Slot::Wanted);
                let sender = sender.clone();
                running.spawn_local(async move { sender.converse(conversation, Some(due), slot).await });
            }
        }
        while let Some(ended) = running.try_join_next() {
            not_panicked(ended);
        }
        // Between two of many that are due at once, what has come meanwhile is read.
        tokio::task::yield_now().await;
    }
    while let Some(ended) = running.join_next().await {
        not_panicked(ended);
    }
}

/// A conversation that panicked has no record, so the run must not look whole.
fn not_panicked(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// A place among the conversations in flight.
enum Slot {
    /// There is no limit.
    None,
    /// To be waited for, first come first served.
    Wanted(Arc<Semaphore>),
    /// Given back when dropped.
    Held(Option<OwnedSemaphorePermit>),
}

/// Everything a conversation needs to be held.
struct Sender {
    client: Rc<Client>,
    plan: LoadPlan,
    id: String,
    keep_text: bool,
    began: Instant,
    live: Arc<Live>,
    nap: Arc<Nap>,
    probe: Rc<HealthProbe>,
    records: mpsc::UnboundedSender<RequestRecord>,
    halt: Rc<Halt>,
}

impl Sender {
    /// Ask one question after another. One that fails ends the conversation: what would follow has no answer
    /// to build on.
    async fn converse(&self, conversation: Conversation, due: Option<Instant>, slot: Slot) {
        let woken = Instant::now();
        let (_slot, mut ready) = match slot {
            Slot::Held(permit) => (permit, woken),
            Slot::None => (None, due.unwrap_or(woken)),
            Slot::Wanted(slots) => match slots.clone().try_acquire_owned() {
                Ok(permit) => (Some(permit), due.unwrap_or(woken)),
                Err(_) => match self.halt.unless_stopped(slots.acquire_owned()).await {
                    Some(permit) => (permit.ok(), Instant::now()),
                    None => return,
                },
            },
        };
        let mut due = due;
        let (mut answers, mut ended): (Vec<String>, _) = (Vec::new(), self.began);
        for (number, turn) in conversation.turns.iter().enumerate() {
            if number > 0 {
                ready = ended + turn.pause;
                due = due.map(|_| ready);
                if self.halt.unless_stopped(tokio::time::sleep_until(ready.into())).await.is_none() {
                    return;
                }
            }
            let place = (conversation.index, number as u32);
            let earlier = conversation.turns.iter().zip(&answers);
            let history: Vec<_> =
                earlier.map(|(turn, answer)| Exchange { prompt: &turn.prompt, answer }).collect();
            let mut record = self.ask(place, turn, &history, due, ready).await;
            let done = record.is_done();
            ended = self.began + Duration::from_micros(record.ended_us);
            let said = match self.keep_text {
                true => record.answer.text.clone(),
                false => record.answer.text.take(),
            };
            // Whoever reads the records has gone only when the whole run is ending.
            let _ = self.records.send(record);
            if !done {
                return;
            }
            answers.push(said.unwrap_or_default());
        }
    }

    /// Ask one question, again where the plan allows it. `ready` is when it could have been sent.
    async fn ask(
        &self,
        (conversation, turn_number): (u32, u32),
        turn: &Turn,
        history: &[Exchange<'_>],
        due: Option<Instant>,
        ready: Instant,
    ) -> RequestRecord {
        let body = body::body(self.plan.protocol, &self.plan.model, history, turn, &self.plan.sampling);
        self.live.sent();
        self.nap.sent();
        let mut attempts = 0;
        let attempt = loop {
            attempts += 1;
            let body = match &body {
                Ok(body) => body,
                // It would not be sent the next time either.
                Err(error) => break unsendable(error.to_string()),
            };
            let id = format!("{}-{conversation}-{turn_number}-{attempts}", self.id);
            let attempt = self.client.ask(&id, body, self, &self.halt).await;
            if attempts == 1 {
                self.probe.sent(attempt.sent.saturating_duration_since(ready));
            }
            let failed = matches!(attempt.outcome, Outcome::Failed { .. });
            let again = failed && attempt.answer.chunk_us.is_empty() && attempts <= self.plan.limits.retries;
            // Stopped: how it failed says more than that it would have been tried again.
            if !again || self.halt.is_stopped() {
                break attempt;
            }
        };
        self.nap.ended();
        match &attempt.outcome {
            Outcome::Done => {
                let (first, last) = (attempt.answer.chunk_us.first(), attempt.answer.chunk_us.last());
                let later_us = last.zip(first).map_or(0, |(last, first)| last - first);
                self.live.done(u64::from(attempt.answer.output_tokens.saturating_sub(1)), later_us);
            }
            Outcome::Failed { .. } => self.live.failed(),
            Outcome::Interrupted => {}
        }
        RequestRecord {
            conversation,
            turn: turn_number,
            scheduled_us: due.map(|due| self.since_start(due)),
            sent_us: self.since_start(attempt.sent),
            ended_us: self.since_start(attempt.ended),
            attempts,
            planned_input_tokens: turn.input_tokens,
            planned_output_tokens: turn.output_tokens,
            answer: attempt.answer,
            outcome: attempt.outcome,
        }
    }

    fn since_start(&self, at: Instant) -> u64 {
        let span = at.saturating_duration_since(self.began);
        u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Watcher for Sender {
    fn output(&self, first: bool, at_us: u64, tokens: u32) {
        self.nap.read();
        self.live.output(first, at_us, tokens);
    }
}

/// Raise this process's limit of open files as far as the plan needs it.
fn allow_open_files(run: &Run) -> Result<(), RunnerError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let conversations = run.conversations.len() as u64;
    let in_flight = run.plan.concurrency.map_or(conversations, |limit| conversations.min(u64::from(limit)));
    let limits = getrlimit(Resource::Nofile);
    match open_files(in_flight, limits.current, limits.maximum)? {
        None => Ok(()),
        Some(wanted) => {
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limits.maximum })
                .map_err(|error| RunnerError::Thread(error.into()))
        }
    }
}

/// What the limit of open files must be raised to, where it must; None stands for no limit.
fn open_files(
    in_flight: u64,
    current: Option<u64>,
    maximum: Option<u64>,
) -> Result<Option<u64>, RunnerError> {
    let needed = in_flight + OTHER_FILES;
    if let Some(limit) = maximum.filter(|maximum| *maximum < needed) {
        return Err(RunnerError::OpenFiles { in_flight, needed, limit });
    }
    // A connection whose answer is over may still be read to its end while the next request opens another.
    let wanted = maximum.map_or(needed + in_flight, |maximum| maximum.min(needed + in_flight));
    Ok(current.filter(|current| *current < wanted).map(|_| wanted))
}

/// A question that the protocol cannot carry.
fn unsendable(message: String) -> Attempt {
    let now = Instant::now();
    let outcome = Outcome::Failed { class: FailureClass::Malformed, message };
    Attempt { sent: now, ended: now, answer: Default::default(), outcome }
}

#[cfg(test)]
mod tests;
