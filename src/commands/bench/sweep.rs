//! `sparkbench sweep`: measure a server under one load after another.

use tokio_util::sync::CancellationToken;

use super::plan_table;
use super::report::show;
use super::shared::{PAGE, SharedSettings, reach, verdict, write_beside};
use crate::bench::campaign::{Campaign, CampaignRun, EmptyDirs, FinishedRun};
use crate::bench::nodes::ServingNodes;
use crate::bench::profile::ResolvedPlan;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{LoadPart, Observer};
use crate::run_dir::Place;

/// What the user said.
#[derive(Debug, Clone)]
pub(crate) struct SweepSettings {
    /// What changes from step to step.
    pub axis: SweepAxis,
    /// The steps, in the order given. At least one.
    pub steps: Vec<SweepStep>,
    /// The server, and how it is measured.
    pub with: SharedSettings,
}

/// What changes from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SweepAxis {
    /// Conversations in flight.
    Concurrency,
    /// Conversations that begin in a second.
    Rate,
}

impl SweepAxis {
    /// As the flag and the plan's JSON call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            SweepAxis::Concurrency => "concurrency",
            SweepAxis::Rate => "rate",
        }
    }
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct SweepStep {
    /// Where on the axis.
    pub at: f64,
    /// Its plan.
    pub resolved: ResolvedPlan,
}

/// Measure, or say what would be measured.
pub(crate) async fn run(
    settings: &SweepSettings,
    stop: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let SweepSettings { axis, steps, with } = settings;
    if with.dry_run {
        let steps: Vec<_> = steps
            .iter()
            .map(|step| plan_table::PlannedRun { at: Some((axis.name(), step.at)), resolved: &step.resolved })
            .collect();
        plan_table::print(with, 1, &steps, out).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let Some(first) = steps.first() else { return Ok(Verdict::Done) };
    let model = first.resolved.plan.model.as_deref();
    let reached = reach(with, &stop).await?;
    let nodes = reached.as_ref().map(|nodes| nodes as &dyn ServingNodes);
    let campaign = Campaign::open(&with.conditions, model, nodes, &stop, observer).await?;
    let mut empty = EmptyDirs::before(&with.out);
    let parent = campaign.parent_dir(&with.out, &first.resolved, "sweep")?;
    empty.also(parent.path());
    let of = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let turns = (0..).zip(steps).map(|(round, step)| CampaignRun {
        resolved: &step.resolved,
        place: Place::Exactly(parent.path().join(format!("{}-{}", axis.name(), step.at))),
        repeat: 0,
        round,
        part: LoadPart::Step { axis: axis.name().into(), at: step.at, number: round + 1, of },
    });
    let mut each = |done: &FinishedRun| write_beside(done, with);
    let series = campaign.measure_all(turns, &stop, observer, &mut each).await;
    // What was measured before something went wrong is shown all the same.
    let runs = series.runs();
    if !runs.is_empty() {
        let html = with.html.then(|| parent.path().join(PAGE));
        show(&runs, html.as_deref(), None, with.json, out)?;
        if !with.json {
            out.line(&format!("\nwrote {}", parent.path().display())).map_err(OutputError)?;
        }
    }
    verdict(series, Some(&parent))
}
