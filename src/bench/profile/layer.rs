//! A part of a plan: what one profile, or the flags of one command line, say. Absent means unsaid.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::bench::plan::Protocol;

/// A profile: a name for what is measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    /// Its file's name without `.toml`.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// What it says.
    pub layer: Layer,
}

/// What one layer says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    /// What a profile is for. Decides nothing; flags do not say it.
    pub about: Option<String>,
    /// The model's name.
    pub model: Option<String>,
    /// How the server is spoken to.
    pub protocol: Option<Protocol>,
    /// Requests to measure.
    pub requests: Option<u32>,
    /// What is asked.
    #[serde(default)]
    pub workload: WorkloadLayer,
    /// When it is asked.
    #[serde(default)]
    pub arrival: ArrivalLayer,
    /// Conversations in flight.
    pub concurrency: Option<Bound<u32>>,
    /// Requests thrown away first.
    pub warmup: Option<u32>,
    /// Fixes what is random.
    pub seed: Option<u64>,
    /// How tokens are chosen.
    #[serde(default)]
    pub sampling: SamplingLayer,
    /// When something has failed.
    #[serde(default)]
    pub limits: LimitsLayer,
    /// What a good request is.
    #[serde(default)]
    pub slo: SloLayer,
}

/// A limit, or the word that there is none: what a flag needs to take a profile's limit away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound<T> {
    /// This much.
    At(T),
    /// No limit.
    Without,
}

impl<T> Bound<T> {
    /// The limit, where there is one.
    pub(crate) fn limit(self) -> Option<T> {
        match self {
            Bound::At(limit) => Some(limit),
            Bound::Without => None,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bound<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Bound::At)
    }
}

/// How many conversations begin in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// This many.
    PerSecond(f64),
    /// `--rate inf`: all at once.
    Unlimited,
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        f64::deserialize(from).map(Rate::PerSecond)
    }
}

/// The kinds of [`Workload`](crate::bench::plan::Workload).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkloadKind {
    Random,
    SharedPrefix,
    MultiTurn,
    Sharegpt,
    Jsonl,
}

impl WorkloadKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 5] =
        [Self::Random, Self::SharedPrefix, Self::MultiTurn, Self::Sharegpt, Self::Jsonl];

    /// As profiles spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::SharedPrefix => "shared-prefix",
            Self::MultiTurn => "multi-turn",
            Self::Sharegpt => "sharegpt",
            Self::Jsonl => "jsonl",
        }
    }

    /// Whether the prompts come from a file.
    pub(crate) fn is_file(self) -> bool {
        matches!(self, Self::Sharegpt | Self::Jsonl)
    }
}

/// The kinds of [`Arrival`](crate::bench::plan::Arrival).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ArrivalKind {
    AllAtOnce,
    ClosedLoop,
    Constant,
    Poisson,
    Gamma,
    Ramp,
    Trace,
}

impl ArrivalKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 7] = [
        Self::AllAtOnce,
        Self::ClosedLoop,
        Self::Constant,
        Self::Poisson,
        Self::Gamma,
        Self::Ramp,
        Self::Trace,
    ];

    /// As profiles and `--arrival` spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AllAtOnce => "all-at-once",
            Self::ClosedLoop => "closed-loop",
            Self::Constant => "constant",
            Self::Poisson => "poisson",
            Self::Gamma => "gamma",
            Self::Ramp => "ramp",
            Self::Trace => "trace",
        }
    }
}

/// The kinds of [`Lengths`](crate::bench::plan::Lengths).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LengthKind {
    Exact,
    Uniform,
}

/// What a layer says of the workload.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkloadLayer {
    pub kind: Option<WorkloadKind>,
    pub input_tokens: Option<u32>,
    pub output_tokens: Option<u32>,
    pub lengths: Option<LengthKind>,
    pub range_ratio: Option<f64>,
    pub groups: Option<u32>,
    pub prefix_tokens: Option<u32>,
    pub turns: Option<u32>,
    pub think_ms: Option<u64>,
    /// In a profile, relative to the profile's folder.
    pub file: Option<PathBuf>,
}

/// What a layer says of arrivals.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArrivalLayer {
    pub kind: Option<ArrivalKind>,
    pub rate: Option<Rate>,
    pub burstiness: Option<f64>,
    pub from_rate: Option<f64>,
    pub to_rate: Option<f64>,
    /// In a profile, relative to the profile's folder.
    pub file: Option<PathBuf>,
    pub scale: Option<f64>,
}

/// What a layer says of sampling.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SamplingLayer {
    pub temperature: Option<f64>,
    pub ignore_eos: Option<bool>,
    /// A key of a higher layer replaces the same key of a lower one; the others stay.
    #[serde(default)]
    pub extra_body: serde_json::Map<String, serde_json::Value>,
}

/// What a layer says of limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsLayer {
    pub connect_s: Option<f64>,
    pub first_token_s: Option<f64>,
    pub stall_s: Option<f64>,
    pub request_s: Option<f64>,
    pub answer_bytes: Option<u64>,
    pub failed_share: Option<f64>,
    pub retries: Option<u32>,
}

/// What a layer says of SLOs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SloLayer {
    pub ttft_ms: Option<Bound<f64>>,
    pub tpot_ms: Option<Bound<f64>>,
    pub e2e_ms: Option<Bound<f64>>,
}
