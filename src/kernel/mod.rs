//! The fused-MoE kernel as data: the space of its configs, what they need and may cost. Pure.

pub(crate) mod cost;
pub(crate) mod routing;
pub(crate) mod schedule;
pub mod shared_memory;
pub mod space;
