//! `summary.json`: the keys of `sglang.bench_serving`'s result line, and everything of ours.
//!
//! Names and units are those of SGLang 0.5.23 (`benchmark/serving.py`, lines 1855-1918), which has all of
//! 0.5.4.post2's (`bench_serving.py`, lines 2038-2078). Where its figure is defined otherwise than ours, ours
//! stands here too: `docs/benchmarking.md` lists the differences. A figure that no request has is null.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FORMAT;
use crate::bench::metrics::server_side::{self, ServerLoad};
use crate::bench::plan::{Arrival, Lengths, LoadPlan, Protocol, Workload};
use crate::bench::secrets::without_secrets;
use crate::bench::summary::{ServerView, Summary};

/// The content of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SummaryFile {
    /// The format of all files in the directory.
    pub format: u32,
    /// The profile's name.
    pub tag: Option<String>,
    /// SGLang's or vLLM's name for the protocol, such as `sglang-oai-chat`.
    pub backend: String,
    /// What was asked.
    pub dataset_name: String,
    /// Conversations per second.
    pub request_rate: RequestRate,
    /// Most conversations in flight.
    pub max_concurrency: Option<u32>,
    /// Tokens asked for instead of a ShareGPT file's own.
    pub sharegpt_output_len: Option<u32>,
    /// Tokens in a random prompt (a prefix that is shared not counted).
    pub random_input_len: Option<u32>,
    /// Tokens asked for.
    pub random_output_len: Option<u32>,
    /// How lengths vary; 1 is not at all.
    pub random_range_ratio: Option<f64>,
    /// The server's own description, without secrets.
    pub server_info: Option<Value>,
    /// From the first send to the last end of the requests that ended whole, seconds.
    pub duration: f64,
    /// Requests that ended whole.
    pub completed: u32,
    /// Requests that failed. Not one of SGLang's.
    pub failed: u32,
    /// Prompt tokens.
    pub total_input_tokens: u64,
    /// All of them: nothing but text is sent.
    pub total_input_text_tokens: u64,
    /// None.
    pub total_input_vision_tokens: u64,
    /// Generated tokens.
    pub total_output_tokens: u64,
    /// Always null: answers are counted by the server's own totals, not tokenised again.
    pub total_output_tokens_retokenized: Option<u64>,
    /// Requests per second.
    pub request_throughput: f64,
    /// Prompt tokens per second.
    pub input_throughput: f64,
    /// Generated tokens per second.
    pub output_throughput: f64,
    /// Both.
    pub total_throughput: f64,
    /// End to end: mean, milliseconds.
    pub mean_e2e_latency_ms: Option<f64>,
    /// End to end: median, milliseconds.
    pub median_e2e_latency_ms: Option<f64>,
    /// End to end: standard deviation, milliseconds.
    pub std_e2e_latency_ms: Option<f64>,
    /// End to end: 90th percentile, milliseconds.
    pub p90_e2e_latency_ms: Option<f64>,
    /// End to end: 95th percentile, milliseconds.
    pub p95_e2e_latency_ms: Option<f64>,
    /// End to end: 99th percentile, milliseconds.
    pub p99_e2e_latency_ms: Option<f64>,
    /// Time to first token: mean, milliseconds.
    pub mean_ttft_ms: Option<f64>,
    /// Time to first token: median, milliseconds.
    pub median_ttft_ms: Option<f64>,
    /// Time to first token: standard deviation, milliseconds.
    pub std_ttft_ms: Option<f64>,
    /// Time to first token: 90th percentile, milliseconds.
    pub p90_ttft_ms: Option<f64>,
    /// Time to first token: 95th percentile, milliseconds.
    pub p95_ttft_ms: Option<f64>,
    /// Time to first token: 99th percentile, milliseconds.
    pub p99_ttft_ms: Option<f64>,
    /// Time per output token after the first: mean, milliseconds.
    pub mean_tpot_ms: Option<f64>,
    /// Time per output token after the first: median, milliseconds.
    pub median_tpot_ms: Option<f64>,
    /// Time per output token after the first: standard deviation, milliseconds.
    pub std_tpot_ms: Option<f64>,
    /// Time per output token after the first: 90th percentile, milliseconds.
    pub p90_tpot_ms: Option<f64>,
    /// Time per output token after the first: 95th percentile, milliseconds.
    pub p95_tpot_ms: Option<f64>,
    /// Time per output token after the first: 99th percentile, milliseconds.
    pub p99_tpot_ms: Option<f64>,
    /// Inter-token latency, weighted by tokens: mean, milliseconds.
    pub mean_itl_ms: Option<f64>,
    /// Inter-token latency, weighted by tokens: median, milliseconds.
    pub median_itl_ms: Option<f64>,
    /// Inter-token latency, weighted by tokens: standard deviation, milliseconds.
    pub std_itl_ms: Option<f64>,
    /// Inter-token latency, weighted by tokens: 90th percentile, milliseconds.
    pub p90_itl_ms: Option<f64>,
    /// Inter-token latency, weighted by tokens: 95th percentile, milliseconds.
    pub p95_itl_ms: Option<f64>,
    /// Inter-token latency, weighted by tokens: 99th percentile, milliseconds.
    pub p99_itl_ms: Option<f64>,
    /// Inter-token latency, weighted by tokens: largest, milliseconds.
    pub max_itl_ms: Option<f64>,
    /// Mean requests in flight.
    pub concurrency: f64,
    /// Accepted tokens per verification step, where the server decodes speculatively.
    pub accept_length: Option<f64>,
    /// Most generated tokens in any one second.
    pub max_output_tokens_per_s: f64,
    /// Most requests in flight at once.
    pub max_concurrent_requests: u32,
    /// What the server's gauges said, means. Not one of SGLang's.
    pub server_load: ServerLoad,
    /// Everything of ours. Its `server.info` is `server_info` above.
    pub spark: Summary,
}

