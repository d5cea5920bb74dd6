//! What `sparktune moe` prints: first lines, the dry run, the end of a run, for people and for programs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::settings::MoeSettings;
use crate::artifact::manifest::ManifestSpeedup;
use crate::artifact::{ConfigName, Evidence};
use crate::commands::tune::subject::grouped;
use crate::commands::{Output, OutputError};
use crate::device::Device;
use crate::failure::Failure;
use crate::host::ShellLine;
use crate::host_name::HostName;
use crate::kernel::space;
use crate::shape::Role;
use crate::span;
use crate::tuner::plan::Plan;
use crate::tuner::run::{Finished, Raced};
use crate::tuner::select::Selected;
use crate::tuner::verdict::Verdict;

/// The first lines of a run, once it can begin.
pub(super) fn introduce(
    settings: &MoeSettings,
    headline: &str,
    plan: &Plan,
    device: &Device,
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    if !settings.json {
        out.line(&format!("  {headline}"))?;
        out.line(&format!("  {}", space_line(plan, device)))?;
    }
    Ok(())
}

/// `1,920 configs -> 480 tiles -> 364 fit`
fn space_line(plan: &Plan, device: &Device) -> String {
    let size = space::size(&plan.shape.quantization, device.shared_memory_per_block);
    format!("{} configs -> {} tiles -> {} fit", grouped(size.configs as u64), size.tiles, size.fit)
}

fn file_names(plan: &Plan, device: &Device) -> [String; 2] {
    Role::BOTH.map(|role| {
        let name = ConfigName::for_shape(&plan.shape, device, plan.target.runtime, role);
        format!("{}/{}", plan.target.folder(), name.file_name(plan.target.runtime))
    })
}

/// What a run would do.
pub(super) struct DryRun {
    pub plan: Plan,
    pub device: Device,
    pub headline: String,
    /// Where it would write.
    pub dir: PathBuf,
    /// How its containers would be made, each with its node.
    pub containers: Vec<(HostName, ShellLine)>,
}

/// Show what a run would do.
pub(super) fn dry_run(dry: &DryRun, settings: &MoeSettings, out: &mut dyn Output) -> std::io::Result<()> {
    let DryRun { plan, device, headline, dir, containers } = dry;
    let files = file_names(plan, device);
    let deploys = settings.deployment.as_ref().map(|deployment| deployment.command(dir));
    if settings.json {
        let mut value = json!({ "dry_run": true, "plan": plan, "run": dir, "files": files });
        if plan.evidence > Evidence::Compiled {
            // How long a GPU that others use would be waited for; null where it would be refused.
            value["wait_s"] = settings.measuring.wait.map(|wait| wait.as_secs_f64()).into();
        }
        add_commands(&mut value, containers, deploys);
        return out.json(&value);
    }
    let mut lines = vec![
        format!("  {headline}"),
        format!("  {}", space_line(plan, device)),
        format!("  would choose {} entries by the policy {}", plan.batch_sizes.len(), plan.policy.name()),
    ];
    if plan.evidence > Evidence::Compiled {
        let sizes = plan.batch_sizes.len();
        lines.push(format!(
            "  would compile what fits and race it on {} {} at {sizes} batch sizes",
            if containers.len() > 1 { "every node's" } else { "a local" },
            device.name
        ));
        lines.push(others_line(settings));
    } else if plan.evidence == Evidence::Compiled {
        lines.push(format!(
            "  would compile each chosen kernel for {} with Triton {}",
            device.compile_target, plan.target.triton
        ));
    }
    if !containers.is_empty() {
        lines.push(
            "  would ask the image, or a node without an engine, which SGLang and Triton it has, and compile there:"
                .into(),
        );
    }
    lines.extend(container_lines(containers));
    lines.extend(files.iter().map(|file| format!("  would write {}", dir.join(file).display())));
    lines.extend(deploys.map(|command| format!("  would deploy them: {command}")));
    lines.iter().try_for_each(|line| out.line(line))
}

/// What a run would do about others on its GPUs.
pub(super) fn others_line(settings: &MoeSettings) -> String {
    format!(
        "  would ask each GPU which processes of others compute on it, and {}",
        match settings.measuring.wait {
            Some(wait) => format!("wait up to {} until it is free", span::write(wait)),
            None => "refuse one that is not free".to_owned(),
        }
    )
}

/// What a dry run tells programs, whichever the tuner is: how containers would be made, and what would be deployed by.
pub(super) fn add_commands(value: &mut Value, containers: &[(HostName, ShellLine)], deploys: Option<String>) {
    if !containers.is_empty() {
        let each =
            |(node, line): &(HostName, ShellLine)| json!({ "node": node, "command": line.to_string() });
        value["containers"] = containers.iter().map(each).collect();
    }
    if let Some(command) = deploys {
        value["deploys"] = command.into();
    }
}

/// How containers would be made, for people.
pub(super) fn container_lines(containers: &[(HostName, ShellLine)]) -> impl Iterator<Item = String> + '_ {
    containers.iter().map(|(node, line)| match *node == HostName::local() {
        true => format!("  {line}"),
        false => format!("  {node}: {line}"),
    })
}

