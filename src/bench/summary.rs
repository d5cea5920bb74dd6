//! What a run comes to. `docs/benchmarking.md` has the formulas.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::FailureClass;

/// A figure and the 95 % bootstrap interval around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How one latency is distributed, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// Samples: requests, or tokens for the inter-token latency.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: Estimate,
    /// 50th percentile.
    pub median: Estimate,
    /// Standard deviation of the samples.
    pub std: Estimate,
    /// 90th percentile.
    pub p90: Estimate,
    /// 95th percentile.
    pub p95: Estimate,
    /// 99th percentile.
    pub p99: Estimate,
    /// Largest.
    pub max: Estimate,
}

/// The latencies of successful requests. Absent where no request has one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latencies {
    /// Time to first token, from sending.
    pub ttft: Option<Distribution>,
    /// Time per output token after the first.
    pub tpot: Option<Distribution>,
    /// Inter-token latency, weighted by tokens.
    pub itl: Option<Distribution>,
    /// From sending to the end.
    pub e2e: Option<Distribution>,
    /// Time to first token, from schedule. Absent without a schedule.
    pub ttft_from_schedule: Option<Distribution>,
    /// From schedule to the end. Absent without a schedule.
    pub e2e_from_schedule: Option<Distribution>,
    /// From schedule to sending: what the client itself, or its concurrency limit, added.
    pub queued: Option<Distribution>,
}

/// Rates over a span of time. Per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throughput {
    /// Where the span begins, seconds from the run's start.
    pub from_s: f64,
    /// How long it is, seconds.
    pub duration_s: f64,
    /// Successful requests.
    pub requests: f64,
    /// Prompt tokens.
    pub input_tokens: f64,
    /// Generated tokens.
    pub output_tokens: f64,
    /// Both.
    pub total_tokens: f64,
}

/// How many requests ended which way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Planned.
    pub planned: u32,
    /// Ended whole.
    pub completed: u32,
    /// Failed.
    pub failed: u32,
    /// Cut short by the user.
    pub interrupted: u32,
    /// Never sent.
    pub unsent: u32,
    /// The failed, by class.
    pub failures: BTreeMap<FailureClass, u32>,
}

/// Whether the client could keep up. Where it could not, its figures are about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientHealth {
    /// CPU time of the thread that sends and reads, seconds.
    pub cpu_s: f64,
    /// The same over the run's duration: 1 is one whole core.
    pub cpu_share: f64,
    /// How late the event loop woke up for a timer, milliseconds: median, p99 and largest.
    pub lag_ms: LagMs,
    /// Requests sent more than 10 milliseconds after they were due although a slot was free.
    pub late_sends: u32,
    /// The latest of these, milliseconds.
    pub latest_send_ms: f64,
    /// Share of reads whose time is the kernel's, taken when the bytes arrived: there, reading late makes no
    /// latency longer. Null before the first read.
    #[serde(default)]
    pub kernel_times: Option<f64>,
    /// What was wrong, one sentence each. Empty where the client kept up.
    pub complaints: Vec<String>,
}

/// Quantiles of the event loop's lag, milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LagMs {
    /// 50th percentile.
    pub median: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// What the server said of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerView {
    /// `sglang`, `vllm`, `llama.cpp`, `sparkbench-mock`, or `unknown`.
    pub runtime: String,
    /// Its version, where it says.
    pub version: Option<String>,
    /// Its own description (`/get_server_info` and the like) as it came, without secrets.
    pub info: Option<serde_json::Value>,
    /// Samples of `/metrics`: first before the run, last after it.
    pub samples: Vec<MetricsSample>,
}

/// The server's `/metrics` at one moment. Counters and gauges only; over labels counts are summed, shares averaged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsSample {
    /// Seconds from the run's start; negative before it.
    pub at_s: f64,
    /// By metric name.
    pub values: BTreeMap<String, f64>,
}

/// What a run comes to: `summary.json`, next to the flat keys of `sglang.bench_serving`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The profile's name.
    pub profile: String,
    /// The model's name.
    pub model: String,
    /// What is wrong with this run's figures, one sentence each: read these first.
    pub warnings: Vec<String>,
    /// How many requests ended which way.
    pub counts: Counts,
    /// Prompt tokens of successful requests.
    pub input_tokens: u64,
    /// Generated tokens of successful requests.
    pub output_tokens: u64,
    /// Prompt tokens the server had in its cache, where it says.
    pub cached_tokens: Option<u64>,
    /// Mean accepted tokens per verification step, where the server decodes speculatively and says.
    pub accept_length: Option<f64>,
    /// Share of events whose tokens were counted exactly, 0 to 1.
    pub exact_token_share: f64,
    /// Mean and largest relative difference between planned and actual prompt tokens, where both are known.
    pub input_length_error: Option<LengthError>,
    /// Over the whole run: from the first send to the last end.
    pub throughput: Throughput,
    /// Over the steady-state window, where there is one.
    pub steady: Option<Throughput>,
    /// Latencies, milliseconds.
    pub latency_ms: Latencies,
    /// Time-weighted mean of requests in flight.
    pub mean_concurrency: f64,
    /// Most requests in flight at once.
    pub peak_concurrency: u32,
    /// Most output tokens within any one second.
    pub peak_output_tokens_per_s: f64,
    /// Requests per second that met every SLO, where there is one.
    pub goodput: Option<Goodput>,
    /// Whether the client kept up.
    pub client: ClientHealth,
    /// What the server said of itself.
    pub server: ServerView,
}

/// Requests that met the SLOs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Goodput {
    /// Per second, over the whole run.
    pub requests: f64,
    /// Of all requests that were sent and not interrupted, 0 to 1.
    pub share: f64,
}

/// How far prompts were off their planned length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LengthError {
    /// Mean of |actual - planned| / planned.
    pub mean: f64,
    /// Largest.
    pub max: f64,
    /// Requests whose prompt was not exactly as planned.
    pub off: u32,
}
