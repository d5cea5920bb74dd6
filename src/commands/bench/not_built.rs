//! What is not built yet, all in one place. Each `run` belongs into the file of its subcommand.

use super::calibrate::CalibrateSettings;
use super::compare::CompareSettings;
use super::report::ReportSettings;
use super::run::RunSettings;
use super::sweep::SweepSettings;
use crate::commands::CommandResult;
use crate::failure::{Failure, Kind};

/// A subcommand that is not built yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`sparkbench {0}` is not built yet")]
pub struct NotBuilt(&'static str);

impl Failure for NotBuilt {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

/// `sparkbench run` without `--dry-run`.
pub fn run(_: &RunSettings) -> CommandResult {
    Err(NotBuilt("run").into())
}

/// `sparkbench sweep` without `--dry-run`.
pub fn sweep(_: &SweepSettings) -> CommandResult {
    Err(NotBuilt("sweep").into())
}

/// `sparkbench compare`.
pub fn compare(_: &CompareSettings) -> CommandResult {
    Err(NotBuilt("compare").into())
}

/// `sparkbench report`.
pub fn report(_: &ReportSettings) -> CommandResult {
    Err(NotBuilt("report").into())
}

/// `sparkbench calibrate`.
pub fn calibrate(_: &CalibrateSettings) -> CommandResult {
    Err(NotBuilt("calibrate").into())
}
