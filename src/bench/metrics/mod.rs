//! What the records of a run come to. Pure; `docs/benchmarking.md` has the formulas.

pub(crate) mod bootstrap;
pub(crate) mod concurrency;
#[cfg(test)]
pub(in crate::bench) mod fixture;
pub(crate) mod goodput;
pub(crate) mod latency;
pub(crate) mod pool;
pub(crate) mod server_side;
pub(crate) mod throughput;
mod warnings;

use self::concurrency::InFlight;
use self::pool::{Pool, Sample};
use super::plan::LoadPlan;
use super::record::{Outcome, RequestRecord, TokenSource};
use super::summary::{
    ClientHealth, Counts, Distribution, Latencies, LengthError, ServerView, Summary, Throughput,
};

/// Sums everything up. `plan.seed` fixes the bootstrap.
pub(crate) fn summarise(
    plan: &LoadPlan,
    records: &[RequestRecord],
    client: ClientHealth,
    server: ServerView,
) -> Summary {
    let done = || records.iter().filter(|record| record.is_done());
    let in_flight = InFlight::of(records);
    let run = concurrency::run(records);
    let steady = in_flight.steady(records, &plan.arrival);
    let mut summary = Summary {
        profile: plan.profile.clone(),
        model: plan.model.clone(),
        warnings: Vec::new(),
        counts: counts(plan, records),
        input_tokens: done().map(|record| u64::from(throughput::input_tokens(record))).sum(),
        output_tokens: done().map(|record| u64::from(record.answer.output_tokens)).sum(),
        cached_tokens: done()
            .filter_map(|record| record.answer.cached_tokens.map(u64::from))
            .reduce(|a, b| a + b),
        accept_length: accept_length(records, &server),
        exact_token_share: exact_token_share(records),
        input_length_error: input_length_error(records),
        throughput: run.map_or(Throughput::default(), |run| throughput::of_run(records, run)),
        steady: steady.ok().map(|window| throughput::within(records, window)),
        latency_ms: latencies(records, plan.seed),
        mean_concurrency: in_flight.mean(),
        peak_concurrency: in_flight.peak(),
        peak_output_tokens_per_s: throughput::peak_output(records),
        goodput: goodput::goodput(records, &plan.slo, run),
        client,
        server,
    };
    summary.warnings = warnings::of(plan, records, &summary, steady.err());
    summary
}

fn latencies(records: &[RequestRecord], seed: u64) -> Latencies {
    let over = |samples: Vec<Sample>| -> Option<Distribution> {
        Some(bootstrap::distribution(&Pool::new(&samples)?, seed))
    };
    Latencies {
        ttft: over(latency::ttft(records)),
        tpot: over(latency::tpot(records)),
        itl: over(latency::itl(records)),
        e2e: over(latency::e2e(records)),
        ttft_from_schedule: over(latency::ttft_from_schedule(records)),
        e2e_from_schedule: over(latency::e2e_from_schedule(records)),
        queued: over(latency::queued(records)),
    }
}

fn counts(plan: &LoadPlan, records: &[RequestRecord]) -> Counts {
    let mut counts = Counts { planned: plan.requests, ..Default::default() };
    for record in records {
        match &record.outcome {
            Outcome::Done => counts.completed += 1,
            Outcome::Interrupted => counts.interrupted += 1,
            Outcome::Failed { class, .. } => {
                counts.failed += 1;
                *counts.failures.entry(*class).or_default() += 1;
            }
        }
    }
    counts.unsent = plan.requests.saturating_sub(records.len() as u32);
    counts
}

/// Accepted tokens per verification step: over the requests that say it, weighted by their tokens' steps
/// (`sum(tokens) / sum(tokens / length)`), else what the server says of itself.
fn accept_length(records: &[RequestRecord], server: &ServerView) -> Option<f64> {
    let (mut tokens, mut steps) = (0.0, 0.0);
    for record in records.iter().filter(|record| record.is_done()) {
        if let Some(length) = record.answer.accept_length.filter(|length| *length > 0.0) {
            tokens += f64::from(record.answer.output_tokens);
            steps += f64::from(record.answer.output_tokens) / length;
        }
    }
    if steps > 0.0 { Some(tokens / steps) } else { server_side::accept_length(server) }
}

/// Share of output events, of successful requests, whose tokens the server counted.
fn exact_token_share(records: &[RequestRecord]) -> f64 {
    let (mut exact, mut all) = (0_usize, 0_usize);
    for record in records.iter().filter(|record| record.is_done()) {
        let events = record.answer.chunk_us.len();
        all += events;
        // As many tokens as events, by the server's own total: one each.
        let spread_evenly = record.answer.token_source == TokenSource::Spread
            && events as u64 == u64::from(record.answer.output_tokens);
        if record.answer.token_source == TokenSource::Cumulative || spread_evenly {
            exact += events;
        }
    }
    if all == 0 { 1.0 } else { exact as f64 / all as f64 }
}

fn input_length_error(records: &[RequestRecord]) -> Option<LengthError> {
    let errors: Vec<f64> = records
        .iter()
        .filter(|record| record.is_done())
        .filter_map(|record| {
            let planned = f64::from(record.planned_input_tokens.filter(|planned| *planned > 0)?);
            Some((f64::from(record.answer.input_tokens?) - planned).abs() / planned)
        })
        .collect();
    if errors.is_empty() {
        return None;
    }
    Some(LengthError {
        mean: errors.iter().sum::<f64>() / errors.len() as f64,
        max: errors.iter().copied().fold(0.0, f64::max),
        off: errors.iter().filter(|error| **error > 0.0).count() as u32,
    })
}

#[cfg(test)]
pub(in crate::bench) mod tests;
