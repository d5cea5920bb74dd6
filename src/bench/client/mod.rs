//! The client: sends one request, reads its stream, and says when each piece came.
//!
//! Everything here runs on one thread, and a request is one task: what reads the socket also decodes the
//! stream. The times are the kernel's, where it gives any ([`Stamps`]), else those of the reads.
//!
//! | module | what lives there |
//! |---|---|
//! | `connector`, `transport`, `socket` | connections, with TLS or without, and when bytes arrived on them |
//! | `connection`, `head`, `framing` | HTTP/1.1 over one of them |
//! | `arrival` | the kernel's stamps on our clock |
//! | `patience`, `halt` | how long is waited: limits, and the end of the run |

mod arrival;
mod connection;
mod connector;
mod framing;
mod halt;
mod head;
mod patience;
mod socket;
mod transport;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use self::arrival::Stamps;
use self::connection::{BodyRead, Connection};
pub(crate) use self::connector::Connector;
pub(crate) use self::halt::Halt;
use self::head::{Head, RequestHead};
use self::patience::Patience;
use super::plan::{Protocol, RequestLimits};
use super::record::{Answer, FailureClass, Outcome};
use super::stream::words::{WORDS, harmless};
use super::stream::{AnswerReader, Broken};
use super::target::ServerTarget;

/// A connection unused for longer is not trusted: servers close theirs after five seconds (uvicorn's and
/// llama.cpp's default), and a request sent into a closing connection is lost.
const MAX_IDLE: Duration = Duration::from_secs(2);

/// How long whoever was answered waits for the body's end behind `[DONE]`, so that its next request finds the
/// connection free. Servers write the two right after one another.
const END_OF_BODY: Duration = Duration::from_millis(5);

/// How long that may take at all before a connection is given up instead of used again.
const DRAIN: Duration = Duration::from_secs(1);

/// Connections that are opened at the same time. More would only wait for one another, on this side and in
/// the server's queue, and their requests' latencies with them.
const OPENING: usize = 32;

/// The one status that a streamed answer has.
const OK: u16 = 200;

/// Of a body that is no stream, this much is read for the message.
const EXCERPT_BYTES: usize = 16 * 1024;

/// And for this long: a body that never ends would hold its request's slot until no token had come in time.
const EXCERPT_WAIT: Duration = Duration::from_secs(2);

/// Sends requests to one server.
#[derive(Debug)]
pub(crate) struct Client {
    connector: Connector,
    head: RequestHead,
    protocol: Protocol,
    limits: RequestLimits,
    keep_text: bool,
    idle: RefCell<Vec<(Connection, Instant)>>,
    opening: Semaphore,
}

/// A server's address or key that no HTTP request can carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be sent in an HTTP request: it holds characters that no header may have")]
pub(crate) struct BadHeader {
    what: &'static str,
}

impl crate::failure::Failure for BadHeader {
    fn kind(&self) -> crate::failure::Kind {
        crate::failure::Kind::Input
    }
}

/// What became of one request.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// When sending began, connecting included.
    pub sent: Instant,
    /// When it was over.
    pub ended: Instant,
    /// What came back.
    pub answer: Answer,
    /// How it ended.
    pub outcome: Outcome,
}

/// Somebody who wants to know what comes while it comes.
pub(crate) trait Watcher {
    /// Output of `tokens` tokens arrived, `at_us` microseconds after sending; the first of a request or a
    /// later one.
    fn output(&self, first: bool, at_us: u64, tokens: u32);
}

/// A request about to be sent.
struct Start<'a> {
    id: &'a str,
    body: &'a [u8],
    sent: Instant,
    /// A connection that is open already.
    idle: Option<Connection>,
    /// Or the turn to open one.
    turn: Option<SemaphorePermit<'a>>,
}

