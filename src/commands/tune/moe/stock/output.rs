//! What a run of the stock tuner prints.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::commands::tune::moe::output::{add_commands, container_lines, others_line};
use crate::commands::tune::moe::settings::MoeSettings;
use crate::commands::{Output, OutputError};
use crate::device::Device;
use crate::host::ShellLine;
use crate::host_name::HostName;
use crate::tuner::stock::files::file_name;
use crate::tuner::stock::plan::StockPlan;
use crate::tuner::stock::run::StockFinished;

/// What a run would do.
pub(super) struct StockDryRun {
    pub plan: StockPlan,
    pub device: Device,
    pub headline: String,
    /// Where it would write.
    pub dir: PathBuf,
    /// How its containers would be made, each with its node.
    pub containers: Vec<(HostName, ShellLine)>,
    /// The processes, the first to be run first.
    pub processes: Vec<ShellLine>,
    /// Whether the script's own options are known.
    pub script_known: bool,
}

pub(super) fn dry_run(
    dry: &StockDryRun,
    settings: &MoeSettings,
    out: &mut dyn Output,
) -> std::io::Result<()> {
    let StockDryRun { plan, device, headline, dir, containers, processes, script_known } = dry;
    let file = format!("{}/{}", plan.target.folder(), file_name(plan, device));
    let deploys = settings.deployment.as_ref().map(|deployment| deployment.command(dir));
    if settings.json {
        let processes: Vec<String> = processes.iter().map(ToString::to_string).collect();
        let mut value = json!({
            "dry_run": true, "tuner": "stock", "plan": plan, "run": dir, "files": [file], "processes": processes,
            "script_known": script_known, "wait_s": settings.measuring.wait.map(|wait| wait.as_secs_f64()),
        });
        add_commands(&mut value, containers, deploys);
        return out.json(&value);
    }
    let mut lines = vec![format!("  {headline}")];
    lines.extend(container_lines(containers));
    lines.push(others_line(settings));
    let options = if *script_known { "" } else { ", with the options that it has of these" };
    lines.push(format!(
        "  would run, one at a time on each node, each in a folder of its own ({{folder}}){options}:"
    ));
    lines.extend(processes.iter().map(|line| format!("  {line}")));
    lines.push(format!("  would write {}", dir.join(file).display()));
    lines.extend(deploys.map(|command| format!("  would deploy them: {command}")));
    lines.iter().try_for_each(|line| out.line(line))
}

/// The first lines of a run.
pub(super) fn introduce(
    headline: &str,
    plan: &StockPlan,
    script: &str,
    settings: &MoeSettings,
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    if !settings.json {
        out.line(&format!("  {headline}"))?;
        out.line(&format!("  script {script} (SHA-256 {})", &plan.script.sha256[..12]))?;
    }
    Ok(())
}

pub(super) fn report(
    finished: &StockFinished,
    plan: &StockPlan,
    dir: &Path,
    settings: &MoeSettings,
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    let StockFinished { tuned, left_out, missing, file } = finished;
    if settings.json {
        let unsafe_at =
            |size: u32| left_out.iter().find(|it| it.batch_size == size).map(|it| it.why.as_str());
        let entries: Vec<Value> = tuned
            .values()
            .map(|it| {
                json!({
                    "batch_size": it.batch_size, "config": it.config, "node": it.on, "seconds": it.seconds,
                    "left_out": unsafe_at(it.batch_size),
                })
            })
            .collect();
        let missing: Vec<Value> =
            missing.iter().map(|(size, why)| json!({ "batch_size": size, "why": why })).collect();
        let files: Vec<Value> = file
            .iter()
            .map(|file| json!({ "role": file.role, "path": file.path, "sha256": file.sha256, "evidence": file.evidence }))
            .collect();
        let value = json!({
            "run": dir, "tuner": "stock", "plan": plan, "entries": entries, "missing": missing, "files": files,
        });
        return out.json(&value).map_err(OutputError);
    }
    if let Some(file) = file {
        out.line(&format!("  wrote {}  evidence: {}", file.path, file.evidence))?;
    }
    out.line(&format!("  in {}", dir.display()))?;
    let mut rows: Vec<(u32, Vec<String>)> = tuned
        .values()
        .map(|it| {
            let safe = left_out.iter().all(|other| other.batch_size != it.batch_size);
            let standing = if safe { "in the file" } else { "left out" };
            let took = format!("{:.1} s", it.seconds);
            (
                it.batch_size,
                vec![
                    it.batch_size.to_string(),
                    it.config.to_string(),
                    it.on.to_string(),
                    took,
                    standing.to_owned(),
                ],
            )
        })
        .collect();
    rows.extend(
        missing.keys().map(|size| {
            (*size, vec![size.to_string(), "-".into(), "-".into(), "-".into(), "missing".into()])
        }),
    );
    rows.sort_by_key(|(size, _)| *size);
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    out.table(&["batch size", "config", "node", "took", "standing"], &rows)?;
    Ok(())
}
