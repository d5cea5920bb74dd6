//! How a run of the stock tuner begins, or goes on: what is tuned, by which script, where.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::nodes::{RunContainers, RunNodes, owner};
use super::super::settings::{Destination, MoeSettings, RESULTS, run_name};
use super::asked::NotForTuner;
use super::output::StockDryRun;
use super::places::{Places, Sought, here, on_nodes};
use super::script_source::given;
use crate::cluster::installed::Family;
use crate::commands::tune::subject::{Wanted, devices, headline};
use crate::device::Device;
use crate::events::Observer;
use crate::failure::Failure;
use crate::host::{Here, HostPath};
use crate::journal::{FILE_NAME, JournalError};
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::model::{FusionChoice, Parallelism};
use crate::run_dir;
use crate::runtime::Runtime;
use crate::tuner::error::RunError;
use crate::tuner::open_run::RunOf;
use crate::tuner::plan::{PlannedDevice, PlannedModel};
use crate::tuner::requested_plan::RequestedPlan;
use crate::tuner::stock::asked::Asked;
use crate::tuner::stock::model_argument::ModelArgument;
use crate::tuner::stock::order::{ScriptPlace, order};
use crate::tuner::stock::own_tuner::OwnTuner;
use crate::tuner::stock::plan::{StockPlan, StockTuner};
use crate::tuner::stock::record::StockRecord;
use crate::tuner::stock::run::StockNode;
use crate::tuner::stock::script::{Options, ScriptIdentity};
use crate::worker::image::Order;

/// How long a process may write nothing. The script writes a line a config; one that compiles badly takes minutes
/// (70 s were seen on a GB10).
pub(super) const SILENCE: Duration = Duration::from_secs(30 * 60);

/// What a command that was understood goes on with.
pub(super) enum Begun {
    /// What it would do.
    Dry(Box<StockDryRun>),
    /// A run, open.
    Run(Box<BegunRun>),
}

/// A run that can go on.
pub(super) struct BegunRun {
    pub(super) plan: StockPlan,
    pub(super) device: Device,
    pub(super) headline: String,
    pub(super) dir: RunOf<StockRecord>,
    pub(super) nodes: Vec<StockNode>,
    /// Where the script is, for people.
    pub(super) script: String,
}

