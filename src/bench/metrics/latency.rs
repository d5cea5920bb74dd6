//! From records to samples. Only requests that ended whole have any. All in milliseconds.

use super::pool::Sample;
use crate::bench::record::RequestRecord;

/// Time to first token, from sending.
pub(crate) fn ttft(records: &[RequestRecord]) -> Vec<Sample> {
    one_each(records, ttft_ms)
}

/// From sending to the end.
pub(crate) fn e2e(records: &[RequestRecord]) -> Vec<Sample> {
    one_each(records, |record| Some(e2e_ms(record)))
}

/// Time per output token after the first.
pub(crate) fn tpot(records: &[RequestRecord]) -> Vec<Sample> {
    one_each(records, tpot_ms)
}

/// Time to first token, from schedule.
pub(crate) fn ttft_from_schedule(records: &[RequestRecord]) -> Vec<Sample> {
    one_each(records, ttft_from_schedule_ms)
}

/// From schedule to the end.
pub(crate) fn e2e_from_schedule(records: &[RequestRecord]) -> Vec<Sample> {
    one_each(records, e2e_from_schedule_ms)
}

/// From schedule to sending.
pub(crate) fn queued(records: &[RequestRecord]) -> Vec<Sample> {
    one_each(records, |record| record.scheduled_us.map(|_| ms(record.queued_us())))
}

/// Inter-token latency, weighted by tokens.
pub(crate) fn itl(records: &[RequestRecord]) -> Vec<Sample> {
    let done = (0..).zip(records).filter(|(_, record)| record.is_done());
    done.flat_map(|(request, record)| {
        itl_ms(record).map(move |(value, weight)| Sample { request, value, weight })
    })
    .collect()
}

/// Time to first token of one request, from sending.
pub(crate) fn ttft_ms(record: &RequestRecord) -> Option<f64> {
    record.ttft_us().map(ms)
}

/// Time to first token of one request, from schedule.
pub(crate) fn ttft_from_schedule_ms(record: &RequestRecord) -> Option<f64> {
    record.scheduled_us?;
    Some(ms(record.ttft_us()? + record.queued_us()))
}

/// The mean time per token of one request after its first: `(E2E - TTFT) / (output tokens - 1)`, of requests
/// with two tokens or more, as SGLang and vLLM define it.
pub(crate) fn tpot_ms(record: &RequestRecord) -> Option<f64> {
    let later = record.answer.output_tokens.checked_sub(1).filter(|later| *later > 0)?;
    Some(ms(e2e_us(record).saturating_sub(record.ttft_us()?)) / f64::from(later))
}

/// From sending one request to its end.
pub(crate) fn e2e_ms(record: &RequestRecord) -> f64 {
    ms(e2e_us(record))
}

/// From one request's schedule to its end.
pub(crate) fn e2e_from_schedule_ms(record: &RequestRecord) -> Option<f64> {
    record.scheduled_us.map(|due| ms(record.ended_us.saturating_sub(due)))
}

/// One request's inter-token latencies, each with the tokens it stands for: an event with n tokens that came
/// `dt` after the event before it is n samples of `dt / n`. The first event has none: its tokens' time is the
/// TTFT. An event without a token of its own gives its time to the next.
pub(crate) fn itl_ms(record: &RequestRecord) -> impl Iterator<Item = (f64, f64)> + '_ {
    let answer = &record.answer;
    let mut before = answer.chunk_us.first().copied().unwrap_or(0);
    let later = answer.chunk_us.iter().zip(&answer.chunk_tokens).skip(1);
    later.filter(|(_, tokens)| **tokens > 0.0).map(move |(at, tokens)| {
        let (gap, tokens) = (ms(at.saturating_sub(before)), f64::from(*tokens));
        before = *at;
        (gap / tokens, tokens)
    })
}

/// From sending to the end, microseconds.
pub(crate) fn e2e_us(record: &RequestRecord) -> u64 {
    record.ended_us.saturating_sub(record.sent_us)
}

fn one_each(records: &[RequestRecord], of: impl Fn(&RequestRecord) -> Option<f64>) -> Vec<Sample> {
    (0..)
        .zip(records)
        .filter(|(_, record)| record.is_done())
        .filter_map(|(request, record)| Some(Sample { request, value: of(record)?, weight: 1.0 }))
        .collect()
}

pub(super) fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}
