//! What a run has come to so far: counted by the thread that measures, read by those that show it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::events::LiveView;

/// Counters of a run at work. Each is right by itself; together they may be a moment apart.
#[derive(Debug, Default)]
pub(crate) struct Live {
    sent: AtomicU32,
    done: AtomicU32,
    failed: AtomicU32,
    tokens: AtomicU64,
    ttft_us: AtomicU64,
    first_outputs: AtomicU64,
    later_us: AtomicU64,
    later_tokens: AtomicU64,
}

impl Live {
    /// The counters now.
    pub(crate) fn view(&self) -> LiveView {
        let mean = |sum: &AtomicU64, count: &AtomicU64| {
            let count = count.load(Ordering::Relaxed);
            (count > 0).then(|| sum.load(Ordering::Relaxed) as f64 / count as f64 / 1e3)
        };
        LiveView {
            sent: self.sent.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            tokens: self.tokens.load(Ordering::Relaxed),
            mean_ttft_ms: mean(&self.ttft_us, &self.first_outputs),
            mean_itl_ms: mean(&self.later_us, &self.later_tokens),
        }
    }

    pub(super) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// A request ended whole: `later_tokens` after its first came within `later_us`.
    pub(super) fn done(&self, later_tokens: u64, later_us: u64) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.later_tokens.fetch_add(later_tokens, Ordering::Relaxed);
        self.later_us.fetch_add(later_us, Ordering::Relaxed);
    }

    pub(super) fn output(&self, first: bool, at_us: u64, tokens: u32) {
        self.tokens.fetch_add(u64::from(tokens), Ordering::Relaxed);
        if first {
            self.ttft_us.fetch_add(at_us, Ordering::Relaxed);
            self.first_outputs.fetch_add(1, Ordering::Relaxed);
        }
    }
}
