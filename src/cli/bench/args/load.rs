//! The flags that `run` and `sweep` share.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::bench::values;

/// Which server, and how it is spoken to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// The server [default: http://localhost:30000; environment SPARKBENCH_BASE_URL]
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The model's name [default: the one the server lists]
    #[arg(long, short, value_name = "NAME")]
    pub model: Option<String>,
    /// How it is spoken to [default: chat]
    #[arg(long, value_enum)]
    pub protocol: Option<ProtocolArg>,
    /// The same in the words of sglang.bench_serving
    #[arg(long, value_enum, hide = true, conflicts_with = "protocol")]
    pub backend: Option<BackendArg>,
    /// Trust the certificate authority in this file too, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// The machines behind the server: each node of this inventory is read before and after every run
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// How often the server's /metrics are read; `none`: never
    #[arg(long, value_name = "TIME|none", allow_hyphen_values = true, default_value = "5s", value_parser = values::interval)]
    pub server_metrics_interval: values::ScrapeInterval,
}

/// `--protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolArg {
    /// OpenAI's /v1/chat/completions
    Chat,
    /// OpenAI's /v1/completions
    Completions,
    /// SGLang's own /generate, which counts tokens exactly
    Generate,
}

/// `--backend`: the names of sglang.bench_serving that mean a protocol of ours.
///
/// Source: ASYNC_REQUEST_FUNCS in sglang/bench_serving.py.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    /// /generate
    Sglang,
    /// /generate
    SglangNative,
    /// /v1/completions
    SglangOai,
    /// /v1/chat/completions
    SglangOaiChat,
    /// /v1/completions
    Vllm,
    /// /v1/chat/completions
    VllmChat,
}

/// Which profile, and how much of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArgs {
    /// A name from `sparkbench profiles`, or a TOML file [environment SPARKBENCH_PROFILE]
    #[arg(long, short, value_name = "NAME|FILE")]
    pub profile: Option<String>,
    /// A folder with bench/*.toml of your own; they win over the built-in ones
    #[arg(long, value_name = "DIR", env = "SPARKBENCH_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Requests to measure [default: 100]
    #[arg(long, short = 'n', visible_alias = "num-prompts", value_name = "N", allow_negative_numbers = true, value_parser = values::whole)]
    pub requests: Option<u32>,
    /// Requests sent first and thrown away [default: 1]
    #[arg(long, visible_alias = "warmup-requests", value_name = "N", allow_negative_numbers = true, value_parser = values::whole)]
    pub warmup: Option<u32>,
    /// Fixes prompts, lengths and the schedule [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::large)]
    pub seed: Option<u64>,
    /// What a good request is, such as ttft=500ms,tpot=50ms,e2e=10s; ttft=none, or none, takes a profile's away
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, value_parser = values::slo)]
    pub slo: Option<values::SloArg>,
}

/// What is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Workload")]
pub(crate) struct WorkloadArgs {
    /// Tokens in a prompt [default: 512]
    #[arg(long, short, visible_aliases = ["input-tokens", "random-input-len"], value_name = "N", allow_negative_numbers = true, value_parser = values::whole)]
    pub input: Option<u32>,
    /// Tokens asked for [default: 512]
    #[arg(long, short, visible_aliases = ["output-tokens", "random-output-len"], value_name = "N", allow_negative_numbers = true, value_parser = values::whole)]
    pub output: Option<u32>,
    /// How lengths vary [default: exact]
    #[arg(long, value_enum)]
    pub lengths: Option<LengthsArg>,
    /// Uniform lengths go from this share of the length asked for up to it [default: 0]
    #[arg(long, visible_alias = "random-range-ratio", value_name = "0..1", allow_negative_numbers = true, value_parser = values::number)]
    pub range_ratio: Option<f64>,
    /// Prompts from a file: sharegpt:FILE or jsonl:FILE
    #[arg(long, value_name = "KIND:FILE", value_parser = values::dataset)]
    pub dataset: Option<values::Dataset>,
    /// Prompts of which groups begin alike, such as 8x1024: 8 prefixes of 1024 tokens
    #[arg(long, value_name = "GROUPSxTOKENS", allow_hyphen_values = true, value_parser = values::shared_prefix)]
    pub shared_prefix: Option<(u32, u32)>,
    /// Turns of a conversation, each with all that was said before
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::whole)]
    pub turns: Option<u32>,
    /// Pause before the next turn, such as 5s [default: none]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::pause)]
    pub think: Option<Duration>,
    /// How tokens are chosen: 0 is greedy [default: 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = values::number)]
    pub temperature: Option<f64>,
    /// Generate as many tokens as asked for [default]
    #[arg(long, overrides_with = "no_ignore_eos")]
    pub ignore_eos: bool,
    /// Let the model end its answers
    #[arg(long, visible_alias = "disable-ignore-eos", overrides_with = "ignore_eos")]
    pub no_ignore_eos: bool,
    /// Fields added to every request's body, as a JSON object
    #[arg(long, visible_alias = "extra-request-body", value_name = "JSON", value_parser = values::object)]
    pub extra_body: Option<serde_json::Map<String, serde_json::Value>>,
    /// Count tokens of prompts with this tokenizer.json instead of asking the server
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
}

/// `--lengths`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LengthsArg {
    /// Every request as long as asked for
    Exact,
    /// Anything from --range-ratio of that up to it
    Uniform,
}

/// What `run` and `sweep` share of arrivals.
#[derive(Debug, Args)]
#[command(next_help_heading = "Arrival")]
pub(crate) struct PaceArgs {
    /// When requests are sent [default: what the other flags imply, else the profile's, else all-at-once]
    #[arg(long, value_enum)]
    pub arrival: Option<ArrivalArg>,
    /// The shape of gamma arrivals: below 1 burstier than Poisson, above 1 more even
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = values::number)]
    pub burstiness: Option<f64>,
}

/// `--arrival`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrivalArg {
    /// All at the start
    AllAtOnce,
    /// The next when one ends
    ClosedLoop,
    /// At equal distances
    Constant,
    /// At random, independently
    Poisson,
    /// At random, more or less evenly
    Gamma,
    /// Poisson, at a rate that changes
    Ramp,
    /// At the times of a file
    Trace,
}

/// When something has failed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Time to connect [default: 10s]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::seconds)]
    pub connect_timeout: Option<f64>,
    /// Time from sending to the first token [default: 10m]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::seconds)]
    pub first_token_timeout: Option<f64>,
    /// Time without a byte after the first token [default: 2m]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::seconds)]
    pub stall_timeout: Option<f64>,
    /// Time from sending to the end [default: 1h]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::seconds)]
    pub request_timeout: Option<f64>,
    /// Bytes in one answer [default: 268435456]
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, value_parser = values::large)]
    pub max_answer_bytes: Option<u64>,
    /// The run fails when more than this share of its requests failed [default: 5%]
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, value_parser = values::share)]
    pub max_failed: Option<f64>,
    /// Times a request that failed before its first token is sent again [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::whole)]
    pub retries: Option<u32>,
}
