//! `sparktune moe --tuner stock`: the runtime's own tuner, one process a batch size, on one node or all of a cluster.

mod asked;
mod begin;
mod gpu;
mod output;
mod places;
mod script_source;

use tokio_util::sync::CancellationToken;

pub(super) use self::asked::is_for;
use self::begin::{Begun, BegunRun, SILENCE, begin, resume};
use self::output::{dry_run, introduce, report};
use super::nodes::RunContainers;
use super::settings::{Destination, MoeSettings};
use super::{Ended, Stopped, resume_line};
use crate::commands::{Output, OutputError, Verdict};
use crate::events::{Observer, RunEvent};
use crate::failure::{Failure, Kind};
use crate::tuner::stock::run::{self, StockFinished, StockJob};

/// A run with batch sizes that are not tuned.
#[derive(Debug, thiserror::Error)]
#[error("not tuned: {}", list(missing))]
struct NotAllTuned {
    missing: Vec<(u32, String)>,
    resume: String,
}

/// Each with its reason, those of one reason together.
fn list(missing: &[(u32, String)]) -> String {
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for (size, why) in missing {
        match by_reason.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, sizes)) => sizes.push(size.to_string()),
            None => by_reason.push((why, vec![size.to_string()])),
        }
    }
    let each = |(why, sizes): &(&str, Vec<String>)| {
        let word = if sizes.len() == 1 { "batch size" } else { "batch sizes" };
        format!("{word} {} ({why})", sizes.join(", "))
    };
    by_reason.iter().map(each).collect::<Vec<_>>().join("; ")
}

impl Failure for NotAllTuned {
    fn kind(&self) -> Kind {
        Kind::Incomplete
    }

    fn hint(&self) -> Option<String> {
        Some(format!("go on with: {}", self.resume))
    }
}

/// Carry out `settings`.
pub(super) async fn run(
    containers: &mut RunContainers,
    settings: &MoeSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> Result<Ended, Box<dyn Failure>> {
    let begun = match &settings.destination {
        Destination::Resume(dir) => resume(containers, settings, dir, &cancel, observer).await?,
        _ => begin(containers, settings, &cancel, observer).await?,
    };
    let BegunRun { plan, device, headline, mut dir, nodes, script } = match begun {
        Begun::Dry(dry) => {
            dry_run(&dry, settings, out).map_err(OutputError)?;
            return Ok(Ended::DRY);
        }
        Begun::Run(run) => *run,
    };
    let resumed = matches!(settings.destination, Destination::Resume(_));
    dir.hold_until_exit();
    observer.say(RunEvent::Began { directory: dir.path().to_owned(), resumed });
    introduce(&headline, &plan, &script, settings, out)?;
    let silence = settings.stock.silence.unwrap_or(SILENCE);
    // Where none was said, a GPU that others use was refused.
    let wait = settings.measuring.wait.unwrap_or_default();
    let job =
        StockJob { plan: &plan, device: &device, dir: &mut dir, nodes, silence, wait, cancel, observer };
    let finished = run::run(job).await;
    let resume = resume_line(dir.path(), settings);
    let finished = finished.map_err(|source| Stopped { source, resume: resume.clone() })?;
    for left in &finished.left_out {
        observer.note(format!(
            "batch size {} is in no file, its config is unsafe: {}",
            left.batch_size, left.why
        ));
    }
    report(&finished, &plan, dir.path(), settings, out)?;
    let StockFinished { missing, left_out, file, tuned: _ } = finished;
    if !missing.is_empty() {
        return Err(NotAllTuned { missing: missing.into_iter().collect(), resume }.into());
    }
    let verdict = if left_out.is_empty() { Verdict::Done } else { Verdict::CheckSaidNo };
    Ok(Ended { verdict, run: file.map(|_| dir.path().to_owned()) })
}
