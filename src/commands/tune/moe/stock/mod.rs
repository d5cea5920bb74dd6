//! `sparktune moe --tuner stock`: SGLang's own tuner, one process a batch size, on one node or all of a cluster.

mod gpu;
mod output;
mod script_source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::gpu::{has_device, having_device};
use self::output::{StockDryRun, dry_run, introduce, report};
use self::script_source::{Found, given, same, there};
use super::nodes::{FromNodes, RunContainers, RunNodes, owner};
use super::settings::{Destination, MoeSettings, RESULTS, Tuner, run_name};
use super::{Ended, Stopped, resume_line};
use crate::cluster::installed::probe;
use crate::commands::tune::installation::{Installation, Named};
use crate::commands::tune::subject::{Wanted, devices, headline};
use crate::commands::{Output, OutputError, Verdict};
use crate::device::Device;
use crate::events::{Observer, RunEvent};
use crate::failure::{Failure, Kind};
use crate::host::{Here, Host, HostPath, Variable};
use crate::host_name::HostName;
use crate::journal::{FILE_NAME, JournalError};
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::model::{ByHand, FusionChoice, Parallelism};
use crate::run_dir;
use crate::runtime::{Runtime, Target, TritonVersion};
use crate::tuner::error::RunError;
use crate::tuner::open_run::RunOf;
use crate::tuner::plan::{PlannedDevice, PlannedImage, PlannedModel};
use crate::tuner::requested_plan::RequestedPlan;
use crate::tuner::session::local_gpus;
use crate::tuner::stock::model_argument::ModelArgument;
use crate::tuner::stock::order::{ScriptPlace, order};
use crate::tuner::stock::plan::{StockPlan, StockTuner};
use crate::tuner::stock::record::StockRecord;
use crate::tuner::stock::run::{self, StockFinished, StockJob, StockNode};
use crate::tuner::stock::script::{Asked, FILE, Options, ScriptIdentity};
use crate::worker::image::Order;

