//! The cluster: its nodes, what they are, and what is put on them.

mod ask;
pub mod deploy;
pub mod installed;

pub use ask::{AskError, AskFailure};
