//! What a GPU holds and moves: the figures that decide which kernels fit and how fast they can be.
//!
//! The figures live in `profiles/devices/*.toml`, each with its source, and are embedded in the
//! binary; a folder of the same form can replace or extend them. Everything here is pure but for
//! [`DeviceCatalogue::with_profiles`], which reads that folder.

mod catalogue;
mod profile;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use catalogue::{DeviceCatalogue, UnknownDevice};
pub use profile::DeviceProfileError;

/// One GPU board: what it reports as its name, and what it can do.
///
/// Boards that share a chip but report different names (the three editions of the RTX PRO 6000)
/// are devices of their own: they read different config files and run at different clocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What `--device` takes: `gb10`.
    pub id: String,
    /// What `torch.cuda.get_device_name()` answers: `NVIDIA GB10`.
    pub name: String,
    /// Other names a board with these same figures reports.
    #[serde(default)]
    pub other_names: Vec<String>,
    /// Other ways to say `--device`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// CUDA compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// What Triton tells the compiler to compile for: `sm_121a`.
    pub compile_target: String,
    /// Shared memory one thread block may use after opting in, bytes.
    pub shared_memory_per_block: u32,
    /// Shared memory of one streaming multiprocessor, bytes: what resident blocks share. CUDA
    /// reserves 1,024 bytes of it for every resident block.
    pub shared_memory_per_sm: u32,
    /// Streaming multiprocessors.
    pub sms: u32,
    /// Peak memory bandwidth, GB/s (10^9 bytes).
    pub bandwidth_gb_s: f64,
    /// Device memory as the vendor states it, GB.
    pub memory_gb: f64,
    /// L2 cache, MiB.
    pub l2_mib: f64,
    /// Dense matrix rates.
    pub dense_tflops: DenseRates,
    /// Where each figure is from, by field name; rates are `dense_tflops.fp8` and so on. A text
    /// that begins with `unverified:` marks a figure no public source states.
    pub sources: BTreeMap<String, String>,
}

/// Peak dense tensor-core rates, TFLOP/s (TOP/s for int8): no sparsity, accumulating in fp32
/// (int32 for int8), which is how the fused-MoE kernel runs.
///
/// GeForce boards halve their float rates when accumulating in fp32; the halved rates stand here.
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
    /// The device with no more shared memory a block than `limit` bytes: what another device lets through.
    pub fn masked(&self, limit: u32) -> Device {
        Device { shared_memory_per_block: self.shared_memory_per_block.min(limit), ..self.clone() }
    }

    /// The embedded device that `query` means: an id, an alias, or a name as the device or a
    /// config file spells it, in any case, with or without `NVIDIA`.
    ///
    /// A query that is one of [`Device::other_names`] gives the device under that name, so that
    /// its files are named as that board looks them up.
    pub fn find(query: &str) -> Result<Device, UnknownDevice> {
        DeviceCatalogue::embedded().find(query)
    }

    /// Every embedded device, ordered by id.
    pub fn all() -> &'static [Device] {
        DeviceCatalogue::embedded().all()
    }

    /// The embedded device whose config files carry exactly this `device_name`, under that name.
    pub fn by_file_name(file_name: &str) -> Option<Device> {
        DeviceCatalogue::embedded().by_file_name(file_name)
    }

    /// The device part of a config file's name: spaces become underscores.
    ///
    /// Source: `get_config_file_name` in SGLang 0.5.4.post2 and 0.5.23, and in vLLM.
    pub fn file_name(&self) -> String {
        file_name(&self.name)
    }

    /// Compute capability as one number: 121 for 12.1, as Triton's `GPUTarget` takes it.
    pub fn capability(&self) -> u32 {
        self.compute_capability.0 * 10 + self.compute_capability.1
    }

    /// The fields whose figures no public source states, in alphabetical order.
    pub fn unverified(&self) -> impl Iterator<Item = &str> {
        self.sources
            .iter()
            .filter(|(_, text)| text.starts_with("unverified"))
            .map(|(field, _)| field.as_str())
    }

    /// Every name this device reports, the default one first.
    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.other_names)
    }

    /// This device, reporting the one of its names that `wanted` picks.
    ///
    /// The name it replaces stays among the others: it is still the same board.
    fn under_name(&self, wanted: impl Fn(&str) -> bool) -> Device {
        let mut device = self.clone();
        if !wanted(&device.name)
            && let Some(other) = device.other_names.iter_mut().find(|name| wanted(name))
        {
            std::mem::swap(&mut device.name, other);
        }
        device
    }
}

impl fmt::Display for Device {
    /// `NVIDIA GB10`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// How a reported name appears in config file names.
pub(crate) fn file_name(name: &str) -> String {
    name.replace(' ', "_")
}

#[cfg(test)]
mod tests;
