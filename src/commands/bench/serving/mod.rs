//! Serving models on a cluster: what there is, and what it comes to on these nodes.

mod derived;
pub(crate) mod models;
pub(crate) mod plan;
mod plan_output;
mod wanted;
