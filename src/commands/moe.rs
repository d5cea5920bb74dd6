//! `sparktune moe`: a model's config files, proven.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::compiler::{CompilerSettings, start_compiler};
use super::gpu;
use super::measuring::{MeasuringSettings, start_timer};
use super::race_report;
use super::resume;
use super::subject::{Subject, SubjectSettings, grouped, short};
use super::{CommandResult, Output, OutputError, Verdict};
use crate::artifact::config_file::ConfigFileError;
use crate::artifact::{ConfigFile, ConfigName, Evidence};
use crate::device::Device;
use crate::events::{Event, Observer};
use crate::failure::{Failure, Kind};
use crate::fs::write_atomic;
use crate::kernel::space::{self, STANDARD_BATCH_SIZES};
use crate::model::Role;
use crate::tuner::plan::{Plan, Policy};
use crate::tuner::replay::regret::STOCK_RUNS;
use crate::tuner::run::{self, Compiling, Finished, Measuring, Raced, RunDir, RunError};
use crate::tuner::search::Bench;
use crate::tuner::select::Selected;
use crate::tuner::write::WriteError;
use crate::worker::timing::GpuTimer;
use crate::worker::{CompileError, Supervised};

/// What the user said.
#[derive(Debug, Clone)]
pub struct MoeSettings {
    /// Model, device and target.
    pub subject: SubjectSettings,
    /// The rung every entry must reach, where given.
    pub evidence: Option<Evidence>,
    /// How entries are chosen, where given.
    pub policy: Option<Policy>,
    /// How far measuring goes.
    pub measuring: MeasuringSettings,
    /// Config files in use whose entries are heard too.
    pub incumbents: Vec<PathBuf>,
    /// The keys, where given.
    pub batch_sizes: Option<Vec<u32>>,
    /// What compiles.
    pub compiler: CompilerSettings,
    /// Where the run goes.
    pub place: Place,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// Where a run goes.
#[derive(Debug, Clone)]
pub enum Place {
    /// A new folder below `results/`.
    Results,
    /// This folder.
    Out(PathBuf),
    /// The run in this folder goes on.
    Resume(PathBuf),
}

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
        let kernel_cache = measured.then(|| cache.join("triton"));
        let mut gpu = None;
        if measured {
            let started =
                start_timer(&settings.measuring, &plan, &device, &mut compiler, kernel_cache.as_deref());
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

/// The first lines of a run, once it can begin.
fn introduce(
    settings: &MoeSettings,
    headline: &str,
    plan: &Plan,
    device: &Device,
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    if !settings.json {
        out.line(&format!("  {headline}"))?;
        out.line(&format!("  {}", space_line(plan, device)))?;
    }
    Ok(())
}

/// Measuring stopped at its budget. The files are there, with what was decided until then.
#[derive(Debug, thiserror::Error)]
#[error(
    "the budget is spent after {seconds:.0} s of measuring: batch sizes not decided yet have what they would have without a GPU"
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

/// `1,920 configs -> 480 tiles -> 364 fit`
fn space_line(plan: &Plan, device: &Device) -> String {
    let size = space::size(&plan.shape.quantization, device.shared_memory_per_block);
    format!("{} configs -> {} tiles -> {} fit", grouped(size.configs as u64), size.tiles, size.fit)
}

/// `results/20260101-120000-glm-4.7-fp8-tp4`
fn new_run_path(plan: &Plan) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let slug: String = short(&plan.model.name)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let name = format!("{now}-{slug}-tp{}", plan.model.tp);
    let results = Path::new("results");
    // Two runs can start in one second.
    let mut path = results.join(&name);
    for number in 2.. {
        if !path.exists() {
            break;
        }
        path = results.join(format!("{name}-{number}"));
    }
    path
}

fn file_names(plan: &Plan, device: &Device) -> [String; 2] {
    Role::BOTH.map(|role| {
        let name = ConfigName::for_shape(&plan.shape, device, plan.target.runtime, role);
        format!("{}/{}", plan.target.triton.directory(), name.file_name(plan.target.runtime))
    })
}

fn dry_run(
    settings: &MoeSettings,
    plan: &Plan,
    device: &Device,
    headline: &str,
    out: &mut dyn Output,
) -> CommandResult {
    let dir = match &settings.place {
        Place::Results => new_run_path(plan),
        Place::Out(path) | Place::Resume(path) => path.clone(),
    };
    let files = file_names(plan, device);
    if settings.json {
        let value = json!({ "dry_run": true, "plan": plan, "run": dir, "files": files });
        out.json(&value).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let mut lines = vec![
        format!("  {headline}"),
        format!("  {}", space_line(plan, device)),
        format!("  would choose {} entries by the policy {}", plan.batch_sizes.len(), plan.policy.name()),
    ];
    if plan.evidence > Evidence::Compiled {
        let sizes = plan.batch_sizes.len();
        lines.push(format!(
            "  would compile what fits and race it on a local {} at {sizes} batch sizes",
            device.name
        ));
    } else if plan.evidence == Evidence::Compiled {
        lines.push(format!(
            "  would compile each chosen kernel for {} with Triton {}",
            device.compile_target, plan.target.triton
        ));
    }
    lines.extend(files.iter().map(|file| format!("  would write {}", dir.join(file).display())));
    for line in lines {
        out.line(&line).map_err(OutputError)?;
    }
    Ok(Verdict::Done)
}

fn report(
    settings: &MoeSettings,
    plan: &Plan,
    device: &Device,
    finished: &Finished,
    dir: &Path,
    out: &mut dyn Output,
) -> Result<(), Box<dyn Failure>> {
    let replaced = finished
        .selected
        .iter()
        .filter(|entry| Role::BOTH.into_iter().any(|role| entry.role(role).default_replaced.is_some()));
    let replaced: Vec<u32> = replaced.map(|entry| entry.batch_size).collect();
    if settings.json {
        let files: Vec<_> = finished
            .files
            .iter()
            .map(|file| {
                json!({
                    "role": file.role,
                    "path": file.path,
                    "sha256": file.sha256,
                    "evidence": file.evidence,
                })
            })
            .collect();
        let value = json!({
            "run": dir,
            "plan": plan,
            "kernels_proven": finished.proven,
            "kernels_rejected": finished.rejected,
            "default_replaced_at": replaced,
            "measured": finished.raced.as_ref().map(|it| it.spent).map(|spent| json!({
                "seconds": spent.seconds,
                "launches": spent.launches,
                "rounds": spent.rounds,
                "complete": spent.complete,
            })),
            "entries": finished.selected.iter().map(measured_entry).collect::<Vec<_>>(),
            "files": files,
        });
        return Ok(out.json(&value).map_err(OutputError)?);
    }
    let mut lines = Vec::new();
    if plan.evidence >= Evidence::Compiled {
        let entries = Role::BOTH.len() * finished.selected.len();
        lines.push(format!(
            "  compiled {entries}/{entries} on {} with Triton {}  ({} kernels, all fit; {} rejected)",
            device.compile_target, plan.target.triton, finished.proven, finished.rejected
        ));
    }
    if let Some(Raced { spent, .. }) = &finished.raced {
        lines.push(format!(
            "  measured {} kernel launches in {:.0} s",
            grouped(spent.launches),
            spent.seconds
        ));
    } else if !replaced.is_empty() {
        let list: Vec<String> = replaced.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "  {}'s default would crash at {}: replaced there",
            plan.target.runtime,
            list.join(", ")
        ));
    }
    let width = finished.files.iter().map(|file| file.path.len()).max().unwrap_or_default();
    lines.extend(
        finished
            .files
            .iter()
            .map(|file| format!("  wrote {:width$}  evidence: {}", file.path, file.evidence)),
    );
    lines.push(format!("  in {}", dir.display()));
    for line in lines {
        out.line(&line).map_err(OutputError)?;
    }
    if finished.raced.is_some() {
        let rows: Vec<Vec<String>> = finished.selected.iter().map(measured_row).collect();
        let header = ["batch size", "default", "chosen", "speed-up", "up", "down"];
        out.table(&header, &rows).map_err(OutputError)?;
    }
    Ok(())
}

