//! How to look for the best of many: what to measure next, and when to stop.
//!
//! A strategy sees numbered arms and times, nothing of GPUs: the same code decides on a device, in a
//! replay of a recorded table, and when a killed run is taken up again. Given the same seed and the same
//! answers it asks the same questions.

pub mod exhaustive;
pub mod paired;
pub mod problem;
pub mod race;
pub mod random;
pub mod recording;
pub mod round;

use serde::{Deserialize, Serialize};

pub use paired::Interval;
pub use problem::{Arm, Choice, Contest, Problem, Slot};
pub use round::{ArmFailure, Entrant, Heard, Round, Routing};

/// Decides what to measure next.
pub trait Strategy {
    /// The next measurements, or none once every contest is decided. Asking twice without
    /// [`observe`](Self::observe) in between is a mistake of the caller.
    fn next(&mut self) -> Option<Round>;

    /// What came of the round [`next`](Self::next) gave last.
    fn observe(&mut self, round: &Round, heard: &Heard);

    /// The decision on every contest of the problem so far, in the problem's order.
    fn decisions(&self) -> Vec<Option<Decision>>;

    /// What the strategy would say now of a contest that is not decided: its leader, if it has one.
    fn leader(&self, contest: usize) -> Option<Choice>;
}

/// A strategy's last word on one contest.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// An arm for each slot.
    pub choice: Choice,
    /// On what grounds.
    pub grounds: Grounds,
    /// What the choice usually takes, microseconds, where it was timed.
    pub time_us: Option<f64>,
}

/// Why a choice was made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grounds {
    /// It beat the default by more than the margin, in paired runs.
    BeatsDefault(Against),
    /// Nothing beat the default by more than the margin; what the best rival did, if one was left.
    DefaultKept(Option<Against>),
    /// The default cannot run, or there is none: the best of what can.
    NoDefault,
    /// The fastest measured, never compared with the default in pairs.
    Fastest,
}

/// The paired comparison of a choice with the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Natural logarithm of the choice's time over the default's: below zero is faster.
    pub log_ratio: Interval,
    /// The same over the skewed routings alone, where there were enough of them.
    pub skewed: Option<Interval>,
    /// Runs of each.
    pub pairs: u32,
    /// Median time of the choice, microseconds.
    pub time_us: f64,
    /// Median time of the default, microseconds.
    pub default_us: f64,
}

#[cfg(test)]
mod tests;
