//! Literal arguments -> settings. Each structure is taken apart whole, so that a new flag cannot be
//! forgotten here without the compiler saying so.

mod cluster;

use std::path::PathBuf;
use std::time::Duration;

use self::cluster::place;
pub(super) use self::cluster::{deploy, doctor, image, init, nodes};
use super::args::{
    CheckArgs, CompilerArgs, EvidenceArg, FormatArg, Fusion, MeasuringArgs, MergeArgs, ModelArgs, MoeArgs,
    PlanArgs, PolicyArg, PublishArgs, RecordArgs, ReplayArgs, ReportArgs, SetupArgs, SpaceArgs, StrategyArg,
    TargetArgs, TruthArg, TunerArg, WatchArgs,
};
use crate::artifact::Evidence;
use crate::commands::tune::check::CheckSettings;
use crate::commands::tune::deploy::PlaceChoice;
use crate::commands::tune::init::BadNode;
use crate::commands::tune::merge::MergeSettings;
use crate::commands::tune::moe::{Deployment, Destination, MoeSettings, StockSettings, Tuner};
use crate::commands::tune::plan::PlanSettings;
use crate::commands::tune::publish::PublishSettings;
use crate::commands::tune::record::RecordSettings;
use crate::commands::tune::replay::{ReplaySettings, TableSource};
use crate::commands::tune::report::ReportSettings;
use crate::commands::tune::space::{self, SpaceSettings};
use crate::commands::tune::subject::SubjectSettings;
use crate::commands::tune::subject::devices;
use crate::commands::tune::watch::WatchSettings;
use crate::device::DeviceCatalogue;
use crate::failure::{Failure, Kind};
use crate::host::container_spec::BadContainerValue;
use crate::host::engine::BadImageName;
use crate::host_name::BadHostName;
use crate::model::{ByHand, FusionChoice};
use crate::runtime::{BadTritonVersion, Runtime, Target, TritonVersion, UnknownRuntime, VllmVersion};
use crate::shape::{BadBlockShape, UnknownDtype};
use crate::tuner::plan::{BadBatchSizes, Policy, parse_batch_sizes};
use crate::tuner::replay::Disturbance;
use crate::tuner::search::Limits;
use crate::tuner::session::{CompilerSettings, MeasuringSettings};
use crate::tuner::strategy::Method;
use crate::tuner::table::Statistic;
use crate::worker::environment;

