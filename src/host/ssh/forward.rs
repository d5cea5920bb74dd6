//! Sockets and ports of a node, within reach of this machine.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;

use super::{SshConnection, SshDestination, SshFailure};
use crate::host::{BoxRead, Ending, Here, Host, HostError, HostFailure, HostPath, Process, Program};

const PROBE: &str = include_str!("probe.py");
/// How long one forward may take to be made.
const LIMIT: Duration = Duration::from_secs(30);
/// How often a free port is looked for: another program may take it first.
const PORTS: usize = 5;
/// How long a stream that was closed may take to say so. Its fate was sealed before.
const CLOSED_LIMIT: Duration = Duration::from_millis(20);

/// Why a socket or port of a node is not within reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardFailure {
    /// There is nothing of that name.
    #[error("there is no socket `{0}`")]
    Missing(String),
    /// The account may not use it.
    #[error("the account may not use `{0}`")]
    Denied(String),
    /// It is there, and nobody listens.
    #[error("nobody listens at `{0}`")]
    Deaf(String),
    /// The account could connect to it, but sshd forwards nothing.
    #[error("sshd there lets nobody forward `{place}` ({setting} in its sshd_config)")]
    Forbidden {
        /// What was to be forwarded.
        place: String,
        /// What says so.
        setting: &'static str,
    },
    /// Something else.
    #[error("cannot forward `{place}`: {why}")]
    Other {
        /// What was to be forwarded.
        place: String,
        /// What was noticed.
        why: String,
    },
}

/// A socket or port of a node that is within reach at `L` of this machine, for as long as this is held. Streams that are
/// open when it is dropped stay open.
#[derive(Debug)]
pub struct Forward<L> {
    local: L,
    /// What ssh leaves lying.
    file: Option<PathBuf>,
    spec: String,
    connection: Arc<SshConnection>,
}

impl<L> Forward<L> {
    /// Where it is within reach.
    pub fn local(&self) -> &L {
        &self.local
    }
}

impl SshConnection {
    /// Bring the Unix socket `socket` of the node within reach, at a socket that nobody but this user can use.
    pub async fn forward(self: &Arc<Self>, socket: &HostPath) -> Result<Forward<PathBuf>, HostError> {
        let local = self.master().folder().join(self.next_forward().to_string());
        let spec = format!("{}:{}", escaped(&local.to_string_lossy()), escaped(socket.as_str()));
        self.within_limit(async {
            if !socket.as_str().starts_with('/') {
                let why = "the path of a socket begins with `/`".to_owned();
                return Err(ForwardFailure::Other { place: socket.to_string(), why }.into());
            }
            let forward = self.ask_for(local.clone(), Some(local), spec).await?;
            let try_out =
                UnixStream::connect(forward.local()).await.map(|stream| Box::pin(stream) as BoxRead);
            let place = Place { words: vec![socket.to_string()], setting: "AllowStreamLocalForwarding" };
            self.try_out(place, try_out).await?;
            Ok(forward)
        })
        .await
    }

    /// Bring the port `port` of `host`, a name or address as the node knows it, within reach, at a port of this machine's
    /// loopback: every user of this machine can connect to it.
    pub async fn forward_tcp(
        self: &Arc<Self>,
        host: &str,
        port: u16,
    ) -> Result<Forward<SocketAddr>, HostError> {
        self.within_limit(async {
            if let Err(error) = SshDestination::new(None, host, Some(port)) {
                return Err(ForwardFailure::Other {
                    place: format!("{host} port {port}"),
                    why: error.to_string(),
                }
                .into());
            }
            let mut tries = PORTS;
            let forward = loop {
                let local = free_port().map_err(|error| SshFailure::Local { why: error.to_string() })?;
                let spec = format!("{local}:{}:{port}", bracketed(host));
                tries -= 1;
                match self.ask_for(local, None, spec).await {
                    Err(_) if tries > 0 && self.is_lost().is_none() => {}
                    asked => break asked?,
                }
            };
            let try_out = TcpStream::connect(forward.local()).await.map(|stream| Box::pin(stream) as BoxRead);
            self.try_out(Place::port(host, port), try_out).await?;
            Ok(forward)
        })
        .await
    }

    async fn within_limit<T>(
        &self,
        work: impl Future<Output = Result<T, HostFailure>>,
    ) -> Result<T, HostError> {
        let done = tokio::time::timeout(LIMIT, work).await;
        let late = || Err(SshFailure::TimedOut { step: "forwarding", limit: LIMIT }.into());
        done.unwrap_or_else(|_| late()).map_err(|what| self.fail(what))
    }

