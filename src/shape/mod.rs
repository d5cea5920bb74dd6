//! The words that everything about MoE kernels shares: a layer on one rank, how it is stored, a launch
//! configuration. Imports nothing of the crate.

mod config;
mod moe_shape;
mod quantization;
mod role;

pub use config::{KernelConfig, Tile};
pub use moe_shape::{Gemm, MoeShape};
pub use quantization::{BadBlockShape, BlockShape, Dtype, Quantization, UnknownDtype};
pub use role::Role;
