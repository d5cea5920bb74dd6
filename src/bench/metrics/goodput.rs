//! Requests that met the service-level objectives.

use super::concurrency::Window;
use super::latency::{ms, tpot_ms};
use crate::bench::plan::Slo;
use crate::bench::record::{Outcome, RequestRecord};
use crate::bench::summary::Goodput;

/// Requests that met every objective given, over the run. Latencies count from schedule where there is one:
/// a user waits from the moment of asking. None without an objective; zero where no request ended whole.
pub(crate) fn goodput(records: &[RequestRecord], slo: &Slo, run: Option<Window>) -> Option<Goodput> {
    if *slo == Slo::default() {
        return None;
    }
    let judged = records.iter().filter(|record| record.outcome != Outcome::Interrupted).count();
    let good = records.iter().filter(|record| is_good(record, slo)).count() as f64;
    let seconds = run.map_or(0.0, Window::seconds);
    Some(Goodput {
        requests: if seconds > 0.0 { good / seconds } else { 0.0 },
        share: if judged > 0 { good / judged as f64 } else { 0.0 },
    })
}

/// Whether one request ended whole and met every objective.
pub(crate) fn is_good(record: &RequestRecord, slo: &Slo) -> bool {
    let within = |limit: Option<f64>, value: Option<f64>| {
        limit.is_none_or(|limit| value.is_some_and(|value| value <= limit))
    };
    let due = record.scheduled_us.unwrap_or(record.sent_us).min(record.sent_us);
    let ttft = record.ttft_us().map(|us| ms(us + record.queued_us()));
    // An answer of one token has no time between tokens to be slow in.
    let tpot = tpot_ms(record).or((record.answer.output_tokens == 1).then_some(0.0));
    record.is_done()
        && within(slo.ttft_ms, ttft)
        && within(slo.tpot_ms, tpot)
        && within(slo.e2e_ms, Some(ms(record.ended_us.saturating_sub(due))))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{answered, failed};
    use super::*;

    #[test]
    fn every_objective_must_hold_and_from_the_schedule() {
        let run = Some(Window { from_us: 0, to_us: 2_000_000 });
        let slo = |ttft_ms, tpot_ms, e2e_ms| Slo { ttft_ms, tpot_ms, e2e_ms };
        let mut queued = answered(500_000, &[100_000, 200_000]);
        queued.scheduled_us = Some(200_000);
        let records = [answered(0, &[100_000, 1_000_000]), queued, failed(0, 10)];
        let share = |slo| goodput(&records, &slo, run).map(|good| (good.requests, good.share));
        assert_eq!(share(slo(Some(150.0), None, None)), Some((0.5, 1.0 / 3.0)));
        assert_eq!(share(slo(Some(400.0), None, None)), Some((1.0, 2.0 / 3.0)));
        assert_eq!(share(slo(None, Some(150.0), None)), Some((0.5, 1.0 / 3.0)));
        assert_eq!(share(slo(Some(400.0), Some(1_000.0), Some(600.0))), Some((0.5, 1.0 / 3.0)));
        assert_eq!(share(Slo::default()), None);
        let none = goodput(&records[2..], &slo(Some(1.0), None, None), None);
        assert_eq!(none, Some(Goodput { requests: 0.0, share: 0.0 }));
    }
}
