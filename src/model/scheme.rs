//! How a checkpoint's experts are stored, and why nothing may be tuned for them: what readers of quantisation share.

use super::config_json::{ConfigError, ModelConfig};
use super::warning::GeometryWarning;
use crate::failure::{Failure, Kind, forwards};
use crate::shape::{Dtype, Quantization};

/// The family of a `quant_method`, as far as later rules ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuantizationMethod {
    /// No quantisation of the experts.
    None,
    /// `fp8`.
    Fp8,
    /// `compressed-tensors`.
    CompressedTensors,
    /// Anything else that is understood.
    Other,
}

/// How a checkpoint's experts are stored, and what to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scheme {
    /// Element types and scales.
    pub quantization: Quantization,
    /// The family of the method.
    pub method: QuantizationMethod,
    /// What a user should know.
    pub warnings: Vec<GeometryWarning>,
}

impl Scheme {
    pub(super) fn new(method: QuantizationMethod, quantization: Quantization) -> Self {
        Self { quantization, method, warnings: Vec::new() }
    }

    pub(super) fn warn(mut self, warning: GeometryWarning) -> Self {
        self.warnings.push(warning);
        self
    }
}

/// Why a checkpoint's quantisation cannot be tuned for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantizationError {
    /// The config itself is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Understood, and no fused-MoE config file is ever read for it.
    #[error("{origin}: quantisation `{method}`: {reason}")]
    NoConfigFiles {
        origin: String,
        /// What the checkpoint says.
        method: String,
        /// Why there is nothing to tune.
        reason: &'static str,
    },
    /// Not known at all.
    #[error("{origin}: unknown quantisation `{method}` (field `{field}`); known: {KNOWN_METHODS}")]
    Unknown {
        origin: String,
        /// The field it stands in.
        field: String,
        /// What the checkpoint says.
        method: String,
    },
}

/// What is understood, for messages.
pub(super) const KNOWN_METHODS: &str = "fp8, compressed-tensors, w8a8_fp8, w8a8_int8, blockwise_int8, gptq, awq, \
                                        auto-round, moe_wna16, modelopt (FP8)";

forwards! {
    impl Failure for QuantizationError forwarding Config {
        Self::NoConfigFiles { .. } | Self::Unknown { .. } => Kind::Input,
            "if you know that your server runs this model through the Triton fused-MoE kernel, say how with --dtype \
             (and --block-shape)";
    }
}

// Why there is nothing to tune, where more than one method or file says so.
pub(super) const MXFP4: &str = "mxfp4 experts run through their own kernels (FlashInfer, triton_kernels or Marlin), \
                                which read no fused-MoE config files";
pub(super) const NVFP4: &str = "NVFP4 experts run through FlashInfer, CUTLASS or Marlin kernels, which read no \
                                fused-MoE config files";
pub(super) const W4AFP8: &str =
    "int4 weights with fp8 activations run through a CUTLASS kernel, which reads no fused-MoE config files";
pub(super) const MXFP8: &str =
    "mxfp8 (scales in groups of 32) runs through its own kernels, which read no fused-MoE config files";

/// The dtype of unquantised weights; bfloat16 where the config says nothing, as SGLang's tuner does.
pub(super) fn plain_dtype(config: &ModelConfig) -> Result<Dtype, ConfigError> {
    for name in ["dtype", "torch_dtype"] {
        let at_root = || config.root_field(name).map(|value| (name.to_owned(), value));
        let found = config.text_field(name).map(|value| (config.text_name(name), value)).or_else(at_root);
        let Some((field, value)) = found else { continue };
        return match value.as_str().map(|text| text.strip_prefix("torch.").unwrap_or(text)) {
            Some("bfloat16" | "auto") => Ok(Dtype::Bfloat16),
            Some("float16" | "half") => Ok(Dtype::Float16),
            Some("float32" | "float") => Ok(Dtype::Float32),
            _ => Err(config.bad(&field, "bfloat16, float16 or float32", value)),
        };
    }
    Ok(Dtype::Bfloat16)
}
