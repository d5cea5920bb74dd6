//! How the mock server behaves.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::span;

/// Everything the mock does, the ordinary and the faults. In files its names are in kebab case and spans of
/// time are text: `ttft = "50ms"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// The model it says it serves.
    pub model: String,
    /// The longest sequence it takes, tokens.
    pub max_model_len: u32,
    /// From the whole request's arrival to the first token, in a free slot.
    #[serde(with = "span::text")]
    pub ttft: Duration,
    /// Added to that for every prompt token.
    #[serde(with = "span::text")]
    pub ttft_per_input_token: Duration,
    /// From one step to the next. A step is one token, or what `accept` says.
    #[serde(with = "span::text")]
    pub itl: Duration,
    /// Each step is early or late by up to this share of `itl`, at random but the same for every run.
    pub jitter: f64,
    /// Steps whose tokens are sent in one event: `--stream-interval` of real servers. The first step is sent
    /// alone and at once; a later event leaves when its last step is made.
    pub coalesce: u32,
    /// Tokens accepted in each step, over and over: speculative decoding. One event a step.
    pub accept: Vec<u32>,
    /// An answer ends by itself after so many tokens, unless the request says `ignore_eos`.
    pub stop_after: Option<u32>,
    /// The first tokens of a chat answer are reasoning.
    pub reasoning: u32,
    /// The field reasoning stands in.
    pub reasoning_field: ReasoningField,
    /// After the reasoning, a chat answer is a tool call.
    pub tool_call: bool,
    /// A chat answer begins with a chunk that holds the role alone.
    pub role_chunk: RoleChunk,
    /// That chunk's content is `null` instead of an empty text.
    pub role_content_null: bool,
    /// A stream's HTTP head is sent at once instead of together with its first event. SGLang 0.5.23 does the
    /// latter for chat and the former for `/generate` (`openai/serving_chat.py`, `http_server.py`).
    pub early_head: bool,
    /// A multi-byte character's first token has no text: every third event is empty but counts.
    pub empty_text: bool,
    /// Share of each prompt that is said to come from a cache.
    pub cached: f64,
    /// What usage says.
    pub usage: Usage,
    /// Tokens that a completion's prompt begins with beside its text.
    pub bos_tokens: u32,
    /// Tokens that the chat template adds to every message.
    pub message_tokens: u32,
    /// Tokens that the chat template begins the answer with.
    pub answer_tokens: u32,
    /// Requests that generate at once; others wait their turn, first come first served.
    pub max_running: Option<u32>,
    /// Requests beyond so many, waiting ones included, are turned away with this status (429, 503).
    pub turn_away: Option<(u32, u16)>,
    /// Tokens that fit its KV cache, for `token_usage` in `/metrics`. It is never full.
    pub kv_tokens: u64,
    /// For this long after its start it answers 503, as a server that still loads.
    #[serde(with = "span::text")]
    pub slow_start: Duration,
    /// The first so many requests are slow, as those of a server that still compiles its kernels.
    pub slow_first: u32,
    /// Added to the time to the first token of those.
    #[serde(with = "span::text")]
    pub slow_by: Duration,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// It goes wrong in every n-th request, the n-th first.
    pub fault_every: u32,
    /// How events are written.
    pub wire: Wire,
    /// What refusals look like.
    pub refusals: Refusals,
    /// The key it wants.
    pub api_key: Option<String>,
    /// What of the truth is kept.
    pub truth: Detail,
    /// Fixes jitter and words.
    pub seed: u64,
}

/// The name under which a chat delta holds reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// SGLang's `reasoning_content`.
    ReasoningContent,
    /// vLLM's `reasoning`.
    Reasoning,
}

/// When a chat's role is sent by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleChunk {
    /// As soon as the request has a slot, long before the first token.
    AtOnce,
    /// In an event of its own right before the first token, as SGLang 0.5.23 does (`openai/serving_chat.py`).
    WithFirst,
    /// Never.
    Never,
}

/// What an answer says of its token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Usage {
    /// What the request asks for: at the end, in every chunk, or not at all.
    AsAsked,
    /// At the end where it is asked for, never in between: servers that do not know `continuous_usage_stats`.
    AtTheEnd,
    /// Never, whatever is asked.
    Never,
    /// At the end, off by so many tokens.
    Wrong(i32),
}

/// The JSON of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusals {
    /// `{"error": {"message", "type", "param", "code"}}`.
    OpenAi,
    /// `{"object": "error", "message", "type", "param", "code"}`: SGLang's `ErrorResponse`
    /// (0.5.23, `openai/protocol.py`).
    Flat,
}