    async fn ask_for<L>(
        self: &Arc<Self>,
        local: L,
        file: Option<PathBuf>,
        spec: String,
    ) -> Result<Forward<L>, HostFailure> {
        let forward = Forward { local, file, spec, connection: Arc::clone(self) };
        let place = forward.spec.clone();
        let asked = control(&self.master().socket(), "forward", &forward.spec).await?;
        match asked {
            Ok(()) => Ok(forward),
            Err(_) if self.is_lost().is_some() => Err(SshFailure::Lost { why: self.lost().await }.into()),
            Err(why) => Err(ForwardFailure::Other { place, why }.into()),
        }
    }

    /// What keeps the node itself from connecting to `place`; nothing where it gets there.
    pub(super) async fn unmet(
        self: &Arc<Self>,
        place: &Place,
    ) -> Result<Option<ForwardFailure>, HostFailure> {
        let shown = place.shown();
        let mut probe = Program::new("python3", ["-c", PROBE]);
        probe.argv.extend(place.words.iter().cloned());
        let Process { mut output, mut end, .. } =
            self.remote().start(&probe).await.map_err(|error| error.what)?;
        let mut said = String::new();
        if let Err(error) = (&mut output).take(1000).read_to_string(&mut said).await {
            return Err(ForwardFailure::Other { place: shown, why: error.to_string() }.into());
        }
        if let Ending::Lost { why } = end.ended().await {
            return Err(SshFailure::Lost { why }.into());
        }
        let (name, words) = said.trim().split_once(' ').unwrap_or((said.trim(), ""));
        Ok(Some(match name {
            "open" => return Ok(None),
            "ENOENT" => ForwardFailure::Missing(shown),
            "EACCES" | "EPERM" => ForwardFailure::Denied(shown),
            "ECONNREFUSED" => ForwardFailure::Deaf(shown),
            _ => ForwardFailure::Other { place: shown, why: words.to_owned() },
        }))
    }

    /// See whether something answers behind `stream`, which has just been opened through the forward. The master makes
    /// the way for each stream, and closes it without a word where there is none; the node itself is asked why.
    async fn try_out(
        self: &Arc<Self>,
        place: Place,
        stream: std::io::Result<BoxRead>,
    ) -> Result<(), HostFailure> {
        let mut stream =
            stream.map_err(|error| ForwardFailure::Other { place: place.shown(), why: error.to_string() })?;
        let failure = match self.unmet(&place).await? {
            // The way for our stream was asked for first, so its fate is known by now.
            None => match tokio::time::timeout(CLOSED_LIMIT, stream.read(&mut [0])).await {
                Ok(Ok(0) | Err(_)) => {
                    ForwardFailure::Forbidden { place: place.shown(), setting: place.setting }
                }
                _ => return Ok(()),
            },
            Some(failure) => failure,
        };
        Err(failure.into())
    }
}

/// What is forwarded.
pub(super) struct Place {
    /// As the probe takes it.
    words: Vec<String>,
    /// What of sshd's settings may forbid it.
    setting: &'static str,
}

impl Place {
    pub(super) fn port(host: &str, port: u16) -> Self {
        Self { words: vec![host.to_owned(), port.to_string()], setting: "AllowTcpForwarding" }
    }

    pub(super) fn shown(&self) -> String {
        self.words.join(" port ")
    }
}

impl<L> Drop for Forward<L> {
    fn drop(&mut self) {
        // Without a runtime the harness itself is about to end, and the connection with it.
        let Ok(runtime) = Handle::try_current() else { return };
        let (connection, spec) = (Arc::clone(&self.connection), self.spec.clone());
        let file = self.file.take();
        runtime.spawn(async move {
            // Where this fails there is no connection any more.
            let _ = control(&connection.master().socket(), "cancel", &spec).await;
            if let Some(file) = file {
                // Else it ends with its folder.
                let _ = std::fs::remove_file(file);
            }
        });
    }
}

/// Tell the master. The inner error is its answer.
async fn control(socket: &Path, order: &str, spec: &str) -> Result<Result<(), String>, HostFailure> {
    let socket = socket.to_string_lossy();
    // No config is read, and the destination is a mere word: the master alone is spoken to.
    let words = ["-F", "none", "-S", &socket, "-O", order, "-L", spec, "--", "master"];
    let program = Program { limit: Some(LIMIT), ..Program::new("ssh", words) };
    let started = Here::new().start(&program).await;
    let Process { mut log, mut end, .. } = started.map_err(|HostError { what, .. }| what)?;
    let mut words = String::new();
    // What cannot be read is missing from the message, no more.
    let _ = (&mut log).take(1000).read_to_string(&mut words).await;
    match end.ended().await {
        Ending::Exit(0) => Ok(Ok(())),
        ending if words.is_empty() => Ok(Err(ending.to_string())),
        _ => Ok(Err(words.split_whitespace().collect::<Vec<_>>().join(" "))),
    }
}

fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// As ssh wants paths in what it splits at colons.
fn escaped(path: &str) -> String {
    path.replace('\\', "\\\\").replace(':', "\\:")
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
