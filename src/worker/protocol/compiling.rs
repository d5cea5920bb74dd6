//! The messages of the compiling half: what is compiled for which GPU, and what came of it.

use serde::{Deserialize, Serialize};

use crate::shape::{BlockShape, Dtype, KernelConfig, MoeShape, Role, Tile};

/// A GPU as the compiler sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileTarget {
    /// `sm_121a`.
    pub arch: String,
    /// 121.
    pub capability: u32,
}

/// The part of a shape that the kernel's launch binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchShape {
    /// E, fused shared experts included.
    pub experts: u32,
    /// N on this rank.
    pub intermediate: u32,
    /// K.
    pub hidden: u32,
    /// Rows a token becomes: routed experts and fused shared ones.
    pub top_k: u32,
    /// Element types.
    pub dtype: Dtype,
    /// Block-wise scales.
    pub block_shape: Option<BlockShape>,
    /// Per-channel scales.
    pub per_channel: bool,
    /// Whether the up projection is twice as wide.
    pub gated: bool,
    /// Whether experts live on several ranks: SGLang 0.5.4 then compiles a branch more.
    pub expert_parallel: bool,
}

impl LaunchShape {
    /// The launch of `shape` under `ep` ranks of experts.
    pub fn new(shape: &MoeShape, ep: u32) -> Self {
        Self {
            experts: shape.experts,
            intermediate: shape.intermediate,
            hidden: shape.hidden,
            top_k: shape.routed_per_token(),
            dtype: shape.quantization.dtype,
            block_shape: shape.quantization.block_shape,
            per_channel: shape.quantization.per_channel,
            gated: shape.gated,
            expert_parallel: ep > 1,
        }
    }
}

/// One compilation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unit {
    /// Names the unit in answers; opaque to the worker.
    pub unit: String,
    /// Which of the two kernels.
    pub role: Role,
    /// The tile; its GROUP_SIZE_M changes only the order of blocks.
    pub config: KernelConfig,
    /// Tokens in the forward pass, where the binary depends on them; 1 where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
}

impl Unit {
    /// The unit that compiles `tile` for `role`.
    ///
    /// GROUP_SIZE_M 1 stands for all of them: it is a multiplier in index arithmetic and changes
    /// neither allocation nor instruction mix.
    pub fn of(role: Role, tile: &Tile) -> Self {
        Self { unit: format!("{role} {tile}"), role, config: tile.with_group(1), batch_size: None }
    }

    /// The same for batches of `tokens` tokens, of a runtime whose kernels differ there.
    pub fn for_batches_of(role: Role, tile: &Tile, tokens: u32) -> Self {
        let unit = Self::of(role, tile);
        Self { unit: format!("{} at {tokens} tokens", unit.unit), batch_size: Some(tokens), ..unit }
    }
}

/// How one compilation ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CompileOutcome {
    /// There is a binary.
    Compiled(Compiled),
    /// There is none.
    Failed(CompileFailure),
}

impl FailureReason {
    /// Whether the failure says something about the kernel. A time limit, a lost worker or an assembler
    /// that is too old says nothing: the same kernel may compile the next time.
    pub fn is_about_the_kernel(self) -> bool {
        match self {
            FailureReason::CompilerCrash | FailureReason::InvalidConfig | FailureReason::KernelError => true,
            FailureReason::Timeout | FailureReason::WorkerLost | FailureReason::UnsupportedTarget => false,
        }
    }
}

impl CompileOutcome {
    /// Whether the outcome would be the same the next time.
    pub fn is_lasting(&self) -> bool {
        match self {
            CompileOutcome::Compiled(_) => true,
            CompileOutcome::Failed(failure) => failure.reason.is_about_the_kernel(),
        }
    }

    /// Why there is no binary, in one line, where there is none.
    pub fn failed(&self) -> Option<String> {
        match self {
            CompileOutcome::Compiled(_) => None,
            CompileOutcome::Failed(failure) => {
                let said = failure.message.lines().next().unwrap_or_default();
                Some(format!("{}: {said}", failure.reason.name()))
            }
        }
    }
}

/// What the compiler allocated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compiled {
    /// Shared memory of a block, bytes: the compiler's own figure.
    pub shared_bytes: u32,
    /// Registers a thread.
    pub registers: Option<u32>,
    /// Bytes of registers spilled to local memory, a thread.
    pub spill_bytes: Option<u32>,
    /// Time the compilation took.
    pub seconds: f64,
    /// SHA-256 of the binary.
    pub binary_sha256: String,
}

/// Why there is no binary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompileFailure {
    /// The class of failure.
    pub reason: FailureReason,
    /// The compiler's words.
    pub message: String,
    /// Time until it failed.
    pub seconds: f64,
}

/// The classes of failed compilations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The compiler died or gave up on its own.
    CompilerCrash,
    /// The time limit passed.
    Timeout,
    /// Compiler or assembler does not know the target.
    UnsupportedTarget,
    /// The config cannot be a launch.
    InvalidConfig,
    /// The kernel does not compile for this binding.
    KernelError,
    /// Two workers died on it. Said by the harness, never by a worker.
    WorkerLost,
}

impl FailureReason {
    /// The name in journals, tables and messages.
    pub fn name(self) -> &'static str {
        match self {
            FailureReason::CompilerCrash => "compiler_crash",
            FailureReason::Timeout => "timeout",
            FailureReason::UnsupportedTarget => "unsupported_target",
            FailureReason::InvalidConfig => "invalid_config",
            FailureReason::KernelError => "kernel_error",
            FailureReason::WorkerLost => "worker_lost",
        }
    }
}
