//! Connections, slots, start and stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::endpoints::{self, Answer, Counters};
use super::request::{self, Dialect, Wanted};
use super::scenario::{Fault, Scenario};
use super::stream::{self, After, Job};
use super::tokens;
use super::truth::Truth;
use super::wire::{Connection, NoRequest, Received};
use crate::failure::{Failure, Kind};

/// Connections that may wait to be accepted: a load generator opens thousands at once.
const BACKLOG: u32 = 16_384;

/// The mock cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MockError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The operating system refused a thread.
    #[error("cannot start the mock server's thread: {0}")]
    Thread(#[from] io::Error),
}

impl Failure for MockError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        match self {
            MockError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("another server runs there; choose another --port".into())
            }
            _ => None,
        }
    }
}

/// A mock server that listens.
#[derive(Debug)]
pub struct MockServer {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    scenario: Scenario,
    slots: Option<Semaphore>,
    truth: Truth,
    began: Instant,
    numbers: AtomicU64,
    present: AtomicU64,
    running: AtomicU64,
    prompt_tokens: AtomicU64,
    generated_tokens: AtomicU64,
}

impl MockServer {
    /// Listen on `address`; port 0 is a free one.
    pub async fn bind(scenario: Scenario, address: SocketAddr) -> Result<Self, MockError> {
        let listen = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, bound) = listen().map_err(|source| MockError::Listen { address, source })?;
        let slots = scenario.max_running.map(|running| Semaphore::new(running.max(1) as usize));
        let shared = Arc::new(Shared {
            scenario,
            slots,
            truth: Truth::default(),
            began: Instant::now(),
            numbers: AtomicU64::new(0),
            present: AtomicU64::new(0),
            running: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            generated_tokens: AtomicU64::new(0),
        });
        Ok(Self { listener, address: bound, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What really leaves it.
    pub fn truth(&self) -> Truth {
        self.shared.truth.clone()
    }

    /// Answer until `stop`. Streams in flight are broken off then.
    pub async fn serve(self, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, _)) => {
                    let (shared, stop) = (self.shared.clone(), stop.clone());
                    tokio::spawn(async move {
                        // A client that goes away is none of our business.
                        let _ = stop.run_until_cancelled(shared.converse(socket)).await;
                    });
                }
                // Out of file descriptors, most likely: wait until some are given back.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    }
}

/// A mock server on a thread of its own; it stops when dropped.
#[derive(Debug)]
pub struct RunningMock {
    address: SocketAddr,
    truth: Truth,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Start a mock server on a thread of its own.
pub fn spawn(scenario: Scenario, address: SocketAddr) -> Result<RunningMock, MockError> {
    let stop = CancellationToken::new();
    let until = stop.clone();
    let (bound, ready) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("mock".into()).spawn(move || {
        runtime.block_on(async move {
            match MockServer::bind(scenario, address).await {
                Ok(server) => {
                    // Whoever started it waits for this.
                    let _ = bound.send(Ok((server.address(), server.truth())));
                    server.serve(until).await;
                }
                Err(error) => {
                    let _ = bound.send(Err(error));
                }
            }
        });
    })?;
    let (address, truth) =
        ready.recv().unwrap_or_else(|_| Err(MockError::Thread(io::Error::other("it ended at once"))))?;
    Ok(RunningMock { address, truth, stop, thread: Some(thread) })
}

impl RunningMock {
    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What really leaves it.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }
}

impl Drop for RunningMock {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Counts one up for as long as it lives.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Answer one connection's requests until it closes.
    async fn converse(&self, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let mut connection = Connection::new(socket);
        loop {
            let request = match connection.receive().await {
                Ok(request) => request,
                Err(NoRequest::Closed) => return Ok(()),
                Err(NoRequest::Refused(status, why)) => return connection.refuse(status, why).await,
            };
            let keep_alive = request.keep_alive;
            if self.answer(&mut connection, request).await? == After::Close || !keep_alive {
                return Ok(());
            }
        }
    }

