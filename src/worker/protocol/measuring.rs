//! The messages of the measuring half: what is prepared, what is timed, what the GPU says of itself.

use serde::{Deserialize, Serialize};

use super::LaunchShape;
use crate::shape::KernelConfig;

/// What can be timed. Configs of a path share BLOCK_SIZE_M.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum TimedArm {
    /// The up projection alone.
    Up {
        /// Its config.
        config: KernelConfig,
    },
    /// The down projection alone.
    Down {
        /// Its config.
        config: KernelConfig,
    },
    /// Up projection, activation and down projection, one after another.
    Path {
        /// The up projection's config.
        up: KernelConfig,
        /// The down projection's config.
        down: KernelConfig,
    },
}

/// How tokens are spread over experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimedRouting {
    /// `uniform` or `skewed`.
    pub kind: &'static str,
    /// Equal seeds are equal routings.
    pub seed: u32,
}

/// One request for measurements.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimingRequest {
    /// Tokens in the forward pass.
    pub batch_size: u32,
    /// Which tokens go where.
    pub routing: TimedRouting,
    /// What takes part.
    pub arms: Vec<TimedArm>,
    /// The arm of each timed run.
    pub order: Vec<u16>,
    /// Untimed runs of each arm before its first timed one.
    pub warm_up: u32,
    /// An arm slower than this is not run again, microseconds.
    pub abort_above_us: Option<f64>,
}

/// What the worker must know before it can time anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preparation {
    /// Folder that holds the `sglang` package.
    pub sglang_root: String,
    /// The runtime whose launch is reproduced, as manifests name it.
    pub runtime: String,
    /// The layer.
    pub shape: LaunchShape,
    /// Of the experts, those every token goes through.
    pub fused_shared_experts: u32,
    /// The largest batch size that will be asked for.
    pub max_tokens: u32,
    /// Seed of weights and activations.
    pub seed: u32,
    /// Where the compiler keeps its kernels.
    pub cache_dir: Option<String>,
}

/// Why an arm has no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmOutcome {
    /// The launch was refused.
    OutOfResources,
    /// There is no binary.
    CompileFailed,
    /// The output is off.
    WrongResult,
    /// A run did not end. Said by the harness.
    TimedOut,
    /// Two workers died on it. Said by the harness.
    WorkerLost,
}

/// The GPU's state at the end of a request, as far as it tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuState {
    /// SM clock, MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<f64>,
    /// Degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// Watts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f64>,
    /// What holds the clock down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throttle: Vec<String>,
}

/// The GPU the worker sees. Unknown figures are absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuReport {
    /// As torch reports it.
    pub name: String,
    /// 121 for 12.1.
    pub capability: u32,
    /// Opt-in shared memory of a block, bytes.
    pub shared_memory_per_block: u32,
    /// Bytes.
    #[serde(default)]
    pub memory_total: Option<u64>,
    /// Bytes.
    #[serde(default)]
    pub memory_free: Option<u64>,
    /// The driver's version.
    #[serde(default)]
    pub driver: Option<String>,
    /// The highest SM clock, MHz.
    #[serde(default)]
    pub max_clock_mhz: Option<f64>,
    /// Other processes that compute on it.
    #[serde(default)]
    pub other_processes: Vec<u32>,
}
