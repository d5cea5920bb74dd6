//! Serving models on a cluster: what there is, what it comes to on these nodes, bringing it up and taking it down.

mod derived;
pub(crate) mod down;
pub(crate) mod logs;
pub(crate) mod models;
pub(crate) mod nodes;
pub(crate) mod plan;
mod plan_output;
pub(crate) mod planning;
pub(crate) mod status;
pub(crate) mod up;
mod up_output;
mod wanted;
