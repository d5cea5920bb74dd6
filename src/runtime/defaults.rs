//! The config a runtime falls back on when it finds no file.
//!
//! Source: `get_default_config` in SGLang 0.5.4.post2 (`fused_moe_triton_config.py`), SGLang 0.5.23
//! (same file under `moe_runner/triton_utils`) and vLLM (`fused_moe.py`).

use super::Runtime;
use crate::shape::{BlockShape, Dtype, KernelConfig, MoeShape};

/// 0.5.23 takes its small fp8 defaults on devices below this many bytes of shared memory a block
/// (`_LOW_SMEM_FP8_DEFAULT_CUTOFF_BYTES`).
const LOW_SHARED_MEMORY_CUTOFF: u32 = 128 * 1024;

/// What Triton assumes where a config names no `num_warps`.
pub const TRITON_DEFAULT_WARPS: u32 = 4;
/// What Triton assumes where a config names no `num_stages`.
pub const TRITON_DEFAULT_STAGES: u32 = 3;

const fn config(m: u32, n: u32, k: u32, group: u32, warps: u32, stages: u32) -> KernelConfig {
    KernelConfig {
        block_size_m: m,
        block_size_n: n,
        block_size_k: k,
        group_size_m: group,
        num_warps: warps,
        num_stages: stages,
    }
}

impl Runtime {
    /// The config this runtime launches at `m` tokens when it finds no file for `shape`.
    ///
    /// `shared_memory_limit` is the device's opt-in limit a block in bytes: 0.5.23 looks at it.
    /// Up and down projections share it.
    pub fn default_config(self, shape: &MoeShape, m: u32, shared_memory_limit: u32) -> KernelConfig {
        let few_tokens = m <= shape.experts;
        match (shape.quantization.dtype, shape.quantization.block_shape) {
            (Dtype::Fp8W8a8, Some(BlockShape { n, k })) => config(64, n, k, 32, 4, 3),
            (Dtype::Fp8W8a8, None) => {
                let low = self == Runtime::Sglang0523 && shared_memory_limit < LOW_SHARED_MEMORY_CUTOFF;
                match (low, few_tokens) {
                    (true, true) => config(32, 64, 256, 1, 4, 4),
                    (true, false) => config(64, 128, 256, 64, 4, 2),
                    (false, true) => config(64, 128, 128, 1, 4, 4),
                    (false, false) => config(128, 256, 128, 32, 8, 4),
                }
            }
            // These leave warps and stages to Triton.
            _ if few_tokens => config(16, 32, 64, 1, TRITON_DEFAULT_WARPS, TRITON_DEFAULT_STAGES),
            _ => config(64, 64, 32, 8, TRITON_DEFAULT_WARPS, TRITON_DEFAULT_STAGES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Quantization;

    fn glm(fused: u32) -> MoeShape {
        MoeShape::glm(Quantization { per_channel: true, ..Quantization::none(Dtype::Fp8W8a8) }, fused)
    }

    #[test]
    fn glm_defaults_change_above_the_expert_count() {
        let old = |m| Runtime::Sglang054.default_config(&glm(0), m, 101_376).to_string();
        assert_eq!(old(160), "64x128x128 g1 w4 s4");
        assert_eq!(old(161), "128x256x128 g32 w8 s4");
        let new = |m| Runtime::Sglang0523.default_config(&glm(1), m, 101_376).to_string();
        assert_eq!(new(161), "32x64x256 g1 w4 s4");
        assert_eq!(new(162), "64x128x256 g64 w4 s2");
        assert_eq!(
            Runtime::Sglang0523.default_config(&glm(1), 162, 232_448).to_string(),
            "128x256x128 g32 w8 s4"
        );
    }
}
