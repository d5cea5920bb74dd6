//! `sparktune doctor`: is every node ready, and what mends it?

mod lines;
mod models;

use std::io;
use std::path::PathBuf;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cluster::connect;
use crate::cluster::doctor::{Examination, NodeFinding, State, examine};
use crate::cluster::inventory;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;

/// What the user said.
#[derive(Debug)]
pub(crate) struct DoctorSettings {
    /// The inventory; the usual one where not given.
    pub(crate) cluster: Option<PathBuf>,
    /// The nodes; all of them where none is named.
    pub(crate) nodes: Vec<HostName>,
    /// Models that are to be served: names, ids or paths.
    pub(crate) models: Vec<String>,
    /// How each is split, where that is said.
    pub(crate) tp: Option<u32>,
    /// A folder of the user's own recipes.
    pub(crate) profiles: Option<PathBuf>,
    /// Keep the nodes' GPUs busy for a few seconds and say how they do.
    pub(crate) load: bool,
    /// Where what images said is kept.
    pub(crate) cache: PathBuf,
    /// Say what would be done and do nothing.
    pub(crate) dry_run: bool,
    /// Show what is fine too.
    pub(crate) verbose: bool,
    /// Print one JSON object.
    pub(crate) json: bool,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
enum DoctorError {
    /// Nobody answered. Why was shown.
    #[error("no node could be asked anything")]
    NothingAsked,
    /// The user stopped it.
    #[error("stopped; nothing was changed on the nodes")]
    Stopped,
}

impl Failure for DoctorError {
    fn kind(&self) -> Kind {
        match self {
            DoctorError::NothingAsked => Kind::Environment,
            DoctorError::Stopped => Kind::Interrupted,
        }
    }
}

/// Examine the nodes and show what was found.
pub(crate) async fn run(
    settings: &DoctorSettings,
    cancel: CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    let found = inventory::find(settings.cluster.as_deref())?;
    let ssh = connect::ssh(&found.inventory);
    let nodes = found.inventory.named(&settings.nodes)?;
    if settings.dry_run {
        lines::commands(&found.inventory.name, &nodes, ssh.settings(), settings, out).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let asked = models::look_up(settings, found.inventory.nodes.len());
    let models = cancel.run_until_cancelled(asked).await.ok_or(DoctorError::Stopped)??;
    let order = Examination {
        cluster: &found.inventory.name,
        nodes: &nodes,
        models,
        cache: &settings.cache,
        load: settings.load,
        ssh: &ssh,
    };
    let examined = examine(order, &cancel).await.ok_or(DoctorError::Stopped)?;
    let findings = examined.findings();
    show(&findings, nodes.len(), settings, out).map_err(OutputError)?;
    match findings.iter().any(|finding| finding.state == State::Failed) {
        _ if !examined.any_answered() => Err(DoctorError::NothingAsked.into()),
        true => Ok(Verdict::CheckSaidNo),
        false => Ok(Verdict::Done),
    }
}

fn show(
    findings: &[NodeFinding],
    nodes: usize,
    settings: &DoctorSettings,
    out: &mut dyn Output,
) -> io::Result<()> {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let [failed, warnings, unknown, ok] =
        [State::Failed, State::Warning, State::Unknown, State::Ok].map(count);
    if settings.json {
        return out.json(&json!({
            "nodes": nodes,
            "failed": failed,
            "warnings": warnings,
            "unknown": unknown,
            "ok": ok,
            "findings": findings,
        }));
    }
    let shown = findings.iter().filter(|finding| settings.verbose || finding.state != State::Ok);
    let rows: Vec<Vec<String>> = shown.map(row).collect();
    if !rows.is_empty() {
        out.table(&["node", "item", "state", "found", "fix"], &rows)?;
    }
    let of = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
    let warnings = if warnings == 1 { "1 warning".to_owned() } else { format!("{warnings} warnings") };
    out.line(&format!("{of}: {failed} failed, {warnings}, {unknown} unknown, {ok} fine"))
}

fn row(finding: &NodeFinding) -> Vec<String> {
    let state = match finding.state {
        State::Ok => "ok",
        State::Unknown => "unknown",
        State::Warning => "warning",
        State::Failed => "FAILED",
    };
    // What a node or a tool said may be of several lines, and a row is one.
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    vec![
        finding.node.to_string(),
        finding.item.to_owned(),
        state.to_owned(),
        one_line(&finding.says),
        finding.fix.as_deref().map(one_line).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests;
