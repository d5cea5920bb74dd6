//! How long a request is waited for: deadlines that move with every byte, without touching a timer for
//! every byte.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

use crate::bench::plan::RequestLimits;
use crate::bench::record::FailureClass;
use crate::bench::stream::Broken;

/// tokio's timers count milliseconds. They are late by up to one, never early; this allows for both.
const TICK: Duration = Duration::from_millis(2);

/// How long one request is waited for.
pub(super) struct Patience {
    limits: RequestLimits,
    /// When the first token is due.
    first: Instant,
    /// When the whole answer is.
    whole: Instant,
    /// How long nothing may come, once there was output.
    stall: Duration,
    heard: Instant,
    has_output: bool,
    watchdog: Watchdog,
}

impl Patience {
    pub(super) fn new(sent: Instant, limits: RequestLimits) -> Self {
        let (first, whole) = (span(limits.first_token_s), span(limits.request_s));
        Self {
            limits,
            first: sent + first,
            whole: sent + whole,
            stall: span(limits.stall_s),
            heard: sent,
            has_output: false,
            watchdog: Watchdog::new(sent + first.min(whole)),
        }
    }

    pub(super) fn heard(&mut self, at: Instant) {
        self.heard = at;
    }

    pub(super) fn has_output(&mut self) {
        if !self.has_output {
            self.has_output = true;
            self.watchdog.tighten(self.due().0);
        }
    }

    /// When patience ends, and what it is then.
    fn due(&self) -> (Instant, FailureClass) {
        let (part, class) = match self.has_output {
            false => (self.first, FailureClass::FirstTokenTimeout),
            true => (self.heard + self.stall, FailureClass::Stalled),
        };
        if part <= self.whole { (part, class) } else { (self.whole, FailureClass::RequestTimeout) }
    }

    pub(super) async fn wait<F: Future>(&mut self, future: F) -> Result<F::Output, Broken> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let (due, class) = self.due();
            self.watchdog.poll(cx, due).map(|()| Err(self.lost(class)))
        })
        .await
    }

    fn lost(&self, class: FailureClass) -> Broken {
        let message = match class {
            FailureClass::FirstTokenTimeout => format!("no token after {} s", self.limits.first_token_s),
            FailureClass::Stalled => format!("no byte for {} s", self.limits.stall_s),
            _ => format!("not over after {} s", self.limits.request_s),
        };
        Broken { class, message }
    }
}

fn span(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// One timer a request. It may fire too early, because the deadline has moved since: then it is set anew.
/// A deadline that moves closer needs [`Watchdog::tighten`].
#[derive(Debug)]
struct Watchdog {
    sleep: Pin<Box<Sleep>>,
    /// When it fires. The timer knows it, too, but that is memory nobody else looks at, and this is asked at
    /// every token of thousands of streams.
    fires: Instant,
    /// Whom the timer wakes, once it was polled since it was set.
    armed: Option<Waker>,
}

impl Watchdog {
    fn new(due: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(due.into())), fires: due, armed: None }
    }

    /// The deadline is now `due`, which may lie before the one it was set to.
    fn tighten(&mut self, due: Instant) {
        if due < self.fires {
            self.set(due);
        }
    }

    fn set(&mut self, due: Instant) {
        self.sleep.as_mut().reset(due.into());
        self.fires = due;
        self.armed = None;
    }

    /// Ready once `due` has passed.
    fn poll(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        loop {
            let knows_us = self.armed.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if knows_us && (Instant::now() + TICK < self.fires || !self.sleep.is_elapsed()) {
                return Poll::Pending;
            }
            // Unconstrained: a task that has used up tokio's budget of a turn would find the timer pending
            // without the timer having heard of it, and would never be woken.
            if pin!(unconstrained(self.sleep.as_mut())).poll(cx).is_pending() {
                self.armed = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.set(due);
        }
    }
}

#[cfg(test)]
mod tests;
