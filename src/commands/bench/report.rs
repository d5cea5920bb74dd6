//! `sparkbench report`: a run shown again.

use std::path::PathBuf;

/// What the user said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSettings {
    /// The run directory.
    pub run: PathBuf,
    /// Write the page to this file.
    pub html: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}