impl Client {
    /// A client for `target`. Answers' texts are thrown away unless `keep_text`.
    pub(crate) fn new(
        target: &ServerTarget,
        connector: Connector,
        protocol: Protocol,
        limits: RequestLimits,
        keep_text: bool,
    ) -> Result<Self, BadHeader> {
        let mut head = RequestHead::post(target.url(protocol.path()).path());
        let mut set = |name, what, value: &str| match head.set(name, value) {
            true => Ok(()),
            false => Err(BadHeader { what }),
        };
        set("host", "the server's name", &target.authority())?;
        set("content-type", "", "application/json")?;
        set("accept", "", "text/event-stream")?;
        set("user-agent", "", concat!("sparkbench/", env!("CARGO_PKG_VERSION")))?;
        if let Some(key) = &target.api_key {
            set("authorization", "the API key", &format!("Bearer {}", key.reveal()))?;
        }
        let (idle, opening) = (RefCell::default(), Semaphore::new(OPENING));
        Ok(Self { connector, head, protocol, limits, keep_text, idle, opening })
    }

    /// By which clock the times of what was read are.
    pub(crate) fn stamps(&self) -> &Arc<Stamps> {
        self.connector.stamps()
    }

    /// Open so many connections ahead of the requests that will need them at once. Those that cannot be opened
    /// are missing: the requests that then open their own will say why.
    pub(crate) async fn open_ahead(&self, count: usize) {
        let opened = (0..count).map(|_| async {
            let _turn = self.opening.acquire().await;
            let opened = tokio::time::timeout(self.connect_limit(), self.connector.open()).await;
            if let Ok(Ok(connection)) = opened {
                self.idle.borrow_mut().push((connection, Instant::now()));
            }
        });
        futures_util::future::join_all(opened).await;
    }

    /// Send `body` under the name `id`, and read the answer to its end.
    ///
    /// When the run halts it is given up: what came so far is kept.
    pub(crate) async fn ask(
        self: &Rc<Self>,
        id: &str,
        body: &[u8],
        watcher: &impl Watcher,
        halt: &Halt,
    ) -> Attempt {
        let (mut idle, mut turn) = (self.idle_connection(), None);
        // Whoever needs a new connection waits for a turn to open it. That is this client's affair: the
        // request begins after it, and is late.
        if idle.is_none() {
            turn = self.opening.acquire().await.ok();
            // Another request may have left its connection meanwhile.
            idle = self.idle_connection();
        }
        if idle.is_some() {
            turn = None;
        }
        let sent = Instant::now();
        let mut reader = AnswerReader::new(self.protocol, self.keep_text);
        let start = Start { id, body, sent, idle, turn };
        let result = halt.unless_stopped(self.exchange(start, &mut reader, watcher)).await;
        let gave_up = Instant::now();
        let (answer, outcome) = reader.finish();
        let (ended, outcome) = match result {
            None => (gave_up, Outcome::Interrupted),
            Some(Err(Broken { class, message })) => (gave_up, Outcome::Failed { class, message }),
            Some(Ok(connection)) => {
                let ended = connection.arrived();
                self.keep(connection).await;
                (ended, outcome)
            }
        };
        Attempt { sent, ended: ended.max(sent), answer, outcome }
    }

