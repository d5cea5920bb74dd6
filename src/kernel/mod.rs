//! The fused-MoE kernel as data: the space of its configs, what they need and may cost. Pure.

pub mod cost;
pub mod routing;
pub mod schedule;
pub mod shared_memory;
pub mod space;
