//! The flags of `sparkbench mock`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

use crate::cli::bench::values;
use crate::mock::Fault;
use crate::mock::scenario::Usage;

/// `sparkbench mock`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench mock --ttft 50ms --itl 20ms                 chat, completions and /generate on port 30000
  sparkbench mock --accept 1,3,2,4                       speculative decoding: several tokens an event
  sparkbench mock --reasoning 100 --max-running 8        reasons first; the ninth request waits
  sparkbench mock --fault cut-after=20 --fault-every 10  every tenth stream breaks off
  sparkbench mock --scenario mine.toml --itl 30ms        as the file says, but for the gaps
  curl localhost:30000/mock/truth                        what really left it, and when

Faults: error-after=TOKENS, cut-after=TOKENS, reset-after=TOKENS, stall=TOKENS:DURATION, stall=TOKENS:forever,
status=CODE, no-done, no-finish, no-end, zero-tokens, html, huge-event=BYTES, endless, garbage

Exit codes: 0 stopped by Ctrl-C, 2 bad arguments or a bad file, 3 the port cannot be had.")]
pub(crate) struct MockArgs {
    /// Port to listen on; 0 for a free one
    #[arg(long, short, default_value_t = 30000, value_name = "PORT", allow_negative_numbers = true)]
    pub port: u16,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub host: IpAddr,
    /// Behave as this TOML file says; a flag overrides the one field it stands for
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// The model it says it serves [default: mock]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The longest sequence it takes [default: 32768]
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    pub max_model_len: Option<u32>,
    /// Want this key as a bearer token; the variable is the one `run` sends
    #[arg(long, env = "SPARKBENCH_MOCK_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Fixes jitter [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// From a request's arrival to its first token [default: 50ms]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::pause, help_heading = "Schedule")]
    pub ttft: Option<Duration>,
    /// Added to that for every token of the prompt [default: 0s]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::pause, help_heading = "Schedule")]
    pub ttft_per_input_token: Option<Duration>,
    /// From one step to the next [default: 20ms]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::pause, help_heading = "Schedule")]
    pub itl: Option<Duration>,
    /// Steps are early or late by up to this share of --itl [default: 0]
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, value_parser = values::share, help_heading = "Schedule")]
    pub jitter: Option<f64>,
    /// Requests that generate at once; others wait
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Schedule")]
    pub max_running: Option<u32>,
    /// Requests beyond this many, waiting ones included, are turned away
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Schedule")]
    pub turn_away: Option<u32>,
    /// With this status [default: 503]
    #[arg(long, value_name = "STATUS", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(400..=599), help_heading = "Schedule")]
    pub turn_away_status: Option<u16>,
    /// The first so many requests are slow, as while kernels still compile [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Schedule")]
    pub slow_first: Option<u32>,
    /// By so much [default: 5s]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::pause, help_heading = "Schedule")]
    pub slow_by: Option<Duration>,
    /// Answer 503 for so long after the start, as a server that loads [default: 0s]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::pause, help_heading = "Schedule")]
    pub slow_start: Option<Duration>,
    /// Steps in one event [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Tokens")]
    pub coalesce: Option<u32>,
    /// Tokens accepted in each step, over and over [default: 1]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..), help_heading = "Tokens")]
    pub accept: Option<Vec<u32>>,
    /// The first tokens of a chat answer are reasoning [default: 0]
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, help_heading = "Tokens")]
    pub reasoning: Option<u32>,
    /// Where reasoning stands [default: sglang]
    #[arg(long, value_enum, value_name = "RUNTIME", help_heading = "Tokens")]
    pub reasoning_field: Option<ReasoningArg>,
    /// A chat answer is a tool call
    #[arg(long, help_heading = "Tokens")]
    pub tool_call: bool,
    /// When the chunk that holds a chat's role alone is sent [default: at-once]
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Tokens")]
    pub role_chunk: Option<RoleChunkArg>,
    /// Answers end by themselves after so many tokens, unless a request says ignore_eos
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Tokens")]
    pub stop_after: Option<u32>,
    /// Every third event has no text, yet counts: a character that is not whole yet
    #[arg(long, help_heading = "Tokens")]
    pub empty_text: bool,
    /// Share of each prompt that is said to come from a cache [default: 0]
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, value_parser = values::share, help_heading = "Tokens")]
    pub cached: Option<f64>,
    /// What streams say of their token counts: as asked, at the end only, never, or off by N [default: as-asked]
    #[arg(
        long,
        value_name = "as-asked|end|never|+N|-N",
        allow_hyphen_values = true,
        help_heading = "Tokens"
    )]
    pub usage: Option<Usage>,
    /// What goes wrong
    #[arg(long, value_name = "FAULT", help_heading = "Faults")]
    pub fault: Option<Fault>,
    /// In every n-th request [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Faults")]
    pub fault_every: Option<u32>,
    /// Lines end with CRLF
    #[arg(long, help_heading = "Wire")]
    pub crlf: bool,
    /// Write in pieces of so many bytes
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<usize>::new().range(1..), help_heading = "Wire")]
    pub split: Option<usize>,
    /// An event's JSON stands in two data lines
    #[arg(long, help_heading = "Wire")]
    pub multi_line: bool,
    /// No blank behind `data:`
    #[arg(long, help_heading = "Wire")]
    pub tight: bool,
    /// A comment after every event
    #[arg(long, help_heading = "Wire")]
    pub comments: bool,
    /// A comment whenever nothing was sent for so long
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::pause, help_heading = "Wire")]
    pub keep_alive: Option<Duration>,
    /// Print what really left it, as JSON, when it stops
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// When a chat's role is sent by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleChunkArg {
    /// As soon as the request has a slot.
    AtOnce,
    /// Right before the first token.
    WithFirst,
    /// Never.
    Never,
}

/// The runtime whose field reasoning stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReasoningArg {
    /// `reasoning_content`.
    Sglang,
    /// `reasoning`.
    Vllm,
}
