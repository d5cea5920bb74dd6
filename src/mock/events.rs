//! The events of a stream, as SGLang (and, where they differ in nothing, vLLM) write them.

use std::io::Write;

use super::request::{Dialect, Wanted};
use super::scenario::{ReasoningField, Scenario, Usage};
use super::tokens;

/// Renders one request's events. Everything but the text and the counts is rendered once.
#[derive(Debug)]
pub(super) struct Events {
    wanted: Wanted,
    id: u64,
    head: String,
    cached: u32,
    reasoning: u32,
    reasoning_field: &'static str,
    tool_call: bool,
    empty_text: bool,
    spec: bool,
    usage: Usage,
    /// `/generate` sends all of its text in every event.
    said: String,
    /// Steps so far: `spec_verify_ct`.
    steps: u32,
}

impl Events {
    pub(super) fn new(wanted: Wanted, id: u64, scenario: &Scenario) -> Self {
        let created = jiff::Timestamp::now().as_second();
        // A model's name may hold anything; as JSON it is quoted right.
        let model = serde_json::Value::from(scenario.model.as_str());
        let head = match wanted.dialect {
            Dialect::Chat => format!(
                r#"{{"id":"chatcmpl-{id}","object":"chat.completion.chunk","created":{created},"model":{model},"#
            ),
            Dialect::Completions => {
                format!(
                    r#"{{"id":"cmpl-{id}","object":"text_completion","created":{created},"model":{model},"#
                )
            }
            Dialect::Generate => String::new(),
        };
        let chat = wanted.dialect == Dialect::Chat;
        Self {
            cached: (f64::from(wanted.prompt_tokens) * scenario.cached) as u32,
            id,
            head,
            reasoning: if chat { scenario.reasoning } else { 0 },
            reasoning_field: match scenario.reasoning_field {
                ReasoningField::ReasoningContent => "reasoning_content",
                ReasoningField::Reasoning => "reasoning",
            },
            tool_call: chat && scenario.tool_call,
            empty_text: scenario.empty_text,
            spec: scenario.accept.iter().any(|tokens| *tokens > 1),
            usage: scenario.usage,
            said: String::new(),
            steps: 0,
            wanted,
        }
    }

