//! Shared experts that the server appends to the routed ones.
//!
//! A model may run every token through one more expert beside the routed ones. Some servers append
//! its weights to the routed experts' tensors, so the kernel sees one expert more and the config
//! file's name says `E=161` where the model says 160. The *server* decides which file is read, so
//! its rule is the one followed here, even where SGLang's own tuner counts differently.
//!
//! Sources: 0.5.4.post2: `determine_num_fused_shared_experts` in `models/deepseek_v2.py`, the only
//! caller. 0.5.23: `resolve_shared_experts_config` in `layers/moe/utils.py`, which asks the model
//! class's `shared_experts_fusion_disable_reason` and `num_fusable_shared_experts`; Qwen3-Next
//! decides in its MoE block (`models/qwen2_moe.py`, `can_fuse_shared_expert`). Assumed throughout:
//! a CUDA device of capability 8.0 or newer, no DeepEP or other all-to-all backend, no two-batch or
//! single-batch overlap, default MoE runner. vLLM runs shared experts apart.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::config_json::{ConfigError, ModelConfig};
use super::scheme::{QuantizationMethod, Scheme};
use crate::runtime::Runtime;
use crate::shape::Dtype;

/// What the user says about fusing shared experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FusionChoice {
    /// As the target version does by default.
    #[default]
    Auto,
    /// Fused, as with `--enforce-shared-experts-fusion`.
    On,
    /// Not fused, as with `--disable-shared-experts-fusion`.
    Off,
}

impl FusionChoice {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            FusionChoice::Auto => "auto",
            FusionChoice::On => "on",
            FusionChoice::Off => "off",
        }
    }
}

impl FromStr for FusionChoice {
    type Err = UnknownFusionChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let choices = [FusionChoice::Auto, FusionChoice::On, FusionChoice::Off];
        choices
            .into_iter()
            .find(|choice| choice.name() == text)
            .ok_or_else(|| UnknownFusionChoice(text.to_owned()))
    }
}

/// Neither `auto` nor `on` nor `off`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing about shared experts; expected auto, on or off")]
pub struct UnknownFusionChoice(String);

/// When the server fuses the shared experts of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedExperts {
    /// Never, or there are none.
    Separate,
    /// DeepSeek V3's rule, both versions: 256 routed experts and exactly one shared, no expert
    /// parallelism. (0.5.23 also lists 384 routed experts, for Quark checkpoints only, which this
    /// tool refuses.) GLM-MoE-DSA inherits it under its own name.
    DeepseekV3,
    /// GLM-4 MoE, 0.5.23: all there are, no expert parallelism. 0.5.4.post2 has no such code.
    Glm4Moe,
    /// GLM-4 MoE Lite, GLM-4V MoE, MiniMax-M3, 0.5.23: exactly one, no expert parallelism.
    ExactlyOne,
    /// Qwen3-Next, 0.5.23: the shared expert as wide as a routed one, any parallelism. The tuner
    /// does not count it; the shipped `E=513,N=512` files show that the server does.
    Qwen3Next,
    /// Bailing MoE V3, 0.5.23: exactly one, as wide as a routed one, and its slice a multiple of the
    /// fp8 block. Any parallelism.
    BailingV3,
}

/// The numbers a fusion rule looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExpertLayer {
    /// Routed experts of the whole model.
    pub experts: u32,
    /// Intermediate size of a routed expert, undivided.
    pub intermediate: u32,
    /// Intermediate size on one rank.
    pub rank_intermediate: u32,
    /// Expert parallelism.
    pub ep: u32,
}

impl SharedExperts {
    /// Shared experts the server of `runtime` fuses by default.
    pub(super) fn fused_by_default(
        self,
        config: &ModelConfig,
        scheme: &Scheme,
        layer: ExpertLayer,
        runtime: Runtime,
    ) -> Result<u32, ConfigError> {
        let declared = || Ok(config.count_or_zero("n_shared_experts")?.unwrap_or(0));
        let newer = runtime == Runtime::Sglang0523;
        let fused = match self {
            _ if runtime == Runtime::Vllm => 0,
            SharedExperts::Separate => 0,
            SharedExperts::DeepseekV3 => {
                // Compressed-tensors int4 quantises only the routed experts
                // (`is_wint4afp8_or_wint4a16_config`, 0.5.23).
                let mixed = newer
                    && scheme.method == QuantizationMethod::CompressedTensors
                    && scheme.quantization.dtype == Dtype::Int4W4a16;
                let one = declared()? == 1;
                u32::from(one && layer.experts == 256 && layer.ep == 1 && !mixed)
            }
            SharedExperts::Glm4Moe if newer && layer.ep == 1 => declared()?,
            SharedExperts::ExactlyOne if newer && layer.ep == 1 => u32::from(declared()? == 1),
            SharedExperts::Qwen3Next if newer => {
                let width = config.count_or_zero("shared_expert_intermediate_size")?;
                u32::from(width == Some(layer.intermediate))
            }
            SharedExperts::BailingV3 if newer => bailing_v3(config, scheme, layer)?,
            _ => 0,
        };
        Ok(fused)
    }
}

fn bailing_v3(config: &ModelConfig, scheme: &Scheme, layer: ExpertLayer) -> Result<u32, ConfigError> {
    let count = config.count_or_zero("num_shared_experts")?.unwrap_or(0);
    let width = config.count_or_zero("moe_shared_expert_intermediate_size")?;
    let count = match width {
        None => count,
        Some(0) => 0,
        Some(_) => count.max(1),
    };
    let as_wide = width.unwrap_or(layer.intermediate.saturating_mul(count)) == layer.intermediate;
    let aligned = scheme.method != QuantizationMethod::Fp8
        || scheme.quantization.full_block().is_none_or(|block| {
            layer.rank_intermediate.is_multiple_of(block.n) && layer.rank_intermediate.is_multiple_of(block.k)
        });
    Ok(u32::from(count == 1 && as_wide && aligned))
}

/// The shared experts a config declares, under any of the names in use.
pub(super) fn declared(config: &ModelConfig) -> Result<u32, ConfigError> {
    for name in ["n_shared_experts", "num_shared_experts", "moe_num_shared_experts"] {
        if let Some(count) = config.count_or_zero(name)? {
            return Ok(count);
        }
    }
    // Qwen declares only a width; Llama 4 always has exactly one and declares nothing.
    let width = config.count_or_zero("shared_expert_intermediate_size")?;
    let llama4 = config.architecture().is_ok_and(|name| name.starts_with("Llama4"));
    Ok(u32::from(width.is_some_and(|w| w > 0) || llama4))
}
