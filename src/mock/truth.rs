//! What really left the mock, and when: what a client's figures are held against.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Of older requests nothing is kept, so that a mock can run for days.
const KEPT: usize = 100_000;

/// One stream as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamTruth {
    /// The request's `x-request-id`, where it has one.
    pub request_id: Option<String>,
    /// When the whole request was there.
    pub received: Instant,
    /// When each event with tokens was handed to the socket, microseconds since `received`. Taken before the
    /// write, so no client can have read it earlier.
    pub event_us: Vec<u32>,
    /// Tokens in each.
    pub event_tokens: Vec<u32>,
    /// How much later than scheduled each was, microseconds.
    pub late_us: Vec<u32>,
}

/// A handle to the record, shared with the server that writes it.
#[derive(Debug, Clone, Default)]
pub struct Truth(Arc<Mutex<VecDeque<StreamTruth>>>);

/// The record in figures, as `GET /mock/truth` tells it. Milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TruthReport {
    /// Streams.
    pub requests: usize,
    /// Tokens in them.
    pub tokens: u64,
    /// From the request's arrival to its first token.
    pub ttft_ms: Quantiles,
    /// Between tokens; an event's time is shared by its tokens.
    pub itl_ms: Quantiles,
    /// How late events left against their schedule.
    pub late_ms: Quantiles,
}

/// Some of a distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Arithmetic mean.
    pub mean: f64,
    /// 50th percentile.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Truth {
    pub(super) fn add(&self, stream: StreamTruth) {
        let mut streams = self.lock();
        if streams.len() == KEPT {
            streams.pop_front();
        }
        streams.push_back(stream);
    }

    /// Forget everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Everything so far.
    pub fn streams(&self) -> Vec<StreamTruth> {
        self.lock().iter().cloned().collect()
    }

    /// Everything so far, in figures.
    pub fn report(&self) -> TruthReport {
        let streams = self.lock();
        let (mut ttft, mut itl, mut late, mut tokens) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for stream in streams.iter() {
            ttft.extend(stream.event_us.first().map(|us| f64::from(*us)));
            late.extend(stream.late_us.iter().map(|us| f64::from(*us)));
            tokens += stream.event_tokens.iter().map(|tokens| u64::from(*tokens)).sum::<u64>();
            itl.extend(stream.gaps_us());
        }
        TruthReport {
            requests: streams.len(),
            tokens,
            ttft_ms: quantiles(ttft),
            itl_ms: quantiles(itl),
            late_ms: quantiles(late),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<StreamTruth>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamTruth {
    /// Inter-token times after the first event, microseconds, one a token.
    pub fn gaps_us(&self) -> impl Iterator<Item = f64> + '_ {
        let gaps = self.event_us.windows(2).map(|pair| f64::from(pair[1].saturating_sub(pair[0])));
        gaps.zip(self.event_tokens.iter().skip(1)).flat_map(|(gap, tokens)| {
            std::iter::repeat_n(gap / f64::from((*tokens).max(1)), *tokens as usize)
        })
    }
}

/// Nearest-rank quantiles, microseconds in and milliseconds out.
fn quantiles(mut values: Vec<f64>) -> Quantiles {
    if values.is_empty() {
        return Quantiles::default();
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize] / 1e3;
    Quantiles {
        mean: values.iter().sum::<f64>() / values.len() as f64 / 1e3,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: at(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_time_is_shared_by_its_tokens() {
        let truth = Truth::default();
        truth.add(StreamTruth {
            request_id: None,
            received: Instant::now(),
            event_us: vec![50_000, 70_000, 110_000],
            event_tokens: vec![1, 1, 4],
            late_us: vec![0, 100, 900],
        });
        let report = truth.report();
        assert_eq!((report.requests, report.tokens), (1, 6));
        assert_eq!(report.ttft_ms.p50, 50.0);
        assert_eq!((report.itl_ms.mean, report.itl_ms.p50, report.itl_ms.max), (12.0, 10.0, 20.0));
        truth.clear();
        assert_eq!(truth.report(), TruthReport::default());
    }
}
