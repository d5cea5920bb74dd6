//! The plan of a run: everything that decides what is sent, when, and how it is judged.
//!
//! Two runs under equal plans can be compared. Where the server is (its URL, an API key) is not part of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A run's plan, as it stands in `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Plan")]
pub struct LoadPlan<Model = String> {
    /// The profile it came from, or `custom`.
    pub profile: String,
    /// The model's name as the server lists it.
    pub model: Model,
    /// How the server is spoken to.
    pub protocol: Protocol,
    /// Requests to measure, over all conversations and turns.
    pub requests: u32,
    /// What is asked.
    pub workload: Workload,
    /// When it is asked.
    pub arrival: Arrival,
    /// At most this many conversations in flight; no limit where absent.
    pub concurrency: Option<u32>,
    /// Requests sent and thrown away before the measured ones.
    pub warmup: u32,
    /// Fixes prompts, lengths and the schedule.
    pub seed: u64,
    /// How the server chooses tokens.
    pub sampling: Sampling,
    /// When a request has failed, and when the run has.
    pub limits: RequestLimits,
    /// What a good request is.
    pub slo: Slo,
}

/// A plan before the server was asked: the model where one was given, else what the server lists.
pub type PlanDraft = LoadPlan<Option<String>>;

/// How the server is spoken to. All are streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// OpenAI's `/v1/chat/completions`.
    Chat,
    /// OpenAI's `/v1/completions`.
    Completions,
    /// SGLang's own `/generate`.
    Generate,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Workload {
    /// Prompts of random words.
    Random {
        /// Tokens in a prompt, as the server counts them.
        input_tokens: u32,
        /// Tokens asked for.
        output_tokens: u32,
        /// How lengths vary.
        lengths: Lengths,
    },
    /// Random prompts of which groups begin alike: for prefix caches.
    SharedPrefix {
        /// Distinct prefixes.
        groups: u32,
        /// Tokens in a prefix.
        prefix_tokens: u32,
        /// Tokens after the prefix.
        input_tokens: u32,
        /// Tokens asked for.
        output_tokens: u32,
        /// How the lengths after the prefix vary.
        lengths: Lengths,
    },
    /// Conversations: each turn sends all that was said before, with the server's own answers.
    MultiTurn {
        /// Turns in a conversation.
        turns: u32,
        /// New tokens in each turn's question.
        input_tokens: u32,
        /// Tokens asked for in each turn.
        output_tokens: u32,
        /// How lengths vary.
        lengths: Lengths,
        /// Pause between an answer's end and the next question, milliseconds.
        think_ms: u64,
    },
    /// The first question (and the length of the first answer) of conversations in a ShareGPT-format file.
    Sharegpt {
        /// The file and what was in it.
        file: DataFile,
        /// Tokens asked for, instead of the length of the file's answer.
        output_tokens: Option<u32>,
    },
    /// Prompts or chat messages, one JSON object a line.
    Jsonl {
        /// The file and what was in it.
        file: DataFile,
        /// Tokens asked for where a line does not say.
        output_tokens: Option<u32>,
    },
}

/// A file that is part of a plan: the same content makes the same plan, wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Its name, without folders.
    pub name: String,
    /// SHA-256 of its content, hex.
    pub sha256: String,
}

/// How token counts vary between requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lengths {
    /// Every request has exactly the length asked for.
    Exact,
    /// Uniform over the integers from `max(1, floor(range_ratio * N))` to N: with 0, what
    /// `sglang.bench_serving --random-range-ratio 0` does.
    Uniform {
        /// From 0 to 1.
        range_ratio: f64,
    },
}

/// When requests are sent. Rates are in conversations per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrival {
    /// All are due at the start. With a concurrency limit, the wait for a slot counts as latency from schedule.
    AllAtOnce,
    /// The next is sent when one ends: as many as `concurrency` are always in flight. There is no schedule.
    ClosedLoop,
    /// Equal distances.
    Constant {
        /// Per second.
        rate: f64,
    },
    /// Exponential distances.
    Poisson {
        /// Per second.
        rate: f64,
    },
    /// Gamma distances with shape `burstiness`: below 1 burstier than Poisson, above 1 more even.
    Gamma {
        /// Per second.
        rate: f64,
        /// The gamma distribution's shape.
        burstiness: f64,
    },
    /// Poisson with a rate that goes linearly from one to another over the requests' expected duration.
    Ramp {
        /// Per second, at the start.
        from_rate: f64,
        /// Per second, at the end.
        to_rate: f64,
    },
    /// Times read from a file: seconds since the first, one a line or `timestamp` in a JSONL.
    Trace {
        /// The file and what was in it.
        file: DataFile,
        /// Times are multiplied by this.
        scale: f64,
    },
}

/// How the server chooses tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// Generate as many tokens as asked for, whatever the model would like.
    pub ignore_eos: bool,
    /// Fields added to every request's body as they are.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra_body: serde_json::Map<String, serde_json::Value>,
}

/// When a request has failed, and when the run has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub struct RequestLimits {
    /// To connect, seconds.
    pub connect_s: f64,
    /// From sending to the first token, seconds.
    pub first_token_s: f64,
    /// Without a byte after the first token, seconds.
    pub stall_s: f64,
    /// From sending to the end, seconds.
    pub request_s: f64,
    /// Bytes in one answer.
    pub answer_bytes: u64,
    /// The run fails when more than this share of its requests failed.
    pub failed_share: f64,
    /// Times a request that failed before its first token is sent again.
    pub retries: u32,
}

/// What a good request is: all that is given must hold. Milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// Time to first token, from schedule where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Time per output token after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpot_ms: Option<f64>,
    /// End to end, from schedule where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e2e_ms: Option<f64>,
}

impl<Model> LoadPlan<Model> {
    /// Conversations it comes to: its requests over the turns of each, the last conversation being shorter where
    /// they do not divide.
    pub fn conversations(&self) -> u32 {
        match self.workload {
            Workload::MultiTurn { turns, .. } => self.requests.div_ceil(turns.max(1)),
            _ => self.requests,
        }
    }

    /// The same plan for this model.
    pub fn with_model<Other>(self, model: Other) -> LoadPlan<Other> {
        let LoadPlan {
            profile,
            model: _,
            protocol,
            requests,
            workload,
            arrival,
            concurrency,
            warmup,
            seed,
            sampling,
            limits,
            slo,
        } = self;
        LoadPlan {
            profile,
            model,
            protocol,
            requests,
            workload,
            arrival,
            concurrency,
            warmup,
            seed,
            sampling,
            limits,
            slo,
        }
    }
}

impl Protocol {
    /// The path requests go to.
    pub fn path(self) -> &'static str {
        match self {
            Protocol::Chat => "/v1/chat/completions",
            Protocol::Completions => "/v1/completions",
            Protocol::Generate => "/generate",
        }
    }
}
