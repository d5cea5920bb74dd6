//! `sparktune report`: what came of a run and what each node did for it when, by its journal: of one that ended, goes on or
//! was killed alike.

mod card;
mod figures;
mod json;
mod nodes;
mod over_time;
mod page;
mod race;

use std::path::{Path, PathBuf};

use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::device::DeviceCatalogue;
use crate::failure::{Failure, Kind};
use crate::fs::write_atomic;
use crate::journal::{Writer, written_by};
use crate::span::in_words;
use crate::tuner::history::History;
use crate::tuner::open_run::OpenRun;
use crate::tuner::plan::Plan;
use crate::tuner::retrace::retrace;
use crate::tuner::run::Raced;
use crate::tuner::select::Selected;
use crate::tuner::stock::plan::StockPlan;
use crate::tuner::write::WriteError;

/// What is to be reported.
#[derive(Debug)]
pub struct ReportSettings {
    /// The run's directory.
    pub run: PathBuf,
    /// Write the page to this file.
    pub html: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

/// What there is no report of.
#[derive(Debug, thiserror::Error)]
enum NoReport {
    #[error("`{run}` is a run of SGLang's own tuner, whose journal does not tell what nodes did when", run = run.display())]
    Stock { run: PathBuf },
}

impl Failure for NoReport {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        let NoReport::Stock { run } = self;
        Some(format!("see what became of it: sparktune watch --once '{}'", run.display()))
    }
}

/// A run as its journal tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    /// What it is to do.
    pub plan: &'a Plan,
    /// Who did what, and when.
    pub history: &'a History,
    /// What was selected and decided; none where nothing was raced.
    pub race: Option<(&'a [Selected], &'a Raced)>,
}

impl Told<'_> {
    /// The page, as HTML.
    pub(super) fn page(&self) -> String {
        page::page(self).render()
    }
}

/// Report the run of `settings`, on a device of `devices`. Nothing of it is touched.
pub fn run(settings: &ReportSettings, devices: &DeviceCatalogue, out: &mut dyn Output) -> CommandResult {
    let ReportSettings { run, html, json } = settings;
    if StockPlan::is_of(run)? {
        return Err(NoReport::Stock { run: run.clone() }.into());
    }
    // Asked first: what is read afterwards is all that a writer who has ended has written.
    let writer = written_by(run)?;
    let plan = OpenRun::recorded_plan(run)?;
    let entries = OpenRun::recorded(run)?;
    let device = devices.find(&plan.device.id)?;
    let raced = retrace(&plan, &device, &entries)?;
    let history = History::of(&entries);
    let race = raced.as_ref().map(|(selected, raced)| (&selected[..], raced));
    let told = Told { plan: &plan, history: &history, race };
    if let Some(path) = html {
        write_atomic(path, told.page().as_bytes()).map_err(WriteError::Io)?;
    }
    match json {
        true => out.json(&json::json(&told, run, writer)),
        false => show(&told, run, writer, out),
    }
    .map_err(OutputError)?;
    Ok(Verdict::Done)
}

/// For people.
fn show(told: &Told<'_>, run: &Path, writer: Option<Writer>, out: &mut dyn Output) -> std::io::Result<()> {
    let Told { plan, history, .. } = told;
    let process = writer.map(|writer| match writer.process {
        Some(id) => format!(", process {id} goes on with it"),
        None => ", another process goes on with it".to_owned(),
    });
    out.line(&format!(
        "{}: {} on {}{}",
        run.display(),
        plan.model.name,
        plan.device.name,
        process.unwrap_or_default()
    ))?;
    if history.nodes.is_empty() {
        return out.line("  no node has worked for it");
    }
    let (sessions, nodes) = (history.sessions.len(), history.nodes.len());
    out.line(&format!(
        "  {nodes} node{}, {sessions} session{}, {}",
        if nodes == 1 { "" } else { "s" },
        if sessions == 1 { "" } else { "s" },
        in_words(history.ends_ms as f64 / 1e3)
    ))?;
    let mut tables = vec![figures::work(history)];
    match history.is_measured() {
        true => tables.push(figures::gpus(history)),
        false => out.line("  nothing was measured")?,
    }
    tables
        .extend(told.race.map(|(_, raced)| figures::verdicts(raced)).filter(|table| !table.rows.is_empty()));
    for table in tables {
        let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
        out.table(&header, &table.rows)?;
    }
    figures::troubles(history).iter().try_for_each(|trouble| out.line(&format!("  {trouble}")))
}

#[cfg(test)]
mod tests;
