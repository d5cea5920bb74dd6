//! When requests are sent, where flags meet profiles. In order:
//!
//! 1. `--arrival KIND` is that kind.
//! 2. A flag that only one kind knows chooses it: `--ramp`, `--trace`, `--burstiness` (gamma), `--rate inf`
//!    (all at once).
//! 3. `--rate R` keeps a constant, Poisson or gamma arrival and makes any other one Poisson; a closed loop's
//!    concurrency stays as a cap.
//! 4. `--concurrency N` alone makes a closed loop of what is all at once without a limit, as a run without
//!    a profile is; elsewhere it is a limit.
//! 5. The profile's, else all at once.
//!
//! Flags that no one kind knows together are refused.

use std::path::PathBuf;

use super::error::PlanError;
use super::fields::Settling;
use super::layer::{ArrivalKind, ArrivalLayer, Bound, Rate};
use super::narrowing::{Demand, narrowed};
use super::origin::{Origin, flag};
use crate::bench::plan::Arrival;

/// What a layer says that goes with some kinds only, by the flags that say it. The kind itself is not among
/// them.
pub(super) fn demands(layer: &ArrivalLayer) -> Vec<Demand<ArrivalKind>> {
    use ArrivalKind::{AllAtOnce, Constant, Gamma, Poisson, Ramp, Trace};
    let ArrivalLayer { kind: _, rate, burstiness, from_rate, to_rate, file, scale } = layer;
    let rated: &[ArrivalKind] = &[Constant, Poisson, Gamma];
    let at_once: &[ArrivalKind] = &[AllAtOnce];
    let gamma: &[ArrivalKind] = &[Gamma];
    let ramp: &[ArrivalKind] = &[Ramp];
    let trace: &[ArrivalKind] = &[Trace];
    [
        (file.is_some(), "--trace", trace),
        (scale.is_some(), "--trace-scale", trace),
        (from_rate.is_some() || to_rate.is_some(), "--ramp", ramp),
        (burstiness.is_some(), "--burstiness", gamma),
        (matches!(rate, Some(Rate::PerSecond(_))), "--rate", rated),
        (*rate == Some(Rate::Unlimited), "--rate inf", at_once),
    ]
    .into_iter()
    .filter(|(said, _, _)| *said)
    .map(|(_, name, kinds)| Demand { name, kinds })
    .collect()
}

/// The field of a profile that `flag` sets.
pub(super) fn field(flag: &str) -> &'static str {
    match flag {
        "--trace" => "arrival.file",
        "--trace-scale" => "arrival.scale",
        "--ramp" => "arrival.from_rate",
        "--burstiness" => "arrival.burstiness",
        _ => "arrival.rate",
    }
}

