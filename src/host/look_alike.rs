//! A host that is not there: its programs are futures of this process, its files lie in memory, and its link breaks
//! where it is told to.
//!
//! It waits for nothing but tokio's clock, so that a test under `tokio::time::pause` takes no time and always goes
//! the same way; a host costs a few kilobytes a running program.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf, Take};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{End, Ending, Host, HostError, HostFailure, HostPath, Process, Program, ShellLine, Tree};
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
pub struct Trouble {
    /// Bytes of its standard output that still come over.
    pub after: u64,
    /// What happens then.
    pub what: TroubleKind,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TroubleKind {
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
    files: Mutex<Files>,
    troubles: Mutex<VecDeque<Option<Trouble>>>,
    running: Arc<AtomicUsize>,
    ends: Mutex<Vec<(AbortHandle, Arc<Wire>)>>,
}

#[derive(Default)]
struct Files {
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
        let files = Files { folders: BTreeSet::from([String::new()]), ..Files::default() };
        Self {
            name,
            run: Box::new(run),
            files: Mutex::new(files),
            troubles: Mutex::default(),
            running: Arc::default(),
            ends: Mutex::default(),
        }
    }

    /// What befalls the next programs started, in turn; `None` is spared, and so is whatever comes after the last.
    pub fn expect(&self, troubles: impl IntoIterator<Item = Option<Trouble>>) {
        lock(&self.troubles).extend(troubles);
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
        let trouble = lock(&self.troubles).pop_front().flatten();
        if trouble.as_ref().is_some_and(|trouble| trouble.what == TroubleKind::Unreachable) {
            return Err(HostFailure::Unreachable { why: "told to be".into() });
        }
        let ((input, stdin), (output, stdout), (log, stderr)) =
            (tokio::io::duplex(PIPE), tokio::io::duplex(PIPE), tokio::io::duplex(PIPE));
        let Some(running) = (self.run)(program, Streams { input: stdin, output: stdout, log: stderr }) else {
            let source = io::ErrorKind::NotFound.into();
            return Err(HostFailure::Start { program: program.name().to_owned(), source });
        };
        let (tell, told) = watch::channel(None);
        let wire = Arc::new(Wire { state: Mutex::default(), tell });
        let (limit, count) = (program.limit, Counted::new(&self.running));
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
        let left = trouble.as_ref().map_or(u64::MAX, |trouble| trouble.after);
        let mut output = Output { pipe: Some(output.take(left)), trouble, program: program.clone(), wire };
        output.strike();
        let wire = output.wire.clone();
        Ok(Process {
            input: Box::pin(Input { pipe: Some(input), wire: wire.clone() }),
            output: Box::pin(output),
            log: Box::pin(log),
            end: Box::new(LookAlikeEnd { told, program, wire }),
        })
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
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::SeqCst);
        Self(running.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The link to one program.
struct Wire {
    state: Mutex<WireState>,
    tell: watch::Sender<Option<Ending>>,
}

#[derive(Default)]
struct WireState {
    cut: Option<Cut>,
    /// Pipes nobody holds any more on this side, which a program beyond a broken link must not find closed.
    kept: Vec<DuplexStream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Lost,
    Silent,
}

impl Wire {
    fn cut(&self) -> Option<Cut> {
        lock(&self.state).cut
    }

    /// The program has ended, and we hear of it unless the link is broken or it has ended before.
    fn ended(&self, ending: Ending) {
        if self.cut().is_none() {
            self.settle(ending);
        }
    }

    fn settle(&self, ending: Ending) {
        self.tell.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert(ending);
            first
        });
    }

    fn break_off(&self, cut: Cut) {
        lock(&self.state).cut = Some(cut);
        if cut == Cut::Lost {
            self.settle(Ending::Lost { why: "connection reset".into() });
        }
    }

    /// This side of a pipe is dropped: it is closed for the program, unless the link is broken.
    fn release(&self, pipe: DuplexStream) {
        let mut state = lock(&self.state);
        if state.cut.is_some() {
            state.kept.push(pipe);
        }
    }
}

/// The program's standard input, written to by us.
struct Input {
    /// There until it is dropped.
    pipe: Option<DuplexStream>,
    wire: Arc<Wire>,
}

impl Input {
    fn poll<T>(
        &mut self,
        lost: T,
        poll: impl FnOnce(Pin<&mut DuplexStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match (self.wire.cut(), &mut self.pipe) {
            (None, Some(pipe)) => poll(Pin::new(pipe)),
            (Some(Cut::Silent), _) => Poll::Ready(Ok(lost)),
            (Some(Cut::Lost), _) | (None, None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl AsyncWrite for Input {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(bytes.len(), |pipe| pipe.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll((), |pipe| pipe.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll((), |pipe| pipe.poll_shutdown(cx))
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.wire.release(pipe);
        }
    }
}

/// The program's standard output, read by us.
struct Output {
    /// What comes over before the trouble; there until it is dropped.
    pipe: Option<Take<DuplexStream>>,
    trouble: Option<Trouble>,
    program: AbortHandle,
    wire: Arc<Wire>,
}

impl Output {
    /// Let the trouble happen if its time has come.
    fn strike(&mut self) {
        let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.limit() == 0) else { return };
        let Some(trouble) = self.trouble.take() else { return };
        match trouble.what {
            TroubleKind::Lost => self.wire.break_off(Cut::Lost),
            TroubleKind::Silent => self.wire.break_off(Cut::Silent),
            TroubleKind::Ends(ending) => {
                self.wire.ended(ending);
                self.program.abort();
            }
            TroubleKind::Unreachable => pipe.set_limit(u64::MAX),
        }
    }
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match (self.wire.cut(), &mut self.pipe) {
            // Never woken: nothing will come.
            (Some(Cut::Silent), _) => Poll::Pending,
            (Some(Cut::Lost), _) | (_, None) => Poll::Ready(Ok(())),
            (None, Some(pipe)) => {
                let read = Pin::new(pipe).poll_read(cx, buf);
                self.strike();
                read
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.wire.release(pipe.into_inner());
        }
    }
}

struct LookAlikeEnd {
    told: watch::Receiver<Option<Ending>>,
    program: AbortHandle,
    wire: Arc<Wire>,
}

impl End for LookAlikeEnd {
    fn ended(&mut self) -> BoxFuture<'_, Ending> {
        async {
            match self.told.wait_for(Option::is_some).await.map(|ending| ending.clone()) {
                Ok(Some(ending)) => ending,
                _ => Ending::Lost { why: "the program panicked".into() },
            }
        }
        .boxed()
    }

    fn kill(&mut self) {
        match self.wire.cut() {
            None => {
                self.wire.ended(Ending::Signal(9));
                self.program.abort();
            }
            // Whoever asked is told at last that nobody answers.
            Some(_) => self.wire.settle(Ending::Lost { why: "no answer".into() }),
        }
    }
}

impl Drop for LookAlikeEnd {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests;
