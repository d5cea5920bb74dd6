//! The values a layer may hold, whoever says them. The bounds are wide: they catch what no run can mean.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::layer::{ArrivalLayer, Bound, Layer, LimitsLayer, Rate, SamplingLayer, SloLayer, WorkloadLayer};

/// A field that holds what it cannot.
#[derive(Debug, PartialEq)]
pub(super) struct Violation {
    pub field: &'static str,
    pub value: String,
    pub accepted: String,
}

const REQUESTS: RangeInclusive<u32> = 1..=10_000_000;
/// The longest context windows announced are 10 million tokens.
const TOKENS: RangeInclusive<u32> = 1..=10_000_000;
/// One client address has that many ports to one server.
const CONCURRENCY: RangeInclusive<u32> = 1..=65_535;
const WARMUP: RangeInclusive<u32> = 0..=1_000_000;
const TURNS: RangeInclusive<u32> = 1..=10_000;
/// A day.
const THINK_MS: RangeInclusive<u64> = 0..=86_400_000;
/// Beyond a million a second a schedule in microseconds has no places.
const RATE: f64 = 1e6;
const BURSTINESS: f64 = 1e6;
const SCALE: f64 = 1e6;
/// Servers refuse more than 2; some take any.
const TEMPERATURE: RangeInclusive<f64> = 0.0..=100.0;
/// A week.
const SECONDS: f64 = 604_800.0;
const RETRIES: RangeInclusive<u32> = 0..=100;
/// From less than a single event to more than a client can hold: 1 KiB to 1 TiB.
const ANSWER_BYTES: RangeInclusive<u64> = 1024..=1 << 40;
const SHARE: RangeInclusive<f64> = 0.0..=1.0;

/// Fields of a request's body that are the plan's own, and how a plan says them.
const OWN: [(&str, &str); 12] = [
    ("model", "--model says it"),
    ("messages", "the workload says it"),
    ("prompt", "the workload says it"),
    ("text", "the workload says it"),
    ("input_ids", "the workload says it"),
    ("stream", "every request is streamed"),
    ("stream_options", "the token counts come by it"),
    ("max_tokens", "--output says it"),
    ("max_completion_tokens", "--output says it"),
    ("max_new_tokens", "--output says it"),
    ("temperature", "--temperature says it"),
    ("ignore_eos", "--ignore-eos and --no-ignore-eos say it"),
];

/// Whether everything `layer` says can be.
pub(super) fn check(layer: &Layer) -> Result<(), Violation> {
    let Layer {
        about: _,
        model,
        protocol: _,
        requests,
        workload,
        arrival,
        concurrency,
        warmup,
        seed: _,
        sampling,
        limits,
        slo,
    } = layer;
    if let Some(name) = model
        && (name.trim().is_empty() || name.chars().any(char::is_control))
    {
        return refuse("model", format!("{name:?}"), "a name as the server's /v1/models lists it");
    }
    whole("requests", *requests, &REQUESTS)?;
    whole("concurrency", concurrency.and_then(Bound::limit), &CONCURRENCY)?;
    whole("warmup", *warmup, &WARMUP)?;
    self::workload(workload)?;
    self::arrival(arrival)?;
    self::sampling(sampling)?;
    self::limits(limits)?;
    let SloLayer { ttft_ms, tpot_ms, e2e_ms } = slo;
    let milliseconds = 1e3 * SECONDS;
    above_zero("slo.ttft_ms", ttft_ms.and_then(Bound::limit), milliseconds)?;
    above_zero("slo.tpot_ms", tpot_ms.and_then(Bound::limit), milliseconds)?;
    above_zero("slo.e2e_ms", e2e_ms.and_then(Bound::limit), milliseconds)
}

fn workload(layer: &WorkloadLayer) -> Result<(), Violation> {
    let WorkloadLayer {
        kind: _,
        input_tokens,
        output_tokens,
        lengths: _,
        range_ratio,
        groups,
        prefix_tokens,
        turns,
        think_ms,
        file: _,
    } = layer;
    whole("workload.input_tokens", *input_tokens, &TOKENS)?;
    whole("workload.output_tokens", *output_tokens, &TOKENS)?;
    within("workload.range_ratio", *range_ratio, &SHARE)?;
    whole("workload.groups", *groups, &REQUESTS)?;
    whole("workload.prefix_tokens", *prefix_tokens, &TOKENS)?;
    whole("workload.turns", *turns, &TURNS)?;
    whole("workload.think_ms", *think_ms, &THINK_MS)
}

fn arrival(layer: &ArrivalLayer) -> Result<(), Violation> {
    let ArrivalLayer { kind: _, rate, burstiness, from_rate, to_rate, file: _, scale } = layer;
    if let Some(Rate::PerSecond(rate)) = rate {
        above_zero("arrival.rate", Some(*rate), RATE)?;
    }
    above_zero("arrival.burstiness", *burstiness, BURSTINESS)?;
    above_zero("arrival.from_rate", *from_rate, RATE)?;
    above_zero("arrival.to_rate", *to_rate, RATE)?;
    above_zero("arrival.scale", *scale, SCALE)
}

fn sampling(layer: &SamplingLayer) -> Result<(), Violation> {
    let SamplingLayer { temperature, ignore_eos: _, extra_body } = layer;
    within("sampling.temperature", *temperature, &TEMPERATURE)?;
    match OWN.iter().find(|(key, _)| extra_body.contains_key(*key)) {
        Some((key, why)) => {
            refuse("sampling.extra_body", format!("`{key}`"), &format!("fields the plan does not set: {why}"))
        }
        None => Ok(()),
    }
}

fn limits(layer: &LimitsLayer) -> Result<(), Violation> {
    let LimitsLayer { connect_s, first_token_s, stall_s, request_s, answer_bytes, failed_share, retries } =
        layer;
    above_zero("limits.connect_s", *connect_s, SECONDS)?;
    above_zero("limits.first_token_s", *first_token_s, SECONDS)?;
    above_zero("limits.stall_s", *stall_s, SECONDS)?;
    above_zero("limits.request_s", *request_s, SECONDS)?;
    whole("limits.answer_bytes", *answer_bytes, &ANSWER_BYTES)?;
    within("limits.failed_share", *failed_share, &SHARE)?;
    whole("limits.retries", *retries, &RETRIES)
}

fn refuse(field: &'static str, value: String, accepted: &str) -> Result<(), Violation> {
    Err(Violation { field, value, accepted: accepted.to_owned() })
}

fn whole<T: PartialOrd + Display + Copy>(
    field: &'static str,
    value: Option<T>,
    range: &RangeInclusive<T>,
) -> Result<(), Violation> {
    match value {
        Some(value) if !range.contains(&value) => {
            let accepted = format!("a whole number from {} to {}", range.start(), range.end());
            refuse(field, value.to_string(), &accepted)
        }
        _ => Ok(()),
    }
}

/// NaN is within nothing, so it is refused too.
fn within(field: &'static str, value: Option<f64>, range: &RangeInclusive<f64>) -> Result<(), Violation> {
    match value {
        Some(value) if !range.contains(&value) => {
            refuse(field, value.to_string(), &format!("a number from {} to {}", range.start(), range.end()))
        }
        _ => Ok(()),
    }
}

fn above_zero(field: &'static str, value: Option<f64>, most: f64) -> Result<(), Violation> {
    match value {
        Some(value) if !(value > 0.0 && value <= most) => {
            refuse(field, value.to_string(), &format!("a number above 0, at most {most}"))
        }
        _ => Ok(()),
    }
}
