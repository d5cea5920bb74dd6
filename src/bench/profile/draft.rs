//! A plan before the server was asked, and what holds where nobody says anything.

use std::path::PathBuf;

use serde::Serialize;

use super::origin::Origins;
use crate::bench::plan::{Arrival, Limits, Plan, Protocol, Sampling, Slo, Workload};

/// A [`Plan`] but for what only the server can say: the model's name where nobody gave one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the plan's own fields say it")]
pub struct Draft {
    pub profile: String,
    /// The model, where it was given.
    pub model: Option<String>,
    pub protocol: Protocol,
    pub requests: u32,
    pub workload: Workload,
    pub arrival: Arrival,
    pub concurrency: Option<u32>,
    pub warmup: u32,
    pub seed: u64,
    pub sampling: Sampling,
    pub limits: Limits,
    pub slo: Slo,
}

impl Draft {
    /// The plan. `served` is the model the server lists; one that was given wins.
    pub fn into_plan(self, served: String) -> Plan {
        let Draft {
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
        } = self;
        Plan {
            profile,
            model: model.unwrap_or(served),
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

    /// Conversations in the run: requests, or as many as hold them where each has several turns.
    pub fn conversations(&self) -> u32 {
        match self.workload {
            Workload::MultiTurn { turns, .. } => self.requests.div_ceil(turns.max(1)),
            _ => self.requests,
        }
    }
}

/// Where the files of a plan lie. The plan itself knows them by content alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The data set of a ShareGPT or JSONL workload.
    pub workload: Option<PathBuf>,
    /// The trace of an arrival by trace.
    pub trace: Option<PathBuf>,
}

/// What the layers come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// What will be done.
    pub plan: Draft,
    /// Where each of its values came from.
    pub origins: Origins,
    /// Where its files lie.
    pub files: Files,
}

/// The name of a plan without a profile.
pub(super) const CUSTOM: &str = "custom";

// What holds where nobody says anything: the `medium` profile's load, and otherwise what
// sglang.bench_serving does (0.5.x: seed 1, one warm-up request, temperature 0, ignore_eos, rate inf), so
// that a bare run measures the same thing. The limits are our choice.

/// Requests.
pub(super) const REQUESTS: u32 = 100;
/// Tokens in a prompt.
pub(super) const INPUT_TOKENS: u32 = 512;
/// Tokens asked for.
pub(super) const OUTPUT_TOKENS: u32 = 512;
/// Of `uniform` lengths: from one token up.
pub(super) const RANGE_RATIO: f64 = 0.0;
/// Requests thrown away first.
pub(super) const WARMUP: u32 = 1;
/// Seed.
pub(super) const SEED: u64 = 1;

/// Limits.
pub(super) const LIMITS: Limits = Limits {
    // Three tries of TCP's SYN (after 1 s, 3 s and 7 s, RFC 6298) and some.
    connect_s: 10.0,
    // A queue of a hundred short answers at the tens of tokens per second such clusters reach.
    first_token_s: 600.0,
    // A server may push a request back into its queue when its cache is full.
    stall_s: 120.0,
    request_s: 3600.0,
    // SGLang's /generate repeats the whole text in every event: some 130 MB for 8,192 tokens of 4 bytes.
    answer_bytes: 256 << 20,
    failed_share: 0.05,
    retries: 0,
};
