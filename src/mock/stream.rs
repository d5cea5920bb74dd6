//! One stream, written on schedule and broken as told.

use std::io;
use std::time::{Duration, Instant};

use super::events::Events;
use super::fault::Fault;
use super::load::EngineLoad;
use super::request::{Dialect, Wanted};
use super::scenario::{RoleChunk, Scenario};
use super::schedule::{later, token_events};
use super::sse::Sse;
use super::truth::Recorder;

/// Each comment of an endless body.
static ENDLESS_COMMENT: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// What an answer is made from.
pub(super) struct Job<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) wanted: Wanted,
    /// The how-manieth request it is, from 0.
    pub(super) number: u64,
    /// When it got a slot.
    pub(super) started: Instant,
    pub(super) fault: Option<Fault>,
    pub(super) load: &'a EngineLoad,
    pub(super) recorder: Recorder,
}

/// Whether the connection can be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Reuse,
    Close,
    Reset,
}

/// Write one stream.
pub(super) async fn write(sse: Sse<'_>, mut job: Job<'_>) -> io::Result<After> {
    let (scenario, fault, dialect) = (job.scenario, job.fault, job.wanted.dialect);
    if fault == Some(Fault::ZeroTokens) {
        job.wanted.tokens = 0;
    }
    let total = job.wanted.tokens;
    let plan = token_events(scenario, &job.wanted, job.number);
    let events = Events::new(job.wanted, job.number, scenario);
    let mut stream = Stream { sse, events, fault, played: false, held_up: Duration::ZERO };
    if scenario.early_head {
        stream.sse.flush().await?;
    }
    let mut role = if dialect == Dialect::Chat { scenario.role_chunk } else { RoleChunk::Never };
    if role == RoleChunk::AtOnce {
        stream.role(&mut role).await?;
    }
    let (mut sent, mut due) = (0, job.started);
    for event in plan {
        if stream.breaks(sent) {
            job.recorder.whole();
            return stream.break_off().await;
        }
        stream.trouble(sent).await?;
        due = later(job.started, event.at.saturating_add(stream.held_up));
        stream.sse.wait(due).await?;
        if role == RoleChunk::WithFirst {
            stream.role(&mut role).await?;
        }
        let with_finish = event.to == total && dialect != Dialect::Chat && !Fault::hides_finish(fault);
        stream.events.tokens(&mut stream.sse.event, event.from, event.to, event.steps, with_finish);
        job.recorder.event(Instant::now(), due, event.to - event.from);
        stream.sse.send().await?;
        job.load.generated(event.to - event.from);
        sent = event.to;
    }
    if stream.breaks(sent) {
        job.recorder.whole();
        return stream.break_off().await;
    }
    let held_up = stream.held_up;
    stream.trouble(sent).await?;
    stream.sse.wait(later(due, stream.held_up - held_up)).await?;
    // Before the end is written: whoever has read it may ask for the truth at once.
    job.recorder.whole();
    stream.finish(sent).await?;
    Ok(After::Reuse)
}

struct Stream<'a> {
    sse: Sse<'a>,
    events: Events,
    fault: Option<Fault>,
    /// What goes wrong once has.
    played: bool,
    /// How much later than scheduled everything is from here on.
    held_up: Duration,
}

impl Stream<'_> {
    /// The role's own chunk, once.
    async fn role(&mut self, role: &mut RoleChunk) -> io::Result<()> {
        *role = RoleChunk::Never;
        self.events.role(&mut self.sse.event);
        self.sse.send().await
    }

    /// The answer ends here, after so many tokens.
    fn breaks(&self, sent: u32) -> bool {
        match self.fault {
            Some(Fault::ErrorAfter(tokens) | Fault::CutAfter(tokens) | Fault::ResetAfter(tokens)) => {
                sent >= tokens
            }
            _ => false,
        }
    }

    /// End it as the fault says.
    async fn break_off(mut self) -> io::Result<After> {
        match self.fault {
            Some(Fault::ErrorAfter(_)) => {
                self.events.error(&mut self.sse.event);
                self.sse.send().await?;
                self.sse.done().await?;
                self.sse.end().await?;
                Ok(After::Reuse)
            }
            Some(Fault::ResetAfter(_)) => {
                self.sse.flush().await?;
                Ok(After::Reset)
            }
            _ => {
                self.sse.flush().await?;
                Ok(After::Close)
            }
        }
    }

    /// What goes wrong once, and not for good, when so many tokens were sent.
    async fn trouble(&mut self, sent: u32) -> io::Result<()> {
        let Some(fault) = self.fault.filter(|_| !self.played) else { return Ok(()) };
        match fault {
            Fault::Stall(tokens, span) if sent >= tokens => match span {
                Some(span) => self.held_up = span,
                None => self.sse.wait_for_ever().await?,
            },
            Fault::HugeEvent(size) if sent > 0 => {
                self.events.padding(&mut self.sse.event, sent, size);
                self.sse.send().await?;
            }
            Fault::Garbage if sent > 0 => {
                self.sse.event.extend_from_slice(b"{\"choices\":[{\"delta\":");
                self.sse.send().await?;
            }
            Fault::Endless if sent > 0 => loop {
                self.sse.comment(&ENDLESS_COMMENT).await?;
            },
            _ => return Ok(()),
        }
        self.played = true;
        Ok(())
    }

    /// Everything behind the last token.
    async fn finish(&mut self, sent: u32) -> io::Result<()> {
        if !Fault::hides_finish(self.fault) && self.events.finish(&mut self.sse.event, sent) {
            self.sse.send().await?;
        }
        if self.events.usage(&mut self.sse.event, sent) {
            self.sse.send().await?;
        }
        if !Fault::hides_done(self.fault) {
            self.sse.done().await?;
        }
        self.sse.end().await
    }
}
