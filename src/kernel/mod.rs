//! The fused-MoE kernel as data: its configs, the space of them, what they need and may cost. Pure.

mod config;

pub use config::{KernelConfig, Tile};