/// Conversations per second, or a word where that is no number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RequestRate {
    /// Per second.
    PerSecond(f64),
    /// `inf` (all at once, and closed loops), `ramp` or `trace`.
    Word(String),
}

impl SummaryFile {
    /// Of what was asked and what it came to.
    pub(crate) fn new(plan: &LoadPlan, summary: Summary) -> Self {
        let workload = SglangWorkload::of(&plan.workload);
        let latency = &summary.latency_ms;
        let rates = summary.throughput;
        Self {
            format: FORMAT,
            tag: Some(plan.profile.clone()),
            backend: backend(plan.protocol, &summary.server.runtime).into(),
            dataset_name: workload.name.into(),
            request_rate: request_rate(&plan.arrival),
            max_concurrency: plan.concurrency,
            sharegpt_output_len: match &plan.workload {
                Workload::Sharegpt { output_tokens, .. } => *output_tokens,
                _ => None,
            },
            random_input_len: workload.input,
            random_output_len: workload.output,
            random_range_ratio: workload.range_ratio,
            server_info: summary.server.info.clone().map(|info| without_secrets(info, None)),
            duration: rates.duration_s,
            completed: summary.counts.completed,
            failed: summary.counts.failed,
            total_input_tokens: summary.input_tokens,
            total_input_text_tokens: summary.input_tokens,
            total_input_vision_tokens: 0,
            total_output_tokens: summary.output_tokens,
            total_output_tokens_retokenized: None,
            request_throughput: rates.requests,
            input_throughput: rates.input_tokens,
            output_throughput: rates.output_tokens,
            total_throughput: rates.total_tokens,
            mean_e2e_latency_ms: latency.e2e.as_ref().map(|d| d.mean.value),
            median_e2e_latency_ms: latency.e2e.as_ref().map(|d| d.median.value),
            std_e2e_latency_ms: latency.e2e.as_ref().map(|d| d.std.value),
            p90_e2e_latency_ms: latency.e2e.as_ref().map(|d| d.p90.value),
            p95_e2e_latency_ms: latency.e2e.as_ref().map(|d| d.p95.value),
            p99_e2e_latency_ms: latency.e2e.as_ref().map(|d| d.p99.value),
            mean_ttft_ms: latency.ttft.as_ref().map(|d| d.mean.value),
            median_ttft_ms: latency.ttft.as_ref().map(|d| d.median.value),
            std_ttft_ms: latency.ttft.as_ref().map(|d| d.std.value),
            p90_ttft_ms: latency.ttft.as_ref().map(|d| d.p90.value),
            p95_ttft_ms: latency.ttft.as_ref().map(|d| d.p95.value),
            p99_ttft_ms: latency.ttft.as_ref().map(|d| d.p99.value),
            mean_tpot_ms: latency.tpot.as_ref().map(|d| d.mean.value),
            median_tpot_ms: latency.tpot.as_ref().map(|d| d.median.value),
            std_tpot_ms: latency.tpot.as_ref().map(|d| d.std.value),
            p90_tpot_ms: latency.tpot.as_ref().map(|d| d.p90.value),
            p95_tpot_ms: latency.tpot.as_ref().map(|d| d.p95.value),
            p99_tpot_ms: latency.tpot.as_ref().map(|d| d.p99.value),
            mean_itl_ms: latency.itl.as_ref().map(|d| d.mean.value),
            median_itl_ms: latency.itl.as_ref().map(|d| d.median.value),
            std_itl_ms: latency.itl.as_ref().map(|d| d.std.value),
            p90_itl_ms: latency.itl.as_ref().map(|d| d.p90.value),
            p95_itl_ms: latency.itl.as_ref().map(|d| d.p95.value),
            p99_itl_ms: latency.itl.as_ref().map(|d| d.p99.value),
            max_itl_ms: latency.itl.as_ref().map(|d| d.max.value),
            concurrency: summary.mean_concurrency,
            accept_length: summary.accept_length,
            max_output_tokens_per_s: summary.peak_output_tokens_per_s,
            max_concurrent_requests: summary.peak_concurrency,
            server_load: server_side::load(&summary.server, rates.from_s + rates.duration_s),
            spark: Summary { server: ServerView { info: None, ..summary.server.clone() }, ..summary },
        }
    }

