//! How many requests were in flight, and when the run was in its stride.

use crate::bench::plan::Arrival;
use crate::bench::record::RequestRecord;

/// The steady state is where at least this share of the median concurrency is in flight.
const STEADY: f64 = 0.9;

/// A window with fewer requests that ended whole says nothing.
const MIN_REQUESTS: usize = 10;

/// Slots must have been refilled: a window is at least this many times as long as a request takes on average.
const MIN_TURNS: f64 = 2.0;

/// Why a run has no steady state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unsteady {
    /// The plan's load changes all the time.
    Ramp,
    /// Too few requests ended whole while the server was loaded.
    FewRequests(usize),
    /// It was loaded for hardly longer than one request takes, as when all are sent at once: what was seen is a
    /// start and an end. Seconds.
    NoTurnover {
        /// How long it was loaded.
        window_s: f64,
        /// How long a request took, mean.
        request_s: f64,
    },
}

impl std::fmt::Display for Unsteady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unsteady::Ramp => write!(f, "the plan's rate changes all the time"),
            Unsteady::FewRequests(ended) => {
                write!(f, "{ended} requests ended under full load, {MIN_REQUESTS} are the least")
            }
            Unsteady::NoTurnover { window_s, request_s } => write!(
                f,
                "full load lasted {window_s:.1} s and a request {request_s:.1} s, so that slots were hardly refilled"
            ),
        }
    }
}

/// The number of requests in flight over time, failed ones included: they load the server, too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InFlight {
    /// From each of these times on (microseconds) so many were in flight.
    pub steps: Vec<(u64, u32)>,
}

/// A span of time, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its beginning.
    pub from_us: u64,
    /// Its end.
    pub to_us: u64,
}

impl Window {
    /// Seconds.
    pub(crate) fn seconds(self) -> f64 {
        self.to_us.saturating_sub(self.from_us) as f64 / 1e6
    }

    /// Whether what came at a time belongs to it. The end does, as the last request ends there; the beginning
    /// does not: what comes at the very moment of the first send is of the time before.
    pub(crate) fn holds(self, at_us: u64) -> bool {
        self.from_us < at_us && at_us <= self.to_us
    }
}

/// The run, for its rates: from the first send to the last end of the requests that ended whole. One that
/// waits for its time-out long after all others, or that the user cut short, brings no tokens and no time.
/// None where none ended whole.
pub(crate) fn run(records: &[RequestRecord]) -> Option<Window> {
    let done = || records.iter().filter(|record| record.is_done());
    let from_us = done().map(|record| record.sent_us).min()?;
    let to_us = done().map(|record| record.ended_us).max()?;
    Some(Window { from_us, to_us })
}

impl InFlight {
    /// From records in any order.
    pub(crate) fn of(records: &[RequestRecord]) -> Self {
        let mut changes: Vec<(u64, i32)> = records
            .iter()
            .flat_map(|record| [(record.sent_us, 1), (record.ended_us.max(record.sent_us), -1)])
            .collect();
        // One that begins as another ends is no overlap: ends go first.
        changes.sort_unstable();
        let mut steps: Vec<(u64, u32)> = Vec::new();
        let mut now = 0_i32;
        for (at, change) in changes {
            now += change;
            let count = u32::try_from(now).unwrap_or(0);
            match steps.last_mut() {
                Some((last, held)) if *last == at => *held = count,
                _ => steps.push((at, count)),
            }
        }
        Self { steps }
    }

