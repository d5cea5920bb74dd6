//! `sparktune moe`: a model's config files, proven.

mod container;
mod output;
mod race_report;
mod resume;
mod settings;

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

pub use self::settings::{Destination, MoeSettings};

use self::container::{FromImage, RunContainer, Wish};
use self::output::{DryRun, dry_run, introduce, report};
use self::settings::{RESULTS, run_name};
use super::installation::{Installation, Named};
use super::subject::Wanted;
use crate::artifact::config_file::ConfigFileError;
use crate::artifact::{ConfigFile, Evidence};
use crate::commands::{CommandResult, Output, Verdict};
use crate::device::Device;
use crate::events::{Observer, RunEvent};
use crate::failure::{Failure, Kind};
use crate::fs::write_atomic;
use crate::kernel::space::{self, STANDARD_BATCH_SIZES};
use crate::run_dir;
use crate::runtime::{Runtime, TritonVersion};
use crate::shape::Role;
use crate::tuner::error::RunError;
use crate::tuner::open_run::OpenRun;
use crate::tuner::plan::{Incumbent, Plan, Policy};
use crate::tuner::replay::regret::STOCK_RUNS;
use crate::tuner::session::{Session, SessionJob, default_evidence};
use crate::tuner::strategy::{Method, StrategySpec};
use crate::tuner::write::WriteError;
use crate::worker::environment::Environment;

/// The page's name in a run's directory.
const REPORT: &str = "report.html";

/// Carry out `settings`. `cancel` is pulled when the user wants out.
pub async fn run(
    settings: &MoeSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let mut container = RunContainer::default();
    let verdict = run_beside(&mut container, settings, cancel, observer, out).await;
    container.remove(observer).await;
    verdict
}

/// Carry out `settings`, with what is in `container` once there is one.
async fn run_beside(
    container: &mut RunContainer,
    settings: &MoeSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let incumbents =
        settings.incumbents.iter().map(|path| read_incumbent(path)).collect::<Result<Vec<_>, _>>()?;
    let begun = match &settings.destination {
        Destination::Resume(dir) => resume::begin(container, settings, incumbents, dir, &cancel).await?,
        _ => begin(container, settings, incumbents, &cancel, observer).await?,
    };
    let (plan, device, headline, mut dir, environment) = match begun {
        Begun::Dry(dry) => return dry_run(&dry, settings, out),
        Begun::Run { plan, device, headline, dir, environment } => (plan, device, headline, dir, environment),
    };
    let session = if plan.evidence >= Evidence::Compiled {
        let mut job = SessionJob::of(&plan, &device, &settings.compiler, &settings.measuring);
        job.environment = environment.as_ref();
        match Session::open(&job, &cancel, observer).await {
            Ok(session) => session,
            Err(error) => {
                dir.abandon();
                return Err(error);
            }
        }
    } else {
        Session::without_nodes(&device, &cancel)
    };
    observer.say(began(settings, &dir));
    introduce(settings, &headline, &plan, &device, out)?;
    let finished = session.run(&plan, &device, &mut dir, observer).await;
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

/// What a command that was understood goes on with.
enum Begun {
    /// What it would do.
    Dry(DryRun),
    /// A run, open.
    Run {
        plan: Box<Plan>,
        device: Device,
        headline: String,
        dir: OpenRun,
        /// Where it compiles, if that is there already.
        environment: Option<Environment>,
    },
}

/// A run that begins.
async fn begin(
    container: &mut RunContainer,
    settings: &MoeSettings,
    incumbents: Vec<Incumbent>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Begun, Box<dyn Failure>> {
    let wanted = tokio::select! {
        wanted = Wanted::look_up(&settings.subject) => wanted?,
        () = cancel.cancelled() => return Err(RunError::Interrupted.into()),
    };
    let evidence = settings.evidence.unwrap_or_else(|| {
        // An image that SGLang is served from has the Python to measure with.
        let has_python = settings.compiler.environment.python.is_some() || settings.image.is_some();
        let (evidence, tell) = default_evidence(&wanted.device, has_python);
        if let Some(tell) = tell {
            observer.note(tell);
        }
        evidence
    });
    let name = run_name(&wanted.name(), wanted.tp());
    let path = match &settings.destination {
        Destination::Out(path) | Destination::Resume(path) => path.clone(),
        Destination::Results => Path::new(RESULTS).join(&name),
    };
    let wish =
        settings.image.as_deref().map(|image| Wish { image, dir: path.clone(), evidence, again: false });
    let from_image = match &wish {
        Some(wish) if !settings.dry_run => Some(container.open(wish, settings, cancel).await?),
        _ => None,
    };
    let (runtime, triton) = match &from_image {
        Some(FromImage { target, .. }) => (Some(target.runtime), Some(target.triton)),
        None => installed(settings, evidence, cancel, observer).await?,
    };
    let subject = wanted.on(runtime, triton)?;
    for warning in &subject.geometry.warnings {
        observer.note(warning.to_string());
    }
    let headline = subject.headline();
    let mut plan = subject.plan(
        settings.batch_sizes.clone().unwrap_or_else(|| STANDARD_BATCH_SIZES.to_vec()),
        settings.policy.unwrap_or(Policy::RuntimeDefault),
        evidence,
    );
    if evidence > Evidence::Compiled {
        plan.strategy = Some(StrategySpec { method: Method::Race(Default::default()), seed: 0 });
        plan.incumbents = incumbents;
    } else if !incumbents.is_empty() {
        observer.note("nothing is measured, so nobody hears what --incumbent names");
    }
    let device = subject.device;
    if settings.dry_run {
        let container = wish.map(|wish| wish.run_line(settings)).transpose()?;
        return Ok(Begun::Dry(DryRun { plan, device, headline, dir: path, container }));
    }
    let (image, environment) =
        from_image.map(|FromImage { image, environment, target: _ }| (image, environment)).unzip();
    plan.image = image;
    let dir = match &settings.destination {
        Destination::Results => OpenRun::start_at(&run_dir::Place::Below(RESULTS.into()), &name, &plan)?,
        _ => OpenRun::start(&path, &plan)?,
    };
    Ok(Begun::Run { plan: Box::new(plan), device, headline, dir, environment })
}

/// What the user's own installation decides, where one was named and something is to be compiled in it.
async fn installed(
    settings: &MoeSettings,
    evidence: Evidence,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<(Option<Runtime>, Option<TritonVersion>), Box<dyn Failure>> {
    let own = &settings.compiler.environment;
    if settings.image.is_some() || evidence < Evidence::Compiled {
        return Ok((None, None));
    }
    let named = Named { python: own.python.as_deref(), sglang_root: own.sglang_root.as_deref() };
    let found = cancel.run_until_cancelled(Installation::find(named)).await;
    let found = found.ok_or(RunError::Interrupted)?;
    found.decide((settings.subject.runtime, settings.subject.triton), observer)
}

/// From here on the run's directory stays, whatever happens.
fn began(settings: &MoeSettings, dir: &OpenRun) -> RunEvent {
    let resumed = matches!(settings.destination, Destination::Resume(_));
    RunEvent::Began { directory: dir.path().to_owned(), resumed }
}

/// The files of both projections: `path` and the `_down` file beside it, or `path` for both where there is none.
fn read_incumbent(path: &Path) -> Result<Incumbent, ConfigFileError> {
    let up = ConfigFile::read(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let down = path.with_file_name(format!("{stem}_down.json"));
    let down = if down.exists() { ConfigFile::read(&down)? } else { up.clone() };
    Ok(Incumbent::new(path, &[up, down]))
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
