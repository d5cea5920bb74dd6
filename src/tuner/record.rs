//! What a run's journal holds: who worked, what the compiler said, what was measured, what was written.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::strategy::{Entrant, Round, Timings};
use crate::events::Left;
use crate::host_name::HostName;
use crate::journal::JournalRecord;
use crate::shape::{Role, Tile};
use crate::worker::CompilerIdentity;
use crate::worker::protocol::{CompileOutcome, GpuReport, GpuState};

/// A line of a run's journal: what came about, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Milliseconds since the session opened the run, by a clock that nobody sets.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub record: Record,
}

/// What came about. What came about on a node says on which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A session of the run has its nodes. What stands below, to the next of these, is of it.
    Session {
        /// When it opened the run, by the harness's clock: the moment that its times count from.
        opened: Timestamp,
    },
    /// A node can work for the run.
    Joined {
        /// Which.
        node: HostName,
        /// What compiles there, and what is compiled: the same on every node of a run.
        compiler: CompilerIdentity,
        /// The GPU it times on; none where it only compiles.
        gpu: Option<GpuReport>,
    },
    /// A node works no more, for now or for good.
    Left {
        /// Which.
        node: HostName,
        /// Why.
        #[serde(flatten)]
        how: Left,
    },
    /// A node was told to do something. It is at work until a batch of its ends, a round or a look at its sentinel is on
    /// record, or it leaves.
    Ordered {
        /// Which.
        on: HostName,
        /// The kernels that it is to compile, or whose binaries it is to give or take; none where it is to time a round.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kernels: Option<u32>,
    },
    /// A node is through with such kernels.
    BatchEnded {
        /// Which.
        on: HostName,
    },
    /// One kernel's result.
    Proof {
        /// The node that compiled it.
        on: HostName,
        /// Which of the two kernels.
        role: Role,
        /// The tile.
        tile: Tile,
        /// What the compiler said.
        result: CompileOutcome,
        /// Whether it said so for an earlier run: nobody compiled it for this one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kept: bool,
    },
    /// A node has the binary of a kernel that is proven already.
    Binary {
        /// The node that has it.
        on: HostName,
        /// The unit's name.
        unit: String,
        /// Whether it came from another node; else it was compiled there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        travelled: bool,
    },
    /// What was measured: one question of the strategy with its answer.
    Round {
        /// The node that measured it: times of another are not comparable.
        on: HostName,
        /// The question.
        round: Round,
        /// The answer.
        timings: Timings,
        /// The GPU afterwards.
        gpu: GpuState,
        /// Workers that were started in the place of others since the node's last answer.
        #[serde(default, skip_serializing_if = "is_zero")]
        replaced: u32,
    },
    /// The config that watches the machine, timed within a contest.
    Sentinel {
        /// The node that is watched.
        on: HostName,
        /// The batch size being decided, tokens.
        batch_size: u32,
        /// What was timed.
        entrant: Entrant,
        /// Whether the GPU was awake: times of one that wakes up are no yardstick.
        awake: bool,
        /// What it took, microseconds.
        times_us: Vec<f64>,
        /// The GPU afterwards.
        gpu: GpuState,
        /// What the look took altogether, seconds: it is paid out of the budget.
        seconds: f64,
        /// As of a round.
        #[serde(default, skip_serializing_if = "is_zero")]
        replaced: u32,
    },
    /// A file is on disk.
    File {
        /// Relative to the run directory.
        path: String,
        /// SHA-256 of its bytes.
        sha256: String,
    },
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl JournalRecord for Entry {
    const FORMAT: u32 = 3;
}
