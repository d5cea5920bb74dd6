//! Two sides, A and B, measured under the same plan: what differs, how sure that is, and whether it matters.
//!
//! # Intervals
//!
//! Every ratio B/A has a 95 % interval. What it rests on depends on how many runs there are:
//!
//! - **Repeats** (four runs or more over both sides, [`Basis::Repeats`]): a t-interval on the difference of the
//!   mean logarithms, with the variance pooled over both sides. It knows everything that changes between
//!   runs. Two runs each leave 2 degrees of freedom, so the interval reaches 4.3 standard deviations of a run
//!   to each side (3 each: 2.3, 5 each: 1.5): runs that scatter by 1 % prove a change of 5 % only when it is
//!   9 % or more.
//! - **One run each** ([`Basis::Requests`]): latencies by a bootstrap over requests, in blocks of as many
//!   neighbours as were in flight together, because these share the server's state; a request's tokens stay
//!   together. Rates by batch means over 20 windows of time, widened where neighbouring windows resemble each
//!   other. What differs between one run and the next (clocks, temperature, who else uses the machine) shows in
//!   no single run, so neither can be in this interval.
//!
//! Shares (failed requests, requests that met the SLOs) are compared by difference, with Newcombe's interval
//! (Statistics in Medicine 17, 1998, method 10): it holds where one side has none at all.
//!
//! # Verdicts
//!
//! With threshold t, a ratio between 1/(1+t) and 1+t makes no difference that matters. The whole interval within:
//! [`MetricVerdict::Same`]; wholly beyond on one side: [`MetricVerdict::Better`] or [`MetricVerdict::Worse`]; anything else, or
//! no interval: [`MetricVerdict::Unclear`]. A regression is any metric that is worse. At a true ratio of exactly 1+t
//! one metric in forty is called worse by chance; of identical servers, far fewer.

pub(crate) mod latency;
mod metrics;
mod pairing;
mod rates;
pub(crate) mod repeats;
mod shares;
mod verdict;

#[cfg(test)]
pub(crate) mod made_up;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use self::metrics::distribution;
pub(crate) use self::pairing::load;
pub use self::pairing::{Refused, Side};
pub use self::verdict::MetricVerdict;
use super::nodes::NodesAround;
use super::plan::LoadPlan;
use super::record::RequestRecord;
use super::summary::Summary;

/// One results directory.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredRun {
    /// Where it came from, for messages.
    pub name: String,
    /// What was asked for.
    pub plan: LoadPlan,
    /// What it came to.
    pub summary: Summary,
    /// Every request.
    pub records: Vec<RequestRecord>,
    /// The machines behind the server; absent where it was not said which they are.
    pub nodes: Option<NodesAround>,
}

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompareOptions {
    /// A ratio within 1/(1+threshold) and 1+threshold makes no difference. Above 0.
    pub threshold: f64,
    /// Compare runs under different plans too.
    pub ignore_plan: bool,
    /// Fixes the resampling.
    pub seed: u64,
}

impl CompareOptions {
    /// Smaller differences are rarely worth an action, and few machines repeat themselves much better.
    pub const THRESHOLD: f64 = 0.05;
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { threshold: Self::THRESHOLD, ignore_plan: false, seed: 1 }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// The threshold verdicts were given under.
    pub threshold: f64,
    /// One for each plan measured on both sides.
    pub pairs: Vec<ComparedPair>,
}

/// A plan's runs on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ComparedPair {
    /// The profile.
    pub profile: String,
    /// The model.
    pub model: String,
    /// What distinguishes it from other pairs: `concurrency 8`.
    pub load: String,
    /// Runs of A.
    pub runs_a: Vec<String>,
    /// Runs of B.
    pub runs_b: Vec<String>,
    /// What the intervals rest on.
    pub basis: Basis,
    /// What to know before reading the figures.
    pub notes: Vec<String>,
    /// Metric by metric.
    pub metrics: Vec<Compared>,
}

/// What intervals rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// How the requests of single runs vary. Does not know how runs vary.
    Requests,
    /// How runs vary.
    Repeats,
}

/// One metric on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Compared {
    /// Its name: `TTFT p99`.
    pub metric: String,
    /// The unit of `a` and `b`.
    pub unit: MetricUnit,
    /// A's figure; with several runs their geometric mean, of shares their share together.
    pub a: Option<f64>,
    /// B's.
    pub b: Option<f64>,
    /// How B stands to A.
    pub change: Change,
    /// What to make of it.
    pub verdict: MetricVerdict,
    /// Why it is unclear, where more can be said than that the interval is too wide.
    pub because: Option<String>,
}

/// What a figure is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetricUnit {
    /// Per second.
    PerSecond,
    /// Milliseconds.
    Milliseconds,
    /// Of all requests, 0 to 1.
    Share,
}

/// How B stands to A, with the 95 % interval where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// B/A.
    Ratio {
        /// Absent where one side has no figure, or A's is zero.
        value: Option<f64>,
        /// Lower and upper end.
        interval: Option<(f64, f64)>,
    },
    /// B-A.
    Difference {
        /// Absent where one side has no figure.
        value: Option<f64>,
        /// Lower and upper end.
        interval: Option<(f64, f64)>,
    },
}

/// Compare two sides. Runs are paired by profile, model and plan.
pub fn compare(a: &[MeasuredRun], b: &[MeasuredRun], options: CompareOptions) -> Result<Comparison, Refused> {
    let pairs = pairing::pair(a, b, &options)?;
    Ok(Comparison {
        threshold: options.threshold,
        pairs: pairs.iter().map(|paired| metrics::judge(paired, &options)).collect(),
    })
}

impl Comparison {
    /// The metrics that are worse, each with its pair.
    pub fn regressions(&self) -> impl Iterator<Item = (&ComparedPair, &Compared)> {
        self.with(MetricVerdict::Worse)
    }

    /// The metrics with this verdict, each with its pair.
    pub fn with(&self, verdict: MetricVerdict) -> impl Iterator<Item = (&ComparedPair, &Compared)> {
        self.pairs
            .iter()
            .flat_map(|pair| pair.metrics.iter().map(move |metric| (pair, metric)))
            .filter(move |(_, metric)| metric.verdict == verdict)
    }
}