    /// A chat's first chunk: the role and no text.
    pub(super) fn role(&self, out: &mut Vec<u8>) {
        push(out, &[&self.head, r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"#]);
        push(out, &[r#""logprobs":null,"finish_reason":null,"matched_stop":null}]"#]);
        self.running_usage(out, 0);
        push(out, &["}"]);
    }

    /// An event with tokens `from..to` of the answer, made in `steps` steps. `finish` is the finish reason,
    /// where the protocol sends it together with the last token.
    pub(super) fn tokens(&mut self, out: &mut Vec<u8>, from: u32, to: u32, steps: u32, finish: Option<&str>) {
        self.steps += steps;
        let silent = self.empty_text && from % 3 == 1 && to < self.wanted.tokens;
        let words = (from..to).filter(|_| !silent).map(tokens::word);
        match self.wanted.dialect {
            Dialect::Generate => {
                self.said.extend(words);
                self.native(out, to, finish);
            }
            Dialect::Completions => {
                push(out, &[&self.head, r#""choices":[{"index":0,"text":""#]);
                words.for_each(|word| push(out, &[word]));
                push(out, &[r#"","logprobs":null,"finish_reason":"#]);
                quoted(out, finish);
                push(out, &[r#","matched_stop":null}]"#]);
                self.running_usage(out, to);
                push(out, &["}"]);
            }
            Dialect::Chat => {
                let (open, close) = if to <= self.reasoning {
                    (format!(r#"{{"{}":""#, self.reasoning_field), r#""}"#)
                } else if self.tool_call {
                    let open = r#"{"tool_calls":[{"index":0,"function":{"arguments":""#;
                    (open.to_owned(), r#""}}]}"#)
                } else {
                    (r#"{"content":""#.to_owned(), r#""}"#)
                };
                push(out, &[&self.head, r#""choices":[{"index":0,"delta":"#, &open]);
                words.for_each(|word| push(out, &[word]));
                push(out, &[close, r#","logprobs":null,"finish_reason":null,"matched_stop":null}]"#]);
                self.running_usage(out, to);
                push(out, &["}"]);
            }
        }
    }

    /// The event that only says why the stream ends. None where the last token's event has said it.
    pub(super) fn finish(&self, out: &mut Vec<u8>, tokens: u32) -> bool {
        if self.wanted.dialect != Dialect::Chat {
            return false;
        }
        let reason = if self.tool_call && tokens > self.reasoning { "tool_calls" } else { "length" };
        push(out, &[&self.head, r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"#]);
        quoted(out, Some(reason));
        push(out, &[r#","matched_stop":null}]"#]);
        self.running_usage(out, tokens);
        push(out, &["}"]);
        true
    }

    /// The event that holds nothing but usage. None where nobody wants one.
    pub(super) fn usage(&self, out: &mut Vec<u8>, tokens: u32) -> bool {
        let wanted = match self.usage {
            Usage::Never => false,
            _ => self.wanted.final_usage && self.wanted.dialect != Dialect::Generate,
        };
        if wanted {
            push(out, &[&self.head, r#""choices":[],"usage":"#]);
            self.counts(out, tokens);
            push(out, &["}"]);
        }
        wanted
    }

    /// An event that says that something went wrong, in SGLang's words for it.
    pub(super) fn error(out: &mut Vec<u8>) {
        let error =
            r#"{"error":{"message":"CUDA error: out of memory","type":"internal_server_error","code":500}}"#;
        push(out, &[error]);
    }

    fn running_usage(&self, out: &mut Vec<u8>, tokens: u32) {
        if self.usage == Usage::AsAsked && self.wanted.running_usage {
            push(out, &[r#","usage":"#]);
            self.counts(out, tokens);
        }
    }

    fn counts(&self, out: &mut Vec<u8>, tokens: u32) {
        let tokens = self.claimed(tokens);
        let prompt = self.wanted.prompt_tokens;
        let _ = write!(
            out,
            r#"{{"prompt_tokens":{prompt},"total_tokens":{},"completion_tokens":{tokens},"#,
            prompt + tokens
        );
        let reasoning = tokens.min(self.reasoning);
        let _ = write!(
            out,
            r#""prompt_tokens_details":{{"cached_tokens":{}}},"reasoning_tokens":{reasoning}}}"#,
            self.cached
        );
    }

    fn claimed(&self, tokens: u32) -> u32 {
        match self.usage {
            Usage::Wrong(by) => tokens.saturating_add_signed(by),
            _ => tokens,
        }
    }

    fn native(&self, out: &mut Vec<u8>, tokens: u32, finish: Option<&str>) {
        push(out, &[r#"{"text":""#, &self.said, r#"","output_ids":[],"meta_info":{"#]);
        let _ = write!(out, r#""id":"{:032x}","finish_reason":"#, self.id);
        match finish {
            Some(reason) => {
                let _ = write!(out, r#"{{"type":"{reason}","length":{tokens}}}"#);
            }
            None => push(out, &["null"]),
        }
        let _ = write!(out, r#","prompt_tokens":{},"#, self.wanted.prompt_tokens);
        if self.usage != Usage::Never {
            let _ = write!(out, r#""completion_tokens":{},"#, self.claimed(tokens));
        }
        if self.spec {
            let _ = write!(out, r#""spec_verify_ct":{},"#, self.steps);
        }
        let _ = write!(out, r#""cached_tokens":{},"e2e_latency":null}}}}"#, self.cached);
    }
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

fn quoted(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push(out, &["\"", text, "\""]),
        None => push(out, &["null"]),
    }
}
