//! Reading several tokens per wake-up where many come.
//!
//! A wake-up of a thread costs as much as reading and decoding a token. Where tokens come one by one at
//! thousands a second, the thread therefore rests a moment before it waits for the next: what came meanwhile
//! is read at one go. Times are then late by up to that moment, which is far below what a server's steps
//! differ by, and `sparkbench calibrate` measures it. Below that rate each token is read as it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    many: AtomicU64,
}

impl Nap {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            reads: AtomicU64::new(0),
            window_us: AtomicU64::new(0),
            window_reads: AtomicU64::new(0),
            many: AtomicU64::new(0),
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
            self.many.store(u64::from(came * 1_000_000 > MANY * since), Ordering::Relaxed);
        }
        if self.many.load(Ordering::Relaxed) == 1 {
            std::thread::sleep(REST);
        }
    }
}