    /// Time-weighted mean from the first send to the last end. Where no request failed it is the sum of all E2E
    /// latencies over the run's duration, which is what SGLang reports as `concurrency`.
    pub(crate) fn mean(&self) -> f64 {
        let held: f64 =
            self.steps.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64 * f64::from(pair[0].1)).sum();
        match (self.steps.first(), self.steps.last()) {
            (Some(first), Some(last)) if last.0 > first.0 => held / (last.0 - first.0) as f64,
            _ => 0.0,
        }
    }

    /// Most at once.
    pub(crate) fn peak(&self) -> u32 {
        self.steps.iter().map(|(_, count)| *count).max().unwrap_or(0)
    }

    /// Time-weighted median: half of the time at least so many were in flight.
    pub(crate) fn median(&self) -> u32 {
        let mut spans: Vec<(u32, u64)> =
            self.steps.windows(2).map(|pair| (pair[0].1, pair[1].0 - pair[0].0)).collect();
        spans.sort_unstable_by(|a, b| b.cmp(a));
        let all: u64 = spans.iter().map(|(_, span)| span).sum();
        let mut passed = 0;
        let middle = spans.iter().find(|(_, span)| {
            passed += span;
            2 * passed >= all
        });
        middle.map_or(0, |(count, _)| *count)
    }

    /// The steady-state window: from the first moment at which at least 90 % of the median concurrency is in
    /// flight to the last. It leaves out the slow start of an open loop and the ragged end of a closed one.
    ///
    /// The median, because a long ragged end pulls the mean down and with it the bar, until the window holds
    /// the end it should leave out. From first to last, not the longest span without a dip (SGLang 0.5.23,
    /// `benchmark/steady_state.py`): Poisson arrivals dip below any bar all the time, and the spans between dips
    /// are the busy ones only.
    pub(crate) fn steady(&self, records: &[RequestRecord], arrival: &Arrival) -> Result<Window, Unsteady> {
        if matches!(arrival, Arrival::Ramp { .. }) {
            return Err(Unsteady::Ramp);
        }
        let floor = f64::from(self.median()) * STEADY;
        let full = |(_, count): &&(u64, u32)| *count > 0 && f64::from(*count) >= floor;
        let bounds = || {
            let from_us = self.steps.iter().find(full)?.0;
            let last = self.steps.iter().rposition(|step| full(&step))?;
            Some(Window { from_us, to_us: self.steps.get(last + 1)?.0 })
        };
        let window = bounds().ok_or(Unsteady::FewRequests(0))?;
        let done = || records.iter().filter(|record| record.is_done());
        let ended = done().filter(|record| window.holds(record.ended_us)).count();
        if ended < MIN_REQUESTS {
            return Err(Unsteady::FewRequests(ended));
        }
        let held_us: u64 = done().map(|record| record.ended_us.saturating_sub(record.sent_us)).sum();
        let request_s = held_us as f64 / done().count() as f64 / 1e6;
        match window.seconds() < MIN_TURNS * request_s {
            true => Err(Unsteady::NoTurnover { window_s: window.seconds(), request_s }),
            false => Ok(window),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{done, failed};
    use super::*;

    #[test]
    fn concurrency_is_the_time_spent_in_flight() {
        // Two overlap for a second, one is alone for two.
        let records = [done(0, 2_000_000), done(1_000_000, 3_000_000)];
        let in_flight = InFlight::of(&records);
        assert_eq!(in_flight.steps, [(0, 1), (1_000_000, 2), (2_000_000, 1), (3_000_000, 0)]);
        assert!((in_flight.mean() - 4.0 / 3.0).abs() < 1e-12);
        assert_eq!(in_flight.peak(), 2);
        let e2e: u64 = records.iter().map(|record| record.ended_us - record.sent_us).sum();
        assert!((in_flight.mean() - e2e as f64 / 3e6).abs() < 1e-12);
    }

    #[test]
    fn one_after_another_never_overlap() {
        let records: Vec<_> = (0..5).map(|k| done(k * 1_000_000, (k + 1) * 1_000_000)).collect();
        assert_eq!((InFlight::of(&records).peak(), InFlight::of(&records).mean()), (1, 1.0));
    }

    #[test]
    fn failed_requests_load_the_server_too() {
        assert_eq!(InFlight::of(&[done(0, 10), failed(0, 10)]).peak(), 2);
        assert_eq!(InFlight::of(&[]).mean(), 0.0);
    }

    const CLOSED: Arrival = Arrival::ClosedLoop;

    /// So many slots, each refilled at once for so many rounds of a second.
    fn rounds(slots: u64, rounds: u64) -> Vec<RequestRecord> {
        let begins = |k| k / slots * 1_000_000;
        (0..slots * rounds).map(|k| done(begins(k), begins(k) + 1_000_000)).collect()
    }

    #[test]
    fn the_window_leaves_out_a_ragged_end_however_long() {
        for tail in [2_000_000, 9_000_000] {
            let mut records = rounds(4, 10);
            records.push(done(10_000_000, 10_000_000 + tail));
            let window = InFlight::of(&records).steady(&records, &CLOSED);
            assert_eq!(window, Ok(Window { from_us: 0, to_us: 10_000_000 }), "{tail}");
        }
    }

    /// Ten slots that empty one by one: the mean, 7.6, would let the window reach into the end until six are left.
    #[test]
    fn a_gradual_end_does_not_lower_the_bar() {
        let mut records = rounds(10, 10);
        records.extend((1..10).map(|k| done(10_000_000, 10_000_000 + k * 1_000_000)));
        let in_flight = InFlight::of(&records);
        assert_eq!(in_flight.median(), 10);
        // Nine are 90 % of ten.
        let window = in_flight.steady(&records, &CLOSED);
        assert_eq!(window, Ok(Window { from_us: 0, to_us: 11_000_000 }));
    }

    #[test]
    fn a_slow_start_is_left_out_and_dips_are_not() {
        // One alone, then four at a time with a second of one in between, then one alone.
        let mut records = vec![done(0, 3_000_000)];
        for start in [3, 4, 5, 7, 8, 9] {
            records.extend((0..4).map(|_| done(start * 1_000_000, (start + 1) * 1_000_000)));
        }
        records.extend([done(6_000_000, 7_000_000), done(10_000_000, 12_000_000)]);
        let window = InFlight::of(&records).steady(&records, &CLOSED);
        assert_eq!(window, Ok(Window { from_us: 3_000_000, to_us: 10_000_000 }));
    }

    #[test]
    fn what_has_no_steady_state_says_why() {
        let steady = |records: &[RequestRecord], arrival| InFlight::of(records).steady(records, &arrival);
        let few: Vec<_> = (0..5).map(|k| done(0, 1_000_000 + k)).collect();
        assert_eq!(steady(&few, Arrival::AllAtOnce), Err(Unsteady::FewRequests(1)));
        let at_once = vec![done(0, 1_500_000); 100];
        let no_turnover = Unsteady::NoTurnover { window_s: 1.5, request_s: 1.5 };
        assert_eq!(steady(&at_once, Arrival::AllAtOnce), Err(no_turnover));
        let ramp = Arrival::Ramp { from_rate: 1.0, to_rate: 2.0 };
        assert_eq!(steady(&rounds(4, 10), ramp), Err(Unsteady::Ramp));
        assert_eq!(steady(&[], CLOSED), Err(Unsteady::FewRequests(0)));
        assert_eq!(steady(&vec![failed(0, 9); 20], CLOSED), Err(Unsteady::FewRequests(0)));
        assert!(no_turnover.to_string().contains("1.5 s"), "{no_turnover}");
    }

    #[test]
    fn the_run_is_that_of_requests_that_ended_whole() {
        let records = [failed(0, 10), done(100, 500), failed(200, 9_000)];
        assert_eq!(run(&records), Some(Window { from_us: 100, to_us: 500 }));
        assert_eq!(run(&records[..1]), None);
    }

    proptest! {
        #[test]
        fn the_mean_is_sglangs_concurrency(spans in prop::collection::vec((0u64..5_000, 1u64..5_000), 1..50)) {
            let records: Vec<_> = spans.iter().map(|(sent, lasts)| done(*sent, sent + lasts)).collect();
            let in_flight = InFlight::of(&records);
            let lasted = run(&records).unwrap();
            let e2e: u64 = spans.iter().map(|(_, lasts)| lasts).sum();
            prop_assert!((in_flight.mean() - e2e as f64 / 1e6 / lasted.seconds()).abs() < 1e-9);
            prop_assert!(in_flight.median() <= in_flight.peak() && in_flight.peak() as usize <= records.len());
        }
    }
}
