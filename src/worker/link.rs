//! The link to a worker: requests out, messages in, its last log lines and its end. It knows streams and no process.
//!
//! Three tasks serve the streams. One writes requests, and a ping whenever there was nothing to write for a while,
//! so that a worker whose harness is gone can tell (its leash). One reads lines, so that answers to pings pile up
//! nowhere. One reads the log. What they hand over waits in short queues: a worker that says much waits for its reader.

mod streams;

use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use self::streams::{Incoming, PING_ID, line, ping, read, write};

use super::error::WorkerError;
use super::lines::LONGEST_LINE;
use super::log::Log;
use super::protocol::{self, Hello, LEASH_STATUS, Message, Op};
use crate::host::{End, Ending, Process};
use crate::host_name::HostName;

/// Importing Triton from a cold disk takes seconds; a minute means it never will.
const HELLO_LIMIT: Duration = Duration::from_secs(60);
/// Lines that are no message and still may come before the hello: what a login shell says of itself.
const GREETING_LINES: usize = 100;
/// How long a worker may take to end its children and itself once it was told to.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// The same where nobody needs what it holds any more: its guardian ends what is left.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);
/// How long the end of a worker may take to be told once its output has ended.
const END_LIMIT: Duration = Duration::from_secs(2);
/// The log's reader runs beside us: how long it may take with the last lines. What a worker leaves behind for a moment,
/// its guardian, keeps the log open.
const LOG_LIMIT: Duration = Duration::from_millis(50);
/// How soon an answer to a ping is there from a worker that is: its loop waits for nothing longer than a fork.
const PONG_LIMIT: Duration = Duration::from_secs(10);
/// Lines that wait for their reader.
const QUEUE: usize = 8;
/// How both sides notice that the other is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// A worker that hears nothing for so long ends itself and what it started.
    pub leash: Duration,
    /// A ping is sent after so long without a request.
    pub ping: Duration,
    /// A worker that says nothing for so long while it owes an answer is given up.
    pub silence: Duration,
}

impl Default for Keepalive {
    /// Three pings a leash: one may be late, and a connection may take a while to heal. The silence is twice the leash,
    /// so that a worker that cannot be reached has ended before another is given its work.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { leash: seconds(30), ping: seconds(10), silence: seconds(60) }
    }
}

/// A worker that has said hello.
pub struct Link {
    on: HostName,
    program: String,
    hello: Hello,
    keepalive: Keepalive,
    requests: mpsc::Sender<String>,
    messages: mpsc::Receiver<Incoming>,
    /// When the last line came.
    heard: watch::Receiver<Instant>,
    log: Log,
    end: Box<dyn End>,
    next_id: u64,
    /// The request under way: whoever asked may have given it up.
    open: Option<u64>,
    /// The reader of the log, then those of both other streams.
    tasks: [AbortOnDrop; 3],
}

/// A task that ends with whoever started it.
struct AbortOnDrop(JoinHandle<()>);

impl AbortOnDrop {
    /// Wait for its end, once or again, but no longer than `limit`.
    async fn wait(&mut self, limit: Duration) {
        // Asked again after its end, a handle panics.
        if !self.0.is_finished() {
            let _ = timeout(limit, &mut self.0).await;
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { on, program, hello, .. } = self;
        f.debug_struct("Link").field("on", on).field("program", program).field("hello", hello).finish()
    }
}

impl Link {
    /// Wait for the hello of a worker that was started as `program` on `on`, and put it on its leash.
    ///
    /// What is no message before the hello goes to the log, up to a hundred lines: a shell on the way may greet.
    pub async fn open(
        on: HostName,
        program: String,
        process: Process,
        keepalive: Keepalive,
    ) -> Result<Self, WorkerError> {
        let Process { input, output, log: log_stream, mut end } = process;
        let log = Log::default();
        let (requests, to_write) = mpsc::channel(QUEUE);
        let (tell, mut messages) = mpsc::channel(QUEUE);
        let (tell_heard, heard) = watch::channel(Instant::now());
        let mut tasks = [
            AbortOnDrop(tokio::spawn(log.clone().keep(log_stream, on.clone()))),
            AbortOnDrop(tokio::spawn(write(input, to_write, keepalive.ping))),
            AbortOnDrop(tokio::spawn(read(output, tell, tell_heard))),
        ];
        let greeting = timeout(HELLO_LIMIT, hello(&mut messages, &log)).await;
        let refuse = |detail| WorkerError::NoHello { program: program.clone(), detail, log: log.clone() };
        let hello = match greeting {
            Err(_) => return Err(refuse(format!("no hello within {} s", HELLO_LIMIT.as_secs()))),
            Ok(Err(Some(detail))) => return Err(refuse(detail)),
            Ok(Err(None)) => {
                return Err(match ending(&mut *end, &mut tasks[0]).await {
                    Ending::Lost { why } => WorkerError::Lost { on, why },
                    ending => refuse(format!("it ended at once ({ending})")),
                });
            }
            Ok(Ok(hello)) => hello,
        };
        if hello.protocol != protocol::VERSION {
            return Err(WorkerError::OtherProtocol { found: hello.protocol });
        }
        let (next_id, open) = (PING_ID + 1, None);
        let mut link =
            Self { on, program, hello, keepalive, requests, messages, heard, log, end, next_id, open, tasks };
        link.send(Op::Begin { leash_s: keepalive.leash.as_secs_f64() }).await?;
        Ok(link)
    }

