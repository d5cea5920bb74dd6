//! Why a model or a set of flags gives no shape.

use super::config_json::ConfigError;
use super::limits::{MAX_COUNT, MAX_PARALLELISM};
use super::scheme::QuantizationError;
use super::warning::list;
use crate::failure::{Failure, Kind, forwards};
use crate::shape::{BlockShape, Dtype};

/// Why there is no MoE shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// The config is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The quantisation reads no config files, or is not known.
    #[error(transparent)]
    Quantization(#[from] QuantizationError),
    /// Nobody has read how this architecture lays out its experts.
    #[error(
        "{origin}: unknown architecture `{architecture}`; looked for {}",
        looked_for.iter().map(|(name, there)| format!("{name} ({})", if *there { "present" } else { "absent" }))
            .collect::<Vec<_>>().join(", ")
    )]
    UnknownArchitecture {
        origin: String,
        /// The name in `architectures`.
        architecture: String,
        /// Field names looked for, and whether each was there.
        looked_for: Vec<(String, bool)>,
    },
    /// No experts anywhere.
    #[error("{origin}: `{architecture}` has no experts: a dense model has no fused-MoE kernel to tune")]
    Dense {
        origin: String,
        /// The name in `architectures`.
        architecture: String,
    },
    /// A known architecture without one of its fields.
    #[error("{origin}: `{architecture}` needs the field {}, which says {what}; it is missing", names.join(" or "))]
    MissingField {
        origin: String,
        /// The name in `architectures`.
        architecture: String,
        /// What the field says.
        what: &'static str,
        /// The names it may have.
        names: Vec<String>,
    },
    /// More experts a token than there are.
    #[error("{top_k} experts per token, but the model has {experts}")]
    TopKTooLarge {
        /// Experts per token.
        top_k: u32,
        /// Routed experts.
        experts: u32,
    },
    /// tp or ep out of range.
    #[error("{name}={value} is no parallelism; expected an integer from 1 to {MAX_PARALLELISM}")]
    BadParallelism {
        /// `tp` or `ep`.
        name: &'static str,
        /// What was given.
        value: u32,
    },
    /// Expert parallelism divides the tensor-parallel group.
    #[error(
        "tp={tp} is not divisible by ep={ep}: expert parallelism splits the tensor-parallel group; ep that works: {}",
        list(working)
    )]
    TpNotDivisible {
        /// Tensor parallelism.
        tp: u32,
        /// Expert parallelism.
        ep: u32,
        /// Values of ep that divide tp.
        working: Vec<u32>,
    },
    /// E is not whole.
    #[error("{experts} experts are not divisible by ep={ep}; ep that works with tp={tp}: {}", list(working))]
    ExpertsNotDivisible {
        /// Routed experts.
        experts: u32,
        /// Tensor parallelism.
        tp: u32,
        /// Expert parallelism.
        ep: u32,
        /// Values of ep that divide both.
        working: Vec<u32>,
    },
    /// N is not whole.
    #[error(
        "intermediate size {intermediate} is not divisible by tp / ep = {split}; tp that works with ep={ep}: {}",
        list(working)
    )]
    IntermediateNotDivisible {
        /// Intermediate size of one expert.
        intermediate: u32,
        /// Expert parallelism.
        ep: u32,
        /// Slices each expert is cut into.
        split: u32,
        /// Values of tp that work.
        working: Vec<u32>,
    },
    /// Flags that say a shape by hand, but not all of it.
    #[error("a shape given by hand needs all of --experts, --intermediate, --hidden, --top-k and --dtype; missing: {}", missing.join(", "))]
    ByHandIncomplete {
        /// The missing flags.
        missing: Vec<&'static str>,
    },
    /// A number given by hand is out of range.
    #[error("{flag} {value}: expected an integer from 1 to {MAX_COUNT}")]
    ByHandOutOfRange {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: u32,
    },
    /// Scales that this dtype does not have.
    #[error("block shape {block} does not go with {dtype}: {accepted}")]
    BadBlockShape {
        /// The block shape.
        block: BlockShape,
        /// The dtype.
        dtype: Dtype,
        /// What does.
        accepted: &'static str,
    },
    /// Per-channel scales that this dtype does not have.
    #[error("per-channel scales do not go with {dtype}{}; they are for fp8_w8a8 and int8_w8a8 without a block shape", if *blocked { " in blocks" } else { "" })]
    BadPerChannel {
        /// The dtype.
        dtype: Dtype,
        /// Whether a block shape is set too.
        blocked: bool,
    },
    /// Told to fuse shared experts that cannot be fused.
    #[error("shared experts cannot be fused: {reason}")]
    NothingToFuse { reason: String },
}

impl GeometryError {
    /// Whether the model is understood, and has no kernel that reads config files.
    pub(crate) fn reads_no_files(&self) -> bool {
        matches!(self, Self::Dense { .. } | Self::Quantization(QuantizationError::NoConfigFiles { .. }))
    }
}

forwards! {
    impl Failure for GeometryError forwarding Config, Quantization {
        Self::UnknownArchitecture { .. } => Kind::Input,
            "say the shape by hand: --experts --intermediate --hidden --top-k (and --dtype, --block-shape)";
        Self::MissingField { .. } => Kind::Input,
            "say it by hand: --experts, --intermediate, --hidden or --top-k";
        Self::Dense { .. } | Self::TopKTooLarge { .. } | Self::BadParallelism { .. } | Self::TpNotDivisible { .. }
        | Self::ExpertsNotDivisible { .. } | Self::IntermediateNotDivisible { .. } => Kind::Input;
        Self::ByHandIncomplete { .. } | Self::ByHandOutOfRange { .. } | Self::BadBlockShape { .. }
        | Self::BadPerChannel { .. } | Self::NothingToFuse { .. } => Kind::Input;
    }
}
