//! What happened to one request: a line of `requests.jsonl`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One measured request. Times are microseconds on the client's monotonic clock; those named `_us` without
/// another word count from the run's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRecord {
    /// The conversation's place in the plan, from 0.
    pub conversation: u32,
    /// The turn in it, from 0.
    pub turn: u32,
    /// When it was due, where there is a schedule (for later turns: the answer's end and the pause).
    pub scheduled_us: Option<u64>,
    /// When the client began to send it, connecting included. Waiting for a slot lies before this.
    pub sent_us: u64,
    /// When it was over, whichever way.
    pub ended_us: u64,
    /// Times it was sent, 1 without retries. The times above are the last one's.
    pub attempts: u32,
    /// Tokens the prompt should have had.
    pub planned_input_tokens: Option<u32>,
    /// Tokens asked for.
    pub planned_output_tokens: u32,
    /// What came back, as far as it came.
    #[serde(flatten)]
    pub answer: Answer,
    /// How it ended.
    pub outcome: Outcome,
}

/// What came back for one request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Prompt tokens as the server counts them.
    pub input_tokens: Option<u32>,
    /// Prompt tokens the server had in its cache.
    pub cached_tokens: Option<u32>,
    /// Generated tokens. Reasoning and tool calls count.
    pub output_tokens: u32,
    /// Of these, reasoning, where the server says.
    pub reasoning_tokens: Option<u32>,
    /// How tokens were counted.
    pub token_source: TokenSource,
    /// When output arrived: microseconds since `sent_us`, one entry an event that carried output.
    pub chunk_us: Vec<u64>,
    /// Tokens in each of these events; sums up to `output_tokens`. Fractions where tokens were spread.
    pub chunk_tokens: Vec<f32>,
    /// Verification steps and accepted tokens per step, where a speculative server says.
    pub accept_length: Option<f64>,
    /// Why the server stopped, in its words.
    pub finish_reason: Option<String>,
    /// The answer's text, where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How an answer's tokens were counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenSource {
    /// The server gave running totals: exact for every event.
    Cumulative,
    /// The server gave a final total, spread evenly over the events. Exact in sum only, unless every event
    /// carried one token.
    Spread,
    /// The server gave no count: one token an event, which is wrong where events carry several.
    #[default]
    Events,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// Whole.
    Done,
    /// Not whole; its tokens count for nothing.
    Failed {
        /// Which way.
        class: FailureClass,
        /// In words, with the server's own where it said something.
        message: String,
    },
    /// The run was stopped while it was in flight.
    Interrupted,
}

/// The ways a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// No connection: refused, no such host, no route, not in time.
    Connect,
    /// TLS could not be agreed on.
    Tls,
    /// A status other than 200.
    HttpStatus,
    /// 200, but no event stream.
    NotAStream,
    /// An error event in the stream.
    ServerError,
    /// Bytes that are no HTTP, no events or no JSON.
    Malformed,
    /// The stream ended without a finish reason or `[DONE]`, or the connection broke.
    CutOff,
    /// It ended well, without a single token.
    NoTokens,
    /// No first token in time.
    FirstTokenTimeout,
    /// Nothing came for too long after the first token.
    Stalled,
    /// Not over in time.
    RequestTimeout,
    /// More bytes than any answer has.
    TooLarge,
}

impl FailureClass {
    /// Its name, as `requests.jsonl` has it.
    pub fn name(self) -> &'static str {
        match self {
            FailureClass::Connect => "connect",
            FailureClass::Tls => "tls",
            FailureClass::HttpStatus => "http-status",
            FailureClass::NotAStream => "not-a-stream",
            FailureClass::ServerError => "server-error",
            FailureClass::Malformed => "malformed",
            FailureClass::CutOff => "cut-off",
            FailureClass::NoTokens => "no-tokens",
            FailureClass::FirstTokenTimeout => "first-token-timeout",
            FailureClass::Stalled => "stalled",
            FailureClass::RequestTimeout => "request-timeout",
            FailureClass::TooLarge => "too-large",
        }
    }
}

impl RequestRecord {
    /// From sending to the first output, microseconds.
    pub fn ttft_us(&self) -> Option<u64> {
        self.answer.chunk_us.first().copied()
    }

    /// What its send was late against its schedule, microseconds.
    pub fn queued_us(&self) -> u64 {
        self.scheduled_us.map_or(0, |due| self.sent_us.saturating_sub(due))
    }

    /// Whether it ended whole.
    pub fn is_done(&self) -> bool {
        self.outcome == Outcome::Done
    }
}