/// How much of the truth is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Every event of every answer (the newest few million), and the distributions.
    Events,
    /// The distributions alone: a megabyte, however long it runs.
    Distributions,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wire {
    /// CRLF instead of LF.
    pub crlf: bool,
    /// `data:` without the blank behind it.
    pub tight: bool,
    /// An event's JSON stands in two `data:` lines, to be joined by a line end.
    pub multi_line: bool,
    /// Every write is cut into pieces of so many bytes, one packet each.
    pub split: Option<usize>,
    /// A comment after every event.
    pub comments: bool,
    /// A comment whenever nothing was sent for so long.
    #[serde(with = "span::optional", skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<Duration>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            model: "mock".into(),
            max_model_len: 32_768,
            ttft: Duration::from_millis(50),
            ttft_per_input_token: Duration::ZERO,
            itl: Duration::from_millis(20),
            jitter: 0.0,
            coalesce: 1,
            accept: vec![1],
            stop_after: None,
            reasoning: 0,
            reasoning_field: ReasoningField::ReasoningContent,
            tool_call: false,
            role_chunk: RoleChunk::AtOnce,
            role_content_null: false,
            early_head: false,
            empty_text: false,
            cached: 0.0,
            usage: Usage::AsAsked,
            bos_tokens: 1,
            message_tokens: 4,
            answer_tokens: 3,
            max_running: None,
            turn_away: None,
            kv_tokens: 1_000_000,
            slow_start: Duration::ZERO,
            slow_first: 0,
            slow_by: Duration::from_secs(5),
            fault: None,
            fault_every: 1,
            wire: Wire::default(),
            refusals: Refusals::OpenAi,
            api_key: None,
            truth: Detail::Events,
            seed: 0,
        }
    }
}

/// A usage that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` says nothing of token counts; give as-asked, end, never, or a number such as +3 or -1")]
pub struct BadUsage {
    given: String,
}

impl FromStr for Usage {
    type Err = BadUsage;

    fn from_str(given: &str) -> Result<Self, BadUsage> {
        match given {
            "as-asked" => Ok(Usage::AsAsked),
            "end" => Ok(Usage::AtTheEnd),
            "never" => Ok(Usage::Never),
            number if number.starts_with(['+', '-']) => {
                number.parse().map(Usage::Wrong).map_err(|_| BadUsage { given: given.to_owned() })
            }
            _ => Err(BadUsage { given: given.to_owned() }),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Usage::AsAsked => f.write_str("as-asked"),
            Usage::AtTheEnd => f.write_str("end"),
            Usage::Never => f.write_str("never"),
            Usage::Wrong(by) => write!(f, "{by:+}"),
        }
    }
}

impl TryFrom<String> for Usage {
    type Error = BadUsage;

    fn try_from(given: String) -> Result<Self, BadUsage> {
        given.parse()
    }
}

impl From<Usage> for String {
    fn from(usage: Usage) -> Self {
        usage.to_string()
    }
}

impl Scenario {
    /// Tokens accepted per step on average.
    pub fn mean_accepted(&self) -> f64 {
        match self.accept.len() {
            0 => 1.0,
            steps => f64::from(self.accept.iter().sum::<u32>()) / steps as f64,
        }
    }

    /// Some step accepts more than one token.
    pub fn speculates(&self) -> bool {
        self.accept.iter().any(|tokens| *tokens > 1)
    }

    /// What goes wrong with request `number`, counted from 0.
    pub(super) fn fault_of(&self, number: u64) -> Option<Fault> {
        self.fault.filter(|_| (number + 1).is_multiple_of(u64::from(self.fault_every.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_reads_in_humane_units_and_refuses_what_it_does_not_know() {
        let read: Scenario = serde_json::from_str(
            r#"{"ttft": "80ms", "accept": [1, 3], "fault": "stall=2:1s", "usage": "-1",
                "wire": {"keep-alive": "5ms"}, "turn-away": [8, 429], "role-chunk": "with-first"}"#,
        )
        .unwrap();
        assert_eq!(
            read,
            Scenario {
                ttft: Duration::from_millis(80),
                accept: vec![1, 3],
                fault: Some(Fault::Stall(2, Some(Duration::from_secs(1)))),
                usage: Usage::Wrong(-1),
                wire: Wire { keep_alive: Some(Duration::from_millis(5)), ..Default::default() },
                turn_away: Some((8, 429)),
                role_chunk: RoleChunk::WithFirst,
                ..Default::default()
            }
        );
        for (bad, words) in [
            (r#"{"ttft": 80}"#, "string"),
            (r#"{"ttft": "80"}"#, "`80` is no span of time"),
            (r#"{"itll": "1ms"}"#, "itll"),
            (r#"{"fault": "cut-after"}"#, "cut-after=TOKENS"),
            (r#"{"usage": "some"}"#, "as-asked"),
            (r#"{"wire": {"keep-alive": "soon"}}"#, "soon"),
        ] {
            let error = serde_json::from_str::<Scenario>(bad).unwrap_err().to_string();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }

    #[test]
    fn usage_reads_as_it_is_documented() {
        let given = ["as-asked", "end", "never", "+3", "-1"];
        let known = [Usage::AsAsked, Usage::AtTheEnd, Usage::Never, Usage::Wrong(3), Usage::Wrong(-1)];
        assert_eq!(given.map(|given| given.parse::<Usage>().unwrap()), known);
        assert_eq!(known.map(|usage| usage.to_string()), given);
        assert!("3".parse::<Usage>().unwrap_err().to_string().contains("as-asked"));
    }

    #[test]
    fn a_scenario_survives_a_file() {
        let scenario = Scenario { fault: Some(Fault::CutAfter(3)), jitter: 0.25, ..Default::default() };
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
        assert!(text.contains(r#""ttft":"50ms""#), "{text}");
    }
}
