//! The client: sends one request, reads its stream, and says when each piece came.
//!
//! Everything here runs on one thread, and a request is one task: what reads the socket also decodes the
//! stream and takes the time, right after the read.

mod connection;
mod connector;
mod halt;
mod patience;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};

use tokio::sync::{Semaphore, SemaphorePermit};

use self::connection::Connection;
pub use self::connector::{Connector, ConnectorError};
pub use self::halt::Halt;
use self::patience::Patience;
use super::plan::{Limits, Protocol};
use super::record::{Answer, FailureClass, Outcome};
use super::stream::words::{WORDS, harmless};
use super::stream::{AnswerReader, Broken};
use super::target::Target;

/// A connection unused for longer is not trusted: servers close theirs after five seconds (uvicorn's and
/// llama.cpp's default), and a request sent into a closing connection is lost.
const MAX_IDLE: Duration = Duration::from_secs(2);

/// How long the bytes behind `[DONE]` may take before a connection is given up instead of used again.
const DRAIN: Duration = Duration::from_secs(1);

/// Connections that are opened at the same time. More would only wait for one another, on this side and in
/// the server's queue, and their requests' latencies with them.
const OPENING: usize = 32;

/// Of a body that is no stream, this much is read for the message.
const EXCERPT_BYTES: usize = 16 * 1024;

/// And for this long: a body that never ends would hold its request's slot until no token had come in time.
const EXCERPT_WAIT: Duration = Duration::from_secs(2);

/// Sends requests to one server.
#[derive(Debug)]
pub struct Client {
    connector: Connector,
    uri: Uri,
    headers: HeaderMap,
    protocol: Protocol,
    limits: Limits,
    keep_text: bool,
    idle: RefCell<Vec<(Connection, Instant)>>,
    opening: Semaphore,
}

/// A server's address or key that no HTTP request can carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be sent in an HTTP request: it holds characters that no header may have")]
pub struct BadHeader {
    what: &'static str,
}

impl crate::failure::Failure for BadHeader {
    fn kind(&self) -> crate::failure::Kind {
        crate::failure::Kind::Input
    }
}

/// What became of one request.
#[derive(Debug)]
pub struct Asked {
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
pub trait Watcher {
    /// Output of `tokens` tokens arrived, `at_us` microseconds after sending; the first of a request or a
    /// later one.
    fn output(&self, first: bool, at_us: u64, tokens: u32);
}

/// A request about to be sent.
struct Start<'a> {
    id: &'a str,
    body: Bytes,
    sent: Instant,
    /// A connection that is open already.
    idle: Option<Connection>,
    /// Or the turn to open one.
    turn: Option<SemaphorePermit<'a>>,
}

impl Client {
    /// A client for `target`. Answers' texts are thrown away unless `keep_text`.
    pub fn new(
        target: &Target,
        connector: Connector,
        protocol: Protocol,
        limits: Limits,
        keep_text: bool,
    ) -> Result<Self, BadHeader> {
        let url = target.url(protocol.path());
        let mut headers = HeaderMap::new();
        let mut set = |name, what, value: &str| {
            HeaderValue::from_str(value)
                .map_err(|_| BadHeader { what })
                .map(|value| headers.insert(name, value))
        };
        set(header::HOST, "the server's name", &target.authority())?;
        set(header::CONTENT_TYPE, "", "application/json")?;
        set(header::ACCEPT, "", "text/event-stream")?;
        set(header::USER_AGENT, "", concat!("sparkbench/", env!("CARGO_PKG_VERSION")))?;
        if let Some(key) = &target.api_key {
            set(header::AUTHORIZATION, "the API key", &format!("Bearer {}", key.reveal()))?;
        }
        if let Some(key) = headers.get_mut(header::AUTHORIZATION) {
            key.set_sensitive(true);
        }
        let uri = url.path().parse().map_err(|_| BadHeader { what: "the server's path" })?;
        let (idle, opening) = (RefCell::default(), Semaphore::new(OPENING));
        Ok(Self { connector, uri, headers, protocol, limits, keep_text, idle, opening })
    }

