//! Where a value came from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    Default,
    /// The profile of this name.
    Profile(String),
    /// The environment variable of this name.
    Environment(&'static str),
    /// This flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.pad("default"),
            Origin::Profile(name) => write!(f, "profile {name}"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Where each value of a plan came from, by its dotted path in the plan's JSON: `workload.input_tokens`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Where the value at `path` came from.
    pub(crate) fn of(&self, path: &str) -> Option<&Origin> {
        self.0.get(path)
    }

    /// Every path that has an origin.
    #[cfg(test)]
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn set(&mut self, path: impl Into<String>, origin: Origin) {
        self.0.insert(path.into(), origin);
    }
}

/// The flag a field of a layer is set with.
pub(super) fn flag(field: &str) -> &'static str {
    match field {
        "model" => "--model",
        "protocol" => "--protocol",
        "requests" => "--requests",
        "workload.input_tokens" => "--input",
        "workload.output_tokens" => "--output",
        "workload.lengths" => "--lengths",
        "workload.range_ratio" => "--range-ratio",
        "workload.groups" | "workload.prefix_tokens" => "--shared-prefix",
        "workload.turns" => "--turns",
        "workload.think_ms" => "--think",
        "workload.kind" | "workload.file" => "--dataset",
        "arrival.kind" => "--arrival",
        "arrival.rate" => "--rate",
        "arrival.burstiness" => "--burstiness",
        "arrival.from_rate" | "arrival.to_rate" => "--ramp",
        "arrival.file" => "--trace",
        "arrival.scale" => "--trace-scale",
        "concurrency" => "--concurrency",
        "warmup" => "--warmup",
        "seed" => "--seed",
        "sampling.temperature" => "--temperature",
        "sampling.ignore_eos" => "--ignore-eos",
        "sampling.extra_body" => "--extra-body",
        "limits.connect_s" => "--connect-timeout",
        "limits.first_token_s" => "--first-token-timeout",
        "limits.stall_s" => "--stall-timeout",
        "limits.request_s" => "--request-timeout",
        "limits.answer_bytes" => "--max-answer-bytes",
        "limits.failed_share" => "--max-failed",
        "limits.retries" => "--retries",
        "slo.ttft_ms" | "slo.tpot_ms" | "slo.e2e_ms" => "--slo",
        // No other field is set by a flag.
        _ => "",
    }
}
