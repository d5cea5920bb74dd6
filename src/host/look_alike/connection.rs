//! The streams of a look-alike's program as we hold them, and how they break.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf, Take};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::super::{End, Ending, Process};
use super::{HostFault, HostFaultKind, Streams, lock};

/// A program as whoever started it sees it, over a connection with this fault ahead.
pub(super) fn process(
    wire: Arc<Connection>,
    ours: Streams,
    fault: Option<HostFault>,
    program: AbortHandle,
    told: watch::Receiver<Option<Ending>>,
) -> Process {
    let left = fault.as_ref().map_or(u64::MAX, |fault| fault.after);
    let pipe = Some(ours.output.take(left));
    let mut output = OutputStream { pipe, fault, program: program.clone(), wire: wire.clone() };
    output.strike();
    Process {
        input: Box::pin(InputStream { pipe: Some(ours.input), wire: wire.clone() }),
        output: Box::pin(output),
        log: Box::pin(ours.log),
        end: Box::new(LookAlikeEnd { told, program, wire }),
    }
}

/// The link to one program.
pub(super) struct Connection {
    state: Mutex<ConnectionState>,
    tell: watch::Sender<Option<Ending>>,
}

#[derive(Default)]
struct ConnectionState {
    cut: Option<Cut>,
    /// Pipes nobody holds any more on this side, which a program beyond a broken link must not find closed.
    kept: Vec<DuplexStream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Lost,
    Silent,
}

impl Connection {
    pub(super) fn new(tell: watch::Sender<Option<Ending>>) -> Self {
        Self { state: Mutex::default(), tell }
    }

    fn cut(&self) -> Option<Cut> {
        lock(&self.state).cut
    }

    /// The program has ended, and we hear of it unless the link is broken or it has ended before.
    pub(super) fn ended(&self, ending: Ending) {
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
struct InputStream {
    /// There until it is dropped.
    pipe: Option<DuplexStream>,
    wire: Arc<Connection>,
}

impl InputStream {
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

impl AsyncWrite for InputStream {
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

impl Drop for InputStream {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.wire.release(pipe);
        }
    }
}

/// The program's standard output, read by us.
struct OutputStream {
    /// What comes over before the fault; there until it is dropped.
    pipe: Option<Take<DuplexStream>>,
    fault: Option<HostFault>,
    program: AbortHandle,
    wire: Arc<Connection>,
}

impl OutputStream {
    /// Let the fault happen if its time has come.
    fn strike(&mut self) {
        let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.limit() == 0) else { return };
        let Some(fault) = self.fault.take() else { return };
        match fault.what {
            HostFaultKind::Lost => self.wire.break_off(Cut::Lost),
            HostFaultKind::Silent => self.wire.break_off(Cut::Silent),
            HostFaultKind::Ends(ending) => {
                self.wire.ended(ending);
                self.program.abort();
            }
            HostFaultKind::Unreachable => pipe.set_limit(u64::MAX),
        }
    }
}

impl AsyncRead for OutputStream {
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

impl Drop for OutputStream {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.wire.release(pipe.into_inner());
        }
    }
}

struct LookAlikeEnd {
    told: watch::Receiver<Option<Ending>>,
    program: AbortHandle,
    wire: Arc<Connection>,
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
