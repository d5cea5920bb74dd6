//! What a GPU holds and moves: the figures that decide which kernels fit and how fast they can be.
//!
//! The figures live in `profiles/devices/*.toml`, each with its source, and are embedded in the
//! binary.

use std::collections::BTreeMap;
use std::fmt;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

static PROFILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/devices");

/// One GPU model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What `--device` takes: `gb10`.
    pub id: String,
    /// What `torch.cuda.get_device_name()` answers: `NVIDIA GB10`.
    pub name: String,
    /// Other ways to say `--device`, and other names the same chip reports.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// CUDA compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// What the compiler is told to compile for: `sm_121a`.
    pub compile_target: String,
    /// Shared memory one thread block may use after opting in, bytes.
    pub shared_memory_per_block: u32,
    /// Shared memory of one streaming multiprocessor, bytes: what resident blocks share.
    pub shared_memory_per_sm: u32,
    /// Streaming multiprocessors.
    pub sms: u32,
    /// Memory bandwidth, GB/s (10^9 bytes).
    pub bandwidth_gb_s: f64,
    /// Device memory, GB (10^9 bytes).
    pub memory_gb: f64,
    /// L2 cache, MiB.
    pub l2_mib: f64,
    /// Dense matrix rates with wide accumulation.
    pub dense_tflops: DenseRates,
    /// Where each figure is from, by field name.
    pub sources: BTreeMap<String, String>,
}

/// Dense tensor-core rates, TFLOP/s (TOP/s for int8), without sparsity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseRates {
    /// fp8 x fp8.
    pub fp8: f64,
    /// int8 x int8.
    pub int8: f64,
    /// bf16 or fp16.
    pub bf16: f64,
    /// fp32 inputs (TF32 on tensor cores).
    pub tf32: f64,
}

impl Device {
    /// The device part of a config file's name: spaces become underscores.
    pub fn file_name(&self) -> String {
        self.name.replace(' ', "_")
    }

    /// Compute capability as one number: 121 for 12.1, as Triton's `GPUTarget` takes it.
    pub fn capability(&self) -> u32 {
        self.compute_capability.0 * 10 + self.compute_capability.1
    }
}
