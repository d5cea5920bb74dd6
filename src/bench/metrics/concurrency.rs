//! How many requests were in flight, and when the run was in its stride.

use crate::bench::record::RequestRecord;

/// The steady state is where at least this share of the mean concurrency is in flight.
const STEADY: f64 = 0.9;

/// A window shorter than this share of the run, or with fewer ended requests, says nothing.
const MIN_SHARE: f64 = 0.2;
const MIN_REQUESTS: usize = 10;

/// The number of requests in flight over time, failed ones included: they load the server, too.
#[derive(Debug, Clone, PartialEq)]
pub struct InFlight {
    /// From each of these times on (microseconds) so many were in flight.
    pub steps: Vec<(u64, u32)>,
}

/// A span of time, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub from_us: u64,
    /// Its end.
    pub to_us: u64,
}

impl Window {
    /// Seconds.
    pub fn seconds(self) -> f64 {
        self.to_us.saturating_sub(self.from_us) as f64 / 1e6
    }

    /// Whether a time lies in it. The end belongs to it: the last request ends there.
    pub fn holds(self, at_us: u64) -> bool {
        (self.from_us..=self.to_us).contains(&at_us)
    }
}

/// The whole run: from the first send to the last end. None where nothing was sent.
pub fn whole(records: &[RequestRecord]) -> Option<Window> {
    let from_us = records.iter().map(|record| record.sent_us).min()?;
    let to_us = records.iter().map(|record| record.ended_us).max()?;
    Some(Window { from_us, to_us })
}

impl InFlight {
    /// From records in any order.
    pub fn of(records: &[RequestRecord]) -> Self {
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

    /// Time-weighted mean over the whole run. Equal to the sum of all E2E latencies over the run's duration,
    /// which is what SGLang reports as `concurrency`.
    pub fn mean(&self) -> f64 {
        let held: f64 =
            self.steps.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64 * f64::from(pair[0].1)).sum();
        match (self.steps.first(), self.steps.last()) {
            (Some(first), Some(last)) if last.0 > first.0 => held / (last.0 - first.0) as f64,
            _ => 0.0,
        }
    }

    /// Most at once.
    pub fn peak(&self) -> u32 {
        self.steps.iter().map(|(_, count)| *count).max().unwrap_or(0)
    }

    /// The steady-state window: from the first moment at which at least 90 % of the mean concurrency is in
    /// flight to the last. It leaves out the ramp-up of an open loop and the ragged end of a closed one, and
    /// needs no knowledge of the arrival process. None where it would be a small part of the run or hold few
    /// ended requests.
    pub fn steady(&self, records: &[RequestRecord]) -> Option<Window> {
        let floor = self.mean() * STEADY;
        let full = |(_, count): &&(u64, u32)| f64::from(*count) >= floor;
        let from_us = self.steps.iter().find(full)?.0;
        let last = self.steps.iter().rposition(|step| full(&step))?;
        let to_us = self.steps.get(last + 1)?.0;
        let window = Window { from_us, to_us };
        let ended = records.iter().filter(|record| record.is_done() && window.holds(record.ended_us)).count();
        let run = whole(records)?;
        (window.seconds() >= MIN_SHARE * run.seconds() && ended >= MIN_REQUESTS).then_some(window)
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_window_leaves_out_the_ragged_end() {
        // Four slots for ten rounds; then one request runs on alone for as long again as a fifth of them.
        let mut records: Vec<_> = (0..40)
            .map(|k| {
                let round = u64::from(k as u32 / 4) * 1_000_000;
                done(round, round + 1_000_000)
            })
            .collect();
        records.push(done(10_000_000, 12_000_000));
        let window = InFlight::of(&records).steady(&records).unwrap();
        assert_eq!(window, Window { from_us: 0, to_us: 10_000_000 });
    }

    #[test]
    fn few_requests_have_no_steady_state() {
        let records: Vec<_> = (0..5).map(|k| done(0, 1_000_000 + k)).collect();
        assert_eq!(InFlight::of(&records).steady(&records), None);
    }
}
