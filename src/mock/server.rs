//! Connections, slots, start and stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::endpoints::{self, Reply};
use super::fault::Fault;
use super::load::EngineLoad;
use super::request::{self, Dialect, Wanted};
use super::scenario::Scenario;
use super::sse::Sse;
use super::stream::{self, After, Job};
use super::truth::ServedTruth;
use super::whole;
use super::wire::{self, NoRequest, Received, Writer};
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
    /// The operating system refused a timer.
    #[error("cannot make the mock server's timer: {0}")]
    Timer(#[source] io::Error),
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
    clock: Clock,
    slots: Option<Semaphore>,
    truth: ServedTruth,
    began: Instant,
    load: EngineLoad,
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
        let failed = |source| MockError::Listen { address, source };
        let (listener, bound) = listen().map_err(failed)?;
        let slots = scenario.max_running.map(|running| Semaphore::new(running.max(1) as usize));
        let shared = Arc::new(Shared {
            slots,
            clock: Clock::new().map_err(MockError::Timer)?,
            truth: ServedTruth::new(scenario.truth),
            began: Instant::now(),
            load: EngineLoad::new(),
            scenario,
        });
        Ok(Self { listener, address: bound, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What really leaves it.
    pub fn truth(&self) -> ServedTruth {
        self.shared.truth.clone()
    }

    /// Answer until `stop`. Streams in flight are broken off then.
    pub async fn serve(self, stop: CancellationToken) {
        let shared = self.shared.clone();
        let clock = async move { shared.clock.run().await };
        let mut clock = tokio::spawn(clock);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                // Without it nothing is ever due. It has no reason to end.
                _ = &mut clock => break,
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
        clock.abort();
    }
}

impl Shared {
    /// Answer one connection's requests until it closes.
    async fn converse(&self, socket: TcpStream) -> io::Result<()> {
        let (mut reader, mut writer) = wire::open(socket, self.scenario.refusals)?;
        loop {
            let request = match reader.receive(&mut writer).await {
                Ok(request) => request,
                Err(NoRequest::Closed) => return Ok(()),
                Err(NoRequest::Refused(status, why)) => {
                    writer.refuse(status, why).await?;
                    writer.close().await?;
                    return reader.drain().await;
                }
            };
            let keep_alive = request.keep_alive;
            // A client that closes, if only its own half, has given up: its slot goes to the next, as with
            // servers on uvicorn.
            let after = tokio::select! {
                biased;
                after = self.answer(&mut writer, request) => after?,
                () = reader.gone() => return Ok(()),
            };
            match after {
                After::Reset => return writer.reset(),
                After::Reuse if keep_alive => {}
                After::Reuse | After::Close => return Ok(()),
            }
        }
    }

    async fn answer(&self, writer: &mut Writer, request: Received) -> io::Result<After> {
        let received = Instant::now();
        let scenario = &self.scenario;
        if self.began.elapsed() < scenario.slow_start && !request.path.starts_with("/mock/") {
            writer.refuse(503, "The model is still loading.").await?;
            return Ok(After::Reuse);
        }
        if let Some(key) = &scenario.api_key
            && !request.path.starts_with("/mock/")
            && request.path != "/health"
            && request.authorization.as_deref() != Some(&format!("Bearer {key}"))
        {
            writer.refuse(401, "Unauthorized").await?;
            return Ok(After::Reuse);
        }
        match Dialect::of(&request.path) {
            None => {
                let Received { method, path, body, .. } = &request;
                match endpoints::answer(method, path, body, scenario, self.load.counters(), &self.truth) {
                    Reply::Json(status, value) => writer.answer_json(status, &value).await?,
                    Reply::Text(text) => writer.answer(200, "text/plain", text.as_bytes()).await?,
                    Reply::Refused(status, why) => writer.refuse(status, why).await?,
                }
                Ok(After::Reuse)
            }
            Some(_) if request.method != "POST" => {
                writer.refuse(405, "Method Not Allowed").await?;
                Ok(After::Reuse)
            }
            Some(dialect) => {
                let Received { request_id, body, .. } = request;
                let wanted = request::read(dialect, &body, scenario);
                // Thousands of long prompts need not be kept while they are answered.
                drop(body);
                match wanted {
                    Err(why) => {
                        writer.refuse(400, &why).await?;
                        Ok(After::Reuse)
                    }
                    Ok(wanted) => self.generate(writer, wanted, request_id, received).await,
                }
            }
        }
    }

    async fn generate(
        &self,
        writer: &mut Writer,
        wanted: Wanted,
        request_id: Option<String>,
        received: Instant,
    ) -> io::Result<After> {
        let scenario = &self.scenario;
        let (number, present, _present) = self.load.come();
        if let Some((limit, status)) = scenario.turn_away
            && present > u64::from(limit)
        {
            writer.refuse(status, "The server is overloaded.").await?;
            return Ok(After::Reuse);
        }
        let fault = scenario.fault_of(number);
        match fault {
            Some(Fault::Status(status)) => {
                writer.refuse(status, "The mock was told to refuse this.").await?;
                return Ok(After::Reuse);
            }
            Some(Fault::Html) => {
                let page = b"<!doctype html><title>Sign in</title><p>Please sign in.</p>";
                writer.answer(200, "text/html", page).await?;
                return Ok(After::Reuse);
            }
            _ => {}
        }
        let recorder = self.truth.begin(request_id, received, wanted.stream);
        let (started, _slot) = self.slot(received).await;
        let _running = self.load.run(wanted.prompt_tokens, wanted.tokens);
        let job = Job { scenario, wanted, number, started, fault, load: &self.load, recorder };
        match job.wanted.stream {
            true => stream::write(Sse::new(writer, &self.clock, scenario.wire), job).await,
            false => whole::write(writer, &self.clock, job).await,
        }
    }

    /// A slot to generate in, and when it was had: at once where there is a free one.
    async fn slot(&self, received: Instant) -> (Instant, Option<SemaphorePermit<'_>>) {
        let Some(slots) = &self.slots else {
            return (received, None);
        };
        match slots.try_acquire() {
            Ok(slot) => (received, Some(slot)),
            // Nobody closes it. It is fair: first come, first served.
            Err(_) => {
                let slot = slots.acquire().await.ok();
                (Instant::now(), slot)
            }
        }
    }
}
