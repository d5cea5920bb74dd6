//! Kernels timed, and batch sizes decided by it.

use serde::{Deserialize, Serialize};

use super::Work;
use crate::host_name::HostName;

/// News of measuring. Work counts batch sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MeasureEvent {
    /// Batch sizes wait for a decision.
    Queued {
        /// None of them is decided.
        work: Work,
    },
    /// Earlier sessions of the run measured before.
    Resumed {
        /// Rounds taken over from the journal.
        rounds: u64,
        /// Kernel launches in them, warm-ups included.
        launches: u64,
        /// Their measuring time, seconds.
        seconds: f64,
        /// With what they decided.
        work: Work,
    },
    /// One round was measured, on the event's host.
    Round {
        /// Tokens in a forward pass.
        batch_size: u32,
        /// Kernel launches of the run so far, warm-ups included.
        launches: u64,
        /// Measuring time of the run so far, seconds.
        seconds: f64,
    },
    /// The same config takes another time than before, on the event's host.
    Unsteady {
        /// Tokens in a forward pass.
        batch_size: u32,
        /// By how much, per cent of the earlier time.
        change_percent: f64,
    },
    /// A batch size is decided.
    Decided {
        /// Tokens in a forward pass.
        batch_size: u32,
        /// Why so.
        grounds: DecisionGrounds,
        /// What the choice usually takes, microseconds, where it was timed.
        time_us: Option<f64>,
        /// What the runtime's default takes, microseconds, where both were timed in pairs.
        default_us: Option<f64>,
        /// With this one.
        work: Work,
    },
    /// A second node, the event's host, was asked about a choice that beat the default on the first.
    Judged {
        /// Tokens in a forward pass.
        batch_size: u32,
        /// Whether it would replace the default, too; else the default stays.
        agrees: bool,
        /// What each saw over its own times, the node that raced first.
        seen: Vec<Seen>,
    },
    /// Nothing more is measured in this session.
    Ended {
        /// Whether the strategy wants to know nothing more; else the budget is spent.
        complete: bool,
        /// Rounds of the run.
        rounds: u64,
        /// Kernel launches of the run, warm-ups included.
        launches: u64,
        /// Measuring time of the run, seconds.
        seconds: f64,
        /// As it stands.
        work: Work,
    },
}

/// Why a batch size has the config it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionGrounds {
    /// It beat the runtime's default.
    BeatsDefault,
    /// Nothing beat the runtime's default.
    DefaultKept,
    /// The runtime's default cannot run, or there is none.
    NoDefault,
    /// The fastest measured, never compared in pairs.
    Fastest,
}

/// What one node saw of a choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub node: HostName,
    /// How many times as fast as the runtime's default; none where they did not both run there.
    pub speedup: Option<SpeedupSeen>,
}

/// The default's time over a choice's, with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpeedupSeen {
    /// Lower end.
    pub lower: f64,
    /// The estimate.
    pub estimate: f64,
    /// Upper end.
    pub upper: f64,
}
