//! What is not built yet, all in one place. Each `run` belongs into the file of its subcommand.

use super::calibrate::CalibrateSettings;
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

/// `sparkbench calibrate`.
pub fn calibrate(_: &CalibrateSettings) -> CommandResult {
    Err(NotBuilt("calibrate").into())
}
