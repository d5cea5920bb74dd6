//! How many events a second of CPU time does the client's reader take?
//!
//! `cargo run --release --example parse_speed`: one line a protocol, over a stream in memory, fed in pieces
//! of 16 KiB (many events a read) and event by event (what a server under load sends).

#![expect(clippy::disallowed_macros, reason = "an example has no printer")]

use std::fmt::Write as _;

use rustix::time::{ClockId, clock_gettime};
use spark::bench::plan::Protocol;
use spark::bench::record::Outcome;
use spark::bench::stream::AnswerReader;

/// Events in one answer: 1,024 tokens is a usual answer in a benchmark.
const EVENTS: u32 = 1024;
/// Answers read for one figure.
const ANSWERS: u32 = 500;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("protocol      bytes/event  text   events/CPU second: 16 KiB reads  one event a read");
    for protocol in [Protocol::Chat, Protocol::Completions, Protocol::Generate] {
        let stream = stream(protocol)?;
        let events: Vec<&[u8]> = stream.split_inclusive("\n\n").map(str::as_bytes).collect();
        let blocks: Vec<&[u8]> = stream.as_bytes().chunks(16 << 10).collect();
        for keep_text in [false, true] {
            let in_blocks = speed(protocol, keep_text, &blocks)?;
            let by_event = speed(protocol, keep_text, &events)?;
            println!(
                "{:<13} {:>11}  {:<6} {:>33.0}  {:>16.0}",
                format!("{protocol:?}").to_lowercase(),
                stream.len() / events.len(),
                if keep_text { "kept" } else { "-" },
                in_blocks,
                by_event,
            );
        }
    }
    Ok(())
}

/// Events per second of this thread's CPU time.
fn speed(protocol: Protocol, keep_text: bool, pieces: &[&[u8]]) -> Result<f64, String> {
    let start = cpu_s();
    for _ in 0..ANSWERS {
        let mut reader = AnswerReader::new(protocol, keep_text);
        for (piece, at_us) in pieces.iter().zip(0..) {
            reader.feed(piece, at_us).map_err(|broken| broken.message)?;
        }
        match reader.finish() {
            (answer, Outcome::Done) if answer.output_tokens == EVENTS => {}
            (answer, outcome) => return Err(format!("{} tokens, {outcome:?}", answer.output_tokens)),
        }
    }
    Ok(f64::from(EVENTS) * f64::from(ANSWERS) / (cpu_s() - start))
}

fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// An answer as SGLang streams it with `continuous_usage_stats`. `/generate` as with
/// `--incremental-streaming-output`: otherwise an event grows with the answer, and so does its cost.
fn stream(protocol: Protocol) -> Result<String, std::fmt::Error> {
    let mut stream = String::new();
    for n in 1..=EVENTS {
        let usage = format!(r#"{{"prompt_tokens":512,"total_tokens":{},"completion_tokens":{n}}}"#, 512 + n);
        let finish = if n == EVENTS { r#""length""# } else { "null" };
        match protocol {
            Protocol::Chat => write!(
                stream,
                r#"data: {{"id":"0123456789abcdef","object":"chat.completion.chunk","created":1760000000,"model":"m","choices":[{{"index":0,"delta":{{"role":null,"content":" token","reasoning_content":null}},"finish_reason":{finish}}}],"usage":{usage}}}"#,
            )?,
            Protocol::Completions => write!(
                stream,
                r#"data: {{"id":"0123456789abcdef","object":"text_completion","created":1760000000,"model":"m","choices":[{{"index":0,"text":" token","logprobs":null,"finish_reason":{finish},"matched_stop":null}}],"usage":{usage}}}"#,
            )?,
            Protocol::Generate => write!(
                stream,
                r#"data: {{"text":" token","output_ids":[{n}],"meta_info":{{"id":"0123456789abcdef","finish_reason":{},"prompt_tokens":512,"weight_version":"default","total_retractions":0,"completion_tokens":{n},"cached_tokens":0,"dp_rank":null}}}}"#,
                if n == EVENTS { r#"{"type":"length","length":1024}"# } else { "null" },
            )?,
        }
        stream.push_str("\n\n");
    }
    stream.push_str("data: [DONE]\n\n");
    Ok(stream)
}
