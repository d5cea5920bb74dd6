//! A node's connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::master::Master;
use super::{SshDestination, SshFailure, SshHop, SshRoute};
use crate::host::remote::mark;
use crate::host::{Ending, Here, Host, HostError, HostFailure, Process, Program};
use crate::host_name::HostName;

/// Programs and file transfers at a time. sshd carries 10 sessions a connection (`MaxSessions`) unless told otherwise;
/// the other two are for ending programs.
const PROGRAMS: usize = 8;
const ENDINGS: usize = 2;
/// How long one waits for its turn. Less than hosts give a program to start, so that the reason is told.
const TURN_LIMIT: Duration = Duration::from_secs(20);
/// How long after a connection that goes through another one that one may be lost too.
const TOGETHER: Duration = Duration::from_millis(200);
/// What a login shell may say when it is asked for a word, bytes.
const GREETING_BYTES: u64 = 64 << 10;
/// What of that is shown, characters.
const SHOWN: usize = 300;

/// How a node is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSettings {
    /// The config that ssh reads; the user's own, and the system's, where not given.
    pub config: Option<PathBuf>,
    /// How long the node may take to answer; the login and the first word of its shell may take as long again each.
    /// Whole seconds, at least one.
    pub connect: Duration,
    /// How long an open connection may be silent, though asked for a sign of life, before it is given up. Whole seconds,
    /// a multiple of three.
    pub silence: Duration,
}

impl Default for SshSettings {
    /// Ten seconds, and fifteen.
    fn default() -> Self {
        Self { config: None, connect: Duration::from_secs(10), silence: Duration::from_secs(15) }
    }
}

impl SshSettings {
    /// The words that tell ssh which config it reads.
    pub(super) fn config_words(&self) -> Vec<String> {
        let config = self.config.as_ref().map(|path| ["-F".to_owned(), path.to_string_lossy().into_owned()]);
        config.into_iter().flatten().collect()
    }
}

/// An open connection to a node. It closes when the last that holds it lets go of it, and when the harness ends, however
/// that happens.
#[derive(Debug)]
pub struct SshConnection {
    name: HostName,
    /// The one that this goes through, which it keeps open.
    through: Option<Arc<SshConnection>>,
    destination: SshDestination,
    settings: SshSettings,
    master: Master,
    programs: Arc<Semaphore>,
    endings: Arc<Semaphore>,
    forwards: AtomicU64,
}

/// What waits behind whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Programs and file transfers.
    Programs,
    /// What ends programs, and must not wait for them.
    Endings,
}

fn route(through: Option<&SshConnection>, to: &SshDestination) -> SshRoute {
    let mut hops = Vec::new();
    let mut next = through;
    while let Some(hop) = next {
        hops.push(SshHop { node: hop.name.clone(), at: hop.destination.clone() });
        next = hop.through.as_deref();
    }
    hops.reverse();
    SshRoute { through: hops, to: to.clone() }
}

impl SshConnection {
    /// Connect to the node `name` and see that its shell runs commands. Within the limits of `settings` it is done or
    /// has failed.
    pub async fn open(
        name: HostName,
        destination: SshDestination,
        settings: SshSettings,
    ) -> Result<Arc<Self>, HostError> {
        let opened = Self::open_through(None, name.clone(), destination, settings).await;
        opened.map_err(|what| HostError { on: name, what: what.into() })
    }

    /// The same through an open connection to another node, where there is one.
    pub(super) async fn open_through(
        through: Option<Arc<Self>>,
        name: HostName,
        destination: SshDestination,
        settings: SshSettings,
    ) -> Result<Arc<Self>, SshFailure> {
        let route = route(through.as_deref(), &destination);
        let proxy = through.as_ref().map(|through| through.master.socket());
        let master = match (Master::open(&route, proxy.as_deref(), &settings).await, &through) {
            (Err(failure), Some(through)) => return Err(through.of_one_behind(failure, &destination).await),
            (opened, _) => opened?,
        };
        let programs = Arc::new(Semaphore::new(PROGRAMS));
        let endings = Arc::new(Semaphore::new(ENDINGS));
        let forwards = AtomicU64::new(0);
        let connection = Self { name, through, destination, settings, master, programs, endings, forwards };
        connection.greet().await?;
        Ok(Arc::new(connection))
    }

    pub(super) fn name(&self) -> &HostName {
        &self.name
    }

    /// The way there.
    pub(super) fn route(&self) -> SshRoute {
        route(self.through.as_deref(), &self.destination)
    }

    pub(super) fn settings(&self) -> &SshSettings {
        &self.settings
    }

    pub(super) fn master(&self) -> &Master {
        &self.master
    }

    pub(super) fn fail(&self, what: impl Into<HostFailure>) -> HostError {
        HostError { on: self.name.clone(), what: what.into() }
    }

