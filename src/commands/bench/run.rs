//! `sparkbench run`: measure a server under one load.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::measuring::{self, Finished, PAGE, Stopped, Tidy, Turn, measure, open, parent_dir, run_dir};
use super::report::{show, summary_json};
use super::{plan_table, summary_table};
use crate::bench::compare::Run;
use crate::bench::profile::{Origin, Settled};
use crate::bench::results::{Place, ResultsDir};
use crate::bench::target::Target;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{LoadPart, Observer};
use crate::failure::{Failure, Kind};

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
    /// Trust the certificate authority in this file too.
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

/// Measure, or say what would be measured.
pub async fn run(
    settings: &RunSettings,
    stop: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let RunSettings { settled, with, repeat } = settings;
    if with.dry_run {
        plan_table::print(with, *repeat, &[plan_table::Step { at: None, settled }], out)
            .map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let session = open(settled, with, &stop, observer).await?;
    let plan = measuring::plan(settled, &session);
    let mut tidy = Tidy::before(&with.out);
    let parent = match repeat {
        1 => None,
        _ => Some(parent_dir(&with.out, &plan, "repeats")?),
    };
    if let Some(parent) = &parent {
        tidy.also(parent.path());
    }
    let (mut finished, mut broken) = (Vec::new(), None);
    for number in 0..*repeat {
        let dir = match &parent {
            None => run_dir(&with.out, &plan)?,
            Some(parent) => {
                run_dir(&Place::Exactly(parent.path().join(format!("run-{}", number + 1))), &plan)?
            }
        };
        let part = LoadPart::Run { profile: plan.profile.clone(), number: number + 1, of: *repeat };
        let turn = Turn { settled, with, dir, repeat: number, round: number, part };
        let done = match measure(&session, turn, &stop, observer).await {
            Ok(done) => done,
            Err(failure) => {
                broken = Some(failure);
                break;
            }
        };
        if !with.json {
            summary_table::print(&done.run.summary, out).map_err(OutputError)?;
            out.line(&format!("\nwrote {}", done.dir.display())).map_err(OutputError)?;
        }
        finished.push(done);
        if stop.is_cancelled() {
            break;
        }
    }
    let ended = verdict(broken, &finished, parent.as_ref());
    let runs: Vec<Run> = finished.into_iter().map(|done| done.run).collect();
    // What was measured before something went wrong is measured all the same.
    match (&runs[..], &parent) {
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
    ended
}

/// How runs ended, of which the one after the last `finished` may have `broken` off. Stopped beats failed: what
/// failed may have done so because of it.
pub(super) fn verdict(
    broken: Option<Box<dyn Failure>>,
    finished: &[Finished],
    parent: Option<&ResultsDir>,
) -> CommandResult {
    match (broken, parent) {
        // Stopped between two runs: what the others measured is there.
        (Some(failure), Some(parent)) if failure.kind() == Kind::Interrupted && !finished.is_empty() => {
            return Err(Stopped::in_dir(parent.path()).into());
        }
        (Some(failure), _) => return Err(failure),
        (None, _) => {}
    }
    if let Some(stopped) = finished.iter().find(|done| done.stopped) {
        return Err(Stopped::in_dir(&stopped.dir).into());
    }
    match finished.iter().any(|done| done.too_many_failed) {
        true => Ok(Verdict::CheckSaidNo),
        false => Ok(Verdict::Done),
    }
}
