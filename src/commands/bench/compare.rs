//! `sparkbench compare`: runs held against each other.

use std::path::PathBuf;

/// What the user said.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareSettings {
    /// Run directories, at least two, the baseline first.
    pub runs: Vec<PathBuf>,
    /// What counts as a regression: worse by more than this share, 0 to 1.
    pub threshold: f64,
    /// Compare although the plans differ.
    pub ignore_plan: bool,
    /// Print one JSON object.
    pub json: bool,
}
