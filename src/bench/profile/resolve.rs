//! Layers -> a plan. Pure but for the fingerprints of files, which the caller takes.

use std::path::Path;

use super::catalogue::Profile;
use super::check;
use super::datafile::BadDataFile;
use super::draft::{self, CUSTOM, Draft, Files, Settled};
use super::error::PlanError;
use super::layer::{Bound, Layer};
use super::origin::{Origin, Origins, flag};
use super::{arrival, workload};
use crate::bench::plan::{DataFile, Limits, Protocol, Sampling, Slo};

/// What was said, lowest first.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// The profile, and what named it.
    pub profile: Option<(&'a Profile, &'a Origin)>,
    /// The flags.
    pub flags: &'a Layer,
}

/// What the layers come to. `fingerprint` is asked about the files the plan is made of, and about no other:
/// [`fingerprint`](super::fingerprint()).
pub fn resolve(
    layers: Layers<'_>,
    fingerprint: &dyn Fn(&Path) -> Result<DataFile, BadDataFile>,
) -> Result<Settled, PlanError> {
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
    let requests = it.value("requests", |layer| layer.requests, draft::REQUESTS);
    let (workload, data) = workload::settle(it, requests)?;
    let (arrival, trace) = arrival::settle(it)?;
    let plan = Draft {
        profile: profile.map_or(CUSTOM, |(profile, _)| &profile.name).to_owned(),
        model: it.value("model", |layer| layer.model.clone().map(Some), None),
        protocol: it.value("protocol", |layer| layer.protocol, Protocol::Chat),
        requests,
        workload,
        arrival,
        concurrency: it.value("concurrency", |layer| layer.concurrency, Bound::Without).limit(),
        warmup: it.value("warmup", |layer| layer.warmup, draft::WARMUP),
        seed: it.value("seed", |layer| layer.seed, draft::SEED),
        sampling: sampling(it),
        limits: limits(it),
        slo: slo(it),
    };
    Ok(Settled { plan, origins: settling.origins, files: Files { workload: data, trace } })
}

/// A plan in the making.
pub(super) struct Settling<'a> {
    pub profile: Option<&'a Profile>,
    pub flags: &'a Layer,
    pub origins: Origins,
    fingerprint: &'a dyn Fn(&Path) -> Result<DataFile, BadDataFile>,
}

impl Settling<'_> {
    /// What the highest layer that says something says, and which one it is.
    pub fn find<T>(&self, field: &str, of: impl Fn(&Layer) -> Option<T>) -> Option<(T, Origin)> {
        of(self.flags).map(|value| (value, Origin::Flag(flag(field)))).or_else(|| {
            let profile = self.profile?;
            of(&profile.layer).map(|value| (value, Origin::Profile(profile.name.clone())))
        })
    }

    /// The same with a default; where it came from is remembered under the field's name.
    pub fn value<T>(&mut self, field: &'static str, of: impl Fn(&Layer) -> Option<T>, default: T) -> T {
        let (value, origin) = self.find(field, of).unwrap_or((default, Origin::Default));
        self.origins.set(field, origin);
        value
    }

    /// The same where there is no default.
    pub fn required<T>(
        &mut self,
        field: &'static str,
        of: impl Fn(&Layer) -> Option<T>,
        what: impl Fn() -> String,
    ) -> Result<T, PlanError> {
        let (value, origin) = self.find(field, of).ok_or_else(|| PlanError::Missing {
            what: what(),
            field,
            flag: flag(field),
        })?;
        self.origins.set(field, origin);
        Ok(value)
    }

    /// The file at `path`, named by `origin`.
    pub fn file(&self, path: &Path, field: &str, origin: &Origin) -> Result<DataFile, PlanError> {
        (self.fingerprint)(path).map_err(|source| {
            let flag = match origin {
                Origin::Flag(flag) => (*flag).to_owned(),
                other => format!("{other}, field `{field}`"),
            };
            PlanError::File { flag, source }
        })
    }
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

fn limits(it: &mut Settling<'_>) -> Limits {
    let default = draft::LIMITS;
    Limits {
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