/// A run that begins.
pub(super) async fn begin(
    containers: &mut RunContainers,
    settings: &MoeSettings,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Begun, Box<dyn Failure>> {
    // SGLang's releases have one script.
    let runtime = settings.subject.runtime.unwrap_or(Runtime::Sglang054);
    let tuner = OwnTuner::of(runtime);
    // Read before anything is made: what the user named must be there.
    let script = settings.stock.script.as_deref().map(|path| given(path, tuner)).transpose()?;
    let looked = cancel.run_until_cancelled(Wanted::look_up(&settings.subject)).await;
    let wanted = looked.ok_or(RunError::Interrupted)??;
    let (config, id) = wanted.config().ok_or(NotForTuner::NoModel)?;
    let model_argument = ModelArgument::of(config.document(), config.origin(), id.as_deref())?;
    if model_argument.has_own_code() {
        observer.note(format!(
            "{} has code of the model's own (`auto_map`): the script fetches it and runs it",
            config.origin()
        ));
    }
    if model_argument.is_cut(tuner) {
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
        return Err(NotForTuner::Nowhere { runtime: tuner.runtime }.into());
    }
    let owner = owner(&path);
    let made = Order { family: Family::of(runtime), owner: &owner, gpus: true, again: false };
    let said_path = script.as_ref().map(|found| found.path.clone());
    let release = settings.stock.vllm.clone();
    let may_wait = settings.measuring.wait.is_some();
    let sought =
        Sought { tuner, release: release.as_ref(), device: &wanted.device, given: script.as_ref(), may_wait };
    let (places, lines) = match nodes {
        Some(nodes) if settings.dry_run => (None, nodes.run_lines(&made)),
        Some(nodes) => {
            let reached = nodes.reach(cancel, observer).await?;
            let opened = reached.open(&made, containers, settings, cancel, observer).await?;
            (Some(on_nodes(opened, sought, cancel, observer).await?), Vec::new())
        }
        None => {
            let python = python.ok_or(NotForTuner::Nowhere { runtime: tuner.runtime })?;
            let said = (settings.subject.runtime, settings.subject.triton);
            let here = here(python, sought, said, observer);
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
    let unknown = || (ScriptIdentity { sha256: String::new(), helper_sha256: None }, Options::newest(tuner));
    let (identity, options) = known.unwrap_or_else(unknown);
    let split = subject.geometry.parallelism;
    let asked = Asked {
        model: &model_argument,
        tp: split.tp(),
        ep: split.ep(),
        quantization: &subject.geometry.shape.quantization,
        no_fusion: settings.subject.fusion == FusionChoice::Off,
        device: &subject.device.file_name(),
    };
    let arguments = asked.arguments(tuner, &options)?;
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
        release,
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
pub(super) async fn resume(
    containers: &mut RunContainers,
    settings: &MoeSettings,
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
    if let Some(now) = settings.stock.vllm.as_ref().filter(|now| plan.release.as_ref() != Some(now)) {
        let was = plan.release.as_ref().map_or("none".to_owned(), ToString::to_string);
        let (path, field) = (dir.join(FILE_NAME), "release".to_owned());
        return Err(JournalError::OtherPlan { path, field, was, now: now.to_string() }.into());
    }
    let tuner = OwnTuner::of(plan.target.runtime);
    let script = settings.stock.script.as_deref().or(plan.script_path.as_deref().map(Path::new));
    let script = script.map(|path| given(path, tuner)).transpose()?;
    let python = match (&settings.image, &settings.cluster) {
        (None, None) => own_python.clone().or(plan.python.clone().map(PathBuf::from)),
        _ => None,
    };
    let recorded = plan.image.as_ref().map(|image| image.id.as_str());
    let nodes = RunNodes::find(settings, recorded)?;
    let split = Parallelism::new(plan.model.tp, plan.model.ep)?;
    let headline = headline(&plan.model.name, split, &plan.shape, &device);
    let owner = owner(dir);
    let made = Order { family: Family::of(plan.target.runtime), owner: &owner, gpus: true, again: true };
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
    let may_wait = settings.measuring.wait.is_some();
    let sought =
        Sought { tuner, release: plan.release.as_ref(), device: &device, given: script.as_ref(), may_wait };
    let places = match (nodes, python) {
        (Some(nodes), _) => {
            let reached = nodes.reach(cancel, observer).await?;
            let opened = reached.open(&made, containers, settings, cancel, observer).await?;
            on_nodes(opened, sought, cancel, observer).await?
        }
        (None, Some(python)) => {
            let said = (Some(plan.target.runtime), Some(plan.target.triton));
            let here = here(&python, sought, said, observer);
            cancel.run_until_cancelled(here).await.ok_or(RunError::Interrupted)??
        }
        (None, None) => return Err(NotForTuner::Nowhere { runtime: tuner.runtime }.into()),
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

fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

/// What a run would do, with its processes: of the script at `place`, or of the one that an image turns out to have.
fn dry(settings: &MoeSettings, mut dry: StockDryRun, place: Option<(HostPath, ScriptPlace)>) -> Begun {
    let file = OwnTuner::of(dry.plan.target.runtime).file;
    let of_image = || (HostPath::new("python3"), ScriptPlace::There(file.to_owned()));
    let (python, place) = place.unwrap_or_else(of_image);
    let silence = settings.stock.silence.unwrap_or(SILENCE);
    // The largest first, as they are run.
    let sizes = dry.plan.batch_sizes.iter().rev();
    let line = |size: &u32| order(&dry.plan, *size, python.as_str(), &place, silence).as_shell(&Here::new());
    dry.processes = sizes.map(line).collect();
    Begun::Dry(Box::new(dry))
}