/// How long a process may write nothing. The script writes a line a config; one that compiles badly takes minutes
/// (70 s were seen on a GB10).
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// What cannot be asked of a tuner.
#[derive(Debug, thiserror::Error)]
enum NotForTuner {
    /// The race alone.
    #[error("{0} is for this program's own race, and the stock tuner takes none")]
    RaceOnly(&'static str),
    /// The stock tuner alone.
    #[error("{0} is for --tuner stock")]
    StockOnly(&'static str),
    /// A layer that its script cannot be told of.
    #[error("the stock tuner reads the layer in the model's config.json: {0} says nothing to it")]
    ByHand(&'static str),
    /// No model at all.
    #[error("the stock tuner needs --model: it reads the layer in the model's config.json")]
    NoModel,
    /// Nowhere to run.
    #[error("the stock tuner runs where SGLang is, and nothing says where that is")]
    Nowhere,
}

impl Failure for NotForTuner {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        matches!(self, Self::Nowhere).then(|| {
            "name an --image, a --cluster, or with --python the interpreter of this machine that SGLang is in".into()
        })
    }
}

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

/// Whether `settings` are for the stock tuner; of a run that goes on its journal says so.
pub(super) fn is_for(settings: &MoeSettings) -> Result<bool, Box<dyn Failure>> {
    let stock = match &settings.destination {
        Destination::Resume(dir) => {
            let recorded = StockPlan::is_of(dir)?;
            let said = settings.tuner.map(|tuner| tuner == Tuner::Stock);
            if let Some(said) = said.filter(|said| *said != recorded) {
                let word = |stock| if stock { "stock" } else { "race" }.to_owned();
                let path = dir.join(FILE_NAME);
                let field = "tuner".to_owned();
                return Err(
                    JournalError::OtherPlan { path, field, was: word(recorded), now: word(said) }.into()
                );
            }
            recorded
        }
        _ => settings.tuner == Some(Tuner::Stock),
    };
    if !stock {
        let said = [
            ("--stock-script", settings.stock.script.is_some()),
            ("--stock-silence", settings.stock.silence.is_some()),
        ];
        return match said.into_iter().find(|(_, said)| *said) {
            Some((flag, _)) => Err(NotForTuner::StockOnly(flag).into()),
            None => Ok(false),
        };
    }
    let limits = &settings.measuring.limits;
    let ByHand { experts, intermediate, hidden, top_k, gated: _, dtype: _, block_shape, per_channel: _ } =
        &settings.subject.by_hand;
    let of_race = [
        ("--policy", settings.policy.is_some()),
        ("--evidence", settings.evidence.is_some()),
        ("--incumbent", !settings.incumbents.is_empty()),
        ("--budget", limits.budget_s.is_some()),
        ("--strict", limits.strict),
        ("--wait", settings.measuring.wait.is_some()),
        ("--jobs", settings.compiler.jobs.is_some()),
    ];
    let by_hand = [
        ("--experts", experts.is_some()),
        ("--intermediate", intermediate.is_some()),
        ("--hidden", hidden.is_some()),
        ("--top-k", top_k.is_some()),
        ("--block-shape", block_shape.is_some()),
    ];
    if let Some((flag, _)) = of_race.into_iter().find(|(_, said)| *said) {
        return Err(NotForTuner::RaceOnly(flag).into());
    }
    match by_hand.into_iter().find(|(_, said)| *said) {
        Some((flag, _)) => Err(NotForTuner::ByHand(flag).into()),
        None => Ok(true),
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
    // Read before anything is made: what the user named must be there.
    let script = settings.stock.script.as_deref().map(given).transpose()?;
    let begun = match &settings.destination {
        Destination::Resume(dir) => resume(containers, settings, script, dir, &cancel, observer).await?,
        _ => begin(containers, settings, script, &cancel, observer).await?,
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
    let job = StockJob { plan: &plan, device: &device, dir: &mut dir, nodes, silence, cancel, observer };
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

/// What a command that was understood goes on with.
enum Begun {
    /// What it would do.
    Dry(Box<StockDryRun>),
    /// A run, open.
    Run(Box<BegunRun>),
}

/// A run that can go on.
struct BegunRun {
    plan: StockPlan,
    device: Device,
    headline: String,
    dir: RunOf<StockRecord>,
    nodes: Vec<StockNode>,
    /// Where the script is, for people.
    script: String,
}

/// What the places that work for a run have in common, and each of them.
struct Places {
    nodes: Vec<StockNode>,
    identity: ScriptIdentity,
    options: Options,
    script: String,
    target: (Option<Runtime>, Option<TritonVersion>),
    image: Option<PlannedImage>,
}

/// A run that begins.
async fn begin(
    containers: &mut RunContainers,
    settings: &MoeSettings,
    script: Option<Found>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Begun, Box<dyn Failure>> {
    let looked = cancel.run_until_cancelled(Wanted::look_up(&settings.subject)).await;
    let wanted = looked.ok_or(RunError::Interrupted)??;
    let (config, id) = wanted.config().ok_or(NotForTuner::NoModel)?;
    let model_argument = ModelArgument::of(config.document(), config.origin(), id.as_deref())?;
    if model_argument.is_cut() {
        observer.note(format!(
            "config_groups of {} is left out for the script: it takes their group_size, which is none, for a block's \
             side",
            config.origin()
        ));
    }
    let name = run_name(&wanted.name(), wanted.tp());
    let path = match &settings.destination {
        Destination::Out(path) | Destination::Resume(path) => path.clone(),
        Destination::Results => Path::new(RESULTS).join(&name),
    };
    let python = settings.compiler.environment.python.as_deref();
    let nodes = RunNodes::find(settings, None)?;
    if nodes.is_none() && python.is_none() {
        return Err(NotForTuner::Nowhere.into());
    }
    let owner = owner(&path);
    let made = Order { owner: &owner, gpus: true, again: false };
    let said_path = script.as_ref().map(|found| found.path.clone());
    let (places, lines) = match nodes {
        Some(nodes) if settings.dry_run => (None, nodes.run_lines(&made)),
        Some(nodes) => {
            let reached = nodes.reach(cancel, observer).await?;
            let opened = reached.open(&made, containers, settings, cancel, observer).await?;
            let found = script.as_ref();
            (Some(on_nodes(opened, &wanted.device, found, cancel, observer).await?), Vec::new())
        }
        None => {
            let python = python.ok_or(NotForTuner::Nowhere)?;
            let said = (settings.subject.runtime, settings.subject.triton);
            let here = here(python, &wanted.device, script.as_ref(), said, observer);
            let here = cancel.run_until_cancelled(here).await.ok_or(RunError::Interrupted)?;
            (Some(here?), Vec::new())
        }
    };
    let target = places.as_ref().map_or((None, None), |places| places.target);
    let subject = wanted.on(target.0, target.1)?;
    for warning in &subject.geometry.warnings {
        observer.note(warning.to_string());
    }
    let known = match (&places, &script) {
        (Some(places), _) => Some((places.identity.clone(), places.options.clone())),
        (None, Some(found)) => Some((found.script.identity.clone(), found.script.options.clone())),
        (None, None) => None,
    };
    let script_known = known.is_some();
    // Of a script that nobody has looked at, its newest revision's.
    let unknown = || (ScriptIdentity { sha256: String::new(), helper_sha256: None }, Options::newest());
    let (identity, options) = known.unwrap_or_else(unknown);
    let split = subject.geometry.parallelism;
    let arguments = options.arguments(&Asked {
        model: &model_argument,
        tp: split.tp(),
        ep: split.ep(),
        quantization: &subject.geometry.shape.quantization,
        no_fusion: settings.subject.fusion == FusionChoice::Off,
    })?;
    let headline = subject.headline();
    let device = subject.device;
    let plan = StockPlan {
        tuner: StockTuner::Stock,
        model: PlannedModel {
            name: subject.name,
            architecture: subject.geometry.architecture,
            tp: split.tp(),
            ep: split.ep(),
        },
        shape: subject.geometry.shape,
        device: PlannedDevice {
            id: device.id.clone(),
            name: device.name.clone(),
            shared_memory_per_block: device.shared_memory_per_block,
        },
        target: subject.target,
        batch_sizes: settings.batch_sizes.clone().unwrap_or_else(|| STANDARD_BATCH_SIZES.to_vec()),
        image: places.as_ref().and_then(|places| places.image.clone()),
        script: identity,
        script_path: said_path.as_deref().map(absolute),
        python: python
            .filter(|_| lines.is_empty() && settings.image.is_none() && settings.cluster.is_none())
            .map(|python| python.display().to_string()),
        model_argument,
        arguments,
    };
    if settings.dry_run {
        let place = match (&places, script) {
            (Some(places), _) => places.nodes.first().map(|node| (node.python.clone(), node.place.clone())),
            (None, found) => found.map(|found| (HostPath::new("python3"), found.place)),
        };
        return Ok(dry(
            settings,
            StockDryRun {
                plan,
                device,
                headline,
                dir: path,
                containers: lines,
                processes: Vec::new(),
                script_known,
            },
            place,
        ));
    }
    let places = places.ok_or(RunError::NobodyLeft)?;
    let dir = match &settings.destination {
        Destination::Results => RunOf::start_at(&run_dir::Place::Below(RESULTS.into()), &name, &plan)?,
        _ => RunOf::start(&path, &plan)?,
    };
    let Places { nodes, script, .. } = places;
    Ok(Begun::Run(Box::new(BegunRun { plan, device, headline, dir, nodes, script })))
}

/// The run in `dir`, which goes on.
async fn resume(
    containers: &mut RunContainers,
    settings: &MoeSettings,
    script: Option<Found>,
    dir: &Path,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Begun, Box<dyn Failure>> {
    let plan = StockPlan::recorded(dir)?;
    let devices = devices(settings.subject.profiles.as_deref())?;
    let device = devices.find(&plan.device.id)?.clone();
    let asked_device = settings.subject.device.as_ref().map(|asked| devices.find(asked)).transpose()?;
    let own_python = &settings.compiler.environment.python;
    let no_image = settings.cluster.is_some() || (settings.image.is_none() && own_python.is_some());
    let said = RequestedPlan {
        model: settings.subject.model.clone(),
        tp: settings.subject.tp,
        ep: settings.subject.ep,
        device: asked_device.map(|device| device.id.clone()),
        shared_memory_per_block: Some(device.shared_memory_per_block),
        runtime: settings.subject.runtime,
        triton: settings.subject.triton,
        batch_sizes: settings.batch_sizes.clone(),
        // A cluster's nodes have the image that the inventory says; an interpreter of this machine is in none.
        image: no_image.then_some(None),
        ..RequestedPlan::default()
    };
    said.hold_against_subject(&plan.subject(), dir)?;
    let script = match (script, &plan.script_path) {
        (Some(found), _) => Some(found),
        (None, Some(path)) => Some(given(Path::new(path))?),
        (None, None) => None,
    };
    let python = match (&settings.image, &settings.cluster) {
        (None, None) => own_python.clone().or(plan.python.clone().map(PathBuf::from)),
        _ => None,
    };
    let recorded = plan.image.as_ref().map(|image| image.id.as_str());
    let nodes = RunNodes::find(settings, recorded)?;
    let split = Parallelism::new(plan.model.tp, plan.model.ep)?;
    let headline = headline(&plan.model.name, split, &plan.shape, &device);
    let owner = owner(dir);
    let made = Order { owner: &owner, gpus: true, again: true };
    if settings.dry_run {
        let lines = nodes.map(|nodes| nodes.run_lines(&made)).unwrap_or_default();
        let python = python.map_or("python3".to_owned(), |python| python.display().to_string());
        let place = script.map(|found| (HostPath::new(python), found.place));
        let dir = dir.to_owned();
        return Ok(dry(
            settings,
            StockDryRun {
                plan,
                device,
                headline,
                dir,
                containers: lines,
                processes: Vec::new(),
                script_known: true,
            },
            place,
        ));
    }
    // Locked before anything of the run is touched.
    let open = RunOf::resume(dir, &plan)?;
    let places = match (nodes, python) {
        (Some(nodes), _) => {
            let reached = nodes.reach(cancel, observer).await?;
            let opened = reached.open(&made, containers, settings, cancel, observer).await?;
            on_nodes(opened, &device, script.as_ref(), cancel, observer).await?
        }
        (None, Some(python)) => {
            let said = (Some(plan.target.runtime), Some(plan.target.triton));
            let here = here(&python, &device, script.as_ref(), said, observer);
            cancel.run_until_cancelled(here).await.ok_or(RunError::Interrupted)??
        }
        (None, None) => return Err(NotForTuner::Nowhere.into()),
    };
    let Places { nodes, identity, options: _, script, target: (runtime, triton), image } = places;
    let found = RequestedPlan { runtime, triton, image: image.map(Some), ..RequestedPlan::default() };
    found.hold_against_subject(&plan.subject(), dir)?;
    if identity != plan.script {
        let differs = |field: &str, was: &Option<String>, now: &Option<String>| {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            let (path, field) = (dir.join(FILE_NAME), format!("script.{field}"));
            (was != now).then(|| JournalError::OtherPlan { path, field, was: text(was), now: text(now) })
        };
        let (was, now) = (plan.script.clone(), identity);
        let first = differs("sha256", &Some(was.sha256), &Some(now.sha256));
        if let Some(error) = first.or(differs("helper_sha256", &was.helper_sha256, &now.helper_sha256)) {
            return Err(error.into());
        }
    }
    Ok(Begun::Run(Box::new(BegunRun { plan, device, headline, dir: open, nodes, script })))
}

/// Those of the nodes that have the device, and the script on each.
async fn on_nodes(
    opened: FromNodes,
    device: &Device,
    given: Option<&Found>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Places, Box<dyn Failure>> {
    let FromNodes { environments, target, image } = opened;
    let asking = having_device(environments, device, observer);
    let environments = cancel.run_until_cancelled(asking).await.ok_or(RunError::Interrupted)??;
    let mut nodes = Vec::new();
    let mut first: Option<(HostName, Found)> = None;
    for environment in environments {
        let host = environment.starter.host;
        let name = host.name().clone();
        let looked = place(&*host, Some(&environment.sglang_root), given);
        let found = cancel.run_until_cancelled(looked).await.ok_or(RunError::Interrupted)??;
        if let Some((first, ours)) = &first {
            same((first, &ours.script.identity), (&name, &found.script.identity))?;
        }
        let python = environment.starter.python;
        let plain = |(name, variable): (String, Variable)| match variable {
            Variable::Set(value) => Some((name, value)),
            Variable::Unset | Variable::Secret(_) => None,
        };
        let variables = environment.starter.variables.into_iter().filter_map(plain).collect();
        nodes.push(StockNode { name: name.clone(), host, python, place: found.place.clone(), variables });
        first.get_or_insert((name, found));
    }
    let (_, Found { script, place: _, path }) = first.ok_or(RunError::NobodyLeft)?;
    let Target { runtime, triton } = target;
    let target = (Some(runtime), Some(triton));
    Ok(Places { nodes, identity: script.identity, options: script.options, script: path, target, image })
}

/// This machine's interpreter, and its script.
async fn here(
    python: &Path,
    device: &Device,
    given: Option<&Found>,
    said: (Option<Runtime>, Option<TritonVersion>),
    observer: &mut dyn Observer,
) -> Result<Places, Box<dyn Failure>> {
    let installation = Installation::find(Named { python: Some(python), sglang_root: None }).await;
    let target = installation.decide(said, observer)?;
    let python = HostPath::try_from(python)?;
    let host = Here::new();
    has_device(host.name(), &local_gpus(), device)?;
    let installed = probe(&host, &python).await?;
    let package = installed.folder("sglang").and_then(|folder| folder.as_str().rsplit_once('/'));
    let root = package.map(|(above, _)| HostPath::new(above));
    let Found { script, place, path } = place(&host, root.as_ref(), given).await?;
    let name = host.name().clone();
    let nodes = vec![StockNode { name, host: Arc::new(host), python, place, variables: BTreeMap::new() }];
    Ok(Places {
        nodes,
        identity: script.identity,
        options: script.options,
        script: path,
        target,
        image: None,
    })
}

/// The script for a node: the one that was given, or its own.
async fn place(
    host: &dyn Host,
    root: Option<&HostPath>,
    given: Option<&Found>,
) -> Result<Found, script_source::NoScript> {
    match given {
        Some(Found { script, place, path }) => {
            Ok(Found { script: script.clone(), place: place.clone(), path: path.clone() })
        }
        None => there(host, root).await,
    }
}

fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

/// What a run would do, with its processes: of the script at `place`, or of the one that an image turns out to have.
fn dry(settings: &MoeSettings, mut dry: StockDryRun, place: Option<(HostPath, ScriptPlace)>) -> Begun {
    let of_image = || (HostPath::new("python3"), ScriptPlace::There(FILE.to_owned()));
    let (python, place) = place.unwrap_or_else(of_image);
    let silence = settings.stock.silence.unwrap_or(SILENCE);
    // The largest first, as they are run.
    let sizes = dry.plan.batch_sizes.iter().rev();
    let line = |size: &u32| order(&dry.plan, *size, python.as_str(), &place, silence).as_shell(&Here::new());
    dry.processes = sizes.map(line).collect();
    Begun::Dry(Box::new(dry))
}
