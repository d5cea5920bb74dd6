//! Layers -> a plan. Pure but for the fingerprints of files, which the caller takes.

use std::path::{Path, PathBuf};

use super::check;
use super::datafile::BadDataFile;
use super::error::PlanError;
use super::fields::{self, CUSTOM, Settling};
use super::layer::{Bound, Layer, Profile};
use super::origin::{Origin, Origins, flag};
use super::{arrival, workload};
use crate::bench::plan::{DataFile, PlanDraft, Protocol, RequestLimits, Sampling, Slo};

/// What was said, lowest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layers<'a> {
    /// The profile, and what named it.
    pub profile: Option<(&'a Profile, &'a Origin)>,
    /// The flags.
    pub flags: &'a Layer,
}

/// Where the files of a plan lie. The plan itself knows them by content alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// The data set of a ShareGPT or JSONL workload.
    pub workload: Option<PathBuf>,
    /// The trace of an arrival by trace.
    pub trace: Option<PathBuf>,
}

/// What the layers come to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResolvedPlan {
    /// What will be done.
    pub plan: PlanDraft,
    /// Where each of its values came from.
    pub origins: Origins,
    /// Where its files lie.
    pub files: Files,
}

/// What the layers come to. `fingerprint` is asked about the files the plan is made of, and about no other:
/// [`fingerprint`](super::fingerprint()).
pub(crate) fn resolve(
    layers: Layers<'_>,
    fingerprint: &dyn Fn(&Path) -> Result<DataFile, BadDataFile>,
) -> Result<ResolvedPlan, PlanError> {
    let Layers { profile, flags } = layers;
    check::check(flags).map_err(|wrong| PlanError::Value {
        field: wrong.field,
        flag: flag(wrong.field),
        value: wrong.value,
        accepted: wrong.accepted,
    })?;
    let mut settling = Settling {
        profile: profile.map(|(profile, _)| profile),
        flags,
        origins: Origins::default(),
        fingerprint,
    };
    let it = &mut settling;
    it.origins.set("profile", profile.map_or(Origin::Default, |(_, origin)| origin.clone()));
    let requests = it.value("requests", |layer| layer.requests, fields::REQUESTS);
    let (workload, data) = workload::settle(it, requests)?;
    let (arrival, trace) = arrival::settle(it)?;
    let plan = PlanDraft {
        profile: profile.map_or(CUSTOM, |(profile, _)| &profile.name).to_owned(),
        model: it.value("model", |layer| layer.model.clone().map(Some), None),
        protocol: it.value("protocol", |layer| layer.protocol, Protocol::Chat),
        requests,
        workload,
        arrival,
        concurrency: it.value("concurrency", |layer| layer.concurrency, Bound::Without).limit(),
        warmup: it.value("warmup", |layer| layer.warmup, fields::WARMUP),
        seed: it.value("seed", |layer| layer.seed, fields::SEED),
        sampling: sampling(it),
        limits: limits(it),
        slo: slo(it),
    };
    Ok(ResolvedPlan { plan, origins: settling.origins, files: Files { workload: data, trace } })
}

fn sampling(it: &mut Settling<'_>) -> Sampling {
    let temperature = it.value("sampling.temperature", |layer| layer.sampling.temperature, 0.0);
    let ignore_eos = it.value("sampling.ignore_eos", |layer| layer.sampling.ignore_eos, true);
    let mut extra_body = serde_json::Map::new();
    let layers = it.profile.map(|profile| (&profile.layer, Origin::Profile(profile.name.clone())));
    for (layer, origin) in layers.into_iter().chain([(it.flags, Origin::Flag(flag("sampling.extra_body")))]) {
        for (key, value) in &layer.sampling.extra_body {
            extra_body.insert(key.clone(), value.clone());
            it.origins.set(format!("sampling.extra_body.{key}"), origin.clone());
        }
    }
    // What the model generates by itself decides nothing else, so the flag that says no is named by its yes.
    if it.flags.sampling.ignore_eos == Some(false) {
        it.origins.set("sampling.ignore_eos", Origin::Flag("--no-ignore-eos"));
    }
    Sampling { temperature, ignore_eos, extra_body }
}

fn limits(it: &mut Settling<'_>) -> RequestLimits {
    let default = fields::LIMITS;
    RequestLimits {
        connect_s: it.value("limits.connect_s", |layer| layer.limits.connect_s, default.connect_s),
        first_token_s: it.value(
            "limits.first_token_s",
            |layer| layer.limits.first_token_s,
            default.first_token_s,
        ),
        stall_s: it.value("limits.stall_s", |layer| layer.limits.stall_s, default.stall_s),
        request_s: it.value("limits.request_s", |layer| layer.limits.request_s, default.request_s),
        answer_bytes: it.value(
            "limits.answer_bytes",
            |layer| layer.limits.answer_bytes,
            default.answer_bytes,
        ),
        failed_share: it.value(
            "limits.failed_share",
            |layer| layer.limits.failed_share,
            default.failed_share,
        ),
        retries: it.value("limits.retries", |layer| layer.limits.retries, default.retries),
    }
}

fn slo(it: &mut Settling<'_>) -> Slo {
    Slo {
        ttft_ms: it.value("slo.ttft_ms", |layer| layer.slo.ttft_ms, Bound::Without).limit(),
        tpot_ms: it.value("slo.tpot_ms", |layer| layer.slo.tpot_ms, Bound::Without).limit(),
        e2e_ms: it.value("slo.e2e_ms", |layer| layer.slo.e2e_ms, Bound::Without).limit(),
    }
}
