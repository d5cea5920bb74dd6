//! One HTTP/1.1 connection: a request out, its answer's head and then its body in.
//!
//! Written by hand, because it is the hot path: the task that waits for a token reads it from the socket,
//! takes its bytes out of their chunk and decodes them, where a library hands each piece from one task or
//! buffer to another. Only what a streamed answer needs is here; nothing is pipelined, and a connection that
//! is not as it should be serves no further request.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use super::framing::Framing;
use super::head::{self, Head};
use super::transport::Transport;
use crate::bench::record::FailureClass;
use crate::bench::stream::Broken;

/// Bytes read at a time. All connections of a thread read into one buffer: what is read is decoded before
/// anything else is read.
const READ: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// One connection to the server.
#[derive(Debug)]
pub(super) struct Connection {
    transport: Transport,
    /// What came with the head and lies behind it.
    unread: Vec<u8>,
    /// When what was read last arrived.
    arrived: Instant,
    /// The body being read.
    framing: Framing,
    keeps_alive: bool,
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyRead {
    /// Bytes of the body, and more may come.
    More,
    /// Its end.
    End,
}

impl Connection {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport,
            unread: Vec::new(),
            arrived: Instant::now(),
            framing: Framing::Length(0),
            keeps_alive: true,
        }
    }

    /// Send a request and wait for the head of its answer. A server may answer before it has read everything (that
    /// a body is too long, say): then the rest is not sent, and the connection serves no further request.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<Head, Broken> {
        let (mut unsent, mut broken) = (request, None);
        let mut seen = Vec::new();
        loop {
            match head::read(&seen).map_err(|error| malformed(&error.to_string()))? {
                head::Read::Whole(size, head) => {
                    seen.drain(..size);
                    self.unread = seen;
                    self.framing = head.framing.clone();
                    self.keeps_alive = head.keeps_alive && unsent.is_empty() && broken.is_none();
                    return Ok(head);
                }
                head::Read::Interim(size) => {
                    seen.drain(..size);
                    continue;
                }
                head::Read::Partial => {}
            }
            let size = poll_fn(|cx| {
                if let Poll::Ready(Err(error)) = self.transport.poll_send(cx, &mut unsent) {
                    // What the server may have said before says more than that the rest could not be sent.
                    (unsent, broken) = (&[], Some(error));
                }
                self.poll_receive(cx, |_, came| {
                    seen.extend_from_slice(came);
                    came.len()
                })
            });
            match (size.await, broken.take()) {
                (Ok(0) | Err(_), Some(unsent)) => return Err(cut_off(&unsent)),
                (Ok(0), None) => return Err(ended("before its head was over")),
                (Err(error), None) => return Err(cut_off(&error)),
                (Ok(_), error) => broken = error,
            }
        }
    }

    /// Wait for more of the body, and give what came with the time it arrived to `take`, piece by piece. A
    /// piece that `take` refuses ends the answer.
    pub(super) async fn hear(
        &mut self,
        take: &mut impl FnMut(&[u8], Instant) -> Result<(), Broken>,
    ) -> Result<BodyRead, Broken> {
        poll_fn(|cx| self.poll_hear(cx, take)).await
    }

    fn poll_hear(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(&[u8], Instant) -> Result<(), Broken>,
    ) -> Poll<Result<BodyRead, Broken>> {
        if !self.unread.is_empty() {
            let came = std::mem::take(&mut self.unread);
            return Poll::Ready(self.deliver(&came, take));
        }
        if self.framing.is_over() {
            return Poll::Ready(Ok(BodyRead::End));
        }
        let heard = ready!(self.poll_receive(cx, |connection, came| match came.is_empty() {
            false => connection.deliver(came, take),
            true if connection.framing.may_end() => {
                connection.framing = Framing::Length(0);
                Ok(BodyRead::End)
            }
            true => Err(ended("before its body was over")),
        }));
        Poll::Ready(heard.unwrap_or_else(|error| Err(cut_off(&error))))
    }

    fn deliver(
        &mut self,
        mut came: &[u8],
        take: &mut impl FnMut(&[u8], Instant) -> Result<(), Broken>,
    ) -> Result<BodyRead, Broken> {
        while let Some(piece) = self.framing.next(&mut came).map_err(|error| malformed(&error.to_string()))? {
            take(piece, self.arrived)?;
        }
        // What lies behind the body is nobody's: nothing was asked yet.
        self.keeps_alive &= came.is_empty();
        Ok(if self.framing.is_over() { BodyRead::End } else { BodyRead::More })
    }

    /// When what was heard last arrived: the last bytes, or the end.
    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Read on to the body's end; whether the connection could serve another request then.
    pub(super) async fn drain(&mut self) -> bool {
        loop {
            match self.hear(&mut |_, _| Ok(())).await {
                Ok(BodyRead::More) => {}
                Ok(BodyRead::End) => return self.is_free(),
                Err(_) => return false,
            }
        }
    }

    /// Whether it could serve another request, as far as this machine has heard: the last answer has been
    /// read to its end, and the server has not closed. Nobody looks at an idle connection, so this does:
    /// llama.cpp's server closes after every streamed answer without a word in its head.
    pub(super) fn is_free(&mut self) -> bool {
        if !(self.keeps_alive && self.framing.is_over() && self.unread.is_empty()) {
            return false;
        }
        // Whatever comes unasked, the end or bytes, it is of no use any more.
        let mut nobody = Context::from_waker(Waker::noop());
        self.poll_receive(&mut nobody, |_, _| ()).is_pending()
    }

    /// Read once, and give what came (nothing at the end) to `with`.
    fn poll_receive<T>(
        &mut self,
        cx: &mut Context<'_>,
        with: impl FnOnce(&mut Self, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        SCRATCH.with_borrow_mut(|buffer| {
            let (size, at) = ready!(self.transport.poll_receive(cx, buffer))?;
            // An end has no stamp.
            self.arrived = if size == 0 { Instant::now() } else { at };
            Poll::Ready(Ok(with(self, &buffer[..size])))
        })
    }
}

fn malformed(why: &str) -> Broken {
    Broken { class: FailureClass::Malformed, message: format!("no HTTP answer: {why}") }
}

fn cut_off(error: &io::Error) -> Broken {
    Broken { class: FailureClass::CutOff, message: format!("the connection broke: {error}") }
}

fn ended(place: &str) -> Broken {
    Broken { class: FailureClass::CutOff, message: format!("the connection ended {place}") }
}
