//! `sparktune moe`: a model's config files, proven.

mod deployment;
mod nodes;
pub(super) mod output;
mod resume;
mod settings;
mod stock;

use std::fmt;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

pub use self::deployment::Deployment;
pub use self::settings::{Destination, MoeSettings, StockSettings, Tuner};

use self::nodes::{FromNodes, RunContainers, RunNodes, owner};
use self::output::{DryRun, dry_run, introduce, report};
use self::settings::{RESULTS, run_name};
use super::installation::{Installation, Named};
use super::report::Told;
use super::subject::Wanted;
use crate::artifact::config_file::ConfigFileError;
use crate::artifact::{ConfigFile, Evidence};
use crate::cluster::installed::Family;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::device::Device;
use crate::events::{Observer, RunEvent};
use crate::failure::{Failure, Kind};
use crate::fs::write_atomic;
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::run_dir;
use crate::runtime::{Runtime, TritonVersion};
use crate::tuner::error::RunError;
use crate::tuner::history::History;
use crate::tuner::open_run::OpenRun;
use crate::tuner::plan::{Incumbent, Plan, Policy};
use crate::tuner::session::{Session, SessionJob, default_evidence, local_gpus};
use crate::tuner::strategy::{Method, StrategySpec};
use crate::tuner::write::WriteError;
use crate::worker::environment::Environment;
use crate::worker::image::Order;

/// The page's name in a run's directory.
const REPORT: &str = "report.html";

/// Carry out `settings`. `cancel` is pulled when the user wants out.
pub async fn run(
    settings: &MoeSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    if let Some(deployment) = settings.deployment.as_ref().filter(|_| !settings.dry_run) {
        deployment.is_possible(&cancel).await?;
    }
    let mut containers = RunContainers::default();
    let ended = match stock::is_for(settings) {
        Ok(true) => stock::run(&mut containers, settings, cancel.clone(), observer, out).await,
        Ok(false) => run_beside(&mut containers, settings, cancel.clone(), observer, out).await,
        Err(error) => Err(error),
    };
    containers.remove(observer).await;
    match (ended?, &settings.deployment) {
        (Ended { verdict: Verdict::Done, run: Some(run) }, Some(deployment)) => {
            deployment.deploy(&run, cancel, out).await
        }
        (Ended { verdict: Verdict::CheckSaidNo, run }, Some(deployment)) => {
            observer.note(not_deployed(run.as_deref(), deployment));
            Ok(Verdict::CheckSaidNo)
        }
        (Ended { verdict, run: _ }, _) => Ok(verdict),
    }
}

/// Why the files of `run` were not deployed, of which a check said no.
fn not_deployed(run: Option<&Path>, deployment: &Deployment) -> String {
    let why = "not deployed, because something unsafe was left out";
    match run {
        Some(run) => format!("{why}; to deploy what is there: {}", deployment.command(run)),
        None => format!("{why} and there is no file"),
    }
}

/// How a command ended that was not stopped.
struct Ended {
    verdict: Verdict,
    /// The directory of the run; none where there is no file in it.
    run: Option<PathBuf>,
}

impl Ended {
    /// Nothing was to be done but to say what would be.
    const DRY: Self = Self { verdict: Verdict::Done, run: None };
}