    /// The summary it was made of.
    pub(crate) fn into_summary(self) -> Summary {
        let server = ServerView { info: self.server_info, ..self.spark.server };
        Summary { server, ..self.spark }
    }
}

/// What a workload is in SGLang's words.
struct SglangWorkload {
    name: &'static str,
    input: Option<u32>,
    output: Option<u32>,
    range_ratio: Option<f64>,
}

impl SglangWorkload {
    fn of(workload: &Workload) -> Self {
        let random = |name, input, output, lengths| Self {
            name,
            input: Some(input),
            output: Some(output),
            range_ratio: Some(match lengths {
                Lengths::Exact => 1.0,
                Lengths::Uniform { range_ratio } => range_ratio,
            }),
        };
        let file = |name| Self { name, input: None, output: None, range_ratio: None };
        match *workload {
            Workload::Random { input_tokens, output_tokens, lengths } => {
                random("random", input_tokens, output_tokens, lengths)
            }
            Workload::SharedPrefix { input_tokens, output_tokens, lengths, .. } => {
                random("generated-shared-prefix", input_tokens, output_tokens, lengths)
            }
            Workload::MultiTurn { input_tokens, output_tokens, lengths, .. } => {
                random("multi-turn", input_tokens, output_tokens, lengths)
            }
            Workload::Sharegpt { .. } => file("sharegpt"),
            Workload::Jsonl { .. } => file("custom"),
        }
    }
}

/// SGLang writes JavaScript's `Infinity` where there is no rate, which is no JSON: here it is the word `inf`.
fn request_rate(arrival: &Arrival) -> RequestRate {
    match arrival {
        Arrival::Constant { rate } | Arrival::Poisson { rate } | Arrival::Gamma { rate, .. } => {
            RequestRate::PerSecond(*rate)
        }
        Arrival::AllAtOnce | Arrival::ClosedLoop => RequestRate::Word("inf".into()),
        Arrival::Ramp { .. } => RequestRate::Word("ramp".into()),
        Arrival::Trace { .. } => RequestRate::Word("trace".into()),
    }
}

/// Names of SGLang 0.5.23, `benchmark/serving.py`, line 976.
fn backend(protocol: Protocol, runtime: &str) -> &'static str {
    match (protocol, runtime) {
        (Protocol::Chat, "vllm") => "vllm-chat",
        (Protocol::Completions, "vllm") => "vllm",
        (Protocol::Chat, _) => "sglang-oai-chat",
        (Protocol::Completions, _) => "sglang-oai",
        (Protocol::Generate, _) => "sglang",
    }
}
