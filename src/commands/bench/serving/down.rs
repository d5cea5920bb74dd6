//! `sparkbench down`: what is up on the nodes taken down, and whether anything is left.

use std::fmt;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::nodes::{AskedNodes, NodesSettings, this_command};
use super::plan::Stopped;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;
use crate::serving::live::{Lock, NodeDown, take_down};

/// What is taken down.
#[derive(Debug)]
pub(crate) struct DownSettings {
    /// On which nodes.
    pub(crate) nodes: NodesSettings,
    /// One JSON object.
    pub(crate) json: bool,
}

/// Nodes that were out of reach, of which nobody knows what is left there.
#[derive(Debug)]
pub(super) struct NotReached(Vec<HostName>);

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(HostName::as_str).collect();
        write!(f, "{} could not be asked: what runs there is not known", names.join(", "))
    }
}

impl std::error::Error for NotReached {}

impl Failure for NotReached {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

/// Take it down.
pub(crate) async fn run(
    settings: &DownSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let report =
        cancel.run_until_cancelled(all(&settings.nodes, "down", observer)).await.ok_or(Stopped)??;
    if settings.json {
        out.json(&json!({ "version": 1, "nodes": report })).map_err(OutputError)?;
    } else {
        show(&report, out)?;
    }
    verdict(&report)
}

/// Take down all that is on these nodes.
pub(super) async fn all(
    settings: &NodesSettings,
    doing: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<NodeDown>, Box<dyn Failure>> {
    let nodes = AskedNodes::connect(settings).await?;
    let _locks = Lock::take_all(&nodes.hosts(), &nodes.cluster, &this_command(doing)).await?;
    Ok(take_down(&nodes.nodes, &nodes.cluster, &|_| true, observer).await)
}

/// What is to be said of it in the end.
pub(super) fn verdict(report: &[NodeDown]) -> CommandResult {
    let out_of_reach = report.iter().filter(|node| !node.reached).map(|node| node.node.clone());
    let out_of_reach: Vec<HostName> = out_of_reach.collect();
    if !out_of_reach.is_empty() {
        return Err(NotReached(out_of_reach).into());
    }
    let clean = report.iter().all(|node| node.left.is_empty());
    Ok(if clean { Verdict::Done } else { Verdict::CheckSaidNo })
}

fn show(report: &[NodeDown], out: &mut dyn Output) -> Result<(), OutputError> {
    if report.iter().all(NodeDown::is_nothing) {
        out.line("nothing of ours was up")?;
        return Ok(());
    }
    let rows = report.iter().flat_map(|node| {
        let ended = node.ended.iter().map(|part| {
            let killed = match part.killed {
                0 => String::new(),
                count => format!(", {count} processes had to be killed"),
            };
            (part.role.to_string(), format!("ended: {}{killed}", part.how))
        });
        let removed = node.removed.iter().map(|name| (name.clone(), "container removed".to_owned()));
        let left = node.left.iter().map(|what| ("left".to_owned(), what.clone()));
        ended.chain(removed).chain(left).map(|(what, how)| vec![node.node.to_string(), what, how])
    });
    out.table(&["node", "what", "outcome"], &rows.collect::<Vec<_>>())?;
    Ok(())
}
