//! `sparkbench calibrate`: what this client can measure on this machine.

/// What the user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalibrateSettings {
    /// Fewer steps.
    pub quick: bool,
    /// Print one JSON object.
    pub json: bool,
}
