//! One request for measurements, and the answer.

use serde::{Deserialize, Serialize};

use super::ContestId;

/// Measurements that belong together: same batch size, same routing, one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Who asks, and by that about which contest of the problem.
    pub contest: ContestId,
    /// Which tokens go to which experts.
    pub routing: RoutingSeed,
    /// What takes part.
    pub entrants: Vec<Entrant>,
    /// The entrant of every timed run, in the order of the runs.
    pub order: Vec<u16>,
    /// Whether each entrant runs once untimed before its first timed run.
    pub warm_up: bool,
    /// An entrant slower than this is not run again in this round, microseconds.
    pub abort_above_us: Option<f64>,
}

/// A routing, by seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingSeed {
    /// Some experts get many tokens.
    pub skewed: bool,
    /// Equal seeds are equal routings.
    pub seed: u32,
}

/// What is timed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entrant {
    /// One arm of one slot.
    Single {
        /// The slot.
        slot: usize,
        /// The arm's index in it.
        arm: usize,
    },
    /// A complete choice, its slots run one after another.
    Whole(Vec<usize>),
}

/// What came of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Microseconds of each run of the round's `order`; none where it was not made.
    pub times_us: Vec<Option<f64>>,
    /// Entrants that cannot run, with the reason.
    pub failures: Vec<(u16, ArmFailure)>,
    /// What the round took altogether, seconds.
    pub seconds: f64,
}

/// Why an arm cannot be timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmFailure {
    /// The launch was refused for want of shared memory or registers.
    OutOfResources,
    /// There is no binary.
    CompileFailed,
    /// Its output is not what it should be.
    WrongResult,
    /// A run did not end in time.
    TimedOut,
    /// Two workers died on it.
    WorkerLost,
}

impl ArmFailure {
    /// Every failure.
    const ALL: [ArmFailure; 5] = [
        ArmFailure::OutOfResources,
        ArmFailure::CompileFailed,
        ArmFailure::WrongResult,
        ArmFailure::TimedOut,
        ArmFailure::WorkerLost,
    ];

    /// The name in tables and journals.
    pub fn name(self) -> &'static str {
        match self {
            ArmFailure::OutOfResources => "out_of_resources",
            ArmFailure::CompileFailed => "compile_failed",
            ArmFailure::WrongResult => "wrong_result",
            ArmFailure::TimedOut => "timed_out",
            ArmFailure::WorkerLost => "worker_lost",
        }
    }

    /// The failure of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.name() == name)
    }
}

impl Round {
    /// The order that runs `entrants` entrants `blocks` times, each block shuffled by `rng`.
    pub fn shuffled_blocks(entrants: usize, blocks: usize, rng: &mut impl rand::Rng) -> Vec<u16> {
        use rand::seq::SliceRandom;
        let mut order = Vec::with_capacity(entrants * blocks);
        let mut block: Vec<u16> = (0..entrants as u16).collect();
        for _ in 0..blocks {
            block.shuffle(rng);
            order.extend_from_slice(&block);
        }
        order
    }

    /// Kernel launches of the whole round, warm-ups included, where a whole choice counts its slots.
    pub fn launches(&self, slots: usize) -> u64 {
        let cost = |entrant: &Entrant| match entrant {
            Entrant::Single { .. } => 1,
            Entrant::Whole(_) => slots as u64,
        };
        let timed: u64 = self.order.iter().map(|&entrant| cost(&self.entrants[usize::from(entrant)])).sum();
        let warm_ups: u64 = if self.warm_up { self.entrants.iter().map(cost).sum() } else { 0 };
        timed + warm_ups
    }
}
