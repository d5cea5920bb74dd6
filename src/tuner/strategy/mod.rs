//! How to look for the best of many: what to measure next, and when to stop.
//!
//! A strategy sees numbered arms and times, nothing of GPUs: the same code decides on a device, in a
//! replay of a recorded table, and when a killed run is taken up again. It splits its work into contests
//! that know nothing of one another while they run. A contest has dice of its own and learns only from
//! predecessors that are fixed in advance, so contests may run anywhere, at once and in any order: given
//! the same seed and the same answers, each asks the same questions and decides alike.

pub(crate) mod catch_up;
pub(crate) mod exhaustive;
pub(crate) mod paired;
pub(crate) mod problem;
pub(crate) mod race;
pub(crate) mod random;
pub(crate) mod recording;
pub(crate) mod round;
pub(crate) mod spec;

use std::fmt;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub(crate) use catch_up::catch_up;
pub(crate) use paired::Interval;
pub(crate) use problem::{Arm, Choice, Contest, ContestId, SearchProblem, Slot};
pub(crate) use round::{ArmFailure, Entrant, Round, RoutingSeed, Timings};
pub(crate) use spec::{Method, StrategySpec};

/// Decides which contests there are, what each may learn from, and keeps what they decided.
pub trait Strategy: fmt::Debug + Send {
    /// The contests that are not over and whose predecessors are, in the order in which one machine takes
    /// them. Those that were begun stay in the list until [`end`](Self::end); none means that all is done.
    fn ready(&self) -> Vec<ContestId>;

    /// Begin a [ready](Self::ready) contest. Nothing changes for the strategy: a contest whose machine was
    /// lost is begun again the same way, and asks the same.
    fn begin(&self, contest: ContestId) -> Box<dyn ContestRun>;

    /// Choices that another machine than the one that raced them should confirm, where there is one. Each is a contest
    /// of its own, [begun](Self::begin) and [ended](Self::end) like any other, at any time and in any order. No contest
    /// learns from it or waits for it, and without it the strategy is done.
    fn confirmations(&self) -> Vec<Confirmation> {
        Vec::new()
    }

    /// A contest is over, and others may learn from it.
    fn end(&mut self, conclusion: Conclusion);

    /// The decisions so far, one for each contest of the problem, in the problem's order.
    fn decisions(&self) -> Vec<Option<Decision>>;
}

/// One contest under way. It owns all it needs, so it can be driven on any thread.
pub trait ContestRun: fmt::Debug + Send {
    /// The next measurements, or none once the contest is over. Asking twice without
    /// [`observe`](Self::observe) in between is a mistake of the caller.
    fn next(&mut self) -> Option<Round>;

    /// What came of the round that [`next`](Self::next) gave last.
    fn observe(&mut self, round: &Round, timings: &Timings);

    /// What would be chosen now, if anything.
    fn leader(&self) -> Option<Choice>;

    /// What the contest came to; without a decision where it is not over.
    fn finish(self: Box<Self>) -> Conclusion;
}

/// A choice to be confirmed by a machine that did not race it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The contest of its own that this is, at the index of the one that made the choice.
    pub contest: ContestId,
    /// The choices that run in it.
    pub choices: Vec<Choice>,
}

/// What a contest came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// Which one.
    pub contest: ContestId,
    /// The decision; none where nothing can be chosen.
    pub decision: Option<Decision>,
    /// What is known of each arm, by slot: the logarithm of microseconds; none where it never ran.
    pub log_times: LogTimes,
}

/// Logarithms of microseconds by slot and arm; none where there is no time.
pub(crate) type LogTimes = Vec<Vec<Option<f64>>>;

/// The dice of one contest: whatever else runs, they fall the same.
///
/// `key` is the contest's batch size and `part` that of its [`ContestId`]; together they are the stream of
/// the generator that `seed` starts.
fn dice(seed: u64, key: u32, part: u32) -> ChaCha8Rng {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(u64::from(part) << 32 | u64::from(key));
    dice
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
    /// What a second machine made of a choice that beat the default on the first, where one was asked.
    pub second: Option<Second>,
}

/// A second machine's own verdict, over the same arms by the same rule. Times of two machines are never compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Whether it would replace the default by the same choice.
    pub agrees: bool,
    /// The choice against the default there, where both ran.
    pub against: Option<Against>,
}

/// Why a choice was made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grounds {
    /// It beat the default by more than the margin, in paired runs.
    BeatsDefault(Against),
    /// Nothing beat the default by more than the margin; what the best rival did, if one was left.
    DefaultKept(Option<Against>),
    /// What this tells of beat the default on the machine that raced it, and not on a second: the default stays.
    Disputed(Against),
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
