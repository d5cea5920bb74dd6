//! A host that is not there: its programs are futures of this process, its files lie in memory, and its link breaks
//! where it is told to.
//!
//! It waits for nothing but tokio's clock, so that a test under `tokio::time::pause` takes no time and always goes
//! the same way; a host costs a few kilobytes a running program.

mod connection;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::connection::Connection;
use super::{Ending, Host, HostError, HostFailure, HostPath, Process, Program, ShellLine, Tree};
use crate::host_name::HostName;

/// What a pipe holds before its writer waits, bytes.
const PIPE: usize = 4096;

/// A program's side of its streams.
#[derive(Debug)]
pub struct Streams {
    /// Its standard input.
    pub input: DuplexStream,
    /// Its standard output.
    pub output: DuplexStream,
    /// Its standard error.
    pub log: DuplexStream,
}

/// What happens to a program, or to the link to it, once so much of its output has come over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFault {
    /// Bytes of its standard output that still come over.
    pub after: u64,
    /// What happens then.
    pub what: HostFaultKind,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostFaultKind {
    /// The link is lost, and that is noticed. The program goes on and hears nothing.
    Lost,
    /// Nothing comes over any more in either direction, and nobody is told. The program goes on.
    Silent,
    /// The program ends like this.
    Ends(Ending),
    /// The host cannot be reached to start it.
    Unreachable,
}

type Run = dyn Fn(&Program, Streams) -> Option<BoxFuture<'static, Ending>> + Send + Sync;

/// A host whose programs are what `run` makes of them.
pub struct LookAlike {
    name: HostName,
    run: Box<Run>,
    files: Mutex<Disk>,
    faults: Mutex<VecDeque<Option<HostFault>>>,
    running: Arc<AtomicUsize>,
    ends: Mutex<Vec<(AbortHandle, Arc<Connection>)>>,
}

#[derive(Default)]
struct Disk {
    folders: BTreeSet<String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for LookAlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookAlike").field("name", &self.name).finish_non_exhaustive()
    }
}

impl LookAlike {
    /// A host that runs what `run` knows; other programs are not there. Its one folder is `/`.
    pub fn new(
        name: HostName,
        run: impl Fn(&Program, Streams) -> Option<BoxFuture<'static, Ending>> + Send + Sync + 'static,
    ) -> Self {
        let files = Disk { folders: BTreeSet::from([String::new()]), ..Disk::default() };
        Self {
            name,
            run: Box::new(run),
            files: Mutex::new(files),
            faults: Mutex::default(),
            running: Arc::default(),
            ends: Mutex::default(),
        }
    }

    /// What befalls the next programs started, in turn; `None` is spared, and so is whatever comes after the last.
    pub fn expect(&self, faults: impl IntoIterator<Item = Option<HostFault>>) {
        lock(&self.faults).extend(faults);
    }

    /// Programs that run now, those included that nobody hears of any more.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// End every program that runs, as a machine that lacks memory does.
    pub fn kill_all(&self) {
        for (program, wire) in lock(&self.ends).drain(..) {
            wire.ended(Ending::Signal(9));
            program.abort();
        }
    }

    fn fail<T>(&self, what: HostFailure) -> Result<T, HostError> {
        Err(HostError { on: self.name.clone(), what })
    }

    fn launch(&self, program: &Program) -> Result<Process, HostFailure> {
        program.check()?;
        let fault = lock(&self.faults).pop_front().flatten();
        if fault.as_ref().is_some_and(|fault| fault.what == HostFaultKind::Unreachable) {
            return Err(HostFailure::Unreachable { why: "told to be".into() });
        }
        let ((input, stdin), (output, stdout), (log, stderr)) =
            (tokio::io::duplex(PIPE), tokio::io::duplex(PIPE), tokio::io::duplex(PIPE));
        let Some(running) = (self.run)(program, Streams { input: stdin, output: stdout, log: stderr }) else {
            let source = io::ErrorKind::NotFound.into();
            return Err(HostFailure::Start { program: program.name().to_owned(), source });
        };
        let (tell, told) = watch::channel(None);
        let wire = Arc::new(Connection::new(tell));
        let (limit, count) = (program.limit, Running::new(&self.running));
        let task = tokio::spawn({
            let wire = wire.clone();
            async move {
                let _count = count;
                let ending = match limit {
                    Some(limit) => tokio::time::timeout(limit, running).await.unwrap_or(Ending::Signal(9)),
                    None => running.await,
                };
                wire.ended(ending);
            }
        });
        let program = task.abort_handle();
        let mut ends = lock(&self.ends);
        ends.retain(|(program, _)| !program.is_finished());
        ends.push((program.clone(), wire.clone()));
        drop(ends);
        Ok(connection::process(wire, Streams { input, output, log }, fault, program, told))
    }
}

impl Host for LookAlike {
    fn name(&self) -> &HostName {
        &self.name
    }

    fn start<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Process, HostError>> {
        async { self.launch(program).or_else(|what| self.fail(what)) }.boxed()
    }

    fn put<'a>(&'a self, tree: &'a Tree, into: &'a HostPath) -> BoxFuture<'a, Result<(), HostError>> {
        async {
            let mut lie = lock(&self.files);
            for (place, bytes) in tree.files() {
                let path = into.join(place).as_str().to_owned();
                let mut folder = folder(&path);
                while lie.folders.insert(folder.to_owned()) {
                    folder = self::folder(folder);
                }
                lie.files.insert(path, bytes.to_vec());
            }
            Ok(())
        }
        .boxed()
    }

    fn get<'a>(&'a self, path: &'a HostPath, most: u64) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        async move {
            match lock(&self.files).files.get(path.as_str()) {
                Some(bytes) if bytes.len() as u64 <= most => Ok(bytes.clone()),
                Some(_) => self.fail(HostFailure::TooLarge { path: path.clone(), most }),
                None => {
                    let source = io::ErrorKind::NotFound.into();
                    self.fail(HostFailure::Read { path: path.clone(), source })
                }
            }
        }
        .boxed()
    }

    fn replace<'a>(&'a self, path: &'a HostPath, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), HostError>> {
        async move {
            let mut lie = lock(&self.files);
            if !lie.folders.contains(folder(path.as_str())) {
                let source =
                    io::Error::new(io::ErrorKind::NotFound, format!("cannot write `{path}`: no folder"));
                return self.fail(HostFailure::Write { path: path.clone(), source });
            }
            lie.files.insert(path.as_str().to_owned(), bytes.to_vec());
            Ok(())
        }
        .boxed()
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        ShellLine::of(program)
    }
}

/// The folder a path lies in; of the root, the root.
fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One program that runs.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::SeqCst);
        Self(running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