    /// A number that no other forward of this connection has.
    pub(super) fn next_forward(&self) -> u64 {
        self.forwards.fetch_add(1, Ordering::Relaxed)
    }

    /// Why the connection was lost, if it was.
    pub(super) fn is_lost(&self) -> Option<String> {
        self.master.is_lost().map(|words| self.why_lost(&words))
    }

    /// Why the connection was lost, once it is.
    pub(super) async fn lost(&self) -> String {
        let words = self.master.lost().await;
        if let Some(through) = &self.through {
            // It is noticed of both at once, in any order.
            let _ = tokio::time::timeout(TOGETHER, through.master.lost()).await;
        }
        self.why_lost(&words)
    }

    /// What ssh's last words come to.
    fn why_lost(&self, words: &str) -> String {
        match self.through.as_ref().and_then(|through| Some((&through.name, through.is_lost()?))) {
            Some((through, why)) => format!("it went through {through}: {why}"),
            None => SshFailure::lost(words, self.settings.silence),
        }
    }

    /// Wait in `queue` for a session.
    pub(super) async fn turn(&self, queue: Queue) -> Result<OwnedSemaphorePermit, SshFailure> {
        let sessions = match queue {
            Queue::Programs => &self.programs,
            Queue::Endings => &self.endings,
        };
        tokio::select! {
            turn = tokio::time::timeout(TURN_LIMIT, Arc::clone(sessions).acquire_owned()) => match turn {
                Ok(Ok(turn)) => Ok(turn),
                // Nobody closes it.
                Ok(Err(_)) | Err(_) => Err(SshFailure::Busy { running: PROGRAMS }),
            },
            why = self.lost() => Err(SshFailure::Lost { why }),
        }
    }

    /// ssh through the open connection, for the login shell there to read `line`.
    pub(super) async fn session(&self, line: &str) -> Result<Process, HostFailure> {
        if let Some(why) = self.is_lost() {
            return Err(SshFailure::Lost { why }.into());
        }
        let mut words = self.settings.config_words();
        words.extend(["-T", "-S"].map(str::to_owned));
        words.push(self.master.socket().to_string_lossy().into_owned());
        for option in [
            // Where there is no master, ssh would become one, or connect by itself.
            "ControlMaster=no",
            "ProxyCommand=false",
            "BatchMode=yes",
            "ClearAllForwardings=yes",
            "RemoteCommand=none",
            "LogLevel=ERROR",
        ] {
            words.extend(["-o".to_owned(), option.to_owned()]);
        }
        words.extend(self.destination.words());
        words.push(line.to_owned());
        let started = Here::new().start(&Program::new("ssh", words)).await;
        started.map_err(|HostError { what, .. }| what)
    }

    /// Have the login shell say a word.
    async fn greet(&self) -> Result<(), SshFailure> {
        let limit = self.settings.connect;
        let mark = mark();
        let said = async {
            // The same words to every shell there is.
            let line = format!("echo {mark}");
            let process = self.session(&line).await;
            let Process { input, output, log, mut end } = process.map_err(|what| match what {
                HostFailure::Ssh(failure) => *failure,
                what => SshFailure::Local { why: what.to_string() },
            })?;
            drop(input);
            let (mut said, mut logged) = (Vec::new(), Vec::new());
            let (mut output, mut log) = (output.take(GREETING_BYTES), log.take(GREETING_BYTES));
            // What cannot be read is missing, which is told.
            let _ = tokio::join!(output.read_to_end(&mut said), log.read_to_end(&mut logged));
            if memchr::memmem::find(&said, mark.as_bytes()).is_some() {
                return Ok(());
            }
            let ending = self.ending(end.ended().await).await;
            if let Ending::Lost { why } = ending {
                return Err(SshFailure::Lost { why });
            }
            if memchr::memmem::find(&logged, b"Session open refused by peer").is_some() {
                return Err(SshFailure::NoSession);
            }
            said.extend_from_slice(&logged);
            let words = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
            let words = if words.is_empty() { ending.to_string() } else { words };
            Err(SshFailure::NoShell { words: words.chars().take(SHOWN).collect() })
        };
        match tokio::time::timeout(limit, said).await {
            Ok(said) => said,
            Err(_) => Err(SshFailure::TimedOut { step: "the first word of the login shell", limit }),
        }
    }

    /// What the end of a session's ssh says of what ran there.
    pub(super) async fn ending(&self, ending: Ending) -> Ending {
        /// ssh's own failures, and those of programs that end with the same.
        const AMBIGUOUS: i32 = 255;
        /// A lost connection ends the sessions and the master, in any order.
        const LATER: Duration = Duration::from_secs(1);
        if ending != Ending::Exit(AMBIGUOUS) {
            return ending;
        }
        match tokio::time::timeout(LATER, self.lost()).await {
            Ok(why) => Ending::Lost { why },
            Err(_) => ending,
        }
    }
}
