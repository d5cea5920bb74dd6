//! `sparkbench run`: measure a server under one load.

use std::path::PathBuf;
use std::time::Duration;

use super::{not_built, plan_table};
use crate::bench::profile::{Origin, Settled};
use crate::bench::target::Target;
use crate::commands::{CommandResult, Output, OutputError, Verdict};

/// What the user said.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// What is sent and how it is judged, and where each value came from.
    pub settled: Settled,
    /// The server, and how it is measured.
    pub with: Measuring,
    /// Runs of the same plan.
    pub repeat: u32,
}

/// What `run` and `sweep` share beside the plan.
#[derive(Debug, Clone)]
pub struct Measuring {
    /// The server.
    pub target: Target,
    /// Where the server's address came from.
    pub target_origin: Origin,
    /// Trust the certificates in this PEM file too.
    pub ca_cert: Option<PathBuf>,
    /// How often the server's metrics are read; absent: never.
    pub scrape_every: Option<Duration>,
    /// Count tokens of prompts with this tokenizer.json.
    pub tokenizer: Option<PathBuf>,
    /// Keep what the server answered.
    pub keep_text: bool,
    /// Where the run goes.
    pub out: Place,
    /// Write the requests as a Parquet table too.
    pub parquet: bool,
    /// Write the HTML page.
    pub html: bool,
    /// Print one JSON object.
    pub json: bool,
    /// Say what would be sent and do nothing.
    pub dry_run: bool,
}

/// Where a run goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A new folder below this one.
    Below(PathBuf),
    /// This folder, which must not be there yet.
    Out(PathBuf),
}

/// Measure, or say what would be measured.
pub fn run(settings: &RunSettings, out: &mut dyn Output) -> CommandResult {
    let RunSettings { settled, with, repeat } = settings;
    if !with.dry_run {
        return not_built::run(settings);
    }
    plan_table::print(with, *repeat, &[plan_table::Step { at: None, settled }], out).map_err(OutputError)?;
    Ok(Verdict::Done)
}
