//! The messages that carry binaries from the worker that compiled them to others.

use serde::{Deserialize, Serialize};

use super::compiling::Unit;

/// A binary on its way, as a worker packed it: what it was made with, and what is opaque to all but workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedBinary {
    /// SHA-256 of the kernel's source.
    pub kernel: String,
    /// The Triton that compiled it.
    pub triton: String,
    /// The target, such as `sm_121a`.
    pub arch: String,
    /// The key by which that Triton looks for it.
    pub key: String,
    /// The binary.
    pub content: String,
    /// SHA-256 of `content`.
    pub sha256: String,
}

/// A unit with the binary that a worker is to take for it.
#[derive(Debug, Clone, Serialize)]
pub struct PackedUnit {
    /// The unit.
    #[serde(flatten)]
    pub unit: Unit,
    /// Its binary.
    pub binary: PackedBinary,
}

/// What came of asking a worker for a binary.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum GiveOutcome {
    /// Here it is.
    Given {
        /// The binary.
        binary: PackedBinary,
    },
    /// It was not given.
    Failed {
        /// For people.
        message: String,
    },
}

/// What came of handing a worker a binary.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TakeOutcome {
    /// A launch finds it.
    Taken,
    /// It was not taken.
    Failed {
        /// For people.
        message: String,
    },
}