    /// Open so many connections ahead of the requests that will need them at once. Those that cannot be opened
    /// are missing: the requests that then open their own will say why.
    pub async fn open_ahead(&self, count: usize) {
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
    pub async fn ask(self: &Rc<Self>, id: &str, body: Vec<u8>, watcher: &impl Watcher, halt: &Halt) -> Asked {
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
        let start = Start { id, body: body.into(), sent, idle, turn };
        let result = halt.unless_stopped(self.exchange(start, &mut reader, watcher)).await;
        let ended = Instant::now();
        let (answer, outcome) = reader.finish();
        let outcome = match result {
            None => Outcome::Interrupted,
            Some(Ok(())) => outcome,
            Some(Err(Broken { class, message })) => Outcome::Failed { class, message },
        };
        Asked { sent, ended, answer, outcome }
    }

    async fn exchange(
        self: &Rc<Self>,
        start: Start<'_>,
        reader: &mut AnswerReader,
        watcher: &impl Watcher,
    ) -> Result<(), Broken> {
        let sent = start.sent;
        let mut patience = Patience::new(sent, self.limits);
        let (mut connection, response) = self.send(start, &mut patience).await?;
        let (head, mut body) = response.into_parts();
        if head.status != StatusCode::OK {
            let said = self.excerpt(&mut connection, &mut body, &mut patience).await;
            let message =
                format!("HTTP {}{}", head.status, said.map_or(String::new(), |said| format!(": {said}")));
            return Err(Broken { class: FailureClass::HttpStatus, message });
        }
        let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with(b"text/event-stream") {
            let said = self.excerpt(&mut connection, &mut body, &mut patience).await;
            let message = format!(
                "the answer's Content-Type is `{}`, not text/event-stream{}",
                harmless(kind, WORDS),
                said.map_or(String::new(), |said| format!(": {said}")),
            );
            return Err(Broken { class: FailureClass::NotAStream, message });
        }
        let (mut bytes, mut tokens) = (0, 0);
        while let Some(piece) = patience.wait(connection.next(&mut body)).await? {
            let piece = piece.map_err(|error| cut_off(&error))?;
            let read = Instant::now();
            patience.heard(read);
            let at_us = micros(read - sent);
            reader.feed(&piece, at_us)?;
            if reader.tokens_so_far() != tokens {
                watcher.output(tokens == 0, at_us, reader.tokens_so_far().saturating_sub(tokens));
                tokens = reader.tokens_so_far();
            }
            if reader.has_output() {
                patience.has_output();
            }
            if reader.is_finished() {
                self.keep(connection, body);
                return Ok(());
            }
            bytes += piece.len() as u64;
            if bytes > self.limits.answer_bytes {
                let message = format!("more than {} bytes and no end", self.limits.answer_bytes);
                return Err(Broken { class: FailureClass::TooLarge, message });
            }
        }
        self.keep(connection, body);
        Ok(())
    }

    /// Send a request over a connection that is open already, or else over a new one.
    async fn send(
        &self,
        Start { id, body, idle, turn, sent: _ }: Start<'_>,
        patience: &mut Patience,
    ) -> Result<(Connection, Response<Incoming>), Broken> {
        if let Some(mut connection) = idle {
            let request = self.request(id, body.clone())?;
            // A server may close an idle connection at any time. That says nothing about this request, which
            // is simply sent again over a new one; the time it took counts.
            if let Ok(response) = patience.wait(connection.send(request)).await? {
                return Ok((connection, response));
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
        let request = self.request(id, body)?;
        let response =
            patience.wait(connection.send(request)).await?.map_err(|error| match error.is_parse() {
                true => {
                    Broken { class: FailureClass::Malformed, message: format!("no HTTP answer: {error}") }
                }
                false => cut_off(&error),
            })?;
        Ok((connection, response))
    }

    fn connect_limit(&self) -> Duration {
        Duration::from_secs_f64(self.limits.connect_s)
    }

    fn request(&self, id: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Broken> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let id = HeaderValue::from_str(id).map_err(|_| Broken {
            class: FailureClass::Malformed,
            message: format!("`{id}` is no request id"),
        })?;
        request.headers_mut().insert("x-request-id", id);
        Ok(request)
    }

    /// The beginning of a body that is not what was asked for.
    async fn excerpt(
        &self,
        connection: &mut Connection,
        body: &mut Incoming,
        patience: &mut Patience,
    ) -> Option<String> {
        let mut seen = Vec::new();
        let read = async {
            while seen.len() < EXCERPT_BYTES {
                match patience.wait(connection.next(body)).await {
                    Ok(Some(Ok(piece))) => seen.extend_from_slice(&piece),
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
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    /// Read what follows the answer's last event and keep the connection for another request. The caller
    /// does not wait for it: the answer is over.
    fn keep(self: &Rc<Self>, mut connection: Connection, mut body: Incoming) {
        let client = self.clone();
        tokio::task::spawn_local(async move {
            let drained = tokio::time::timeout(DRAIN, async {
                while let Some(piece) = connection.next(&mut body).await {
                    if piece.is_err() {
                        return false;
                    }
                }
                connection.becomes_ready().await
            });
            if drained.await == Ok(true) {
                client.idle.borrow_mut().push((connection, Instant::now()));
            }
        });
    }
}

fn cut_off(error: &hyper::Error) -> Broken {
    let cause = std::error::Error::source(error).map_or(String::new(), |cause| format!(": {cause}"));
    Broken { class: FailureClass::CutOff, message: format!("the connection broke: {error}{cause}") }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
