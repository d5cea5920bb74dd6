//! The same image on every node: which have it, which need it, and the bytes from one through this machine to the
//! others.

mod error;
#[cfg(test)]
mod fixture;
mod plan;
mod same;
mod sync;
mod tee;

pub use error::ImageSyncError;
pub use plan::{CopyPlan, CopyStep, NoCopyPlan, NodeImage, plan, reference, runs};
pub use same::{SameBy, same};
pub use sync::{Brought, How, Told, copy, held, pull};
