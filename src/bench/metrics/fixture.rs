//! Records for tests: ten prompt tokens, one token an event.

use crate::bench::record::{Answer, FailureClass, Outcome, RequestRecord, TokenSource};

/// Sent at a time, answered with events at these times after it (microseconds), over with the last.
pub(in crate::bench) fn answered(sent_us: u64, events: &[u64]) -> RequestRecord {
    RequestRecord {
        conversation: 0,
        turn: 0,
        scheduled_us: None,
        sent_us,
        ended_us: sent_us + events.last().copied().unwrap_or(0),
        attempts: 1,
        planned_input_tokens: Some(10),
        planned_output_tokens: events.len() as u32,
        answer: Answer {
            input_tokens: Some(10),
            output_tokens: events.len() as u32,
            token_source: TokenSource::Cumulative,
            chunk_us: events.to_vec(),
            chunk_tokens: vec![1.0; events.len()],
            finish_reason: Some("length".into()),
            ..Default::default()
        },
        outcome: Outcome::Done,
    }
}

/// Answered with one token at its end.
pub(in crate::bench) fn done(sent_us: u64, ended_us: u64) -> RequestRecord {
    answered(sent_us, &[ended_us - sent_us])
}

/// Failed after one token.
pub(in crate::bench) fn failed(sent_us: u64, ended_us: u64) -> RequestRecord {
    let outcome = Outcome::Failed { class: FailureClass::CutOff, message: "the connection broke".into() };
    RequestRecord { outcome, ..done(sent_us, ended_us) }
}
