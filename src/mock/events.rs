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
    seed: u64,
    role_null: bool,
    /// The tool call has been named.
    called: bool,
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
            spec: scenario.speculates(),
            seed: scenario.seed,
            role_null: scenario.role_content_null,
            called: false,
            usage: scenario.usage,
            said: String::new(),
            steps: 0,
            wanted,
        }
    }

    /// A chat's first chunk: the role and no text.
    pub(super) fn role(&self, out: &mut Vec<u8>) {
        push(out, &[&self.head, r#""choices":[{"index":0,"delta":{"role":"assistant","content":"#]);
        push(out, &[if self.role_null { "null" } else { r#""""# }, "},"]);
        push(out, &[r#""logprobs":null,"finish_reason":null,"matched_stop":null}]"#]);
        self.running_usage(out, 0);
        push(out, &["}"]);
    }

    /// An event with tokens `from..to` of the answer, made in `steps` steps. With `finish` it says why the
    /// answer ends, where the protocol says that together with the last token. An event that begins in the
    /// reasoning is reasoning to its end.
    pub(super) fn tokens(&mut self, out: &mut Vec<u8>, from: u32, to: u32, steps: u32, finish: bool) {
        let finish = finish.then_some(self.wanted.finish);
        self.steps += steps;
        let silent = self.empty_text && from % 3 == 1 && to < self.wanted.tokens;
        let seed = self.seed;
        let words = (from..to).filter(|_| !silent).map(|n| tokens::word(seed, n));
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
                push(out, &[&self.head, r#""choices":[{"index":0,"delta":{""#]);
                let close = if from < self.reasoning {
                    push(out, &[self.reasoning_field, r#"":""#]);
                    r#""}"#
                } else if self.tool_call {
                    push(out, &[r#"tool_calls":[{"#]);
                    if !std::mem::replace(&mut self.called, true) {
                        let _ = write!(out, r#""id":"call_{}","type":"function","#, self.id);
                        push(out, &[r#""index":0,"function":{"name":"mock_tool","arguments":""#]);
                    } else {
                        push(out, &[r#""index":0,"function":{"arguments":""#]);
                    }
                    r#""}}]}"#
                } else {
                    push(out, &[r#"content":""#]);
                    r#""}"#
                };
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
        let reason =
            if self.tool_call && tokens > self.reasoning { "tool_calls" } else { self.wanted.finish };
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

    /// An event of `size` bytes of JSON, or a little more where so few do not do, and no token.
    pub(super) fn padding(&mut self, out: &mut Vec<u8>, tokens: u32, size: usize) {
        self.tokens(out, tokens, tokens, 0, false);
        out.pop();
        push(out, &[r#","padding":""#]);
        out.resize(out.len().max(size.saturating_sub(2)), b'x');
        push(out, &[r#""}"#]);
    }

    /// An event that says that something went wrong: as SGLang 0.5.23 does (`openai/serving_base.py` for the
    /// OpenAI protocols, `http_server.py` for its own).
    pub(super) fn error(&self, out: &mut Vec<u8>) {
        let message = "CUDA error: out of memory";
        let error = match self.wanted.dialect {
            Dialect::Generate => format!(
                r#"{{"error":{{"message":"{message}","type":"internal_server_error","code":500,"retryable":false}}}}"#
            ),
            _ => format!(
                r#"{{"error":{{"object":"error","message":"{message}","type":"InternalServerError","param":null,"code":500}}}}"#
            ),
        };
        push(out, &[&error]);
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
            Some("stop") => push(out, &[r#"{"type":"stop","matched":2}"#]),
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
