//! The serving runtime a config file is written for: which version, and how that version behaves.
//!
//! Everything here was read in the named version's own source; a version nobody has read is
//! refused rather than guessed at.

mod alignment;
mod defaults;
mod load_log;
pub mod options;
mod triton;
mod vllm;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use defaults::{TRITON_DEFAULT_STAGES, TRITON_DEFAULT_WARPS};
pub(crate) use load_log::{CONFIG_LINE_MARKS, ConfigLine, LookUp, sglang_rank};
pub use triton::{BadTritonVersion, TritonVersion};
pub use vllm::VllmVersion;

/// A serving runtime whose look-up rules and kernel launch are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Runtime {
    /// SGLang 0.5.4.post2: the version in the image `lmsysorg/sglang:spark`.
    #[serde(rename = "sglang-0.5.4.post2")]
    Sglang054,
    /// SGLang 0.5.23.
    #[serde(rename = "sglang-0.5.23")]
    Sglang0523,
    /// vLLM: file names and look-up only.
    #[serde(rename = "vllm")]
    Vllm,
}

impl Runtime {
    /// Every known runtime.
    pub const ALL: [Runtime; 3] = [Runtime::Sglang054, Runtime::Sglang0523, Runtime::Vllm];

    /// The name in manifests and journals.
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Sglang054 => "sglang-0.5.4.post2",
            Runtime::Sglang0523 => "sglang-0.5.23",
            Runtime::Vllm => "vllm",
        }
    }

    /// The version of the PyPI package that carries this runtime's kernels.
    pub fn sglang_version(self) -> Option<&'static str> {
        match self {
            Runtime::Sglang054 => Some("0.5.4.post2"),
            Runtime::Sglang0523 => Some("0.5.23"),
            Runtime::Vllm => None,
        }
    }

    /// An SGLang version as users write it: `0.5.4`, `0.5.4.post2`, `0.5.23`.
    pub fn from_sglang_version(version: &str) -> Result<Self, UnknownRuntime> {
        match version.strip_prefix('v').unwrap_or(version) {
            "0.5.4" | "0.5.4.post2" => Ok(Runtime::Sglang054),
            "0.5.23" => Ok(Runtime::Sglang0523),
            _ => Err(UnknownRuntime::Sglang(version.to_owned())),
        }
    }

    /// The Triton this runtime runs with where nothing else is said.
    ///
    /// 3.5.0 is what the image `lmsysorg/sglang:spark` carries beside SGLang 0.5.4.post2; SGLang
    /// 0.5.23 pins torch 2.14.1, which wants Triton 3.8.
    pub fn default_triton(self) -> TritonVersion {
        match self {
            Runtime::Sglang054 => TritonVersion::new(3, 5, 0),
            Runtime::Sglang0523 | Runtime::Vllm => TritonVersion::new(3, 8, 0),
        }
    }

    /// Where the runtime keeps its config files, below `site-packages` or the source root.
    pub fn config_module_dir(self) -> &'static str {
        match self {
            Runtime::Sglang054 => "sglang/srt/layers/moe/fused_moe_triton",
            Runtime::Sglang0523 => "sglang/srt/layers/moe/moe_runner/triton_utils",
            Runtime::Vllm => "vllm/model_executor/layers/fused_moe",
        }
    }

    /// The environment variable that points the runtime at another config folder.
    pub fn config_dir_variable(self) -> &'static str {
        match self {
            Runtime::Sglang054 | Runtime::Sglang0523 => "SGLANG_MOE_CONFIG_DIR",
            Runtime::Vllm => "VLLM_TUNED_CONFIG_FOLDER",
        }
    }

    /// Whether per-channel models look for `,per_channel_quant=True` in the file name.
    ///
    /// 0.5.4.post2 calls `get_moe_configs` without the argument, so the name never has the suffix;
    /// 0.5.23 passes it (SGLang PR #11201). vLLM has no such suffix.
    pub fn names_per_channel(self) -> bool {
        matches!(self, Runtime::Sglang0523)
    }

    /// Whether the runtime reads a second file, `..._down.json`, for the down projection.
    pub fn reads_down_file(self) -> bool {
        !matches!(self, Runtime::Vllm)
    }
}

impl fmt::Display for Runtime {
    /// `SGLang 0.5.4.post2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sglang_version() {
            Some(version) => write!(f, "SGLang {version}"),
            None => f.pad("vLLM"),
        }
    }
}

impl FromStr for Runtime {
    type Err = UnknownRuntime;

    /// `sglang-0.5.4`, `sglang-0.5.4.post2`, `sglang-0.5.23` or `vllm`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('-') {
            Some(("sglang", version)) => {
                Runtime::from_sglang_version(version).map_err(|_| UnknownRuntime::Runtime(text.to_owned()))
            }
            None if text == "vllm" => Ok(Runtime::Vllm),
            _ => Err(UnknownRuntime::Runtime(text.to_owned())),
        }
    }
}

/// A runtime or version nobody has read the source of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownRuntime {
    /// Not an SGLang version whose rules are known.
    #[error(
        "unknown SGLang version `{0}`; known: 0.5.4.post2, 0.5.23 (look-up rules differ between versions, so others are not guessed)"
    )]
    Sglang(String),
    /// Not a vLLM release whose rules are known.
    #[error(
        "unknown vLLM version `{0}`; known: 0.10.0 to 0.33.* (rules may differ in others, which are not guessed)"
    )]
    Vllm(String),
    /// Not a runtime at all.
    #[error("unknown runtime `{0}`; known: sglang-0.5.4, sglang-0.5.23, vllm")]
    Runtime(String),
}

/// A runtime with the Triton it runs on: together they decide file names, folders and binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The serving runtime.
    pub runtime: Runtime,
    /// The Triton that compiles its kernels.
    pub triton: TritonVersion,
}

impl Target {
    /// The runtime with its own Triton.
    pub fn of(runtime: Runtime) -> Self {
        Self { runtime, triton: runtime.default_triton() }
    }

    /// The folder that files for it are collected in. SGLang looks in one for its Triton; vLLM's own has no such folders
    /// and may be called anything, so that its files are kept out of those.
    pub(crate) fn folder(self) -> String {
        match self.runtime {
            Runtime::Sglang054 | Runtime::Sglang0523 => self.triton.directory(),
            Runtime::Vllm => "vllm".to_owned(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with Triton {}", self.runtime, self.triton)
    }
}
