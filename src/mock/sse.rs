//! Server-sent events on the wire: one HTTP chunk and one write each.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::scenario::Wire;
use super::wire::Writer;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
                    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Between the pieces of a split write, so that they do not meet again in the client's socket.
const SPLIT_PAUSE: Duration = Duration::from_micros(200);

/// A stream's response at work.
pub(super) struct Sse<'a> {
    writer: &'a mut Writer,
    clock: &'a Clock,
    wire: Wire,
    /// The JSON of the next event: filled by the caller, emptied by [`send`](Self::send).
    pub(super) event: Vec<u8>,
    /// Bytes ready to be written.
    frame: Vec<u8>,
    last_write: Instant,
}

impl<'a> Sse<'a> {
    /// A response whose head goes out with its first event, or with the first [`flush`](Self::flush).
    pub(super) fn new(writer: &'a mut Writer, clock: &'a Clock, wire: Wire) -> Self {
        let frame = HEAD.as_bytes().to_vec();
        Self { writer, clock, wire, event: Vec::new(), frame, last_write: Instant::now() }
    }

    /// Write the event that was rendered.
    pub(super) async fn send(&mut self) -> io::Result<()> {
        let line_end: &[u8] = if self.wire.crlf { b"\r\n" } else { b"\n" };
        let field: &[u8] = if self.wire.tight { b"data:" } else { b"data: " };
        // JSON may hold a line end behind its first brace.
        let brace = usize::from(self.wire.multi_line && self.event.first() == Some(&b'{'));
        let (first, rest) = self.event.split_at(brace);
        let none: &[u8] = b"";
        let [first_field, first_end] = if brace == 1 { [field, line_end] } else { [none, none] };
        let [comment, comment_end] =
            if self.wire.comments { [b": mock".as_slice(), line_end] } else { [none, none] };
        let parts = [
            first_field,
            first,
            first_end,
            field,
            rest,
            line_end,
            line_end,
            comment,
            comment_end,
            comment_end,
        ];
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let _ = write!(self.frame, "{size:x}\r\n");
        parts.iter().for_each(|part| self.frame.extend_from_slice(part));
        self.frame.extend_from_slice(b"\r\n");
        self.event.clear();
        self.flush().await
    }

    /// Write `[DONE]`.
    pub(super) async fn done(&mut self) -> io::Result<()> {
        self.event.extend_from_slice(b"[DONE]");
        self.send().await
    }

    /// Write a comment.
    pub(super) async fn comment(&mut self, text: &[u8]) -> io::Result<()> {
        let end: &[u8] = if self.wire.crlf { b"\r\n\r\n" } else { b"\n\n" };
        let _ = write!(self.frame, "{:x}\r\n", b": ".len() + text.len() + end.len());
        for part in [b": ", text, end, b"\r\n"] {
            self.frame.extend_from_slice(part);
        }
        self.flush().await
    }

    /// Write the body's well-formed end.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        self.frame.extend_from_slice(b"0\r\n\r\n");
        self.flush().await
    }

    /// Write what is ready: at the beginning, the response's head.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self.wire.split {
            None => self.writer.write(&self.frame).await?,
            Some(size) => {
                for piece in self.frame.chunks(size.max(1)) {
                    self.writer.write(piece).await?;
                    self.clock.until(Instant::now() + SPLIT_PAUSE).await?;
                }
            }
        }
        self.frame.clear();
        self.last_write = Instant::now();
        Ok(())
    }

    /// Wait until `due`, with comments against the silence where they are wanted.
    pub(super) async fn wait(&mut self, due: Instant) -> io::Result<()> {
        while let Some(next) = self.next_comment().filter(|next| *next < due) {
            self.clock.until(next).await?;
            self.comment(b"keep-alive").await?;
        }
        self.clock.until(due).await
    }

    /// Wait for ever, with comments likewise.
    pub(super) async fn wait_for_ever(&mut self) -> io::Result<()> {
        while let Some(next) = self.next_comment() {
            self.clock.until(next).await?;
            self.comment(b"keep-alive").await?;
        }
        std::future::pending().await
    }

    fn next_comment(&self) -> Option<Instant> {
        // No interval at all would be no silence, but no progress either.
        Some(self.last_write + self.wire.keep_alive?.max(Duration::from_millis(1)))
    }
}
