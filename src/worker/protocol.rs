//! The messages between the harness and the Python worker: one JSON object a line each way.
//!
//! Requests carry an `id` and an `op`; the worker answers with `event` lines of the same id and ends
//! each request with one `done`. Fields neither side knows are ignored, so that either may be newer.

mod compiling;
mod measuring;
mod travel;

use serde::{Deserialize, Serialize};

pub use compiling::{
    CompileFailure, CompileOutcome, CompileTarget, Compiled, FailureReason, LaunchShape, Unit,
};
pub use measuring::{ArmOutcome, GpuReport, GpuState, Preparation, TimedArm, TimedRouting, TimingRequest};
pub use travel::{GiveOutcome, PackedBinary, PackedUnit, TakeOutcome};

/// The protocol version both sides must speak.
pub const VERSION: u32 = 3;

/// The status of a worker that heard nothing for the length of its leash: it is not to blame, and neither is what it
/// was at. EX_TEMPFAIL of sysexits.h, which no signal and no interpreter ends with.
pub const LEASH_STATUS: i32 = 75;

/// The variable with a worker's leash until `begin`, seconds.
pub const LEASH_VARIABLE: &str = "SPARK_WORKER_LEASH_S";

/// What the harness asks.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// Echoed in every answer.
    pub id: u64,
    /// What to do.
    #[serde(flatten)]
    pub op: Op,
}

/// The operations of both halves.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Find the kernel and say what it and the compiler are.
    Probe {
        /// Folder that holds the `sglang` package.
        sglang_root: String,
    },
    /// Compile units for a target, each in a process of its own.
    Compile(Batch<Unit>),
    /// Hand over the binaries of units that were compiled before.
    Give(Batch<Unit>),
    /// Keep the binaries of units that another worker compiled.
    Take(Batch<PackedUnit>),
    /// Say what GPU there is.
    Device {},
    /// Put a layer's weights on the GPU.
    Prepare(Preparation),
    /// Time arms of the prepared layer.
    Measure(TimingRequest),
    /// From now on, end yourself and all you started when nothing is heard for so long.
    Begin {
        /// The time, seconds.
        leash_s: f64,
    },
    /// Answer at once, whatever else is going on.
    Ping {},
    /// Leave a request, kill what runs for it and end it.
    Cancel {
        /// The request's id.
        cancels: u64,
    },
    /// Leave everything and exit.
    Quit {},
}

/// Units for one target and one layer, each in a process of its own.
#[derive(Debug, Clone, Serialize)]
pub struct Batch<U> {
    /// Folder that holds the `sglang` package.
    pub sglang_root: String,
    /// What to compile for.
    pub target: CompileTarget,
    /// The layer.
    pub shape: LaunchShape,
    /// The units.
    pub units: Vec<U>,
    /// Processes at a time.
    pub jobs: usize,
    /// Time one unit may take, seconds.
    pub timeout_s: u64,
    /// Where binaries are kept for launching them later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<String>,
}

/// One line from the worker.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Message {
    /// The first line: who answers.
    Hello(Hello),
    /// A probe's findings.
    Probed {
        /// The request's id.
        id: u64,
        /// The findings.
        #[serde(flatten)]
        probe: Probe,
    },
    /// One unit ended.
    Compiled {
        /// The request's id.
        id: u64,
        /// Which unit.
        unit: String,
        /// How it ended.
        #[serde(flatten)]
        outcome: CompileOutcome,
    },
    /// One unit's binary, or why it is not given.
    Given {
        /// The request's id.
        id: u64,
        /// Which unit.
        unit: String,
        /// How it ended.
        #[serde(flatten)]
        outcome: GiveOutcome,
    },
    /// One unit's binary was taken, or not.
    Taken {
        /// The request's id.
        id: u64,
        /// Which unit.
        unit: String,
        /// How it ended.
        #[serde(flatten)]
        outcome: TakeOutcome,
    },
    /// The GPU there is.
    Device {
        /// The request's id.
        id: u64,
        /// What it is.
        #[serde(flatten)]
        report: GpuReport,
    },
    /// An arm is about to be set up: what hangs now is its fault.
    Starting {
        /// The request's id.
        id: u64,
        /// The arm's index.
        arm: u16,
    },
    /// Every arm is set up: what hangs now is the next timed run's.
    Ready {
        /// The request's id.
        id: u64,
    },
    /// One run.
    Timed {
        /// The request's id.
        id: u64,
        /// The arm's index.
        arm: u16,
        /// Microseconds.
        time_us: f64,
    },
    /// The last run was slower than was asked for: its arm is not run again.
    Aborted {
        /// The request's id.
        id: u64,
        /// The arm's index.
        arm: u16,
    },
    /// An arm cannot run.
    ArmFailed {
        /// The request's id.
        id: u64,
        /// The arm's index.
        arm: u16,
        /// The class of failure.
        outcome: ArmOutcome,
        /// For people.
        message: String,
    },
    /// The request could not be carried out.
    Error {
        /// The request's id, if the worker could read it.
        id: Option<u64>,
        /// Stable kebab- or snake-case name of the problem.
        code: String,
        /// For people.
        message: String,
    },
    /// The request ended.
    Done {
        /// The request's id.
        id: u64,
        /// The GPU's state, after a request that used it.
        #[serde(flatten)]
        state: GpuState,
    },
    /// Something this version does not act on.
    #[serde(other)]
    News,
}