pub(super) fn report(
    settings: &MoeSettings,
    plan: &Plan,
    device: &Device,
    finished: &Finished,
    dir: &Path,
    out: &mut dyn Output,
) -> Result<(), Box<dyn Failure>> {
    let replaced = finished
        .selected
        .iter()
        .filter(|entry| Role::BOTH.into_iter().any(|role| entry.role(role).default_replaced.is_some()));
    let replaced: Vec<u32> = replaced.map(|entry| entry.batch_size).collect();
    if settings.json {
        let files: Vec<_> = finished
            .files
            .iter()
            .map(|file| {
                json!({
                    "role": file.role,
                    "path": file.path,
                    "sha256": file.sha256,
                    "evidence": file.evidence,
                })
            })
            .collect();
        let value = json!({
            "run": dir,
            "plan": plan,
            "kernels_proven": finished.proven,
            "kernels_rejected": finished.rejected,
            "default_replaced_at": replaced,
            "measured": finished.raced.as_ref().map(|it| it.spent).map(|spent| json!({
                "seconds": spent.seconds,
                "launches": spent.launches,
                "rounds": spent.rounds,
                "complete": spent.complete,
            })),
            "entries": finished.selected.iter().map(|it| measured_entry(it, finished)).collect::<Vec<_>>(),
            "files": files,
        });
        return Ok(out.json(&value).map_err(OutputError)?);
    }
    let mut lines = Vec::new();
    if plan.evidence >= Evidence::Compiled {
        let entries = Role::BOTH.len() * finished.selected.len();
        lines.push(format!(
            "  compiled {entries}/{entries} on {} with Triton {}  ({} kernels, all fit; {} rejected)",
            device.compile_target, plan.target.triton, finished.proven, finished.rejected
        ));
    }
    if let Some(Raced { spent, .. }) = &finished.raced {
        lines.push(format!(
            "  measured {} kernel launches in {:.0} s",
            grouped(spent.launches),
            spent.seconds
        ));
    } else if !replaced.is_empty() {
        let list: Vec<String> = replaced.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "  {}'s default would crash at {}: replaced there",
            plan.target.runtime,
            list.join(", ")
        ));
    }
    let width = finished.files.iter().map(|file| file.path.len()).max().unwrap_or_default();
    lines.extend(
        finished
            .files
            .iter()
            .map(|file| format!("  wrote {:width$}  evidence: {}", file.path, file.evidence)),
    );
    lines.push(format!("  in {}", dir.display()));
    for line in lines {
        out.line(&line).map_err(OutputError)?;
    }
    if let Some(raced) = &finished.raced {
        let rows: Vec<Vec<String>> = finished.selected.iter().map(measured_row).collect();
        let header = ["batch size", "default", "chosen", "speed-up", "up", "down"];
        out.table(&header, &rows).map_err(OutputError)?;
        for line in finished.selected.iter().filter_map(|entry| dispute(entry, raced)) {
            out.line(&format!("  {line}")).map_err(OutputError)?;
        }
    }
    Ok(())
}

/// What was measured at one batch size, for programs.
fn measured_entry(entry: &Selected, finished: &Finished) -> serde_json::Value {
    let evidence = entry.up.measured.map(|it| it.0);
    let verdict = finished.raced.as_ref().and_then(|raced| raced.verdicts.get(&entry.batch_size));
    let judges = verdict.and_then(|verdict| Some([&verdict.on, &verdict.second.as_ref()?.on]));
    json!({
        "judged_on": judges,
        "batch_size": entry.batch_size,
        "evidence": evidence,
        "measured": entry.up.measured.map(|it| it.1),
        "source": entry.up.source,
        "up": entry.up.config,
        "down": entry.down.config,
    })
}

/// The same for people.
fn measured_row(entry: &Selected) -> Vec<String> {
    let measured = entry.up.measured.map(|it| it.1);
    let us = |time: Option<f64>| time.map_or("-".to_owned(), |us| format!("{us:.1} us"));
    let disputed = measured.is_some_and(|it| it.disputed.is_some());
    let nodes = measured.and_then(|it| it.confirmed_on).filter(|nodes| *nodes > 1);
    let speedup = match (measured.and_then(|it| it.speedup), measured.and_then(|it| it.default_us)) {
        (Some(it), _) => format!(
            "{}{}",
            interval(&it),
            nodes.map(|nodes| format!(", confirmed on {nodes} nodes")).unwrap_or_default()
        ),
        (None, Some(_)) if disputed => "disputed: the default stays".to_owned(),
        (None, Some(_)) => "the default stays".to_owned(),
        (None, None) if measured.is_some() => "no default that runs".to_owned(),
        (None, None) => "not decided".to_owned(),
    };
    vec![
        entry.batch_size.to_string(),
        us(measured.and_then(|it| it.default_us)),
        us(measured.map(|it| it.time_us)),
        speedup,
        entry.up.config.to_string(),
        entry.down.config.to_string(),
    ]
}

/// `1.052 (1.031 to 1.070)`
pub(in crate::commands::tune) fn interval(it: &ManifestSpeedup) -> String {
    format!("{:.3} ({:.3} to {:.3})", it.estimate, it.lower, it.upper)
}

/// Where two nodes did not agree: what each saw.
pub(in crate::commands::tune) fn dispute(entry: &Selected, raced: &Raced) -> Option<String> {
    let Verdict { on: first, second, .. } = raced.verdicts.get(&entry.batch_size)?;
    let second = &second.as_ref()?.on;
    let saw = entry.up.measured?.1.disputed?;
    let there = match &saw.second {
        Some(saw) => format!("{second} saw {}", interval(saw)),
        None => format!("on {second} they did not both run"),
    };
    Some(format!(
        "nodes do not agree at batch size {}: {first} saw {} times the default's speed, {there}",
        entry.batch_size,
        interval(&saw.first)
    ))
}
