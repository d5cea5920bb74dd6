//! The one ssh that holds the connection, which all others go through.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::behind::proxy_command;
use super::failure::LOGGING_IN;
use super::{SshFailure, SshRoute, SshSettings};
use crate::host::{BoxRead, BoxWrite, End, Here, Host, HostError, Process, Program};

const SCRIPT: &str = include_str!("master.sh");
/// What is kept of ssh's error output, bytes: a banner may come before what matters.
const WORDS_BYTES: usize = 16 << 10;
/// A socket's path holds 107 bytes on Linux; ssh makes one 17 longer first, and forwarded sockets lie in the folder too.
const LONGEST_FOLDER: usize = 60;
/// How often the socket is looked for. ssh makes it once the login is done, and there is no word of it.
const LOOK: Duration = Duration::from_millis(10);
/// How long ssh may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);
/// How long its last words may take to arrive once it has ended. What it started may hold the stream open.
const WORDS_LIMIT: Duration = Duration::from_millis(100);

/// A connection that is open, and the folder for its sockets. Both end with it.
#[derive(Debug)]
pub(super) struct Master {
    folder: PathBuf,
    lost: watch::Receiver<Option<String>>,
    _end: DropGuard,
}

impl Master {
    /// To the end of `route`, whose last hop has its master at `proxy`.
    pub(super) async fn open(
        route: &SshRoute,
        proxy: Option<&Path>,
        settings: &SshSettings,
    ) -> Result<Self, SshFailure> {
        let local = |error: io::Error| SshFailure::Local { why: error.to_string() };
        let folder = private_folder().map_err(local)?;
        let program = program(folder.path(), route, proxy, settings)?;
        let process = Here::new().start(&program).await;
        let Process { input, log, end, output: _ } =
            process.map_err(|HostError { what, .. }| SshFailure::Local { why: what.to_string() })?;
        let (tell, mut lost) = watch::channel(None);
        let stop = CancellationToken::new();
        let words = Arc::new(Mutex::new(Vec::new()));
        let path = folder.path().to_owned();
        let watched = Watched { folder, leash: input, log, end, words: Arc::clone(&words) };
        tokio::spawn(watched.see_through(stop.clone(), tell));
        let socket = socket(&path);
        // Whoever is let in has logged in.
        let open = async {
            while UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // ssh keeps to the limit as long as nobody answers, but not while it logs in, nor on the way to a jump host.
        let limit = settings.connect * 2;
        let end = stop.drop_guard();
        tokio::select! {
            words = ended(&mut lost) => Err(SshFailure::of(&words, route, settings.connect)),
            () = open => {
                // What was said until now, a banner, tells nothing about a later end.
                words.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Ok(Self { folder: path, lost, _end: end })
            }
            () = tokio::time::sleep(limit) => Err(SshFailure::TimedOut { step: LOGGING_IN, limit }),
        }
    }

    /// Where the others find it.
    pub(super) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    /// Where forwarded sockets may lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// ssh's last words, once it has ended.
    pub(super) async fn lost(&self) -> String {
        ended(&mut self.lost.clone()).await
    }

    /// The same, if it has ended.
    pub(super) fn is_lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }
}

async fn ended(lost: &mut watch::Receiver<Option<String>>) -> String {
    match lost.wait_for(Option::is_some).await.map(|words| words.clone()) {
        Ok(Some(words)) => words,
        _ => "the runtime that watched over it has ended".to_owned(),
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("master")
}

fn private_folder() -> io::Result<TempDir> {
    let mut parent = std::env::temp_dir();
    if parent.as_os_str().len() > LONGEST_FOLDER {
        parent = PathBuf::from("/tmp");
    }
    tempfile::Builder::new().prefix("spark-").permissions(Permissions::from_mode(0o700)).tempdir_in(parent)
}

fn program(
    folder: &Path,
    route: &SshRoute,
    proxy: Option<&Path>,
    settings: &SshSettings,
) -> Result<Program, SshFailure> {
    let text = |path: &Path| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(SshFailure::Local { why: format!("the path `{}` is not UTF-8", path.display()) }),
    };
    let mut words =
        vec!["-c".to_owned(), SCRIPT.to_owned(), "sh".to_owned(), text(folder)?, "ssh".to_owned()];
    words.extend(settings.config_words());
    words.extend(["-M", "-N", "-T", "-S"].map(str::to_owned));
    words.push(text(&socket(folder))?);
    // A probe each third of the silence that is borne; the third one unanswered is one too many.
    let interval = (settings.silence.as_secs() / 3).max(1);
    for option in [
        "ControlPersist=no",
        "BatchMode=yes",
        // What has to do with us alone: the user's forwards and commands are for the user's own sessions.
        "ClearAllForwardings=yes",
        "RemoteCommand=none",
        // The first level at which it says that the other side is silent.
        "LogLevel=INFO",
        &format!("ConnectTimeout={}", settings.connect.as_secs().max(1)),
        &format!("ServerAliveInterval={interval}"),
        "ServerAliveCountMax=2",
    ] {
        words.extend(["-o".to_owned(), option.to_owned()]);
    }
    if let Some(socket) = proxy {
        words.extend(["-o".to_owned(), format!("ProxyCommand={}", proxy_command(socket))]);
    }
    words.extend(route.to.words());
    Ok(Program::new("sh", words))
}

/// What the task that watches over ssh owns.
struct Watched {
    folder: TempDir,
    /// Ends ssh when it is dropped, by whatever way.
    leash: BoxWrite,
    log: BoxRead,
    end: Box<dyn End>,
    words: Arc<Mutex<Vec<u8>>>,
}

impl Watched {
    async fn see_through(self, stop: CancellationToken, tell: watch::Sender<Option<String>>) {
        let Self { folder, leash, mut log, mut end, words } = self;
        let mut leash = Some(leash);
        let listen = async {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = log.read(&mut piece).await {
                let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
                words.extend_from_slice(&piece[..count]);
                let much = words.len().saturating_sub(WORDS_BYTES);
                words.drain(..much);
            }
        };
        let end = async {
            tokio::select! {
                _ = end.ended() => return,
                () = stop.cancelled() => drop(leash.take()),
            }
            if tokio::time::timeout(END_LIMIT, end.ended()).await.is_err() {
                end.kill();
                end.ended().await;
            }
        };
        let (ended, has_ended) = oneshot::channel();
        let told = async {
            end.await;
            let _ = ended.send(());
        };
        let listen = async {
            let late = async {
                let _ = has_ended.await;
                tokio::time::sleep(WORDS_LIMIT).await;
            };
            tokio::select! { () = listen => {}, () = late => {} }
        };
        tokio::join!(told, listen);
        let words =
            String::from_utf8_lossy(&words.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        tell.send_replace(Some(words));
        drop(folder);
    }
}