    /// What the worker said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The interpreter it was started with, as messages name it.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Whether it is still at something that nobody waits for any more.
    pub fn is_busy(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the worker, or the way to it, was lost while nothing was asked.
    pub fn is_gone(&self) -> bool {
        self.messages.is_closed() && self.messages.is_empty()
    }

    /// Tell the worker to end and wait until it has, with all it holds: what it was at is given up. One that does not end
    /// is killed.
    pub async fn stop(self) {
        self.end_within(STOP_LIMIT).await;
    }

    /// The same of a worker that no other follows: it is waited for as long as a user likes to who wants out.
    pub async fn leave(self) {
        self.end_within(LEAVE_LIMIT).await;
    }

    async fn end_within(mut self, limit: Duration) {
        self.give_up();
        self.post(Op::Quit {});
        let Self { requests, mut messages, mut end, mut tasks, .. } = self;
        // The last request is written, then the worker's input is closed.
        drop(requests);
        // One whose words nobody reads waits for that, and does not hear of its end.
        let listening = async {
            while messages.recv().await.is_some() {}
            std::future::pending().await
        };
        let ended = async {
            tokio::select! {
                _ = end.ended() => {}
                () = listening => {}
            }
        };
        if timeout(limit, ended).await.is_err() {
            end.kill();
            let _ = timeout(END_LIMIT, end.ended()).await;
        }
        tasks[0].wait(LOG_LIMIT).await;
    }

    /// Ask the worker for something and return the request's id. What it was at and nobody waits for is cancelled.
    pub(super) async fn ask(&mut self, op: Op) -> Result<u64, WorkerError> {
        self.give_up();
        let id = self.send(op).await?;
        self.open = Some(id);
        Ok(id)
    }

    /// The next message of request `id`, or `None` at its end; see [`Link::answer_with_end`].
    pub(super) async fn answer(&mut self, id: u64, idle: Duration) -> Result<Option<Message>, WorkerError> {
        let message = self.answer_with_end(id, idle).await?;
        Ok((!matches!(message, Message::Done { .. })).then_some(message))
    }

    /// The next message of request `id`, its `done` included, waited for no longer than `idle`.
    ///
    /// After that time the worker is asked whether it is there: it is [`WorkerError::Stalled`] if it answers, and the
    /// request is cancelled, else [`WorkerError::Silent`]. Silent it is, too, if it leaves pings without an answer.
    pub(super) async fn answer_with_end(&mut self, id: u64, idle: Duration) -> Result<Message, WorkerError> {
        let begun = Instant::now();
        let mut asked = None;
        loop {
            let heard = (*self.heard.borrow_and_update()).max(begun);
            let silent = heard + self.keepalive.silence;
            let limit = asked.map_or((begun + idle).min(silent), |asked| asked + PONG_LIMIT);
            tokio::select! {
                biased;
                incoming = self.messages.recv() => {
                    if let Some(message) = self.sort(id, incoming).await? {
                        return Ok(message);
                    }
                }
                // An error means that the stream has ended, which the queue above tells too.
                Ok(()) = self.heard.changed() => {
                    if asked.is_some() {
                        self.give_up();
                        return Err(WorkerError::Stalled { on: self.on.clone(), after: idle });
                    }
                }
                () = sleep_until(limit) => {
                    let now = Instant::now();
                    if asked.is_some() || silent <= now {
                        return Err(WorkerError::Silent { on: self.on.clone(), after: now - heard });
                    }
                    asked = Some(now);
                    // A queue that is full holds something else for the worker to hear.
                    let _ = self.requests.try_send(ping());
                }
            }
        }
    }

    /// What request `id` is to make of what came.
    async fn sort(&mut self, id: u64, incoming: Option<Incoming>) -> Result<Option<Message>, WorkerError> {
        let message = match incoming {
            Some(Incoming::Message(message)) => message,
            Some(Incoming::Garbled(line)) => return Err(WorkerError::Garbled { line }),
            Some(Incoming::TooLong(line)) => return Err(WorkerError::LineTooLong { line }),
            None => return Err(self.ended().await),
        };
        match message {
            // An error without an id is about a line that could not be read: only ours was on its way.
            Message::Error { id: of, code, message } if of.is_none_or(|of| of == id) => {
                self.open = None;
                Err(WorkerError::Refused { code, message })
            }
            message if message.of() == Some(id) => {
                if matches!(message, Message::Done { .. }) {
                    self.open = None;
                }
                Ok(Some(message))
            }
            // The end of a request that was given up, or news from a newer worker.
            _ => Ok(None),
        }
    }

    /// Cancel the request under way, if there is one.
    fn give_up(&mut self) {
        if let Some(cancels) = self.open.take() {
            self.post(Op::Cancel { cancels });
        }
    }

    /// Send something whose answer nobody waits for, if that can be done without waiting.
    fn post(&mut self, op: Op) {
        let id = self.take_id();
        let _ = self.requests.try_send(line(id, op));
    }

    async fn send(&mut self, op: Op) -> Result<u64, WorkerError> {
        let id = self.take_id();
        let line = line(id, op);
        if line.len() > LONGEST_LINE {
            return Err(WorkerError::RequestTooLong { bytes: line.len() });
        }
        let silence = self.keepalive.silence;
        match timeout(silence, self.requests.send(line)).await {
            Ok(Ok(())) => Ok(id),
            Ok(Err(_)) => Err(self.ended().await),
            Err(_) => Err(WorkerError::Silent { on: self.on.clone(), after: silence }),
        }
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Why nothing comes over the link any more.
    async fn ended(&mut self) -> WorkerError {
        let on = self.on.clone();
        match ending(&mut *self.end, &mut self.tasks[0]).await {
            Ending::Lost { why } => WorkerError::Lost { on, why },
            Ending::Exit(LEASH_STATUS) => {
                let why = format!("it did not hear of us for {} s", self.keepalive.leash.as_secs());
                WorkerError::Lost { on, why }
            }
            ending => WorkerError::Died { ending, log: self.log.clone() },
        }
    }
}

/// How a worker whose output ended came to its end; it is ended if it has not. Its log is read to the end by then.
async fn ending(end: &mut dyn End, log: &mut AbortOnDrop) -> Ending {
    let ending = match timeout(END_LIMIT, end.ended()).await {
        Ok(ending) => ending,
        Err(_) => {
            end.kill();
            let unknown = |_| Ending::Lost { why: "its output ended, and its end was not told".into() };
            timeout(END_LIMIT, end.ended()).await.unwrap_or_else(unknown)
        }
    };
    log.wait(LOG_LIMIT).await;
    ending
}

/// The hello, or what came in its place; `Err(None)` where the stream ended.
async fn hello(messages: &mut mpsc::Receiver<Incoming>, log: &Log) -> Result<Hello, Option<String>> {
    for _ in 0..=GREETING_LINES {
        match messages.recv().await {
            Some(Incoming::Message(Message::Hello(hello))) => return Ok(hello),
            Some(Incoming::Message(message)) => {
                return Err(Some(format!("its first message was no hello but {message:?}")));
            }
            Some(Incoming::Garbled(line)) => log.push(line),
            Some(Incoming::TooLong(line)) => {
                return Err(Some(format!(
                    "its output begins with a line of more than {LONGEST_LINE} bytes: {line}"
                )));
            }
            None => return Err(None),
        }
    }
    Err(Some(format!("the first {GREETING_LINES} lines of its output held no hello")))
}

#[cfg(test)]
mod tests;
