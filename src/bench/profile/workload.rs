//! Which workload, where flags meet profiles.
//!
//! A flag that only one kind knows chooses that kind; one that several know keeps the profile's kind where
//! it is among them. Lengths of a profile are those of its own kind of prompts: a profile of random prompts
//! says nothing about the prompts of a file, and the other way round.

use std::path::PathBuf;

use super::error::PlanError;
use super::fields::{INPUT_TOKENS, OUTPUT_TOKENS, RANGE_RATIO, Settling};
use super::layer::{LengthKind, WorkloadKind, WorkloadLayer};
use super::narrowing::{Demand, narrowed};
use super::origin::{Origin, flag};
use crate::bench::plan::{Lengths, Workload};

const GENERATED: &[WorkloadKind] =
    &[WorkloadKind::Random, WorkloadKind::SharedPrefix, WorkloadKind::MultiTurn];

/// What a layer says that goes with some kinds only, by the flags that say it.
pub(super) fn demands(layer: &WorkloadLayer) -> Vec<Demand<WorkloadKind>> {
    let WorkloadLayer {
        kind,
        input_tokens,
        output_tokens: _,
        lengths,
        range_ratio,
        groups,
        prefix_tokens,
        turns,
        think_ms,
        file,
    } = layer;
    let file_kinds: &'static [WorkloadKind] = match kind {
        Some(WorkloadKind::Sharegpt) => &[WorkloadKind::Sharegpt],
        Some(WorkloadKind::Jsonl) => &[WorkloadKind::Jsonl],
        _ => &[WorkloadKind::Sharegpt, WorkloadKind::Jsonl],
    };
    let prefixed: &[WorkloadKind] = &[WorkloadKind::SharedPrefix];
    let multi_turn: &[WorkloadKind] = &[WorkloadKind::MultiTurn];
    [
        (file.is_some(), "--dataset", file_kinds),
        (groups.is_some() || prefix_tokens.is_some(), "--shared-prefix", prefixed),
        (turns.is_some(), "--turns", multi_turn),
        (think_ms.is_some(), "--think", multi_turn),
        (input_tokens.is_some(), "--input", GENERATED),
        (lengths.is_some(), "--lengths", GENERATED),
        (range_ratio.is_some(), "--range-ratio", GENERATED),
    ]
    .into_iter()
    .filter(|(said, _, _)| *said)
    .map(|(_, name, kinds)| Demand { name, kinds })
    .collect()
}

/// The field of a profile that `flag` sets.
pub(super) fn field(flag: &str) -> &'static str {
    match flag {
        "--dataset" => "workload.file",
        "--shared-prefix" => "workload.groups",
        "--turns" => "workload.turns",
        "--think" => "workload.think_ms",
        "--input" => "workload.input_tokens",
        "--lengths" => "workload.lengths",
        _ => "workload.range_ratio",
    }
}

/// The workload, and its file.
pub(super) fn settle(it: &mut Settling<'_>, requests: u32) -> Result<(Workload, Option<PathBuf>), PlanError> {
    let kind = kind(it)?;
    // A profile's lengths hold for its own kind of prompts only.
    let said = it.profile.map(|profile| profile.layer.workload.kind.unwrap_or(WorkloadKind::Random));
    let apart = said.is_some_and(|said| said.is_file() != kind.is_file());
    let whole = it.profile;
    if apart {
        it.profile = None;
    }
    let settled = of_kind(it, kind, requests);
    it.profile = whole;
    settled
}

fn kind(it: &mut Settling<'_>) -> Result<WorkloadKind, PlanError> {
    let (base, base_origin) = match it.profile {
        Some(profile) => match profile.layer.workload.kind {
            Some(kind) => (kind, Origin::Profile(profile.name.clone())),
            None => (WorkloadKind::Random, Origin::Default),
        },
        None => (WorkloadKind::Random, Origin::Default),
    };
    let demands = demands(&it.flags.workload);
    let kinds = narrowed(&WorkloadKind::ALL, &demands).map_err(|clash| PlanError::Conflict {
        first: clash.first.to_owned(),
        second: clash.second.to_owned(),
        why: match clash.first {
            "--dataset" => "the prompts of a file are as long as they are and have one turn".to_owned(),
            _ => "a run has one kind of workload".to_owned(),
        },
    })?;
    let (kind, origin) = match demands.first() {
        Some(demand) if !kinds.contains(&base) => match kinds[..] {
            [kind] => (kind, Origin::Flag(demand.name)),
            _ => {
                return Err(PlanError::Conflict {
                    first: demand.name.to_owned(),
                    second: format!("--profile {}", it.profile.map_or("", |profile| &profile.name)),
                    why: format!(
                        "its workload is a file ({}), whose prompts are as long as they are",
                        base.name()
                    ),
                });
            }
        },
        _ => (base, base_origin),
    };
    it.origins.set("workload.kind", origin);
    Ok(kind)
}

