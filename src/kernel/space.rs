//! The search space: the configs SGLang's own tuner tries, in its order.
//!
//! Source: `get_configs_compute_bound` in SGLang's `benchmark/kernels/fused_moe_triton`, the same
//! lists from 0.5.4 to 0.5.23.

use std::collections::HashSet;

use super::shared_memory;
use crate::shape::{KernelConfig, Quantization, Tile};

const NUM_STAGES: [u32; 4] = [2, 3, 4, 5];
const BLOCK_SIZE_M: [u32; 5] = [16, 32, 64, 128, 256];
const BLOCK_SIZE_K: [u32; 3] = [64, 128, 256];
const BLOCK_SIZE_N: [u32; 4] = [32, 64, 128, 256];
const NUM_WARPS: [u32; 2] = [4, 8];
/// The GROUP_SIZE_M values SGLang's tuner tries.
pub const GROUP_SIZE_M: [u32; 4] = [1, 16, 32, 64];

/// The batch sizes SGLang's tuner tunes for, and the keys of its files.
pub const STANDARD_BATCH_SIZES: [u32; 18] =
    [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 1536, 2048, 3072, 4096];

/// Every config that can be right for `quantization`, in the order SGLang's tuner tries them.
///
/// 1,920 configs; 1,280 with 128-wide block quantisation. Where scales are per block of K the kernel
/// applies one scale to a whole BLOCK_SIZE_K step, so the step must divide the block. Group
/// quantisation (int4) looks its scales up per element and keeps the whole space.
pub fn configs(quantization: &Quantization) -> Vec<KernelConfig> {
    let block = quantization.full_block();
    let mut configs = Vec::with_capacity(1920);
    for num_stages in NUM_STAGES {
        for block_size_m in BLOCK_SIZE_M {
            for block_size_k in BLOCK_SIZE_K {
                if block.is_some_and(|block| block.k % block_size_k != 0) {
                    continue;
                }
                for block_size_n in BLOCK_SIZE_N {
                    for num_warps in NUM_WARPS {
                        for group_size_m in GROUP_SIZE_M {
                            configs.push(KernelConfig {
                                block_size_m,
                                block_size_n,
                                block_size_k,
                                group_size_m,
                                num_warps,
                                num_stages,
                            });
                        }
                    }
                }
            }
        }
    }
    configs
}

/// The distinct tiles of `configs`, in order of first appearance: what there is to compile.
pub fn tiles(configs: &[KernelConfig]) -> Vec<Tile> {
    let mut seen = HashSet::with_capacity(configs.len() / GROUP_SIZE_M.len() + 1);
    configs.iter().map(KernelConfig::tile).filter(|tile| seen.insert(*tile)).collect()
}

/// How large a space is, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// Configs before anything is left out.
    pub configs: usize,
    /// Distinct tiles.
    pub tiles: usize,
    /// Tiles that fit the device.
    pub fit: usize,
}

/// The size of `quantization`'s space where a block may use `limit` bytes of shared memory.
pub fn size(quantization: &Quantization, limit: u32) -> Size {
    let configs = configs(quantization);
    let tiles = tiles(&configs);
    let fits = |tile: &&Tile| shared_memory::required_bytes(tile, quantization) <= limit;
    Size { configs: configs.len(), tiles: tiles.len(), fit: tiles.iter().filter(fits).count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{BlockShape, Dtype};

    #[test]
    fn a_gb10_holds_three_quarters_of_the_fp8_tiles() {
        let size = |dtype| size(&Quantization::none(dtype), 101_376);
        assert_eq!(size(Dtype::Fp8W8a8), Size { configs: 1920, tiles: 480, fit: 364 });
        // Three of these crash the compiler of Triton 3.5.0, which leaves 241.
        assert_eq!(size(Dtype::Bfloat16).fit, 244);
    }

    #[test]
    fn sizes_and_order_are_sglangs() {
        let all = configs(&Quantization::none(Dtype::Bfloat16));
        assert_eq!(all.len(), 1920);
        assert_eq!(tiles(&all).len(), 480);
        let text: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(text[0], "16x32x64 g1 w4 s2");
        assert_eq!(text[1], "16x32x64 g16 w4 s2");
        assert_eq!(text[4], "16x32x64 g1 w8 s2");
        assert_eq!(text[8], "16x64x64 g1 w4 s2");
        assert_eq!(text[32], "16x32x128 g1 w4 s2");
        assert_eq!(text[1919], "256x256x256 g64 w8 s5");
    }

    #[test]
    fn block_scales_bound_the_k_step() {
        let block = |n, k| Quantization {
            dtype: Dtype::Fp8W8a8,
            block_shape: Some(BlockShape { n, k }),
            per_channel: false,
        };
        let square = configs(&block(128, 128));
        assert_eq!(square.len(), 1280);
        assert!(square.iter().all(|config| config.block_size_k <= 128));
        assert_eq!(configs(&block(0, 32)).len(), 1920, "group scales are per element");
        assert!(configs(&block(128, 32)).is_empty());
    }
}
