//! Reading several tokens per wake-up where many come.
//!
//! A wake-up of a thread costs as much as reading and decoding a token. Where tokens come one by one at
//! thousands a second, the thread therefore rests a moment before it waits for the next: what came meanwhile
//! is read at one go. Times are then late by up to that moment, which is far below what a server's steps
//! differ by, and `sparkbench calibrate` measures it. Below that rate each token is read as it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the thread rests.
const REST: Duration = Duration::from_micros(200);

/// From this many reads a second on.
const MANY: u64 = 5_000;

/// The rate is looked at this often.
const WINDOW: Duration = Duration::from_millis(50);

/// Counts reads, and says when a rest is worth it.
#[derive(Debug)]
pub(super) struct Nap {
    began: Instant,
    reads: AtomicU64,
    /// Where the window began, microseconds, and the reads by then.
    window_us: AtomicU64,
    window_reads: AtomicU64,
    rests: AtomicBool,
}

impl Nap {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            reads: AtomicU64::new(0),
            window_us: AtomicU64::new(0),
            window_reads: AtomicU64::new(0),
            rests: AtomicBool::new(false),
        })
    }

    /// Something was read.
    pub(super) fn read(&self) {
        // One thread writes all of these; another only lends them to it.
        self.reads.store(self.reads.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The thread has nothing to do: rest, if many reads lie behind it.
    pub(super) fn before_park(&self) {
        let now = self.began.elapsed();
        let now_us = now.as_micros() as u64;
        let since = now_us.saturating_sub(self.window_us.load(Ordering::Relaxed));
        if since >= WINDOW.as_micros() as u64 {
            let reads = self.reads.load(Ordering::Relaxed);
            let came = reads - self.window_reads.load(Ordering::Relaxed);
            self.window_us.store(now_us, Ordering::Relaxed);
            self.window_reads.store(reads, Ordering::Relaxed);
            self.rests.store(worth_it(came, since), Ordering::Relaxed);
        }
        if self.rests.load(Ordering::Relaxed) {
            std::thread::sleep(REST);
        }
    }
}

/// Whether so many reads within so many microseconds are many.
fn worth_it(reads: u64, since_us: u64) -> bool {
    reads * 1_000_000 > MANY * since_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_reads_a_second_are_worth_a_rest() {
        assert!(worth_it(251, 50_000) && !worth_it(250, 50_000) && !worth_it(0, 50_000));
        // A window that lasted longer, because the thread slept, wants as many more.
        assert!(!worth_it(251, 500_000));
    }

    #[test]
    fn a_thread_rests_while_many_come_and_no_longer() {
        let nap = Nap::new();
        for _ in 0..100_000 {
            nap.read();
        }
        std::thread::sleep(WINDOW);
        nap.before_park();
        assert!(nap.rests.load(Ordering::Relaxed));
        std::thread::sleep(WINDOW);
        nap.before_park();
        assert!(!nap.rests.load(Ordering::Relaxed), "nothing came since");
    }
}