fn of_kind(
    it: &mut Settling<'_>,
    kind: WorkloadKind,
    requests: u32,
) -> Result<(Workload, Option<PathBuf>), PlanError> {
    let needs = |what: &'static str| move || format!("a {} workload, for its {what},", kind.name());
    // More groups or turns than requests is a plan nobody means: some would never be sent.
    let at_most_requests = |field: &'static str, name: &str, value: u32| match value <= requests {
        true => Ok(value),
        false => Err(PlanError::Value {
            field,
            flag: flag(field),
            value: format!("{value} {name}"),
            accepted: format!("at most the {requests} of --requests"),
        }),
    };
    let workload = match kind {
        WorkloadKind::Random => {
            let (input_tokens, output_tokens, lengths) = lengths(it)?;
            Workload::Random { input_tokens, output_tokens, lengths }
        }
        WorkloadKind::SharedPrefix => {
            let groups = it.required("workload.groups", |layer| layer.workload.groups, needs("groups"))?;
            let prefix_tokens =
                it.required("workload.prefix_tokens", |layer| layer.workload.prefix_tokens, needs("prefix"))?;
            let groups = at_most_requests("workload.groups", "groups", groups)?;
            let (input_tokens, output_tokens, lengths) = lengths(it)?;
            Workload::SharedPrefix { groups, prefix_tokens, input_tokens, output_tokens, lengths }
        }
        WorkloadKind::MultiTurn => {
            let turns = it.required("workload.turns", |layer| layer.workload.turns, needs("turns"))?;
            let turns = at_most_requests("workload.turns", "turns", turns)?;
            let think_ms = it.value("workload.think_ms", |layer| layer.workload.think_ms, 0);
            let (input_tokens, output_tokens, lengths) = lengths(it)?;
            Workload::MultiTurn { turns, input_tokens, output_tokens, lengths, think_ms }
        }
        WorkloadKind::Sharegpt | WorkloadKind::Jsonl => {
            let (path, origin) =
                it.find("workload.file", |layer| layer.workload.file.clone()).ok_or_else(|| {
                    PlanError::Missing {
                        what: needs("file")(),
                        field: "workload.file",
                        flag: flag("workload.file"),
                    }
                })?;
            let file = it.file(&path, "workload.file", &origin)?;
            it.origins.set("workload.file.name", origin.clone());
            it.origins.set("workload.file.sha256", origin);
            let output_tokens =
                it.value("workload.output_tokens", |layer| layer.workload.output_tokens.map(Some), None);
            let workload = match kind {
                WorkloadKind::Sharegpt => Workload::Sharegpt { file, output_tokens },
                _ => Workload::Jsonl { file, output_tokens },
            };
            return Ok((workload, Some(path)));
        }
    };
    Ok((workload, None))
}

/// Input, output and how they vary, of prompts that are made.
fn lengths(it: &mut Settling<'_>) -> Result<(u32, u32, Lengths), PlanError> {
    let input = it.value("workload.input_tokens", |layer| layer.workload.input_tokens, INPUT_TOKENS);
    let output = it.value("workload.output_tokens", |layer| layer.workload.output_tokens, OUTPUT_TOKENS);
    let ratio = it.find("workload.range_ratio", |layer| layer.workload.range_ratio);
    let kind = it.find("workload.lengths", |layer| layer.workload.lengths);
    let flags = &it.flags.workload;
    let uniform = match (flags.lengths, flags.range_ratio) {
        (Some(LengthKind::Exact), Some(_)) => {
            return Err(PlanError::Conflict {
                first: "--lengths exact".to_owned(),
                second: "--range-ratio".to_owned(),
                why: "only uniform lengths have a range".to_owned(),
            });
        }
        (Some(kind), _) => kind == LengthKind::Uniform,
        (None, Some(_)) => true,
        (None, None) => match &kind {
            Some((kind, _)) => *kind == LengthKind::Uniform,
            None => ratio.is_some(),
        },
    };
    if uniform {
        let (range_ratio, origin) = ratio.unwrap_or((RANGE_RATIO, Origin::Default));
        it.origins.set("workload.lengths.uniform.range_ratio", origin);
        Ok((input, output, Lengths::Uniform { range_ratio }))
    } else {
        it.origins.set("workload.lengths", kind.map_or(Origin::Default, |(_, origin)| origin));
        Ok((input, output, Lengths::Exact))
    }
}
