//! What the user said of a run, and where it goes.

use std::path::{Path, PathBuf};

use crate::artifact::Evidence;
use crate::commands::tune::subject::SubjectSettings;
use crate::tuner::plan::{Plan, Policy, short_name};
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

/// `results/20260101-120000-glm-4.7-fp8-tp4`
pub(super) fn new_run_path(plan: &Plan) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let slug: String = short_name(&plan.model.name)
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
