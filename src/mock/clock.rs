//! Waiting for a moment more exactly than tokio's timer, which counts whole milliseconds and is always late.
//!
//! On Linux all waits of a server share one timerfd, which the kernel's high-resolution timers drive: what is
//! due is woken from one queue, and the timer set for whatever is due next. A wait never ends early. How late
//! it ends is what the machine's scheduler and the work ahead of it make of it; `examples/mock_load` measures
//! it. Elsewhere tokio's timer serves.

use std::time::Instant;

#[cfg(target_os = "linux")]
pub(super) use self::fine::Clock;

#[cfg(not(target_os = "linux"))]
pub(super) use self::coarse::Clock;

#[cfg(target_os = "linux")]
mod fine {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::pin::Pin;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use super::Instant;

    /// The timer goes off no more often than this: tens of thousands of events a second would otherwise cost
    /// three system calls each instead of one.
    const SPACING: Duration = Duration::from_micros(100);

    /// The timer that all waits of a server share.
    #[derive(Debug)]
    pub(in crate::mock) struct Clock {
        timer: AsyncFd<OwnedFd>,
        queue: Mutex<Queue>,
    }

    #[derive(Debug, Default)]
    struct Queue {
        waiting: BinaryHeap<Reverse<Entry>>,
        /// What the timer is set for.
        set_for: Option<Instant>,
        /// When it last went off.
        went_off: Option<Instant>,
    }

    #[derive(Debug)]
    struct Entry {
        at: Instant,
        waker: Waker,
    }

    impl Clock {
        /// A timer of the runtime this is called in.
        pub(in crate::mock) fn new() -> io::Result<Self> {
            let timer =
                timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe for descriptors that change; an OwnedFd does not"
            )]
            let timer = AsyncFd::new(timer)?;
            Ok(Self { timer, queue: Mutex::default() })
        }

        /// Wake whoever is due, for ever. Without it no wait ends.
        pub(in crate::mock) async fn run(&self) -> io::Result<()> {
            let mut due = Vec::new();
            loop {
                // Never read: setting the timer again takes its count back, and epoll tells edges.
                self.timer.readable().await?.clear_ready();
                {
                    let mut queue = self.lock();
                    queue.set_for = None;
                    let now = Instant::now();
                    queue.went_off = Some(now);
                    while queue.waiting.peek().is_some_and(|Reverse(entry)| entry.at <= now) {
                        due.extend(queue.waiting.pop().map(|Reverse(entry)| entry.waker));
                    }
                    let next = queue.waiting.peek().map(|Reverse(entry)| entry.at);
                    if let Some(next) = next {
                        self.set(&mut queue, next)?;
                    }
                }
                due.drain(..).for_each(Waker::wake);
            }
        }

        /// Wait until `at`.
        pub(in crate::mock) fn until(&self, at: Instant) -> Wait<'_> {
            Wait { clock: self, at, queued: None }
        }

        fn enqueue(&self, at: Instant, waker: Waker) -> io::Result<()> {
            let mut queue = self.lock();
            queue.waiting.push(Reverse(Entry { at, waker }));
            if queue.set_for.is_none_or(|set_for| at < set_for) {
                self.set(&mut queue, at)?;
            }
            Ok(())
        }

        fn set(&self, queue: &mut Queue, at: Instant) -> io::Result<()> {
            let at = queue.went_off.map_or(at, |went_off| at.max(went_off + SPACING));
            // Relative, as Instant hides its zero; a zero would switch the timer off.
            let wait = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let it_value = Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            };
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
            queue.set_for = Some(at);
            Ok(())
        }

        fn lock(&self) -> MutexGuard<'_, Queue> {
            self.queue.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Ends at its moment.
    #[derive(Debug)]
    pub(in crate::mock) struct Wait<'a> {
        clock: &'a Clock,
        at: Instant,
        queued: Option<Waker>,
    }

    impl Future for Wait<'_> {
        type Output = io::Result<()>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            if Instant::now() >= self.at {
                return Poll::Ready(Ok(()));
            }
            if !self.queued.as_ref().is_some_and(|queued| queued.will_wake(context.waker())) {
                // One that was dropped before its time leaves its entry behind, which wakes a task for nothing.
                let waker = context.waker().clone();
                self.clock.enqueue(self.at, waker.clone())?;
                self.queued = Some(waker);
            }
            Poll::Pending
        }
    }

    impl PartialEq for Entry {
        fn eq(&self, other: &Self) -> bool {
            self.at == other.at
        }
    }

    impl Eq for Entry {}

    impl PartialOrd for Entry {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for Entry {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.at.cmp(&other.at)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod coarse {
    use std::io;

    use super::Instant;

    /// tokio's timer.
    #[derive(Debug)]
    pub(in crate::mock) struct Clock;

    impl Clock {
        /// Nothing is needed.
        pub(in crate::mock) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// tokio wakes.
        pub(in crate::mock) async fn run(&self) -> io::Result<()> {
            std::future::pending().await
        }

        /// Wait until `at`.
        pub(in crate::mock) async fn until(&self, at: Instant) -> io::Result<()> {
            tokio::time::sleep_until(at.into()).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn waits_end_and_never_early() {
        let clock = Arc::new(Clock::new().unwrap());
        let driver = clock.clone();
        let driver = tokio::spawn(async move { driver.run().await });
        let start = Instant::now();
        let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for us in [9_000, 300, 0, 4_000, 4_000, 100] {
            let (clock, said) = (clock.clone(), said.clone());
            tokio::spawn(async move {
                clock.until(start + Duration::from_micros(us)).await.unwrap();
                said.send((us, start.elapsed())).unwrap();
            });
        }
        // One that nobody waits for to its end hurts nobody.
        let never = clock.until(start + Duration::from_secs(60));
        assert!(tokio::time::timeout(Duration::from_millis(1), never).await.is_err());
        for _ in 0..6 {
            let (us, took) = heard.recv().await.unwrap();
            assert!(took >= Duration::from_micros(us), "{us} {took:?}");
        }
        driver.abort();
    }
}