    async fn answer(&self, connection: &mut Connection, request: Received) -> io::Result<After> {
        let received = Instant::now();
        let scenario = &self.scenario;
        if self.began.elapsed() < scenario.slow_start {
            connection.refuse(503, "The model is still loading.").await?;
            return Ok(After::Reuse);
        }
        if let Some(key) = &scenario.api_key
            && !request.path.starts_with("/mock/")
            && request.path != "/health"
            && request.authorization.as_deref() != Some(&format!("Bearer {key}"))
        {
            connection.refuse(401, "Unauthorized").await?;
            return Ok(After::Reuse);
        }
        match Dialect::of(&request.path) {
            None => {
                let Received { method, path, body, .. } = &request;
                match endpoints::answer(method, path, body, scenario, self.counters(), &self.truth) {
                    Answer::Json(status, value) => connection.answer_json(status, &value).await?,
                    Answer::Text(text) => connection.answer(200, "text/plain", text.as_bytes()).await?,
                    Answer::Refused(status, why) => connection.refuse(status, why).await?,
                }
                Ok(After::Reuse)
            }
            Some(_) if request.method != "POST" => {
                connection.refuse(405, "Method Not Allowed").await?;
                Ok(After::Reuse)
            }
            Some(dialect) => {
                match request::read(dialect, &request.body, &scenario.model, scenario.max_model_len) {
                    Err(why) => {
                        connection.refuse(400, &why).await?;
                        Ok(After::Reuse)
                    }
                    Ok(wanted) => self.generate(connection, wanted, request.request_id, received).await,
                }
            }
        }
    }

    async fn generate(
        &self,
        connection: &mut Connection,
        wanted: Wanted,
        request_id: Option<String>,
        received: Instant,
    ) -> io::Result<After> {
        let scenario = &self.scenario;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let _present = Counted::new(&self.present);
        if let Some((limit, status)) = scenario.turn_away
            && self.present.load(Ordering::Relaxed) > u64::from(limit)
        {
            connection.refuse(status, "The server is overloaded.").await?;
            return Ok(After::Reuse);
        }
        let fault =
            scenario.fault.filter(|_| (number + 1).is_multiple_of(u64::from(scenario.fault_every.max(1))));
        match fault {
            Some(Fault::Status(status)) => {
                connection.refuse(status, "The mock was told to refuse this.").await?;
                return Ok(After::Reuse);
            }
            Some(Fault::Html) => {
                let page = b"<!doctype html><title>Sign in</title><p>Please sign in.</p>";
                connection.answer(200, "text/html", page).await?;
                return Ok(After::Reuse);
            }
            _ => {}
        }
        let _slot = self.slot().await;
        let _running = Counted::new(&self.running);
        self.prompt_tokens.fetch_add(u64::from(wanted.prompt_tokens), Ordering::Relaxed);
        self.generated_tokens.fetch_add(u64::from(wanted.tokens), Ordering::Relaxed);
        let started = if self.slots.is_some() { Instant::now() } else { received };
        if !wanted.stream {
            return self.answer_whole(connection, &wanted, number, started).await;
        }
        let job = Job { scenario, wanted, number, request_id, received, started, fault };
        stream::write(connection, job, &self.truth).await
    }

    /// Answer without a stream, once the last token would have been there.
    async fn answer_whole(
        &self,
        connection: &mut Connection,
        wanted: &Wanted,
        number: u64,
        started: Instant,
    ) -> io::Result<After> {
        if let Some(last) = stream::steps(&self.scenario, wanted, number).last() {
            tokio::time::sleep_until((started + last.at).into()).await;
        }
        // The words stand escaped in the source, as they do inside JSON.
        let quoted: String = (0..wanted.tokens).map(tokens::word).collect();
        let text: String = serde_json::from_str(&format!("\"{quoted}\"")).unwrap_or_default();
        let usage = json!({
            "prompt_tokens": wanted.prompt_tokens,
            "completion_tokens": wanted.tokens,
            "total_tokens": wanted.prompt_tokens + wanted.tokens,
        });
        let model = &self.scenario.model;
        let whole = match wanted.dialect {
            Dialect::Chat => {
                json!({"id": format!("chatcmpl-{number}"), "object": "chat.completion", "model": model,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"}],
                "usage": usage})
            }
            Dialect::Completions => {
                json!({"id": format!("cmpl-{number}"), "object": "text_completion", "model": model,
                "choices": [{"index": 0, "text": text, "finish_reason": "length"}], "usage": usage})
            }
            Dialect::Generate => json!({"text": text, "meta_info": {"id": number.to_string(),
                "finish_reason": {"type": "length", "length": wanted.tokens},
                "prompt_tokens": wanted.prompt_tokens, "completion_tokens": wanted.tokens, "cached_tokens": 0}}),
        };
        connection.answer_json(200, &whole).await?;
        Ok(After::Reuse)
    }

    async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        match &self.slots {
            // Nobody closes it.
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        }
    }

    fn counters(&self) -> Counters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            running: load(&self.running),
            waiting: load(&self.present).saturating_sub(load(&self.running)),
            requests: load(&self.numbers),
            prompt_tokens: load(&self.prompt_tokens),
            generated_tokens: load(&self.generated_tokens),
        }
    }
}
