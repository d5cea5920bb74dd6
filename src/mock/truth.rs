//! What really left the mock, and when: what a client's figures are held against.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::distribution::TimeDistribution;
use super::scenario::Detail;

/// Events whose times are kept, some 50 MB of them: beyond, the oldest answers are forgotten.
const KEPT_EVENTS: usize = 4_000_000;

/// Answers that are kept. Those without an event take room, too.
const KEPT_ANSWERS: usize = 200_000;

/// One answer as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamTruth {
    /// The request's `x-request-id`, where it has one.
    pub request_id: Option<String>,
    /// It was a stream. Otherwise its one event is the whole answer.
    pub streamed: bool,
    /// When the whole request was there.
    pub received: Instant,
    /// When each event with tokens was handed to the socket, microseconds since `received`. Taken before the
    /// write, so no client can have read it earlier.
    pub event_us: Vec<u32>,
    /// Tokens in each.
    pub event_tokens: Vec<u32>,
    /// How much later than scheduled each was, microseconds.
    pub late_us: Vec<u32>,
    /// All that it was told to have was written, but for its end, which may be on its way. False: the client left
    /// before, or the mock was stopped.
    pub whole: bool,
}

/// A handle to the record, shared with the server that writes it.
#[derive(Debug, Clone)]
pub struct ServedTruth(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    detail: Detail,
    answers: VecDeque<StreamTruth>,
    kept_events: usize,
    sums: Sums,
    /// Answers begun before a reset count nowhere after it.
    edition: u64,
}

#[derive(Debug, Default)]
struct Sums {
    requests: u64,
    broken: u64,
    tokens: u64,
    events: u64,
    ttft: TimeDistribution,
    itl: TimeDistribution,
    lateness: TimeDistribution,
}

/// The record in figures, as `GET /mock/truth` tells it. Milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TruthReport {
    /// Answers that have ended.
    pub requests: u64,
    /// Those of them that the client did not wait for.
    pub broken: u64,
    /// Tokens sent so far, those of answers under way included.
    pub tokens: u64,
    /// Events with tokens sent so far.
    pub events: u64,
    /// From a request's arrival to its first token. Of streams alone.
    pub ttft_ms: Quantiles,
    /// Between tokens; an event's time is shared by its tokens. Of streams alone.
    pub itl_ms: Quantiles,
    /// How late events left against their schedule.
    pub lateness_ms: Quantiles,
}

/// Some of a distribution: mean and maximum exact, the others within 0.05 %.
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

/// One answer under way. It counts when this is dropped, however it ended.
#[derive(Debug)]
pub(super) struct Recorder {
    truth: ServedTruth,
    answer: StreamTruth,
    detail: Detail,
    edition: u64,
    /// The last event's time, from the request's arrival.
    last: Option<Duration>,
}

impl ServedTruth {
    pub(super) fn new(detail: Detail) -> Self {
        Self(Arc::new(Mutex::new(Book {
            detail,
            answers: VecDeque::new(),
            kept_events: 0,
            sums: Sums::default(),
            edition: 0,
        })))
    }

    /// Record an answer from here on.
    pub(super) fn begin(&self, request_id: Option<String>, received: Instant, streamed: bool) -> Recorder {
        let book = self.lock();
        let (event_us, event_tokens, late_us) = Default::default();
        Recorder {
            truth: self.clone(),
            answer: StreamTruth {
                request_id,
                streamed,
                received,
                event_us,
                event_tokens,
                late_us,
                whole: false,
            },
            detail: book.detail,
            edition: book.edition,
            last: None,
        }
    }

    /// Forget everything, answers under way included.
    pub fn clear(&self) {
        let mut book = self.lock();
        book.edition += 1;
        book.answers.clear();
        book.kept_events = 0;
        book.sums = Sums::default();
    }

    /// The newest answers that have ended, in the order they ended in. Empty where only distributions are kept.
    pub fn streams(&self) -> Vec<StreamTruth> {
        self.lock().answers.iter().cloned().collect()
    }

