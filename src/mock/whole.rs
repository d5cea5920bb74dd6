//! An answer without a stream.

use std::io;
use std::time::Instant;

use serde_json::{Value, json};

use super::clock::Clock;
use super::fault::Fault;
use super::request::{Dialect, Wanted};
use super::scenario::{ReasoningField, Scenario, Usage};
use super::schedule::{later, token_events};
use super::stream::{After, Job};
use super::tokens;
use super::wire::Writer;

/// Answer once the last token would have been there.
pub(super) async fn write(writer: &mut Writer, clock: &Clock, mut job: Job<'_>) -> io::Result<After> {
    if job.fault == Some(Fault::ZeroTokens) {
        job.wanted.tokens = 0;
    }
    let last = token_events(job.scenario, &job.wanted, job.number).last();
    let mut due = later(job.started, last.map_or(job.scenario.ttft, |event| event.at));
    match job.fault {
        Some(Fault::Stall(_, Some(span))) => due = later(due, span),
        Some(Fault::Stall(_, None)) => std::future::pending().await,
        _ => {}
    }
    clock.until(due).await?;
    let tokens = job.wanted.tokens;
    job.recorder.event(Instant::now(), due, tokens);
    job.load.generated(tokens);
    // Before it is written: whoever has read it may ask for the truth at once.
    job.recorder.whole();
    let body = body(job.scenario, &job.wanted, job.number, job.fault).to_string();
    let after = match job.fault {
        Some(Fault::ErrorAfter(_)) => {
            writer.refuse(500, "CUDA error: out of memory").await?;
            After::Reuse
        }
        Some(Fault::CutAfter(_) | Fault::ResetAfter(_)) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
            let half = body.as_bytes().split_at(body.len() / 2).0;
            writer.write(format!("{head} {}\r\n\r\n", body.len()).as_bytes()).await?;
            writer.write(half).await?;
            if matches!(job.fault, Some(Fault::ResetAfter(_))) { After::Reset } else { After::Close }
        }
        Some(Fault::Garbage) => {
            writer.answer(200, "application/json", &body.as_bytes()[..body.len() - 1]).await?;
            After::Reuse
        }
        _ => {
            writer.answer(200, "application/json", body.as_bytes()).await?;
            After::Reuse
        }
    };
    Ok(after)
}

fn body(scenario: &Scenario, wanted: &Wanted, number: u64, fault: Option<Fault>) -> Value {
    let (model, tokens) = (&scenario.model, wanted.tokens);
    let text = |from, to| tokens::words(scenario.seed, from, to);
    let created = jiff::Timestamp::now().as_second();
    let finish = if Fault::hides_finish(fault) { Value::Null } else { wanted.finish.into() };
    let mut whole = match wanted.dialect {
        Dialect::Chat => {
            let (message, called) = message(scenario, tokens);
            let finish = if called && !finish.is_null() { "tool_calls".into() } else { finish };
            json!({"id": format!("chatcmpl-{number}"), "object": "chat.completion", "created": created,
                "model": model, "choices": [{"index": 0, "message": message, "logprobs": null,
                "finish_reason": finish, "matched_stop": null}]})
        }
        Dialect::Completions => {
            json!({"id": format!("cmpl-{number}"), "object": "text_completion", "created": created,
                "model": model, "choices": [{"index": 0, "text": text(0, tokens), "logprobs": null,
                "finish_reason": finish, "matched_stop": null}]})
        }
        Dialect::Generate => {
            let finish = match (finish.is_null(), wanted.finish) {
                (true, _) => Value::Null,
                (_, "stop") => json!({"type": "stop", "matched": 2}),
                (_, kind) => json!({"type": kind, "length": tokens}),
            };
            let cached = (f64::from(wanted.prompt_tokens) * scenario.cached) as u32;
            json!({"text": text(0, tokens), "meta_info": {"id": format!("{number:032x}"),
                "finish_reason": finish, "prompt_tokens": wanted.prompt_tokens, "cached_tokens": cached}})
        }
    };
    let claimed = match scenario.usage {
        Usage::Never => return whole,
        Usage::Wrong(by) => tokens.saturating_add_signed(by),
        _ => tokens,
    };
    match wanted.dialect {
        Dialect::Generate => whole["meta_info"]["completion_tokens"] = claimed.into(),
        _ => {
            whole["usage"] = json!({"prompt_tokens": wanted.prompt_tokens, "completion_tokens": claimed,
                "total_tokens": u64::from(wanted.prompt_tokens) + u64::from(claimed)});
        }
    }
    whole
}

/// A chat's message, and whether it is a tool call.
fn message(scenario: &Scenario, tokens: u32) -> (Value, bool) {
    let reasoning = scenario.reasoning.min(tokens);
    let said = tokens::words(scenario.seed, reasoning, tokens);
    let called = scenario.tool_call && tokens > reasoning;
    let mut message = json!({"role": "assistant", "content": said});
    if called {
        message["content"] = Value::Null;
        message["tool_calls"] = json!([{"id": "call_0", "index": 0, "type": "function",
            "function": {"name": "mock_tool", "arguments": said}}]);
    }
    if reasoning > 0 {
        let field = match scenario.reasoning_field {
            ReasoningField::ReasoningContent => "reasoning_content",
            ReasoningField::Reasoning => "reasoning",
        };
        message[field] = tokens::words(scenario.seed, 0, reasoning).into();
    }
    (message, called)
}
