//! Each runtime's own tuner: what its script is called, where it lies, which options its revisions have. Data.
//!
//! How it is told of a layer is [`asked`](super::asked)'s and [`model_argument`](super::model_argument)'s.
//!
//! SGLang's `tuning_fused_moe_triton.py` was read in its repository (commits e3008f6, before there was a 0.5, and
//! 00e9659, of 0.5.23's time) and in four forks between: its options grew (`--ep-size`, `--per-channel-quant`,
//! `--disable-shared-experts-fusion`, last `--search-space-file`), none that is used here changed its meaning.
//!
//! vLLM's `benchmark_moe.py` was read in the sources that PyPI has of 0.10.0, 0.10.1, 0.10.2, 0.11.0, 0.11.2, 0.14.1,
//! 0.16.0, 0.18.1, 0.22.1, 0.27.1, 0.30.0 and 0.33.0:
//!
//! - Options: `--enable-expert-parallel` and `--save-dir` since 0.10.1; the others that are used here in all.
//!   `--batch-size` takes one or several in all.
//! - It writes one file at its end, where it starts unless `--save-dir` says otherwise, under the name that the server
//!   looks for. Since 0.11.0 the key `triton_version` stands before the batch sizes.
//! - Its `ray.init()` has no address, and it has a worker on each GPU that Ray finds.
//! - On NVIDIA's it tries SGLang's 1,920 configs in another order: in all. With scale blocks it leaves out those whose
//!   tile is no multiple of the block until 0.22.1, and since 0.27.1 those of which neither is a multiple of the other.
//!   None has an option for what is tried.
//! - A config that takes more than the device has is passed over; any other error ends the script until 0.30.0, and is
//!   passed over in 0.33.0.
//! - int4 is tuned since 0.18.1, and not in 0.16.0 and before.

use crate::runtime::Runtime;

/// The option that says what is tried.
pub(super) const SEARCH_SPACE: &str = "--search-space-file";

/// A runtime's own tuner.
#[derive(Debug)]
pub(crate) struct OwnTuner {
    /// The runtime, as its makers write it.
    pub runtime: &'static str,
    /// The script's name.
    pub file: &'static str,
    /// Where the runtime's repository has it.
    pub folder: &'static str,
    /// What newer revisions import from beside it.
    pub helper: Option<&'static str>,
    /// The folder of the repository that has the package; none where that is the repository itself.
    pub package_folder: Option<&'static str>,
    /// Where the runtime's own images have the repository, or so much of it.
    pub in_images: &'static str,
    /// Whether it takes the `group_size` of compressed-tensors' groups for a block's side, even where it is none.
    pub takes_group_size: bool,
    /// The options that are used of those that every revision has.
    pub(super) of_every: &'static [&'static str],
    /// The others, as they came.
    pub(super) of_later: &'static [&'static str],
    /// How its script is asked.
    pub(super) speech: Speech,
}

/// How a script is asked for a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Sglang,
    Vllm,
}

pub(super) static SGLANG: OwnTuner = OwnTuner {
    runtime: "SGLang",
    file: "tuning_fused_moe_triton.py",
    folder: "benchmark/kernels/fused_moe_triton",
    helper: Some("common_utils.py"),
    package_folder: Some("python"),
    in_images: "/sgl-workspace/sglang",
    takes_group_size: true,
    of_every: &["--model", "--tp-size", "--dtype", "--batch-size", "--tune"],
    of_later: &["--ep-size", "--per-channel-quant", "--disable-shared-experts-fusion", SEARCH_SPACE],
    speech: Speech::Sglang,
};

pub(super) static VLLM: OwnTuner = OwnTuner {
    runtime: "vLLM",
    file: "benchmark_moe.py",
    folder: "benchmarks/kernels",
    helper: None,
    package_folder: None,
    // Its images have the folder `benchmarks` there, and the wheel (`docker/Dockerfile` of 0.10.0 and 0.33.0).
    in_images: "/vllm-workspace",
    takes_group_size: false,
    of_every: &["--model", "--tp-size", "--dtype", "--batch-size", "--tune", "--trust-remote-code"],
    of_later: &["--enable-expert-parallel"],
    speech: Speech::Vllm,
};

impl OwnTuner {
    /// That of `runtime`.
    pub(crate) fn of(runtime: Runtime) -> &'static Self {
        match runtime {
            Runtime::Sglang054 | Runtime::Sglang0523 => &SGLANG,
            Runtime::Vllm => &VLLM,
        }
    }
}