/// What was measured at one batch size, for programs.
fn measured_entry(entry: &Selected) -> serde_json::Value {
    let evidence = entry.up.measured.map(|it| it.0);
    json!({
        "batch_size": entry.batch_size,
        "evidence": evidence,
        "measured": entry.up.measured.map(|it| it.1),
        "source": entry.up.source,
        "up": entry.up.config,
        "down": entry.down.config,
    })
}

/// The same for people.
fn measured_row(entry: &Selected) -> Vec<String> {
    let measured = entry.up.measured.map(|it| it.1);
    let us = |time: Option<f64>| time.map_or("-".to_owned(), |us| format!("{us:.1} us"));
    let speedup = match (measured.and_then(|it| it.speedup), measured.and_then(|it| it.default_us)) {
        (Some(it), _) => format!("{:.3} ({:.3} to {:.3})", it.estimate, it.lower, it.upper),
        (None, Some(_)) => "the default stays".to_owned(),
        (None, None) if measured.is_some() => "no default that runs".to_owned(),
        (None, None) => "not decided".to_owned(),
    };
    vec![
        entry.batch_size.to_string(),
        us(measured.and_then(|it| it.default_us)),
        us(measured.map(|it| it.time_us)),
        speedup,
        entry.up.config.to_string(),
        entry.down.config.to_string(),
    ]
}
