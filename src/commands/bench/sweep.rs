//! `sparkbench sweep`: measure a server under one load after another.

use super::run::Measuring;
use super::{not_built, plan_table};
use crate::bench::profile::Settled;
use crate::commands::{CommandResult, Output, OutputError, Verdict};

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
pub fn run(settings: &SweepSettings, out: &mut dyn Output) -> CommandResult {
    let SweepSettings { axis, steps, with } = settings;
    if !with.dry_run {
        return not_built::sweep(settings);
    }
    let steps: Vec<_> = steps
        .iter()
        .map(|step| plan_table::Step { at: Some((axis.name(), step.at)), settled: &step.settled })
        .collect();
    plan_table::print(with, 1, &steps, out).map_err(OutputError)?;
    Ok(Verdict::Done)
}
