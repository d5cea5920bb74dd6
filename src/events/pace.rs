//! How fast work goes, by the times that events carry: the same whether they are heard as they happen or read later.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::Work;
use crate::span::in_words;

/// How far back is looked.
const WINDOW: Duration = Duration::from_secs(60);
/// Samples nearer than this to the last one are not kept.
const APART: Duration = Duration::from_secs(1);
/// Nothing is said of a shorter time: what was begun together ends together.
const SHORTEST: Duration = Duration::from_secs(2);

/// Work seen over time.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    samples: VecDeque<(Timestamp, u64)>,
    newest: Option<(Timestamp, Work)>,
}

impl Pace {
    /// Work begins `at`, with what is done already.
    pub fn begin(at: Timestamp, work: Work) -> Self {
        Self { samples: VecDeque::from([(at, work.done)]), newest: Some((at, work)) }
    }

    /// It had come so far `at`.
    pub fn sees(&mut self, at: Timestamp, work: Work) {
        self.newest = Some((at, work));
        if self.samples.back().is_none_or(|(last, _)| since(*last, at) >= APART) {
            self.samples.push_back((at, work.done));
        }
        // One from before the window stays: it spans the whole of it.
        while self.samples.len() > 2 && since(self.samples[1].0, at) >= WINDOW {
            self.samples.pop_front();
        }
    }

    /// What ends a second, over about the last minute.
    pub fn per_second(&self) -> Option<f64> {
        let ((from, before), (at, work)) = (self.samples.front()?, self.newest.as_ref()?);
        let took = since(*from, *at);
        let ended = work.done.checked_sub(*before)?;
        (took >= SHORTEST && ended > 0).then(|| ended as f64 / took.as_secs_f64())
    }

    /// How long the rest takes if it goes on so, as of the last time it was seen.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.newest.map(|(_, work)| work.of.saturating_sub(work.done))?;
        Duration::try_from_secs_f64(left as f64 / self.per_second()?).ok()
    }

    /// `4.2 a second, 58 s left`, where that is known and something is left.
    pub fn in_words(&self) -> Option<String> {
        let (rate, left) = (self.per_second()?, self.remaining()?.as_secs_f64());
        let rate =
            if rate < 0.5 { format!("{:.1} a minute", rate * 60.0) } else { format!("{rate:.1} a second") };
        (left > 0.0).then(|| format!("{rate}, {} left", in_words(left)))
    }
}

/// None where the clock was set back.
fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn seen(first: (i64, u64), later: impl IntoIterator<Item = (i64, u64)>) -> Pace {
        let work = |done| Work { done, of: 1000 };
        let mut pace = Pace::begin(at(first.0), work(first.1));
        later.into_iter().for_each(|(second, done)| pace.sees(at(second), work(done)));
        pace
    }

    #[test]
    fn the_last_minute_counts_and_what_was_done_before_does_not() {
        // Ten a second, then one a second for two minutes.
        let slow = (1..=120).map(|second| (100 + second, 500 + second as u64));
        let pace = seen((0, 200), (1..=30).map(|tenth| (tenth, 200 + 10 * tenth as u64)).chain(slow));
        assert!((pace.per_second().unwrap() - 1.0).abs() < 0.05, "{:?}", pace.per_second());
        let left = pace.remaining().unwrap().as_secs_f64();
        assert!((left - 380.0).abs() < 20.0, "{left}");
        assert!(pace.samples.len() < 70, "{}", pace.samples.len());
    }

    #[test]
    fn nothing_is_said_of_no_time_of_no_work_and_of_a_clock_set_back() {
        for pace in [
            Pace::default(),
            seen((0, 0), []),
            seen((0, 0), [(1, 10)]),
            seen((0, 5), [(30, 5)]),
            seen((100, 0), [(10, 50)]),
            seen((0, 50), [(10, 40)]),
        ] {
            assert_eq!((pace.per_second(), pace.remaining()), (None, None), "{pace:?}");
        }
        let done = seen((0, 0), [(10, 1000)]);
        assert_eq!((done.per_second(), done.remaining()), (Some(100.0), Some(Duration::ZERO)));
        assert_eq!(done.in_words(), None);
    }

    #[test]
    fn people_are_told_the_rate_in_the_unit_that_suits() {
        assert_eq!(seen((0, 0), [(10, 42)]).in_words().unwrap(), "4.2 a second, 3 min left");
        assert_eq!(seen((0, 0), [(50, 10)]).in_words().unwrap(), "12.0 a minute, 1 h 22 min left");
    }
}