/// Carry out `settings`, with what is in `containers` once there are some.
async fn run_beside(
    containers: &mut RunContainers,
    settings: &MoeSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> Result<Ended, Box<dyn Failure>> {
    let incumbents =
        settings.incumbents.iter().map(|path| read_incumbent(path)).collect::<Result<Vec<_>, _>>()?;
    let begun = match &settings.destination {
        Destination::Resume(dir) => {
            resume::begin(containers, settings, incumbents, dir, &cancel, observer).await?
        }
        _ => begin(containers, settings, incumbents, &cancel, observer).await?,
    };
    let BegunRun { plan, device, headline, mut dir, environments } = match begun {
        Begun::Dry(dry) => {
            dry_run(&dry, settings, out).map_err(OutputError)?;
            return Ok(Ended::DRY);
        }
        Begun::Run(run) => *run,
    };
    let session = if plan.evidence >= Evidence::Compiled {
        let mut job = SessionJob::of(&plan, &device, &settings.compiler, &settings.measuring);
        job.environments = &environments;
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
    dir.hold_until_exit();
    observer.say(began(settings, &dir));
    introduce(settings, &headline, &plan, &device, out)?;
    let finished = session.run(&plan, &device, &mut dir, observer).await;
    // What is done is kept, whatever stopped the run.
    let finished =
        finished.map_err(|source| Stopped { source, resume: resume_line(dir.path(), settings) })?;
    if plan.evidence >= Evidence::Compiled {
        let history = History::of(&OpenRun::recorded(dir.path())?);
        let race = finished.raced.as_ref().map(|raced| (&finished.selected[..], raced));
        let page = Told { plan: &plan, history: &history, race }.page();
        write_atomic(&dir.path().join(REPORT), page.as_bytes()).map_err(WriteError::Io)?;
    }
    report(settings, &plan, &device, &finished, dir.path(), out)?;
    match &finished.raced {
        Some(raced) if !raced.spent.complete => {
            let left = match raced.decided == finished.selected.len() {
                true => Left::SecondWords,
                false => Left::Decisions,
            };
            let (seconds, resume) = (raced.spent.seconds, resume_line(dir.path(), settings));
            Err(BudgetSpent { seconds, left, resume }.into())
        }
        _ => Ok(Ended { verdict: Verdict::Done, run: Some(dir.path().to_owned()) }),
    }
}

/// What a command that was understood goes on with.
enum Begun {
    /// What it would do.
    Dry(Box<DryRun>),
    /// A run, open.
    Run(Box<BegunRun>),
}

/// A run that can go on.
struct BegunRun {
    plan: Plan,
    device: Device,
    headline: String,
    dir: OpenRun,
    /// Where it compiles, one a node, if they are there already.
    environments: Vec<Environment>,
}

/// A run that begins.
async fn begin(
    containers: &mut RunContainers,
    settings: &MoeSettings,
    incumbents: Vec<Incumbent>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Begun, Box<dyn Failure>> {
    let wanted = tokio::select! {
        wanted = Wanted::look_up(&settings.subject) => wanted?,
        () = cancel.cancelled() => return Err(RunError::Interrupted.into()),
    };
    let name = run_name(&wanted.name(), wanted.tp());
    let path = match &settings.destination {
        Destination::Out(path) | Destination::Resume(path) => path.clone(),
        Destination::Results => Path::new(RESULTS).join(&name),
    };
    let nodes = RunNodes::find(settings, None)?;
    let (unasked, reached) = match nodes {
        Some(nodes) if !settings.dry_run => (None, Some(nodes.reach(cancel, observer).await?)),
        nodes => (nodes, None),
    };
    let evidence = match settings.evidence {
        Some(evidence) => evidence,
        None => {
            let (evidence, tell) = match (&unasked, &reached) {
                (_, Some(reached)) => reached.evidence(&wanted.device, cancel).await?,
                (Some(unasked), None) => unasked.expected_evidence(&wanted.device),
                (None, None) => {
                    let has_python = settings.compiler.environment.python.is_some();
                    default_evidence(&wanted.device, &local_gpus(), has_python)
                }
            };
            if let Some(tell) = tell {
                observer.note(tell);
            }
            evidence
        }
    };
    let owner = owner(&path);
    let order =
        Order { family: Family::Sglang, owner: &owner, gpus: evidence > Evidence::Compiled, again: false };
    let from_nodes = match reached {
        Some(reached) => Some(reached.open(&order, containers, settings, cancel, observer).await?),
        None => None,
    };
    let (runtime, triton) = match &from_nodes {
        Some(FromNodes { target, .. }) => (Some(target.runtime), Some(target.triton)),
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
        let containers = unasked.map(|nodes| nodes.run_lines(&order)).unwrap_or_default();
        return Ok(Begun::Dry(Box::new(DryRun { plan, device, headline, dir: path, containers })));
    }
    let mut environments = Vec::new();
    if let Some(FromNodes { image, environments: made, target: _ }) = from_nodes {
        (plan.image, environments) = (image, made);
    }
    let dir = match &settings.destination {
        Destination::Results => OpenRun::start_at(&run_dir::Place::Below(RESULTS.into()), &name, &plan)?,
        _ => OpenRun::start(&path, &plan)?,
    };
    Ok(Begun::Run(Box::new(BegunRun { plan, device, headline, dir, environments })))
}

/// What the user's own installation decides, where one was named and something is to be compiled in it.
async fn installed(
    settings: &MoeSettings,
    evidence: Evidence,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<(Option<Runtime>, Option<TritonVersion>), Box<dyn Failure>> {
    let own = &settings.compiler.environment;
    if settings.image.is_some() || settings.cluster.is_some() || evidence < Evidence::Compiled {
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
#[error("the budget is spent after {seconds:.0} s of measuring: {left}")]
struct BudgetSpent {
    seconds: f64,
    left: Left,
    resume: String,
}

/// What a budget left undone.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// Batch sizes to decide.
    Decisions,
    /// A second node to ask about what is decided.
    SecondWords,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Left::Decisions => {
                "batch sizes not decided yet keep the runtime's default, or have what led where that cannot run"
            }
            Left::SecondWords => {
                "every batch size is decided, and what no second node has confirmed stands on one"
            }
        })
    }
}

impl Failure for BudgetSpent {
    fn kind(&self) -> Kind {
        Kind::Incomplete
    }

    fn hint(&self) -> Option<String> {
        Some(format!("go on with: {}", self.resume))
    }
}

/// The command that goes on with the run in `dir`, on the nodes that `settings` mean.
fn resume_line(dir: &Path, settings: &MoeSettings) -> String {
    let cluster = settings.cluster.as_ref().map(|file| format!(" --cluster '{}'", file.display()));
    format!("sparktune moe --resume '{}'{}", dir.display(), cluster.unwrap_or_default())
}

/// A run that stopped.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
struct Stopped {
    source: RunError,
    resume: String,
}

impl Failure for Stopped {
    fn kind(&self) -> Kind {
        self.source.kind()
    }

    fn hint(&self) -> Option<String> {
        let resume = match self.kind() {
            Kind::Interrupted | Kind::Incomplete | Kind::Environment => {
                Some(format!("go on with: {}", self.resume))
            }
            Kind::Input | Kind::CheckFailed => None,
        };
        let hints: Vec<String> = self.source.hint().into_iter().chain(resume).collect();
        (!hints.is_empty()).then(|| hints.join("; "))
    }
}
