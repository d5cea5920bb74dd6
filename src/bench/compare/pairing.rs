//! Which runs of one side are compared with which of the other, and what is never compared.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CompareOptions, MeasuredRun};
use crate::bench::plan::{Arrival, LoadPlan};
use crate::difference::first_difference;
use crate::failure::{Failure, Kind};

/// The runs of one plan on both sides.
#[derive(Debug)]
pub(super) struct Paired<'a> {
    pub(super) a: Vec<&'a MeasuredRun>,
    pub(super) b: Vec<&'a MeasuredRun>,
    /// The plans differ, as was allowed: how.
    pub(super) differs: Option<String>,
}

/// The sides of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is compared with.
    A,
    /// What is judged.
    B,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::A => "A",
            Side::B => "B",
        })
    }
}

/// Runs that cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    /// A threshold that separates nothing.
    #[error("--threshold: `{0}` is no threshold; give a share above 0 and below 1, such as 0.05 for 5 %")]
    Threshold(f64),
    /// Nothing on one side.
    #[error("side {0} has no run to compare")]
    NoRuns(Side),
    /// A profile and model that only one side has.
    #[error(
        "side {side} has no run of profile `{profile}` with model `{model}`, which the other side has in \
         `{run}`; it has {has}"
    )]
    NoPartner {
        /// The side that lacks it.
        side: Side,
        /// The profile.
        profile: String,
        /// The model.
        model: String,
        /// The run without a partner.
        run: String,
        /// What the side that lacks it has instead.
        has: String,
    },
    /// Plans that differ.
    #[error("plans differ in `{path}`: {first} in `{run_a}`, {second} in `{run_b}`")]
    Plans {
        /// The field.
        path: String,
        /// What the first run's plan has there, as JSON.
        first: String,
        /// What the other's has.
        second: String,
        /// The first run.
        run_a: String,
        /// The other.
        run_b: String,
    },
}

impl Failure for Refused {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Refused::Plans { .. } => Some(
                "runs under different plans say nothing about servers; --ignore-plan compares anyway".into(),
            ),
            Refused::NoPartner { .. } => {
                Some("only runs of the same profile and model can be compared".into())
            }
            Refused::Threshold(_) | Refused::NoRuns(_) => None,
        }
    }
}

/// Pair the runs of both sides, in A's order.
pub(super) fn pair<'a>(
    a: &'a [MeasuredRun],
    b: &'a [MeasuredRun],
    options: &CompareOptions,
) -> Result<Vec<Paired<'a>>, Refused> {
    if !(options.threshold > 0.0 && options.threshold < 1.0) {
        return Err(Refused::Threshold(options.threshold));
    }
    for (side, runs) in [(Side::A, a), (Side::B, b)] {
        if runs.is_empty() {
            return Err(Refused::NoRuns(side));
        }
    }
    for (run, other, side) in
        a.iter().map(|run| (run, b, Side::B)).chain(b.iter().map(|run| (run, a, Side::A)))
    {
        if !other.iter().any(|it| subject(it) == subject(run)) {
            let has: BTreeSet<String> =
                other.iter().map(|it| format!("`{}` with `{}`", it.plan.profile, it.plan.model)).collect();
            return Err(Refused::NoPartner {
                side,
                profile: run.plan.profile.clone(),
                model: run.plan.model.clone(),
                run: run.name.clone(),
                has: has.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
    }
    let mut pairs = Vec::new();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for run in a {
        if seen.contains(&subject(run)) {
            continue;
        }
        seen.push(subject(run));
        let of = |runs: &'a [MeasuredRun]| {
            runs.iter().filter(|it| subject(it) == subject(run)).collect::<Vec<_>>()
        };
        let (ours, theirs) = (of(a), of(b));
        match options.ignore_plan {
            true => pairs.push(regardless(ours, theirs)),
            false => by_plan(&ours, &theirs, &mut pairs)?,
        }
    }
    Ok(pairs)
}

fn subject(run: &MeasuredRun) -> (&str, &str) {
    (&run.plan.profile, &run.plan.model)
}

fn as_json(plan: &LoadPlan) -> Value {
    serde_json::to_value(plan).expect("a plan is plain data")
}

fn difference(a: &MeasuredRun, b: &MeasuredRun) -> Option<Refused> {
    first_difference(&as_json(&a.plan), &as_json(&b.plan)).map(|found| Refused::Plans {
        path: found.path,
        first: found.first,
        second: found.second,
        run_a: a.name.clone(),
        run_b: b.name.clone(),
    })
}

fn regardless<'a>(a: Vec<&'a MeasuredRun>, b: Vec<&'a MeasuredRun>) -> Paired<'a> {
    let differs = a.iter().chain(&b).find_map(|run| difference(a[0], run)).map(|refused| refused.to_string());
    Paired { a, b, differs }
}

/// A sweep has several plans of one profile and model: each needs its partner.
fn by_plan<'a>(
    a: &[&'a MeasuredRun],
    b: &[&'a MeasuredRun],
    pairs: &mut Vec<Paired<'a>>,
) -> Result<(), Refused> {
    let mut plans: Vec<&LoadPlan> = Vec::new();
    for run in a.iter().chain(b) {
        if plans.contains(&&run.plan) {
            continue;
        }
        plans.push(&run.plan);
        let of = |runs: &[&'a MeasuredRun]| -> Vec<&'a MeasuredRun> {
            runs.iter().copied().filter(|it| it.plan == run.plan).collect()
        };
        let (ours, theirs) = (of(a), of(b));
        match (ours.first(), theirs.first()) {
            (Some(first), None) => return Err(difference(first, b[0]).expect("their plans differ")),
            (None, Some(first)) => return Err(difference(a[0], first).expect("their plans differ")),
            _ => pairs.push(Paired { a: ours, b: theirs, differs: None }),
        }
    }
    Ok(())
}

/// What a server is put under, in words.
pub(crate) fn load(plan: &LoadPlan) -> String {
    let rate = match &plan.arrival {
        Arrival::AllAtOnce => "all at once".to_owned(),
        Arrival::ClosedLoop => String::new(),
        Arrival::Constant { rate } => format!("{rate} conversations/s, even"),
        Arrival::Poisson { rate } => format!("{rate} conversations/s, Poisson"),
        Arrival::Gamma { rate, burstiness } => format!("{rate} conversations/s, burstiness {burstiness}"),
        Arrival::Ramp { from_rate, to_rate } => format!("{from_rate} to {to_rate} conversations/s"),
        Arrival::Trace { file, .. } => format!("trace {}", file.name),
    };
    let limit = plan.concurrency.map(|limit| format!("concurrency {limit}"));
    [Some(rate).filter(|it| !it.is_empty()), limit].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
