//! A look-alike of an engine: what `host/engine/` uses of Docker's API 1.41, on a socket in a folder of its own.
//!
//! Containers and images are notes in memory. A container's programs are processes of this machine, in no namespace and
//! with this machine's files, so that neither root nor an engine is needed. What it cannot be honest about it refuses: it
//! builds no images and has no registry behind it. It misbehaves as it is told.

mod answer;
mod containers;
mod exec;
mod images;
mod server;
mod state;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hyper::Method;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::state::{Shared, State};
use super::{Engine, EngineAddress};
use crate::host::HostPath;

/// What it does in place of what it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misdeed {
    /// It says no, with this status.
    Refuses(u16),
    /// It does nothing and says nothing.
    Hangs,
    /// It does what it is asked, and its answer ends half-way.
    CutsOff,
    /// It ends, as by `kill -9`, and does not do what it was asked.
    Dies,
}

/// An engine that is there until this is dropped, its containers' programs too.
pub(super) struct LookAlikeEngine {
    folder: TempDir,
    state: Shared,
    serving: Option<Serving>,
}

struct Serving {
    stop: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

impl LookAlikeEngine {
    /// One with the images of the test cluster.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("no-python");
        std::fs::create_dir(&bin).unwrap();
        for program in ["sh", "sleep"] {
            std::os::unix::fs::symlink(found(program), bin.join(program)).unwrap();
        }
        let state = Arc::new(Mutex::new(State::new(&bin)));
        let mut engine = Self { folder, state, serving: None };
        engine.serve();
        engine
    }

    /// Serve, again after it has died: containers and images are as they were, but nobody waits for those that ran.
    pub(super) fn serve(&mut self) {
        self.end();
        let path = self.socket();
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = CancellationToken::new();
        let (state, until) = (Arc::clone(&self.state), stop.clone());
        // Its own, so that a test which waits for something else does not hold it up.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server::serve(listener, state, until));
        });
        self.serving = Some(Serving { stop, thread });
    }

    /// Let it misbehave once, when it is next asked for this.
    pub(super) fn expect(&self, method: Method, path_ends: &'static str, misdeed: Misdeed) {
        self.state.lock().unwrap().misdeeds.push((method, path_ends, misdeed));
    }

    /// Whether it has been asked for all of that.
    pub(super) fn has_misbehaved(&self) -> bool {
        self.state.lock().unwrap().misdeeds.is_empty()
    }

    pub(super) async fn connect(&self) -> Engine {
        let address = EngineAddress::unix(&self.socket()).unwrap();
        Engine::connect(address, "n-test".parse().unwrap()).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A folder that its containers share with this machine.
    pub(super) fn shared(&self) -> HostPath {
        let folder = self.folder.path().join("shared");
        std::fs::create_dir_all(&folder).unwrap();
        HostPath::try_from(&*folder).unwrap()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn end(&mut self) {
        if let Some(Serving { stop, thread }) = self.serving.take() {
            stop.cancel();
            thread.join().unwrap();
        }
    }
}

impl Drop for LookAlikeEngine {
    fn drop(&mut self) {
        self.end();
        self.state.lock().unwrap().kill_all();
    }
}

/// Where a program of this machine lies.
fn found(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| Path::exists(path))
        .unwrap_or_else(|| panic!("no {program} on this machine"))
}
