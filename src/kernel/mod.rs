//! The fused-MoE kernel as data: its configs, the space of them, what they need and may cost. Pure.

mod config;
pub mod cost;
pub mod routing;
pub mod schedule;
pub mod shared_memory;
pub mod space;

pub use config::{KernelConfig, Tile};
