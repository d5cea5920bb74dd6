//! The same image on every node: which have it, which need it, and the bytes from one to the others, over the
//! fabric or through this machine. Tuned ones are built on one node, and brought to the others in the same way.

pub mod build;
mod build_error;
mod direct;
mod error;
mod fabric;
#[cfg(test)]
mod fixture;
mod plan;
mod same;
mod sync;
mod tee;
mod told;
mod tuned;

pub use build_error::ImageBuildError;
pub use error::ImageSyncError;
pub(crate) use fabric::meeting;
pub use plan::{CopyPlan, CopyStep, NoCopyPlan, NodeImage, plan, reference, runs};
pub use same::{SameBy, same};
pub use sync::{Brought, How, Site, Way, copy, held, pull};
pub use told::Told;
pub use tuned::{CONTEXT_FOLDER, Tuned, TunedFile, content};
