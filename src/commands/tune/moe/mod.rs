//! `sparktune moe`: a model's config files, proven.

mod output;
mod race_report;
mod resume;
mod settings;

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

pub use self::settings::{MoeSettings, Place};

use self::output::{dry_run, introduce, report};
use self::settings::new_run_path;
use super::compiler::start_compiler;
use super::gpu;
use super::measuring::start_timer;
use super::subject::Subject;
use crate::artifact::config_file::ConfigFileError;
use crate::artifact::{ConfigFile, Evidence};
use crate::commands::{CommandResult, Output, Verdict};
use crate::events::{Event, Observer};
use crate::failure::{Failure, Kind};
use crate::fs::write_atomic;
use crate::host::HostPath;
use crate::kernel::space::{self, STANDARD_BATCH_SIZES};
use crate::shape::Role;
use crate::tuner::plan::Policy;
use crate::tuner::replay::regret::STOCK_RUNS;
use crate::tuner::run::{self, Compiling, Measuring, RunDir, RunError};
use crate::tuner::search::Bench;
use crate::tuner::write::WriteError;
use crate::worker::timing::GpuTimer;
use crate::worker::{CompileError, Supervised};

/// The page's name in a run's directory.
const REPORT: &str = "report.html";

/// Carry out `settings`. `cancel` is pulled when the user wants out.
pub async fn run(
    settings: &MoeSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let incumbents =
        settings.incumbents.iter().map(|path| read_incumbent(path)).collect::<Result<Vec<_>, _>>()?;
    let (plan, device, headline) = match &settings.place {
        Place::Resume(dir) => resume::recorded_plan(settings, dir)?,
        _ => {
            let subject = tokio::select! {
                subject = Subject::resolve(&settings.subject) => subject?,
                () = cancel.cancelled() => return Err(CompileError::Interrupted.into()),
            };
            for warning in &subject.geometry.warnings {
                observer.on(&Event::Warning(warning.to_string()));
            }
            let headline = subject.headline();
            let evidence = settings.evidence.unwrap_or_else(|| {
                let has_python = settings.compiler.environment.python.is_some();
                let (evidence, tell) = gpu::default_evidence(&subject.device, has_python);
                if let Some(tell) = tell {
                    observer.on(&Event::Warning(tell));
                }
                evidence
            });
            let plan = subject.plan(
                settings.batch_sizes.clone().unwrap_or_else(|| STANDARD_BATCH_SIZES.to_vec()),
                settings.policy.unwrap_or(Policy::RuntimeDefault),
                evidence,
            );
            (plan, subject.device, headline)
        }
    };
    if settings.dry_run {
        return dry_run(settings, &plan, &device, &headline, out);
    }
    let mut dir = match &settings.place {
        Place::Resume(path) => RunDir::resume(path, &plan)?,
        Place::Out(path) => RunDir::start(path, &plan)?,
        Place::Results => RunDir::start(&new_run_path(&plan), &plan)?,
    };
    let finished = if plan.evidence >= Evidence::Compiled {
        let mut compiler = match start_compiler(&settings.compiler, plan.target, &cancel, observer).await {
            Ok(compiler) => compiler,
            Err(error) => {
                dir.abandon();
                return Err(error);
            }
        };
        let measured = plan.evidence > Evidence::Compiled;
        let cache = &settings.compiler.environment.cache;
        // A result kept by a run that launched nothing has no binary beside it.
        let cache = if measured { cache.join("launched") } else { cache.clone() };
        let kernel_cache =
            measured.then(|| HostPath::try_from(cache.join("triton").as_path())).transpose()?;
        let mut gpu = None;
        if measured {
            let started =
                start_timer(&settings.measuring, &plan, &device, &mut compiler, kernel_cache.as_ref());
            match started.await {
                Ok(started) => gpu = Some(started),
                Err(error) => {
                    compiler.stop().await;
                    dir.abandon();
                    return Err(error);
                }
            }
        }
        introduce(settings, &headline, &plan, &device, out)?;
        let compiling = Compiling {
            jobs: settings.compiler.jobs.unwrap_or(compiler.cpus()),
            compiler: &mut compiler,
            timeout_s: settings.compiler.timeout_s,
            cache: &cache,
            kernel_cache,
        };
        let measuring = gpu.as_mut().map(|(timer, report)| Measuring {
            bench: Bench { timer, max_clock_mhz: report.max_clock_mhz, limits: settings.measuring.limits },
            seed: 0,
            incumbents: &incumbents,
        });
        let finished = run::run(&plan, &device, &mut dir, Some(compiling), measuring, cancel, observer).await;
        compiler.stop().await;
        if let Some((timer, _)) = gpu {
            timer.stop().await;
        }
        finished
    } else {
        introduce(settings, &headline, &plan, &device, out)?;
        run::run::<Supervised, GpuTimer>(&plan, &device, &mut dir, None, None, cancel, observer).await
    };
    // What is done is kept, whatever stopped the run.
    let finished = finished.map_err(|source| Stopped { source, dir: dir.path().to_owned() })?;
    if let Some(raced) = &finished.raced {
        let every =
            space::configs(&plan.shape.quantization).len() * plan.batch_sizes.len() * Role::BOTH.len();
        let page = race_report::page(&plan, &finished.selected, raced, every as u64 * STOCK_RUNS);
        write_atomic(&dir.path().join(REPORT), page.as_bytes()).map_err(WriteError::Io)?;
    }
    report(settings, &plan, &device, &finished, dir.path(), out)?;
    match finished.raced.as_ref().map(|it| it.spent) {
        Some(spent) if !spent.complete => {
            Err(BudgetSpent { seconds: spent.seconds, dir: dir.path().to_owned() }.into())
        }
        _ => Ok(Verdict::Done),
    }
}

/// The files of both projections: `path` and the `_down` file beside it, or `path` for both where there is none.
fn read_incumbent(path: &Path) -> Result<[ConfigFile; 2], ConfigFileError> {
    let up = ConfigFile::read(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let down = path.with_file_name(format!("{stem}_down.json"));
    let down = if down.exists() { ConfigFile::read(&down)? } else { up.clone() };
    Ok([up, down])
}

/// Measuring stopped at its budget. The files are there, with what was decided until then.
#[derive(Debug, thiserror::Error)]
#[error(
    "the budget is spent after {seconds:.0} s of measuring: batch sizes not decided yet keep the runtime's default, or have what led where that cannot run"
)]
struct BudgetSpent {
    seconds: f64,
    dir: PathBuf,
}

impl Failure for BudgetSpent {
    fn kind(&self) -> Kind {
        Kind::Incomplete
    }

    fn hint(&self) -> Option<String> {
        Some(format!("go on with: sparktune moe --resume '{}'", self.dir.display()))
    }
}

/// A run that stopped.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
struct Stopped {
    source: RunError,
    dir: PathBuf,
}

impl Failure for Stopped {
    fn kind(&self) -> Kind {
        self.source.kind()
    }

    fn hint(&self) -> Option<String> {
        let resume = match self.kind() {
            Kind::Interrupted | Kind::Incomplete | Kind::Environment => {
                Some(format!("go on with: sparktune moe --resume '{}'", self.dir.display()))
            }
            Kind::Input | Kind::CheckFailed => None,
        };
        let hints: Vec<String> = self.source.hint().into_iter().chain(resume).collect();
        (!hints.is_empty()).then(|| hints.join("; "))
    }
}
