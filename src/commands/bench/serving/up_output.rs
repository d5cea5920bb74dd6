//! What is said of a model that is up: where clients find it, which config files it uses, what its logs warn of.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::commands::{Output, OutputError};
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;
use crate::serving::live::{ConfigUse, ConfigUses, UpReport};
use crate::serving::{Explanation, LaunchPlan, Role};

/// Some process uses something else than a tuned file.
#[derive(Debug, thiserror::Error)]
#[error("--require-tuned: {}", .0.join("; "))]
pub(super) struct Untuned(Vec<String>);

impl Failure for Untuned {
    fn kind(&self) -> Kind {
        Kind::CheckFailed
    }

    fn hint(&self) -> Option<String> {
        Some("`sparktune moe` finds configs, `sparktune deploy` brings them to the nodes".to_owned())
    }
}

/// Where config files are not used that a process looked for; none where all are, and any was looked for.
pub(super) fn untuned(report: &UpReport) -> Option<Untuned> {
    let mut all = Vec::new();
    for (node, part, uses) in &report.configs {
        for (file, used) in uses.files() {
            let instead = match used {
                ConfigUse::Loaded => continue,
                ConfigUse::Fallback => "a file for something else",
                ConfigUse::Default => "its default",
            };
            all.push(format!("{part} on {node} uses {instead} in place of {file}"));
        }
    }
    if report.configs.is_empty() {
        all.push("no process says that it has loaded a config file".to_owned());
    }
    if all.is_empty() { None } else { Some(Untuned(all)) }
}

/// What the logs of a model that is up show, and nobody may like.
pub(super) fn tell(report: &UpReport, plan: &LaunchPlan, observer: &mut dyn Observer) {
    for (node, part, warning) in &report.warnings {
        observer
            .note(format!("{part} on {node}: {} (by `{}`); {}", warning.cause, warning.line, warning.fix));
    }
    if report.configs.is_empty() {
        return;
    }
    for line in untuned(report).into_iter().flat_map(|untuned| untuned.0) {
        observer.note(format!("{line}: `sparktune moe --model {}` finds one", plan.name));
    }
}

/// Show it to people, or to programs; without a report it was up already.
pub(super) fn show(
    plan: &LaunchPlan,
    report: Option<&UpReport>,
    as_json: bool,
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    let LaunchPlan { name, served_name, base_url, .. } = plan;
    if as_json {
        out.json(&json!({
            "version": 1,
            "model": name,
            "served_name": served_name,
            "base_url": base_url,
            "nodes": plan.nodes,
            "already_up": report.is_none(),
            "stages": report.map(|report| &report.stages),
            "configs": report.map(configs),
            "warnings": report.map(warnings),
        }))?;
        return Ok(());
    }
    let state = if report.is_none() { "is up already" } else { "is up" };
    out.line(&format!("{name} {state}: {base_url}/v1, model `{served_name}`"))?;
    let body = json!({ "model": served_name, "messages": [{ "role": "user", "content": "Hello" }] });
    for (file, uses) in report.map(files).unwrap_or_default() {
        out.line(&format!("  {file}: {}", uses.join(", ")))?;
    }
    out.line(&format!(
        "  curl {base_url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'"
    ))?;
    out.line(&format!("  sparkbench run --base-url {base_url} --model {served_name} --profile quick"))?;
    Ok(())
}

/// Each config file that was looked for, and on which nodes what is used.
fn files(report: &UpReport) -> BTreeMap<&str, Vec<String>> {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (node, _, uses) in &report.configs {
        for (file, used) in uses.files() {
            let words = match used {
                ConfigUse::Loaded => "loaded",
                ConfigUse::Fallback => "another file in its place",
                ConfigUse::Default => "not there",
            };
            files.entry(file).or_default().push(format!("{words} on {node}"));
        }
    }
    files
}

fn configs(report: &UpReport) -> Vec<Value> {
    let one = |(node, part, uses): &(HostName, Role, ConfigUses)| json!({ "node": node, "role": part.name(), "rank": part.rank(), "files": uses });
    report.configs.iter().map(one).collect()
}

fn warnings(report: &UpReport) -> Vec<Value> {
    let one = |(node, part, warning): &(HostName, Role, Explanation)| json!({ "node": node, "role": part.name(), "rank": part.rank(), "warning": warning });
    report.warnings.iter().map(one).collect()
}
