//! Requests as columns of plain data, for whoever writes Parquet.
//!
//! No cell is missing: what can be absent is 0 in its column, with a column `has_...` beside it.

use crate::bench::metrics::latency;
use crate::bench::record::{Outcome, RequestRecord, TokenSource};

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RequestColumn {
    /// Its name.
    pub name: &'static str,
    /// One cell a request.
    pub cells: Cells,
}

/// The cells of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cells {
    /// Counts.
    U32(Vec<u32>),
    /// Times and measurements.
    F64(Vec<f64>),
    /// Words.
    Text(Vec<String>),
    /// Yes or no.
    Bool(Vec<bool>),
}

#[cfg(test)]
impl Cells {
    pub(super) fn len(&self) -> usize {
        match self {
            Cells::U32(cells) => cells.len(),
            Cells::F64(cells) => cells.len(),
            Cells::Text(cells) => cells.len(),
            Cells::Bool(cells) => cells.len(),
        }
    }
}

/// One row a request, in the order given. Times are milliseconds; `sent_ms` and the like count from the run's
/// start.
pub(crate) fn columns(records: &[RequestRecord]) -> Vec<RequestColumn> {
    let mut table = Vec::new();
    let mut add = |name, cells| table.push(RequestColumn { name, cells });
    let u32s = |of: fn(&RequestRecord) -> u32| Cells::U32(records.iter().map(of).collect());
    let ms = |of: fn(&RequestRecord) -> Option<u64>| {
        Cells::F64(records.iter().map(|record| of(record).unwrap_or(0) as f64 / 1e3).collect())
    };
    let yes = |of: fn(&RequestRecord) -> bool| Cells::Bool(records.iter().map(of).collect());
    let text = |of: fn(&RequestRecord) -> String| Cells::Text(records.iter().map(of).collect());
    add("conversation", u32s(|r| r.conversation));
    add("turn", u32s(|r| r.turn));
    add("outcome", text(outcome));
    add("has_schedule", yes(|r| r.scheduled_us.is_some()));
    add("scheduled_ms", ms(|r| r.scheduled_us));
    add("sent_ms", ms(|r| Some(r.sent_us)));
    add("ended_ms", ms(|r| Some(r.ended_us)));
    add("queued_ms", ms(|r| Some(r.queued_us())));
    add("has_ttft", yes(|r| r.ttft_us().is_some()));
    add("ttft_ms", ms(RequestRecord::ttft_us));
    add("has_tpot", yes(|r| latency::tpot_ms(r).is_some()));
    add("tpot_ms", Cells::F64(records.iter().map(|r| latency::tpot_ms(r).unwrap_or(0.0)).collect()));
    add("e2e_ms", ms(|r| Some(latency::e2e_us(r))));
    add("attempts", u32s(|r| r.attempts));
    add("has_planned_input_tokens", yes(|r| r.planned_input_tokens.is_some()));
    add("planned_input_tokens", u32s(|r| r.planned_input_tokens.unwrap_or(0)));
    add("planned_output_tokens", u32s(|r| r.planned_output_tokens));
    add("has_input_tokens", yes(|r| r.answer.input_tokens.is_some()));
    add("input_tokens", u32s(|r| r.answer.input_tokens.unwrap_or(0)));
    add("has_cached_tokens", yes(|r| r.answer.cached_tokens.is_some()));
    add("cached_tokens", u32s(|r| r.answer.cached_tokens.unwrap_or(0)));
    add("output_tokens", u32s(|r| r.answer.output_tokens));
    add("token_source", text(|r| token_source(r.answer.token_source).into()));
    add("events", u32s(|r| u32::try_from(r.answer.chunk_us.len()).unwrap_or(u32::MAX)));
    add("finish_reason", text(|r| r.answer.finish_reason.clone().unwrap_or_default()));
    table
}

/// `done`, `interrupted`, or the class of the failure.
fn outcome(record: &RequestRecord) -> String {
    match &record.outcome {
        Outcome::Done => "done".into(),
        Outcome::Interrupted => "interrupted".into(),
        Outcome::Failed { class, .. } => class.name().into(),
    }
}

fn token_source(source: TokenSource) -> &'static str {
    match source {
        TokenSource::Cumulative => "cumulative",
        TokenSource::Spread => "spread",
        TokenSource::Events => "events",
    }
}