impl Message {
    /// The id of the request it belongs to, where it belongs to one.
    pub fn of(&self) -> Option<u64> {
        match self {
            Message::Probed { id, .. }
            | Message::Compiled { id, .. }
            | Message::Given { id, .. }
            | Message::Taken { id, .. }
            | Message::Device { id, .. }
            | Message::Starting { id, .. }
            | Message::Ready { id }
            | Message::Timed { id, .. }
            | Message::Aborted { id, .. }
            | Message::ArmFailed { id, .. }
            | Message::Done { id, .. } => Some(*id),
            Message::Error { id, .. } => *id,
            Message::Hello(_) | Message::News => None,
        }
    }
}

/// What the worker found when it started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hello {
    /// The protocol it speaks.
    pub protocol: u32,
    /// Its interpreter's version.
    pub python: String,
    /// Triton's version, if it can be imported.
    pub triton: Option<String>,
    /// PyTorch's version, if it is installed.
    pub torch: Option<String>,
    /// SGLang's version, if it is installed.
    pub sglang: Option<String>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The kernel's source.
    pub kernel: KernelSource,
    /// The assembler Triton will use, if one was found.
    pub ptxas: Option<Ptxas>,
    /// Processors the worker may use.
    pub cpus: usize,
}

/// The kernel as found in an SGLang installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSource {
    /// The file it was taken from.
    pub path: String,
    /// The SGLang it belongs to, if that can be told.
    pub sglang_version: Option<String>,
    /// SHA-256 of the functions taken out.
    pub digest: String,
}

/// NVIDIA's assembler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ptxas {
    /// The program.
    pub path: String,
    /// Its version.
    pub version: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Role, Tile};

    #[test]
    fn requests_are_flat_objects() {
        let tile =
            Tile { block_size_m: 64, block_size_n: 128, block_size_k: 128, num_warps: 4, num_stages: 3 };
        let unit = Unit::of(Role::Down, &tile);
        let value = serde_json::to_value(&unit).unwrap();
        assert_eq!(value["unit"], "down 64x128x128 w4 s3");
        assert_eq!(value["config"]["BLOCK_SIZE_K"], 128);
        let probe = Request { id: 3, op: Op::Probe { sglang_root: "/s".into() } };
        assert_eq!(
            serde_json::to_value(&probe).unwrap(),
            serde_json::json!({"id": 3, "op": "probe", "sglang_root": "/s"})
        );
        let begin = Request { id: 1, op: Op::Begin { leash_s: 30.0 } };
        assert_eq!(
            serde_json::to_value(&begin).unwrap(),
            serde_json::json!({"id": 1, "op": "begin", "leash_s": 30.0})
        );
    }

    #[test]
    fn answers_with_more_fields_than_we_know_are_read() {
        let line = r#"{"id":2,"event":"compiled","unit":"u","outcome":"failed","reason":"timeout",
            "message":"60 s","seconds":60.1,"new":[1]}"#;
        let Message::Compiled { outcome: CompileOutcome::Failed(failure), .. } =
            serde_json::from_str(line).unwrap()
        else {
            panic!("not a failed compilation");
        };
        assert_eq!(failure.reason, FailureReason::Timeout);
        let done: Message = serde_json::from_str(r#"{"id":2,"event":"done","compiled":1}"#).unwrap();
        assert_eq!(done, Message::Done { id: 2, state: GpuState::default() });
    }
}
