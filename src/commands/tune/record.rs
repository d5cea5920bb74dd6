//! `sparktune record`: a whole space timed on this machine's GPU, into a table for replays.

use std::path::PathBuf;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::installation::Named;
use super::subject::{Subject, SubjectSettings, devices, grouped};
use super::table;
use crate::artifact::Evidence;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{Observer, RunEvent};
use crate::failure::{Failure, Kind};
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::tuner::error::RunError;
use crate::tuner::open_run::OpenRun;
use crate::tuner::plan::Policy;
use crate::tuner::requested_plan::RequestedPlan;
use crate::tuner::session::{CompilerSettings, MeasuringSettings, Session, SessionJob};
use crate::tuner::strategy::{Method, StrategySpec, recording};
use crate::tuner::table::recorded::{self, FORMAT, TableManifest};

/// What the user said.
#[derive(Debug, Clone)]
pub struct RecordSettings {
    /// Model, device and target.
    pub subject: SubjectSettings,
    /// The batch sizes, where given.
    pub batch_sizes: Option<Vec<u32>>,
    /// Only configs that fit this device too, where given.
    pub mask: Option<String>,
    /// Timed runs of each config in each session.
    pub repeats: u32,
    /// Passes over the whole space.
    pub sessions: u32,
    /// How far measuring goes.
    pub measuring: MeasuringSettings,
    /// What compiles.
    pub compiler: CompilerSettings,
    /// Where the recording goes.
    pub out: PathBuf,
    /// Whether one is there already.
    pub resume: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// The table's name in the directory of its recording.
const TABLE: &str = "table.parquet";

/// A recording that ran out of its budget.
#[derive(Debug, thiserror::Error)]
#[error("the budget is spent: {rounds} rounds are recorded, and no table is written before all are")]
struct Unfinished {
    rounds: usize,
    dir: PathBuf,
}

impl Failure for Unfinished {
    fn kind(&self) -> Kind {
        Kind::Incomplete
    }

    fn hint(&self) -> Option<String> {
        Some(format!("repeat the command with --resume '{}' in the place of --out", self.dir.display()))
    }
}

/// Carry out `settings`. `cancel` is pulled when the user wants out.
pub async fn run(
    settings: &RecordSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let own = &settings.compiler.environment;
    let named = Named { python: own.python.as_deref(), sglang_root: own.sglang_root.as_deref() };
    let resolved = cancel.run_until_cancelled(Subject::resolve_on(&settings.subject, named, observer)).await;
    let mut subject = resolved.ok_or(RunError::Interrupted)??;
    if let Some(mask) = &settings.mask {
        let other = devices(settings.subject.profiles.as_deref())?.find(mask)?;
        subject.device = subject.device.masked(other.shared_memory_per_block);
    }
    for warning in &subject.geometry.warnings {
        observer.note(warning.to_string());
    }
    let batch_sizes = settings.batch_sizes.clone().unwrap_or_else(|| STANDARD_BATCH_SIZES.to_vec());
    let mut plan = subject.plan(batch_sizes, Policy::RuntimeDefault, Evidence::Measured);
    let options =
        recording::Options { repeats: settings.repeats as usize, sessions: settings.sessions as usize };
    plan.strategy = Some(StrategySpec { method: Method::Recording(options), seed: 0 });
    let mut dir = if settings.resume {
        let requested = RequestedPlan::all(&plan);
        plan = OpenRun::recorded_plan(&settings.out)?;
        requested.hold_against(&plan, &settings.out)?;
        OpenRun::resume(&settings.out, &plan)?
    } else {
        OpenRun::start(&settings.out, &plan)?
    };
    let job = SessionJob::of(&plan, &subject.device, &settings.compiler, &settings.measuring);
    let session = match Session::open(&job, &cancel, observer).await {
        Ok(session) => session,
        Err(error) => {
            dir.abandon();
            return Err(error);
        }
    };
    let gpu = session.gpu().cloned().ok_or(RunError::NobodyLeft)?;
    dir.hold_until_exit();
    observer.say(RunEvent::Began { directory: settings.out.clone(), resumed: settings.resume });
    let recorded = session.record(&plan, &subject.device, &mut dir, observer).await?;
    if !recorded.spent.complete {
        return Err(Unfinished { rounds: recorded.spent.rounds, dir: settings.out.clone() }.into());
    }
    let rows = recorded::rows(
        &recorded.contests,
        recorded.rounds.iter().map(|(_, round, timings)| (round, timings)),
    );
    let (count, path) = (rows.time_us.len(), settings.out.join(TABLE));
    let manifest = TableManifest {
        format: FORMAT,
        sha256: String::new(),
        plan,
        gpu,
        repeats: settings.repeats,
        sessions: settings.sessions,
        tool: format!("sparktune {}", env!("CARGO_PKG_VERSION")),
        created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    };
    table::write(&path, rows, manifest)?;
    let (seconds, launches) = (recorded.spent.seconds, recorded.spent.launches);
    if settings.json {
        let said = json!({ "table": path, "rows": count, "seconds": seconds, "launches": launches });
        out.json(&said).map_err(OutputError)?;
    } else {
        let rows = grouped(count as u64);
        out.line(&format!("  {rows} runs in {seconds:.0} s -> {}", path.display())).map_err(OutputError)?;
    }
    Ok(Verdict::Done)
}