    /// Send, and read until the answer is over; what is behind it may still be unread.
    async fn exchange(
        self: &Rc<Self>,
        start: Start<'_>,
        reader: &mut AnswerReader,
        watcher: &impl Watcher,
    ) -> Result<Connection, Broken> {
        let sent = start.sent;
        let mut patience = Patience::new(sent, self.limits);
        let (mut connection, head) = self.send(start, &mut patience).await?;
        if head.status != OK {
            let said = self.excerpt(&mut connection, &mut patience).await;
            let reason = harmless(format!("{} {}", head.status, head.reason).as_bytes(), WORDS);
            let message = format!("HTTP {reason}{}", said.map_or(String::new(), |said| format!(": {said}")));
            return Err(Broken { class: FailureClass::HttpStatus, message });
        }
        if !head.content_type.to_ascii_lowercase().starts_with(b"text/event-stream") {
            let said = self.excerpt(&mut connection, &mut patience).await;
            let message = format!(
                "the answer's Content-Type is `{}`, not text/event-stream{}",
                harmless(&head.content_type, WORDS),
                said.map_or(String::new(), |said| format!(": {said}")),
            );
            return Err(Broken { class: FailureClass::NotAStream, message });
        }
        let (mut bytes, mut tokens) = (0, 0);
        loop {
            let mut take = |piece: &[u8], at: Instant| {
                let at_us = micros(at.saturating_duration_since(sent));
                reader.feed(piece, at_us)?;
                bytes += piece.len() as u64;
                let now = reader.tokens_so_far();
                if now != tokens {
                    watcher.output(tokens == 0, at_us, now.saturating_sub(tokens));
                    tokens = now;
                }
                Ok(())
            };
            let heard = patience.wait(connection.hear(&mut take)).await??;
            if heard == BodyRead::End || reader.is_finished() {
                return Ok(connection);
            }
            patience.heard(connection.arrived());
            if reader.has_output() {
                patience.has_output();
            }
            if bytes > self.limits.answer_bytes {
                let message = format!("more than {} bytes and no end", self.limits.answer_bytes);
                return Err(Broken { class: FailureClass::TooLarge, message });
            }
        }
    }

    /// Send a request over a connection that is open already, or else over a new one.
    async fn send(
        &self,
        Start { id, body, idle, turn, sent: _ }: Start<'_>,
        patience: &mut Patience,
    ) -> Result<(Connection, Head), Broken> {
        let request = self.head.request(id, body).ok_or_else(|| Broken {
            class: FailureClass::Malformed,
            message: format!("`{id}` is no request id"),
        })?;
        if let Some(mut connection) = idle {
            // A server may close an idle connection at any time. That says nothing about this request, which
            // is simply sent again over a new one; the time it took counts.
            if let Ok(head) = patience.wait(connection.ask(&request)).await? {
                return Ok((connection, head));
            }
        }
        let mut connection = match tokio::time::timeout(self.connect_limit(), self.connector.open()).await {
            Ok(connection) => connection.map_err(|not| Broken { class: not.class, message: not.message })?,
            Err(_) => {
                let message = format!("no connection after {} s", self.limits.connect_s);
                return Err(Broken { class: FailureClass::Connect, message });
            }
        };
        drop(turn);
        let head = patience.wait(connection.ask(&request)).await??;
        Ok((connection, head))
    }

    fn connect_limit(&self) -> Duration {
        Duration::from_secs_f64(self.limits.connect_s)
    }

    /// The beginning of a body that is not what was asked for.
    async fn excerpt(&self, connection: &mut Connection, patience: &mut Patience) -> Option<String> {
        let mut seen = Vec::new();
        let read = async {
            while seen.len() < EXCERPT_BYTES {
                let mut take = |piece: &[u8], _| {
                    seen.extend_from_slice(piece);
                    Ok(())
                };
                match patience.wait(connection.hear(&mut take)).await {
                    Ok(Ok(BodyRead::More)) => {}
                    _ => break,
                }
            }
        };
        // What came in time will do.
        let _ = tokio::time::timeout(EXCERPT_WAIT, read).await;
        (!seen.is_empty()).then(|| harmless(&seen, WORDS))
    }

    fn idle_connection(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some((mut connection, since)) = idle.pop() {
            // The youngest comes first; when it is too old, all are.
            if since.elapsed() > MAX_IDLE {
                idle.clear();
                return None;
            }
            if connection.is_free() {
                return Some(connection);
            }
        }
        None
    }

    /// Read what follows the answer's last event and keep the connection for another request. The caller
    /// waits a moment for that; the answer is over.
    async fn keep(self: &Rc<Self>, mut connection: Connection) {
        match tokio::time::timeout(END_OF_BODY, connection.drain()).await {
            Ok(true) => self.idle.borrow_mut().push((connection, Instant::now())),
            Ok(false) => {}
            Err(_) => {
                let client = self.clone();
                tokio::task::spawn_local(async move {
                    if tokio::time::timeout(DRAIN, connection.drain()).await == Ok(true) {
                        client.idle.borrow_mut().push((connection, Instant::now()));
                    }
                });
            }
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
