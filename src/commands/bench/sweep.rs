//! `sparkbench sweep`: measure a server under one load after another.

use tokio_util::sync::CancellationToken;

use super::measuring::{self, PAGE, Tidy, Turn, measure, open, parent_dir, run_dir};
use super::plan_table;
use super::report::show;
use super::run::{Measuring, verdict};
use crate::bench::profile::Settled;
use crate::bench::results::Place;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{LoadPart, Observer};

/// What the user said.
#[derive(Debug, Clone)]
pub struct SweepSettings {
    /// What changes from step to step.
    pub axis: Axis,
    /// The steps, in the order given. At least one.
    pub steps: Vec<SweepStep>,
    /// The server, and how it is measured.
    pub with: Measuring,
}

/// What changes from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Conversations in flight.
    Concurrency,
    /// Conversations that begin in a second.
    Rate,
}

impl Axis {
    /// As the flag and the plan's JSON call it.
    pub fn name(self) -> &'static str {
        match self {
            Axis::Concurrency => "concurrency",
            Axis::Rate => "rate",
        }
    }
}

/// One step.
#[derive(Debug, Clone)]
pub struct SweepStep {
    /// Where on the axis.
    pub at: f64,
    /// Its plan.
    pub settled: Settled,
}

/// Measure, or say what would be measured.
pub async fn run(
    settings: &SweepSettings,
    stop: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let SweepSettings { axis, steps, with } = settings;
    if with.dry_run {
        let steps: Vec<_> = steps
            .iter()
            .map(|step| plan_table::Step { at: Some((axis.name(), step.at)), settled: &step.settled })
            .collect();
        plan_table::print(with, 1, &steps, out).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let Some(first) = steps.first() else { return Ok(Verdict::Done) };
    let session = open(&first.settled, with, &stop, observer).await?;
    let mut tidy = Tidy::before(&with.out);
    let parent = parent_dir(&with.out, &measuring::plan(&first.settled, &session), "sweep")?;
    tidy.also(parent.path());
    let (mut finished, mut broken) = (Vec::new(), None);
    for (round, step) in (0..).zip(steps) {
        let plan = measuring::plan(&step.settled, &session);
        let dir =
            run_dir(&Place::Exactly(parent.path().join(format!("{}-{}", axis.name(), step.at))), &plan)?;
        let of = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let part = LoadPart::Step { axis: axis.name(), at: step.at, number: round + 1, of };
        let turn = Turn { settled: &step.settled, with, dir, repeat: 0, round, part };
        match measure(&session, turn, &stop, observer).await {
            Ok(done) => finished.push(done),
            Err(failure) => {
                broken = Some(failure);
                break;
            }
        }
        if stop.is_cancelled() {
            break;
        }
    }
    if finished.is_empty() {
        return broken.map_or(Ok(Verdict::Done), Err);
    }
    // What was measured before something went wrong is shown all the same.
    let html = with.html.then(|| parent.path().join(PAGE));
    let runs: Vec<_> = finished.iter().map(|done| done.run.clone()).collect();
    show(&runs, html.as_deref(), None, with.json, out)?;
    if !with.json {
        out.line(&format!("\nwrote {}", parent.path().display())).map_err(OutputError)?;
    }
    verdict(broken, &finished, Some(&parent))
}
