//! One stream, written on schedule.

use std::io;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::events::Events;
use super::request::{Dialect, Wanted};
use super::scenario::{Fault, Scenario, Wire};
use super::truth::{StreamTruth, Truth};
use super::wire::Connection;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
                    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What a stream is made from.
pub(super) struct Job<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) wanted: Wanted,
    /// The how-manieth request it is, from 0.
    pub(super) number: u64,
    pub(super) request_id: Option<String>,
    /// When the whole request was there.
    pub(super) received: Instant,
    /// When it got a slot.
    pub(super) started: Instant,
    pub(super) fault: Option<Fault>,
}

/// Whether the connection can be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Reuse,
    Close,
}

/// One event with tokens, before it is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// When it leaves, from the moment the request got a slot.
    pub(super) at: Duration,
    /// Tokens before it.
    pub(super) from: u32,
    /// Tokens with it.
    pub(super) to: u32,
    /// Steps of the model in it.
    pub(super) steps: u32,
}

/// When each event of an answer leaves. Absolute, so that being late once makes nothing later late.
///
/// The first step is sent at once, later ones in groups of `coalesce` when the group's last is made, as real
/// servers' stream intervals do.
pub(super) fn steps(scenario: &Scenario, wanted: &Wanted, number: u64) -> impl Iterator<Item = Step> + use<> {
    let first = scenario.ttft + scenario.ttft_per_input_token * wanted.prompt_tokens;
    let (itl, jitter, coalesce) = (scenario.itl, scenario.jitter, scenario.coalesce.max(1));
    let accept = if scenario.accept.is_empty() { vec![1] } else { scenario.accept.clone() };
    let mut random = ChaCha8Rng::seed_from_u64(scenario.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (total, mut made, mut step) = (wanted.tokens, 0, 0_u32);
    std::iter::from_fn(move || {
        let (from, begun) = (made, step);
        let group = if step == 0 { 1 } else { coalesce };
        while made < total && step - begun < group {
            made = (made + accept[step as usize % accept.len()].max(1)).min(total);
            step += 1;
        }
        let last = step.checked_sub(1).filter(|_| made > from)?;
        let off = if jitter > 0.0 && last > 0 { jitter * (2.0 * random.random::<f64>() - 1.0) } else { 0.0 };
        let at = first + itl.mul_f64((f64::from(last) + off).max(0.0));
        Some(Step { at, from, to: made, steps: step - begun })
    })
}

/// Write one stream.
pub(super) async fn write(connection: &mut Connection, job: Job<'_>, truth: &Truth) -> io::Result<After> {
    let mut stream = Stream {
        connection,
        wire: job.scenario.wire,
        event: Vec::new(),
        frame: HEAD.as_bytes().to_vec(),
        last_write: Instant::now(),
    };
    let mut written = StreamTruth {
        request_id: job.request_id,
        received: job.received,
        event_us: Vec::new(),
        event_tokens: Vec::new(),
        late_us: Vec::new(),
    };
    let dialect = job.wanted.dialect;
    let total = job.wanted.tokens;
    let plan: Box<dyn Iterator<Item = Step> + Send> = match job.fault {
        Some(Fault::ZeroTokens) => Box::new(std::iter::empty()),
        _ => Box::new(steps(job.scenario, &job.wanted, job.number)),
    };
    let mut events = Events::new(job.wanted, job.number, job.scenario);
    if dialect == Dialect::Chat && job.scenario.role_chunk {
        events.role(&mut stream.event);
        stream.send().await?;
    }
    let mut held_up = Duration::ZERO;
    let mut sent = 0;
    for step in plan {
        match job.fault {
            Some(Fault::ErrorAfter(tokens)) if sent >= tokens => {
                Events::error(&mut stream.event);
                stream.send().await?;
                stream.done().await?;
                truth.add(written);
                return stream.end().await;
            }
            Some(Fault::CutAfter(tokens)) if sent >= tokens => {
                stream.flush().await?;
                truth.add(written);
                return Ok(After::Close);
            }
            Some(Fault::Stall(tokens, span)) if sent < tokens.max(1) && step.to >= tokens.max(1) => {
                held_up = span
            }
            Some(Fault::HugeEvent(size)) if sent > 0 => stream.comment(size).await?,
            Some(Fault::Garbage) if sent > 0 => {
                stream.event.extend_from_slice(b"{\"choices\":[{\"delta\":");
                stream.send().await?;
            }
            Some(Fault::Endless) if sent > 0 => loop {
                stream.comment(64 * 1024).await?;
            },
            _ => {}
        }
        let due = job.started + step.at + held_up;
        stream.wait(due).await?;
        let last = step.to == total;
        let with_finish = last && dialect != Dialect::Chat && !no_finish(job.fault);
        events.tokens(&mut stream.event, step.from, step.to, step.steps, with_finish.then_some("length"));
        let now = Instant::now();
        written.event_us.push(micros(now - job.received));
        written.event_tokens.push(step.to - step.from);
        written.late_us.push(micros(now.saturating_duration_since(due)));
        stream.send().await?;
        sent = step.to;
    }
    truth.add(written);
    if !no_finish(job.fault) && events.finish(&mut stream.event, sent) {
        stream.send().await?;
    }
    if events.usage(&mut stream.event, sent) {
        stream.send().await?;
    }
    if !matches!(job.fault, Some(Fault::NoDone | Fault::NoEnd)) {
        stream.done().await?;
    }
    stream.end().await
}

fn no_finish(fault: Option<Fault>) -> bool {
    matches!(fault, Some(Fault::NoFinish | Fault::NoEnd))
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

/// A response at work.
struct Stream<'a> {
    connection: &'a mut Connection,
    wire: Wire,
    /// The JSON of the next event.
    event: Vec<u8>,
    /// Bytes ready to be written.
    frame: Vec<u8>,
    last_write: Instant,
}

impl Stream<'_> {
    /// Write the event that was rendered.
    async fn send(&mut self) -> io::Result<()> {
        let end: &[u8] = if self.wire.crlf { b"\r\n\r\n" } else { b"\n\n" };
        let comment: &[u8] = match (self.wire.comments, self.wire.crlf) {
            (true, true) => b": mock\r\n\r\n",
            (true, false) => b": mock\n\n",
            (false, _) => b"",
        };
        let size = b"data: ".len() + self.event.len() + end.len() + comment.len();
        self.chunk_head(size);
        for part in [b"data: ".as_slice(), &self.event, end, comment, b"\r\n"] {
            self.frame.extend_from_slice(part);
        }
        self.event.clear();
        self.flush().await
    }

    async fn done(&mut self) -> io::Result<()> {
        self.event.extend_from_slice(b"[DONE]");
        self.send().await
    }

    /// A comment of so many bytes.
    async fn comment(&mut self, size: usize) -> io::Result<()> {
        let size = size.max(3);
        self.chunk_head(size);
        self.frame.push(b':');
        self.frame.resize(self.frame.len() + size - 3, b'x');
        self.frame.extend_from_slice(b"\n\n\r\n");
        self.flush().await
    }

    async fn end(mut self) -> io::Result<After> {
        self.frame.extend_from_slice(b"0\r\n\r\n");
        self.flush().await?;
        Ok(After::Reuse)
    }

    fn chunk_head(&mut self, size: usize) {
        use std::io::Write;
        let _ = write!(self.frame, "{size:x}\r\n");
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.last_write = Instant::now();
        let written = self.connection.write(&self.frame, self.wire.split).await;
        self.frame.clear();
        written
    }

    /// Wait until `due`, with comments against the silence where they are wanted.
    async fn wait(&mut self, due: Instant) -> io::Result<()> {
        if let Some(interval) = self.wire.keep_alive {
            while self.last_write + interval < due {
                let next = self.last_write + interval;
                tokio::time::sleep_until(next.into()).await;
                self.comment(16).await?;
            }
        }
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        Ok(())
    }
}
