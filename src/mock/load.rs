//! What the server has to do and has done: the figures of `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Throughput is over at least so long.
const WINDOW: Duration = Duration::from_secs(1);

/// Counters, shared by all connections.
#[derive(Debug)]
pub(super) struct EngineLoad {
    /// Requests to generate, those turned away included.
    requests: AtomicU64,
    /// Those that wait or generate.
    present: AtomicU64,
    running: AtomicU64,
    prompt_tokens: AtomicU64,
    generated_tokens: AtomicU64,
    /// Tokens of running requests, prompts and whole answers.
    held_tokens: AtomicU64,
    throughput: Mutex<Throughput>,
}

#[derive(Debug)]
struct Throughput {
    since: Instant,
    tokens_then: u64,
    per_s: f64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counters {
    pub(super) requests: u64,
    pub(super) running: u64,
    pub(super) waiting: u64,
    pub(super) prompt_tokens: u64,
    pub(super) generated_tokens: u64,
    pub(super) held_tokens: u64,
    pub(super) tokens_per_s: f64,
}

/// A counter that is higher for as long as this lives.
#[derive(Debug)]
pub(super) struct Held<'a> {
    counter: &'a AtomicU64,
    by: u64,
}

impl EngineLoad {
    pub(super) fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            present: AtomicU64::new(0),
            running: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            generated_tokens: AtomicU64::new(0),
            held_tokens: AtomicU64::new(0),
            throughput: Mutex::new(Throughput { since: Instant::now(), tokens_then: 0, per_s: 0.0 }),
        }
    }

    /// A request has come: its number, from 0, and how many are present with it.
    pub(super) fn come(&self) -> (u64, u64, Held<'_>) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let held = Held::new(&self.present, 1);
        (number, self.present.load(Ordering::Relaxed), held)
    }

    /// A request generates, with so many tokens in its prompt and, at last, in its answer.
    pub(super) fn run(&self, prompt: u32, answer: u32) -> [Held<'_>; 2] {
        self.prompt_tokens.fetch_add(prompt.into(), Ordering::Relaxed);
        [Held::new(&self.running, 1), Held::new(&self.held_tokens, u64::from(prompt) + u64::from(answer))]
    }

    /// Tokens were generated.
    pub(super) fn generated(&self, tokens: u32) {
        self.generated_tokens.fetch_add(tokens.into(), Ordering::Relaxed);
    }

    /// The counters now.
    pub(super) fn counters(&self) -> Counters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let generated_tokens = load(&self.generated_tokens);
        let running = load(&self.running);
        Counters {
            requests: load(&self.requests),
            running,
            waiting: load(&self.present).saturating_sub(running),
            prompt_tokens: load(&self.prompt_tokens),
            generated_tokens,
            held_tokens: load(&self.held_tokens),
            tokens_per_s: self.tokens_per_s(generated_tokens),
        }
    }

    /// Throughput since the last look that is at least a window old.
    fn tokens_per_s(&self, generated: u64) -> f64 {
        let mut last = self.throughput.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = last.since.elapsed();
        if passed >= WINDOW {
            let per_s = (generated - last.tokens_then.min(generated)) as f64 / passed.as_secs_f64();
            *last = Throughput { since: Instant::now(), tokens_then: generated, per_s };
        }
        last.per_s
    }
}

impl<'a> Held<'a> {
    fn new(counter: &'a AtomicU64, by: u64) -> Self {
        counter.fetch_add(by, Ordering::Relaxed);
        Self { counter, by }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.by, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_no_longer_counted() {
        let load = EngineLoad::new();
        let (number, present, here) = load.come();
        assert_eq!((number, present), (0, 1));
        let running = load.run(10, 5);
        load.generated(2);
        let (_, present, waiting) = load.come();
        let counters = load.counters();
        assert_eq!((present, counters.running, counters.waiting, counters.held_tokens), (2, 1, 1, 15));
        drop((running, here, waiting));
        let counters = load.counters();
        assert_eq!(
            (counters.requests, counters.running, counters.waiting, counters.held_tokens),
            (2, 0, 0, 0)
        );
        assert_eq!((counters.prompt_tokens, counters.generated_tokens), (10, 2));
    }
}
