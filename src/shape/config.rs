//! A kernel launch configuration and the part of it that decides the compiled binary.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The compile-relevant part of a [`KernelConfig`]: everything but GROUP_SIZE_M, which only
/// reorders the thread blocks and changes neither shared memory nor registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tile {
    /// Rows (tokens routed to one expert) a thread block computes.
    #[serde(rename = "BLOCK_SIZE_M")]
    pub block_size_m: u32,
    /// Output columns a thread block computes.
    #[serde(rename = "BLOCK_SIZE_N")]
    pub block_size_n: u32,
    /// Reduction elements loaded per step.
    #[serde(rename = "BLOCK_SIZE_K")]
    pub block_size_k: u32,
    /// Warps in a thread block.
    pub num_warps: u32,
    /// Software-pipeline depth.
    pub num_stages: u32,
}

/// One entry of a config file, without the AMD-only and TMA fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KernelConfig {
    /// Rows a thread block computes.
    #[serde(rename = "BLOCK_SIZE_M")]
    pub block_size_m: u32,
    /// Output columns a thread block computes.
    #[serde(rename = "BLOCK_SIZE_N")]
    pub block_size_n: u32,
    /// Reduction elements loaded per step.
    #[serde(rename = "BLOCK_SIZE_K")]
    pub block_size_k: u32,
    /// M-blocks that share a column sweep, for L2 reuse of the weights.
    #[serde(rename = "GROUP_SIZE_M")]
    pub group_size_m: u32,
    /// Warps in a thread block.
    pub num_warps: u32,
    /// Software-pipeline depth.
    pub num_stages: u32,
}

impl KernelConfig {
    /// The config without its GROUP_SIZE_M.
    pub fn tile(&self) -> Tile {
        Tile {
            block_size_m: self.block_size_m,
            block_size_n: self.block_size_n,
            block_size_k: self.block_size_k,
            num_warps: self.num_warps,
            num_stages: self.num_stages,
        }
    }
}

impl Tile {
    /// The tile with a GROUP_SIZE_M.
    pub fn with_group(&self, group_size_m: u32) -> KernelConfig {
        KernelConfig {
            block_size_m: self.block_size_m,
            block_size_n: self.block_size_n,
            block_size_k: self.block_size_k,
            group_size_m,
            num_warps: self.num_warps,
            num_stages: self.num_stages,
        }
    }
}

impl fmt::Display for Tile {
    /// `64x128x128 w4 s3`: BLOCK_SIZE_M x N x K, warps, stages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block_size_m: m, block_size_n: n, block_size_k: k, num_warps, num_stages } = self;
        write!(f, "{m}x{n}x{k} w{num_warps} s{num_stages}")
    }
}

impl fmt::Display for KernelConfig {
    /// `64x128x128 g32 w4 s3`: BLOCK_SIZE_M x N x K, GROUP_SIZE_M, warps, stages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block_size_m: m, block_size_n: n, block_size_k: k, group_size_m, num_warps, num_stages } =
            self;
        write!(f, "{m}x{n}x{k} g{group_size_m} w{num_warps} s{num_stages}")
    }
}
