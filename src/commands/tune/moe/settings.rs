//! What the user said of a run, and where it goes.

use std::path::PathBuf;
use std::time::Duration;

use super::deployment::Deployment;
use crate::artifact::Evidence;
use crate::commands::tune::subject::SubjectSettings;
use crate::run_dir;
use crate::runtime::VllmVersion;
use crate::tuner::plan::Policy;
use crate::tuner::session::{CompilerSettings, MeasuringSettings};

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
    /// The image that compilers are taken from; with a cluster its nodes' own, else a resumed run's where not given.
    pub image: Option<String>,
    /// The inventory whose nodes all work for the run; where not given, one does.
    pub cluster: Option<PathBuf>,
    /// Who chooses, where given: of a run that goes on it is recorded.
    pub tuner: Option<Tuner>,
    /// What is for the stock tuner alone.
    pub stock: StockSettings,
    /// Where the run goes.
    pub destination: Destination,
    /// Where its files go once it has ended.
    pub deployment: Option<Deployment>,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// Who chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuner {
    /// This program.
    Race,
    /// The runtime's own script.
    Stock,
}

/// How the runtime's own script is run.
#[derive(Debug, Clone, Default)]
pub struct StockSettings {
    /// The vLLM whose script it is, where given; the subject's runtime is vLLM then. Of a run that goes on it is recorded.
    pub vllm: Option<VllmVersion>,
    /// The script, or a checkout of the runtime; where not given, it is where the runtime lies.
    pub script: Option<PathBuf>,
    /// How long a process may write nothing, where given.
    pub silence: Option<Duration>,
}

/// Where a run goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A new folder below `results/`.
    Results,
    /// This folder.
    Out(PathBuf),
    /// The run in this folder goes on.
    Resume(PathBuf),
}

/// Where runs go unless told otherwise.
pub(super) const RESULTS: &str = "results";

/// The name of a run for `model`, split `tp` ways, that begins now.
pub(super) fn run_name(model: &str, tp: u32) -> String {
    run_dir::name(jiff::Timestamp::now(), model, &format!("tp{tp}"))
}