    /// Everything so far, in figures.
    pub fn report(&self) -> TruthReport {
        let sums = &self.lock().sums;
        TruthReport {
            requests: sums.requests,
            broken: sums.broken,
            tokens: sums.tokens,
            events: sums.events,
            ttft_ms: quantiles(&sums.ttft),
            itl_ms: quantiles(&sums.itl),
            lateness_ms: quantiles(&sums.lateness),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// An event of so many tokens leaves now and was due then.
    pub(super) fn event(&mut self, now: Instant, due: Instant, tokens: u32) {
        let at = now.saturating_duration_since(self.answer.received);
        let late = now.saturating_duration_since(due);
        let mut book = self.truth.lock();
        if book.edition == self.edition {
            let sums = &mut book.sums;
            sums.events += 1;
            sums.tokens += u64::from(tokens);
            sums.lateness.add(nanos(late), 1);
            match self.last {
                _ if !self.answer.streamed => {}
                None => sums.ttft.add(nanos(at), 1),
                Some(last) => {
                    sums.itl.add(nanos(at.saturating_sub(last) / tokens.max(1)), u64::from(tokens));
                }
            }
        }
        drop(book);
        self.last = Some(at);
        if self.detail == Detail::Events {
            self.answer.event_us.push(micros(at));
            self.answer.event_tokens.push(tokens);
            self.answer.late_us.push(micros(late));
        }
    }

    /// All tokens that it was told to have were written.
    pub(super) fn whole(mut self) {
        self.answer.whole = true;
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let mut book = self.truth.lock();
        if book.edition != self.edition {
            return;
        }
        book.sums.requests += 1;
        book.sums.broken += u64::from(!self.answer.whole);
        if self.detail == Detail::Distributions {
            return;
        }
        let nothing = StreamTruth {
            request_id: None,
            streamed: self.answer.streamed,
            received: self.answer.received,
            event_us: Vec::new(),
            event_tokens: Vec::new(),
            late_us: Vec::new(),
            whole: false,
        };
        let answer = std::mem::replace(&mut self.answer, nothing);
        book.kept_events += answer.event_us.len();
        book.answers.push_back(answer);
        while book.kept_events > KEPT_EVENTS || book.answers.len() > KEPT_ANSWERS {
            let Some(oldest) = book.answers.pop_front() else {
                break;
            };
            book.kept_events -= oldest.event_us.len();
        }
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

fn quantiles(values: &TimeDistribution) -> Quantiles {
    let ms = |ns: f64| ns / 1e6;
    Quantiles {
        mean: ms(values.mean()),
        p50: ms(values.quantile(0.5)),
        p90: ms(values.quantile(0.9)),
        p99: ms(values.quantile(0.99)),
        max: ms(values.max() as f64),
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_answer(truth: &ServedTruth) {
        let received = Instant::now();
        let mut answer = truth.begin(None, received, true);
        for (at, late, tokens) in [(50_000, 0, 1), (70_000, 100, 1), (110_000, 900, 4)] {
            let now = received + Duration::from_micros(at);
            answer.event(now, now - Duration::from_micros(late), tokens);
        }
        answer.whole();
    }

    #[test]
    fn an_events_time_is_shared_by_its_tokens() {
        let truth = ServedTruth::new(Detail::Events);
        one_answer(&truth);
        let report = truth.report();
        assert_eq!((report.requests, report.broken, report.tokens, report.events), (1, 0, 6, 3));
        for (ms, near) in [
            (report.ttft_ms.p50, 50.0),
            (report.itl_ms.mean, 12.0),
            (report.itl_ms.p50, 10.0),
            (report.itl_ms.max, 20.0),
            (report.lateness_ms.max, 0.9),
        ] {
            assert!((ms - near).abs() < near * 0.001, "{ms} {near}");
        }
        assert_eq!(truth.streams()[0].event_us, [50_000, 70_000, 110_000]);
        assert_eq!(truth.streams()[0].gaps_us().sum::<f64>(), 60_000.0);
        truth.clear();
        assert_eq!(truth.report(), TruthReport::default());
    }

    #[test]
    fn distributions_alone_say_the_same_and_keep_no_events() {
        let truths = [Detail::Events, Detail::Distributions].map(ServedTruth::new);
        truths.iter().for_each(one_answer);
        assert_eq!(truths[0].report(), truths[1].report());
        assert_eq!((truths[0].streams().len(), truths[1].streams().len()), (1, 0));
    }

    #[test]
    fn an_answer_begun_before_a_reset_does_not_count_after_it() {
        let truth = ServedTruth::new(Detail::Events);
        let mut answer = truth.begin(None, Instant::now(), true);
        truth.clear();
        answer.event(Instant::now(), Instant::now(), 1);
        drop(answer);
        assert_eq!(truth.report(), TruthReport::default());
        drop(truth.begin(None, Instant::now(), true));
        assert_eq!((truth.report().requests, truth.report().broken), (1, 1));
    }
}
