//! Stopping thousands of requests at once, without asking about it at every token.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio::sync::Notify;
use tokio::task::coop::unconstrained;
use tokio_util::sync::CancellationToken;

/// Says whether the run is to stop. A [`CancellationToken`] would say the same, but takes a lock whenever it
/// is asked, and a request would ask at each of its tokens.
#[derive(Debug)]
pub(crate) struct Halt {
    stopped: Cell<bool>,
    woken: Notify,
}

impl Halt {
    /// One that stops when `token` is cancelled. Needs a thread of local tasks.
    pub(crate) fn new(token: CancellationToken) -> Rc<Self> {
        let halt = Rc::new(Self { stopped: Cell::new(token.is_cancelled()), woken: Notify::new() });
        let told = halt.clone();
        tokio::task::spawn_local(async move {
            token.cancelled().await;
            told.stopped.set(true);
            told.woken.notify_waiters();
        });
        halt
    }

    /// Whether it stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Wait for `future`; None if the run stops first.
    pub(crate) async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        let (mut future, mut woken) = (pin!(future), pin!(self.woken.notified()));
        // A task's waker stays the same, so the notification has to hear of it only once.
        let mut armed: Option<Waker> = None;
        poll_fn(|cx| {
            if self.stopped.get() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if !armed.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                // Unconstrained: pending must mean that the notification has heard of us.
                if pin!(unconstrained(woken.as_mut())).poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                armed = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn locally<F: Future>(future: F) -> F::Output {
        tokio::task::LocalSet::new().run_until(future).await
    }

    #[tokio::test]
    async fn what_waits_is_given_up_when_the_run_stops() {
        locally(async {
            let token = CancellationToken::new();
            let halt = Halt::new(token.clone());
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let halt = halt.clone();
                    tokio::task::spawn_local(async move {
                        halt.unless_stopped(std::future::pending::<()>()).await
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            token.cancel();
            for task in waiting {
                assert_eq!(task.await.unwrap(), None);
            }
            assert_eq!(halt.unless_stopped(std::future::ready(1)).await, None, "nothing begins after it");
        })
        .await;
    }

    #[tokio::test]
    async fn what_ends_before_the_stop_is_kept() {
        locally(async {
            let halt = Halt::new(CancellationToken::new());
            assert_eq!(halt.unless_stopped(std::future::ready(1)).await, Some(1));
            let later = tokio::time::sleep(Duration::from_millis(1));
            assert_eq!(halt.unless_stopped(later).await, Some(()));
        })
        .await;
    }

    #[tokio::test]
    async fn one_made_after_the_stop_is_stopped() {
        locally(async {
            let token = CancellationToken::new();
            token.cancel();
            assert_eq!(Halt::new(token).unless_stopped(std::future::ready(1)).await, None);
        })
        .await;
    }

    #[tokio::test]
    async fn a_future_that_moves_to_another_task_still_hears_of_it() {
        locally(async {
            let token = CancellationToken::new();
            let halt = Halt::new(token.clone());
            let for_task = halt.clone();
            let mut waiting =
                Box::pin(async move { for_task.unless_stopped(std::future::pending::<()>()).await });
            let mut nobody = std::task::Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut nobody).is_pending());
            let waiting = tokio::task::spawn_local(waiting);
            tokio::task::yield_now().await;
            token.cancel();
            assert_eq!(waiting.await.unwrap(), None);
        })
        .await;
    }
}