/// An argument that cannot be right, with the flag it was given to.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadArgument {
    /// `--dtype`.
    #[error("--dtype: {0}")]
    Dtype(#[from] UnknownDtype),
    /// A place for files that go nowhere.
    #[error(
        "--container, --virtualenv and --host-dir say where --deploy brings the files, and it is not given"
    )]
    NothingGoesThere,
    /// `--block-shape`.
    #[error("--block-shape: {0}")]
    BlockShape(#[from] BadBlockShape),
    /// `--sglang` or `--for`.
    #[error(transparent)]
    Runtime(#[from] UnknownRuntime),
    /// `--vllm`.
    #[error("--vllm: {0}")]
    Vllm(UnknownRuntime),
    /// `--triton`.
    #[error("--triton: {0}")]
    Triton(#[from] BadTritonVersion),
    /// `--triton`, where something is to be made for it.
    #[error("--triton: unknown Triton {0}; known: {list} (what a tile takes was held against these)", list = known_tritons())]
    UnknownTriton(TritonVersion),
    /// `--batch-sizes`.
    #[error("--batch-sizes: {0}")]
    BatchSizes(#[from] BadBatchSizes),
    /// `--jobs`.
    #[error("--jobs: 0 compilations at a time finish nothing; give 1 or more")]
    NoJobs,
    /// `--compile-timeout`.
    #[error("--compile-timeout: 0 seconds is too short for any compilation")]
    NoTime,
    /// `--budget`, `--wait`, `--stock-silence`.
    #[error("{flag}: `{text}` is no time; give one such as 90s, 10m or 1h30m")]
    Time {
        /// Which one.
        flag: &'static str,
        /// What was given.
        text: String,
    },
    /// A disturbance that no machine has.
    #[error("{flag}: {value} is not {accepted}")]
    Disturbance {
        /// Which one.
        flag: &'static str,
        /// What was given.
        value: f64,
        /// What can be given.
        accepted: &'static str,
    },
    /// `--node`.
    #[error("--node: {0}")]
    Node(#[from] BadNode),
    /// `--head`.
    #[error("--head: {0}")]
    Head(#[from] BadHostName),
    /// `--set`, where it is no assignment.
    #[error("--set: `{0}` is not NAME=VALUE")]
    NoAssignment(String),
    /// `--node` of `nodes`.
    #[error("--node: {0}")]
    NodeName(BadHostName),
    /// `IMAGE` of `image`.
    #[error("IMAGE: {0}")]
    Image(#[from] BadImageName),
    /// `--from` of `image sync`.
    #[error("--from: {0}")]
    From(BadHostName),
    /// `--tag` of `image build`.
    #[error("--tag: {0}")]
    Tag(BadImageName),
    /// `--on` of `image build`.
    #[error("--on: {0}")]
    On(BadHostName),
    /// `--virtualenv`, `--host-dir`.
    #[error("{option}: {error}")]
    NodePath {
        /// Which of them.
        option: &'static str,
        /// What is wrong with it.
        error: BadContainerValue,
    },
    /// There is no home to put a cache into.
    #[error("no cache folder: neither --cache, XDG_CACHE_HOME nor HOME says where")]
    NoCache,
}

impl Failure for BadArgument {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

type Checked<T> = Result<T, BadArgument>;

pub(super) fn moe(args: MoeArgs) -> Checked<MoeSettings> {
    let MoeArgs {
        model,
        target,
        compiler,
        image,
        cluster,
        evidence,
        incumbent,
        measuring,
        tuner,
        vllm,
        stock_script,
        stock_silence,
        policy,
        batch_sizes,
        out,
        resume,
        deploy,
        dry_run,
        json,
        place,
    } = args;
    let offline = model.offline;
    let deployment = match (deploy, self::place(place)?, &cluster) {
        (true, place, Some(cluster)) => Some(Deployment {
            cluster: cluster.clone(),
            place: place.unwrap_or(PlaceChoice::Inventory),
            profiles: model.profiles.clone(),
            json,
        }),
        (false, Some(_), _) => return Err(BadArgument::NothingGoesThere),
        _ => None,
    };
    let vllm: Option<VllmVersion> = vllm.as_deref().map(str::parse).transpose().map_err(BadArgument::Vllm)?;
    let mut subject = subject(model, target)?;
    subject.runtime = vllm.as_ref().map(|_| Runtime::Vllm).or(subject.runtime);
    Ok(MoeSettings {
        subject,
        evidence: evidence.map(|evidence| match evidence {
            EvidenceArg::Predicted => Evidence::Predicted,
            EvidenceArg::Compiled => Evidence::Compiled,
            EvidenceArg::Confirmed => Evidence::Confirmed,
        }),
        policy: policy.map(|policy| match policy {
            PolicyArg::RuntimeDefault => Policy::RuntimeDefault,
            PolicyArg::BestPredicted => Policy::BestPredicted,
        }),
        measuring: self::measuring(measuring)?,
        incumbents: incumbent,
        batch_sizes: batch_sizes.as_deref().map(parse_batch_sizes).transpose()?,
        compiler: match image.is_some() || cluster.is_some() {
            true => self::compiler(compiler, offline, |_| None)?,
            false => self::compiler(compiler, offline, variable)?,
        },
        image,
        cluster,
        tuner: tuner.map(|tuner| match tuner {
            TunerArg::Race => Tuner::Race,
            TunerArg::Stock => Tuner::Stock,
        }),
        stock: StockSettings {
            vllm,
            script: stock_script,
            silence: stock_silence.as_deref().map(|text| span("--stock-silence", text)).transpose()?,
        },
        destination: match (out, resume) {
            (_, Some(dir)) => Destination::Resume(dir),
            (Some(dir), None) => Destination::Out(dir),
            (None, None) => Destination::Results,
        },
        deployment,
        dry_run,
        json,
    })
}

pub(super) fn plan(args: PlanArgs) -> Checked<PlanSettings> {
    let PlanArgs { model, target, batch_sizes, python, nodes, json } = args;
    let batch_sizes = batch_sizes.as_deref().map(parse_batch_sizes).transpose()?;
    Ok(PlanSettings { subject: subject(model, target)?, batch_sizes, python, nodes, json })
}

pub(super) fn space(args: SpaceArgs) -> Checked<SpaceSettings> {
    let SpaceArgs { model, target, distinct, format, json } = args;
    let format = match format {
        _ if json => space::Format::Json,
        FormatArg::Table => space::Format::Table,
        FormatArg::Csv => space::Format::Csv,
        FormatArg::Json => space::Format::Json,
    };
    Ok(SpaceSettings { subject: subject(model, target)?, distinct, format })
}

pub(super) fn check(args: CheckArgs) -> Checked<CheckSettings> {
    let CheckArgs { paths, device, runtime, triton, compile, compiler, profiles, offline, verbose, json } =
        args;
    let compiler = self::compiler(compiler, offline, variable)?;
    Ok(CheckSettings {
        paths,
        device,
        runtime: runtime.as_deref().map(str::parse).transpose()?,
        triton: self::triton(triton)?,
        compile: compile.then_some(compiler),
        profiles,
        verbose,
        json,
    })
}

pub(super) fn report(args: ReportArgs) -> Result<(ReportSettings, DeviceCatalogue), Box<dyn Failure>> {
    let ReportArgs { run, html, json, profiles } = args;
    Ok((ReportSettings { run, html, json }, devices(profiles.as_deref())?))
}

pub(super) fn watch(args: WatchArgs) -> WatchSettings {
    let WatchArgs { run, once, json } = args;
    WatchSettings { run, once, json }
}

pub(super) fn publish(args: PublishArgs) -> PublishSettings {
    let PublishArgs { run, into, apart, profiles, dry_run, json } = args;
    PublishSettings { run, into, apart, profiles, dry_run, json }
}

pub(super) fn merge(args: MergeArgs) -> MergeSettings {
    let MergeArgs { parts, into, prefer, json } = args;
    MergeSettings { parts, into, prefer, json }
}

pub(super) fn record(args: RecordArgs) -> Checked<RecordSettings> {
    let RecordArgs {
        model,
        target,
        compiler,
        batch_sizes,
        mask,
        repeats,
        sessions,
        measuring,
        out,
        resume,
        json,
    } = args;
    let offline = model.offline;
    Ok(RecordSettings {
        subject: subject(model, target)?,
        batch_sizes: batch_sizes.as_deref().map(parse_batch_sizes).transpose()?,
        mask,
        repeats,
        sessions,
        measuring: self::measuring(measuring)?,
        compiler: self::compiler(compiler, offline, variable)?,
        out: resume.clone().or(out).unwrap_or_else(|| PathBuf::from("results/recorded")),
        resume: resume.is_some(),
        json,
    })
}

pub(super) fn replay(args: ReplayArgs) -> Checked<ReplaySettings> {
    let ReplayArgs { table, look_alike, mask, strategy, seeds, truth, drift, spikes, noise, identical, json } =
        args;
    let within = |flag, value: f64, below: f64, accepted| {
        if (0.0..below).contains(&value) {
            Ok(())
        } else {
            Err(BadArgument::Disturbance { flag, value, accepted })
        }
    };
    within("--drift", drift, 1.0, "a share from 0 to below 1")?;
    within("--spikes", spikes, 1.0, "a share from 0 to below 1")?;
    within("--noise", noise, 10.0, "a standard deviation from 0 to below 10")?;
    Ok(ReplaySettings {
        table: match (table, look_alike) {
            (Some(path), _) => TableSource::File(path),
            (None, model) => TableSource::LookAlike(model.unwrap_or_default()),
        },
        mask,
        method: match strategy {
            StrategyArg::Race => Method::Race(Default::default()),
            StrategyArg::Exhaustive => Method::Exhaustive(Default::default()),
            StrategyArg::Random => Method::Random(Default::default()),
        },
        seeds,
        truth: match truth {
            TruthArg::Mean => Statistic::Mean,
            TruthArg::Median => Statistic::Median,
        },
        disturbance: Disturbance { drift, spikes, noise },
        identical,
        json,
    })
}

pub(super) fn setup(args: SetupArgs) -> Checked<(environment::EnvironmentSettings, Target, bool)> {
    let SetupArgs { sglang, triton, compiler, offline, json } = args;
    let runtime = Runtime::from_sglang_version(&sglang)?;
    let triton = known_triton(triton)?.unwrap_or(runtime.default_triton());
    Ok((self::compiler(compiler, offline, variable)?.environment, Target { runtime, triton }, json))
}

fn subject(model: ModelArgs, target: TargetArgs) -> Checked<SubjectSettings> {
    let ModelArgs {
        model,
        tp,
        ep,
        experts,
        intermediate,
        hidden,
        top_k,
        dtype,
        block_shape,
        per_channel,
        shared_experts_fusion,
        profiles,
        offline,
    } = model;
    let TargetArgs { sglang, triton, device } = target;
    Ok(SubjectSettings {
        model,
        tp,
        ep,
        by_hand: ByHand {
            experts,
            intermediate,
            hidden,
            top_k,
            gated: None,
            dtype: dtype.as_deref().map(str::parse).transpose()?,
            block_shape: block_shape.as_deref().map(str::parse).transpose()?,
            per_channel,
        },
        fusion: match shared_experts_fusion {
            Fusion::Auto => FusionChoice::Auto,
            Fusion::On => FusionChoice::On,
            Fusion::Off => FusionChoice::Off,
        },
        runtime: sglang.as_deref().map(Runtime::from_sglang_version).transpose()?,
        triton: known_triton(triton)?,
        device,
        profiles,
        offline,
    })
}

/// What the user exported, where that says something.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `of` answers for variables of the environment, which say what no flag does. Where containers have the compiler, they
/// say nothing: they are for the runs of this machine.
fn compiler(
    args: CompilerArgs,
    offline: bool,
    of: impl Fn(&str) -> Option<PathBuf>,
) -> Checked<CompilerSettings> {
    let CompilerArgs { python, sglang_root, jobs, compile_timeout, cache } = args;
    let python = python.or_else(|| of("SPARKTUNE_PYTHON"));
    let sglang_root = sglang_root.or_else(|| of("SPARKTUNE_SGLANG_ROOT"));
    if jobs == Some(0) {
        return Err(BadArgument::NoJobs);
    }
    if compile_timeout == 0 {
        return Err(BadArgument::NoTime);
    }
    let cache = cache.or_else(default_cache).ok_or(BadArgument::NoCache)?;
    let environment = environment::EnvironmentSettings { cache, python, sglang_root, offline };
    Ok(CompilerSettings { environment, jobs, timeout_s: compile_timeout })
}

fn measuring(args: MeasuringArgs) -> Checked<MeasuringSettings> {
    let MeasuringArgs { budget, strict, wait, run_timeout } = args;
    let budget_s = budget.as_deref().map(|text| span("--budget", text)).transpose()?;
    let budget_s = budget_s.map(|span| span.as_secs_f64());
    let wait = wait.as_deref().map(|text| span("--wait", text)).transpose()?;
    Ok(MeasuringSettings {
        limits: Limits { budget_s, strict },
        run_timeout: Duration::from_secs(run_timeout),
        wait,
    })
}

fn default_cache() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "sparktune").map(|dirs| dirs.cache_dir().to_owned())
}

fn triton(text: Option<String>) -> Checked<Option<TritonVersion>> {
    Ok(text.as_deref().map(str::parse).transpose()?)
}

/// A Triton whose allocations are known. Files for others can be checked, not made.
fn known_triton(text: Option<String>) -> Checked<Option<TritonVersion>> {
    match triton(text)? {
        Some(version) if !TritonVersion::KNOWN.contains(&version) => Err(BadArgument::UnknownTriton(version)),
        version => Ok(version),
    }
}

/// `90s`, `10m`, `1h 30m`, which `flag` says.
fn span(flag: &'static str, text: &str) -> Checked<Duration> {
    let bad = || BadArgument::Time { flag, text: text.to_owned() };
    crate::span::parse(text).filter(|span| !span.is_zero()).ok_or_else(bad)
}

fn known_tritons() -> String {
    TritonVersion::KNOWN.map(|version| version.to_string()).join(", ")
}
