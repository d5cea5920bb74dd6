//! `sparkbench run`: measure a server under one load.

use tokio_util::sync::CancellationToken;

use super::report::{show, summary_json};
use super::shared::{PAGE, SharedSettings, reach, verdict, write_beside};
use super::{plan_table, summary_table};
use crate::bench::campaign::{Campaign, CampaignRun, EmptyDirs, FinishedRun};
use crate::bench::nodes::ServingNodes;
use crate::bench::profile::ResolvedPlan;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{LoadPart, Observer};
use crate::run_dir::Place;

/// What the user said.
#[derive(Debug, Clone)]
pub(crate) struct RunSettings {
    /// What is sent and how it is judged, and where each value came from.
    pub resolved: ResolvedPlan,
    /// The server, and how it is measured.
    pub with: SharedSettings,
    /// Runs of the same plan.
    pub repeat: u32,
}

/// Measure, or say what would be measured.
pub(crate) async fn run(
    settings: &RunSettings,
    stop: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let RunSettings { resolved, with, repeat } = settings;
    if with.dry_run {
        plan_table::print(with, *repeat, &[plan_table::PlannedRun { at: None, resolved }], out)
            .map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let reached = reach(with, &stop).await?;
    let nodes = reached.as_ref().map(|nodes| nodes as &dyn ServingNodes);
    let campaign =
        Campaign::open(&with.conditions, resolved.plan.model.as_deref(), nodes, &stop, observer).await?;
    let mut empty = EmptyDirs::before(&with.out);
    let parent = match repeat {
        1 => None,
        _ => Some(campaign.parent_dir(&with.out, resolved, "repeats")?),
    };
    if let Some(parent) = &parent {
        empty.also(parent.path());
    }
    let profile = &resolved.plan.profile;
    let turns = (0..*repeat).map(|number| {
        let place = match &parent {
            None => with.out.clone(),
            Some(parent) => Place::Exactly(parent.path().join(format!("run-{}", number + 1))),
        };
        let part = LoadPart::Run { profile: profile.clone(), number: number + 1, of: *repeat };
        CampaignRun { resolved, place, repeat: number, round: number, part }
    });
    let mut each = |done: &FinishedRun| {
        write_beside(done, with)?;
        if !with.json {
            summary_table::print(&done.run, out).map_err(OutputError)?;
            out.line(&format!("\nwrote {}", done.dir.display())).map_err(OutputError)?;
        }
        Ok(())
    };
    let series = campaign.measure_all(turns, &stop, observer, &mut each).await;
    // What was measured before something went wrong is measured all the same.
    match (&series.runs()[..], &parent) {
        ([], _) => {}
        ([run], None) if with.json => out.json(&summary_json(run)).map_err(OutputError)?,
        // Of repeats that were stopped, too, a list.
        ([run], Some(_)) if with.json => out.json(&vec![summary_json(run)].into()).map_err(OutputError)?,
        (runs @ [_, _, ..], Some(parent)) => {
            let html = with.html.then(|| parent.path().join(PAGE));
            if !with.json {
                out.line("").map_err(OutputError)?;
            }
            show(runs, html.as_deref(), None, with.json, out)?;
            if !with.json {
                out.line(&format!("\nwrote {}", parent.path().display())).map_err(OutputError)?;
            }
        }
        _ => {}
    }
    verdict(series, parent.as_ref())
}
