//! Stopping thousands of requests at once, without asking about it at every token.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Says whether the run is to stop. A [`CancellationToken`] would say the same, but takes a lock whenever it
/// is asked, and a request would ask at each of its tokens.
#[derive(Debug)]
pub struct Halt {
    stopped: Cell<bool>,
    woken: Notify,
}

impl Halt {
    /// One that stops when `token` is cancelled. Needs a `LocalSet`.
    pub fn new(token: CancellationToken) -> Rc<Self> {
        let halt = Rc::new(Self { stopped: Cell::new(token.is_cancelled()), woken: Notify::new() });
        let told = halt.clone();
        tokio::task::spawn_local(async move {
            token.cancelled().await;
            told.stopped.set(true);
            told.woken.notify_waiters();
        });
        halt
    }

    /// Wait for `future`; None if the run stops first.
    pub async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        let (mut future, mut woken) = (pin!(future), pin!(self.woken.notified()));
        // A task's waker stays the same, so the notification has to hear of it only once.
        let mut armed = false;
        poll_fn(|cx| {
            if self.stopped.get() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if !armed {
                armed = true;
                if woken.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
            }
            Poll::Pending
        })
        .await
    }
}
