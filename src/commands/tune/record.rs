//! `sparktune record`: a whole space timed on this machine's GPU, into a table for replays.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::compiler::{CompilerSettings, start_compiler};
use super::measuring::{MeasuringSettings, start_timer};
use super::subject::{Subject, SubjectSettings, devices, grouped};
use super::table;
use crate::artifact::Evidence;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{Event, Observer};
use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::tuner::plan::{Plan, Policy};
use crate::tuner::run::{self, Compiling, RecordJob, RunDir};
use crate::tuner::search::Bench;
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

/// What heads a recording's journal.
#[derive(Debug, Serialize, Deserialize)]
struct RecordPlan {
    record: Plan,
    repeats: u32,
    sessions: u32,
}

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
    let mut subject = Subject::resolve(&settings.subject).await?;
    if let Some(mask) = &settings.mask {
        let other = devices(settings.subject.profiles.as_deref())?.find(mask)?;
        subject.device = subject.device.masked(other.shared_memory_per_block);
    }
    for warning in &subject.geometry.warnings {
        observer.on(&Event::Warning(warning.to_string()));
    }
    let batch_sizes = settings.batch_sizes.clone().unwrap_or_else(|| STANDARD_BATCH_SIZES.to_vec());
    let plan = subject.plan(batch_sizes, Policy::RuntimeDefault, Evidence::Measured);
    let heading = RecordPlan { record: plan, repeats: settings.repeats, sessions: settings.sessions };
    let mut dir = if settings.resume {
        RunDir::resume(&settings.out, &heading)?
    } else {
        RunDir::start(&settings.out, &heading)?
    };
    let plan = heading.record;
    let mut compiler = match start_compiler(&settings.compiler, plan.target, &cancel, observer).await {
        Ok(compiler) => compiler,
        Err(error) => {
            dir.abandon();
            return Err(error);
        }
    };
    let cache = settings.compiler.environment.cache.join("launched");
    let kernels = HostPath::try_from(cache.join("triton").as_path())?;
    let started =
        start_timer(&settings.measuring, &plan, &subject.device, &mut compiler, Some(&kernels)).await;
    let (mut timer, gpu) = match started {
        Ok(started) => started,
        Err(error) => {
            compiler.stop().await;
            dir.abandon();
            return Err(error);
        }
    };
    let compiling = Compiling {
        jobs: settings.compiler.jobs.unwrap_or(compiler.cpus()),
        compiler: &mut compiler,
        timeout_s: settings.compiler.timeout_s,
        cache: &cache,
        kernel_cache: Some(kernels),
    };
    let job = RecordJob {
        bench: Bench {
            timer: &mut timer,
            max_clock_mhz: gpu.max_clock_mhz,
            limits: settings.measuring.limits,
        },
        repeats: settings.repeats as usize,
        sessions: settings.sessions as usize,
    };
    let recorded = run::record(&plan, &subject.device, &mut dir, compiling, job, &cancel, observer).await;
    compiler.stop().await;
    timer.stop().await;
    let recorded = recorded?;
    if !recorded.spent.complete {
        return Err(Unfinished { rounds: recorded.spent.rounds, dir: settings.out.clone() }.into());
    }
    let rows = recorded::rows(&recorded.contests, &recorded.heard);
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