/// The arrival, and its file.
pub(super) fn settle(it: &mut Settling<'_>) -> Result<(Arrival, Option<PathBuf>), PlanError> {
    let kind = kind(it)?;
    let needs = || match kind {
        ArrivalKind::ClosedLoop => "a closed loop, which is so many requests in flight,".to_owned(),
        kind => format!("{} arrival", kind.name()),
    };
    if kind == ArrivalKind::ClosedLoop {
        let limit = it.find("concurrency", |layer| layer.concurrency).and_then(|(limit, _)| limit.limit());
        limit.ok_or_else(|| PlanError::Missing {
            what: needs(),
            field: "concurrency",
            flag: flag("concurrency"),
        })?;
    }
    let rate = |it: &mut Settling<'_>| {
        let of_layer = |rate: Rate| match rate {
            Rate::PerSecond(rate) => Some(rate),
            Rate::Unlimited => None,
        };
        it.required("arrival.rate", |layer| layer.arrival.rate.and_then(of_layer), needs)
    };
    let arrival = match kind {
        ArrivalKind::AllAtOnce => Arrival::AllAtOnce,
        ArrivalKind::ClosedLoop => Arrival::ClosedLoop,
        ArrivalKind::Constant => Arrival::Constant { rate: rate(it)? },
        ArrivalKind::Poisson => Arrival::Poisson { rate: rate(it)? },
        ArrivalKind::Gamma => Arrival::Gamma {
            rate: rate(it)?,
            burstiness: it.required("arrival.burstiness", |layer| layer.arrival.burstiness, needs)?,
        },
        ArrivalKind::Ramp => Arrival::Ramp {
            from_rate: it.required("arrival.from_rate", |layer| layer.arrival.from_rate, needs)?,
            to_rate: it.required("arrival.to_rate", |layer| layer.arrival.to_rate, needs)?,
        },
        ArrivalKind::Trace => {
            let (path, origin) =
                it.find("arrival.file", |layer| layer.arrival.file.clone()).ok_or_else(|| {
                    PlanError::Missing { what: needs(), field: "arrival.file", flag: flag("arrival.file") }
                })?;
            let file = it.file(&path, "arrival.file", &origin)?;
            it.origins.set("arrival.file.name", origin.clone());
            it.origins.set("arrival.file.sha256", origin);
            let scale = it.value("arrival.scale", |layer| layer.arrival.scale, 1.0);
            return Ok((Arrival::Trace { file, scale }, Some(path)));
        }
    };
    Ok((arrival, None))
}

fn kind(it: &mut Settling<'_>) -> Result<ArrivalKind, PlanError> {
    let (base, base_origin) = base(it);
    let mut demands = demands(&it.flags.arrival);
    let explicit = it.flags.arrival.kind;
    if let Some(at) = explicit.and_then(|kind| ArrivalKind::ALL.iter().position(|each| *each == kind)) {
        demands.insert(0, Demand { name: flag("arrival.kind"), kinds: &ArrivalKind::ALL[at..=at] });
    }
    let kinds = narrowed(&ArrivalKind::ALL, &demands).map_err(|clash| {
        let spelled = |name: &str| match (name, explicit) {
            ("--arrival", Some(kind)) => format!("--arrival {}", kind.name()),
            _ => name.to_owned(),
        };
        PlanError::Conflict {
            first: spelled(clash.first),
            second: spelled(clash.second),
            why: "no one arrival is both".to_owned(),
        }
    })?;
    let (kind, origin) = match demands.first() {
        Some(demand) if demand.name == flag("arrival.kind") => (kinds[0], Origin::Flag(demand.name)),
        Some(_) if kinds.contains(&base) => (base, base_origin),
        Some(demand) => {
            // `--rate` alone leaves three: Poisson is how independent users arrive.
            let kind = if kinds.len() == 1 { kinds[0] } else { ArrivalKind::Poisson };
            (kind, Origin::Flag(if demand.name == "--rate inf" { "--rate" } else { demand.name }))
        }
        None => (base, base_origin),
    };
    it.origins.set("arrival.kind", origin);
    Ok(kind)
}

/// The kind where no flag speaks of arrivals: the profile's, or what a limit makes of all at once.
fn base(it: &Settling<'_>) -> (ArrivalKind, Origin) {
    let profile = it.profile.map(|profile| (&profile.layer, Origin::Profile(profile.name.clone())));
    let limit = |limit: Option<Bound<u32>>| limit.and_then(Bound::limit).is_some();
    let (kind, origin, limited) = match profile {
        Some((layer, origin)) => match layer.arrival.kind {
            Some(kind) => (kind, origin, limit(layer.concurrency)),
            None if limit(layer.concurrency) => (ArrivalKind::ClosedLoop, origin, true),
            None => (ArrivalKind::AllAtOnce, Origin::Default, false),
        },
        None => (ArrivalKind::AllAtOnce, Origin::Default, false),
    };
    if kind == ArrivalKind::AllAtOnce && !limited && limit(it.flags.concurrency) {
        return (ArrivalKind::ClosedLoop, Origin::Flag(flag("concurrency")));
    }
    (kind, origin)
}
