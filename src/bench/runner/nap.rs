//! Reading several tokens per wake-up where many come.
//!
//! A wake-up of a thread costs as much as reading and decoding a token. Where tokens come one by one at
//! thousands a second, the thread therefore rests a moment before it waits for the next: what came meanwhile
//! is read at one go. Where the kernel stamps what comes, no time is later for it. What a rest does delay is
//! the next request, and it gives events of one stream that come within it one time; so it is kept to a small
//! part of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bench::client::Stamps;

/// The longest rest where the kernel says when bytes arrived.
const LONGEST: Duration = Duration::from_millis(2);

/// And where it does not, so that times are late by as much.
const LONGEST_UNSTAMPED: Duration = Duration::from_micros(200);

/// A shorter rest gathers nothing: the timer alone is late by half as much.
const SHORTEST: Duration = Duration::from_micros(100);

/// Reads a second from which on a rest is worth it.
const MANY: f64 = 5_000.0;

/// A rest is at most this part of a request's time: a closed loop sends its next request so much later.
const OF_A_REQUEST: f64 = 1.0 / 200.0;

/// And this part of the time between two events of a stream.
const OF_A_GAP: f64 = 1.0 / 10.0;

/// Reads must have the kernel's stamps, all but this share.
const STAMPED: f64 = 0.99;

/// What comes is looked at this often.
const WINDOW: Duration = Duration::from_millis(50);

/// Counts what comes, and says when a rest is worth it.
#[derive(Debug)]
pub(super) struct Nap {
    began: Instant,
    stamps: Arc<Stamps>,
    // One thread writes all of these; another only lends them to it.
    reads: AtomicU64,
    sent: AtomicU64,
    ended: AtomicU64,
    /// Where the window began, microseconds; reads and ends by then.
    window_us: AtomicU64,
    window_reads: AtomicU64,
    window_ended: AtomicU64,
    rest_us: AtomicU64,
}

/// What came in a while.
#[derive(Debug, Clone, Copy)]
struct Came {
    seconds: f64,
    reads: f64,
    ended: f64,
    /// Requests in flight at its end.
    in_flight: f64,
}

impl Nap {
    pub(super) fn new(stamps: Arc<Stamps>) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            stamps,
            reads: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            window_us: AtomicU64::new(0),
            window_reads: AtomicU64::new(0),
            window_ended: AtomicU64::new(0),
            rest_us: AtomicU64::new(0),
        })
    }

    /// Output was read.
    pub(super) fn read(&self) {
        add_one(&self.reads);
    }

    /// A request goes out.
    pub(super) fn sent(&self) {
        add_one(&self.sent);
    }

    /// A request has ended.
    pub(super) fn ended(&self) {
        add_one(&self.ended);
    }

    /// The thread has nothing to do: rest, if that is worth it.
    pub(super) fn before_park(&self) {
        let now_us = self.began.elapsed().as_micros() as u64;
        let since = now_us.saturating_sub(self.window_us.load(Ordering::Relaxed));
        if since >= WINDOW.as_micros() as u64 {
            self.window_us.store(now_us, Ordering::Relaxed);
            let grown = |now: &AtomicU64, then: &AtomicU64| {
                let now = now.load(Ordering::Relaxed);
                (now - then.swap(now, Ordering::Relaxed)) as f64
            };
            let (sent, ended) = (self.sent.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
            let came = Came {
                seconds: since as f64 / 1e6,
                reads: grown(&self.reads, &self.window_reads),
                ended: grown(&self.ended, &self.window_ended),
                in_flight: sent.saturating_sub(ended) as f64,
            };
            let stamped = self.stamps.kernel_share().is_some_and(|share| share >= STAMPED);
            let rest = rest(came, if stamped { LONGEST } else { LONGEST_UNSTAMPED });
            self.rest_us.store(rest.as_micros() as u64, Ordering::Relaxed);
        }
        let rest = self.rest_us.load(Ordering::Relaxed);
        if rest > 0 {
            std::thread::sleep(Duration::from_micros(rest));
        }
    }
}

/// Not an atomic addition, which would lock the bus for a single writer.
fn add_one(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// How long a rest is worth it after such a while; zero where it is not.
fn rest(came: Came, longest: Duration) -> Duration {
    let per_second = came.reads / came.seconds;
    if per_second <= MANY {
        return Duration::ZERO;
    }
    // Little's law. Where none ended, the next would have at the earliest now.
    let request_s = came.in_flight * came.seconds / came.ended.max(1.0);
    let gap_s = came.in_flight / per_second;
    let most = longest.as_secs_f64().min(request_s * OF_A_REQUEST).min(gap_s * OF_A_GAP);
    if most < SHORTEST.as_secs_f64() { Duration::ZERO } else { Duration::from_secs_f64(most) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a tenth of a second.
    fn came(reads: f64, ended: f64, in_flight: f64) -> Duration {
        rest(Came { seconds: 0.1, reads, ended, in_flight }, LONGEST)
    }

    #[test]
    fn only_many_reads_a_second_are_worth_a_rest() {
        assert_eq!(came(500.0, 0.0, 256.0), Duration::ZERO);
        assert_eq!(came(501.0, 0.0, 256.0), LONGEST);
        assert_eq!(came(0.0, 0.0, 0.0), Duration::ZERO);
        let slow = Came { seconds: 1.0, reads: 5_000.0, ended: 0.0, in_flight: 256.0 };
        assert_eq!(rest(slow, LONGEST), Duration::ZERO);
        assert_eq!(rest(Came { reads: 6_000.0, ..slow }, LONGEST_UNSTAMPED), LONGEST_UNSTAMPED);
    }

    #[test]
    fn a_rest_is_a_small_part_of_a_request() {
        // 100 in flight, 100 ended in 0.1 s: 0.1 s each, of which a rest may be 0.5 ms.
        assert_eq!(came(600.0, 100.0, 100.0), Duration::from_micros(500));
        // 10 ms each.
        assert_eq!(came(600.0, 1000.0, 100.0), Duration::ZERO);
    }

    #[test]
    fn a_rest_is_a_small_part_of_the_time_between_tokens() {
        // 12,800 a second from 64 streams: 5 ms from one to the next.
        assert_eq!(came(1280.0, 0.0, 64.0), Duration::from_micros(500));
        // 12,800 a second from 8.
        assert_eq!(came(1280.0, 0.0, 8.0), Duration::ZERO);
    }

    #[test]
    fn a_thread_rests_while_many_come_and_no_longer() {
        let nap = Nap::new(Arc::default());
        let rests = || Duration::from_micros(nap.rest_us.load(Ordering::Relaxed));
        // So many streams that their gaps are long, however long the machine takes for the window.
        (0..100_000).for_each(|_| nap.sent());
        (0..1_000_000).for_each(|_| nap.read());
        std::thread::sleep(WINDOW);
        nap.before_park();
        assert_eq!(rests(), LONGEST_UNSTAMPED, "no read had a stamp");
        std::thread::sleep(WINDOW);
        nap.before_park();
        assert_eq!(rests(), Duration::ZERO, "nothing came since");
    }
}
