//! Kernels on their way through the compiler.

use serde::{Deserialize, Serialize};

use super::Work;
use crate::shape::{Role, Tile};

/// News of compiling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CompileEvent {
    /// Kernels wait for a compiler: nothing is known of them.
    Queued {
        /// With these.
        work: Work,
    },
    /// One compilation ended, on the event's host.
    Ended {
        /// Which of the two kernels.
        role: Role,
        /// Its tile.
        tile: Tile,
        /// The batch size, tokens, of a runtime whose binaries differ there.
        batch_size: Option<u32>,
        /// Why there is no binary, where there is none.
        failed: Option<NoBinary>,
        /// With this one.
        work: Work,
    },
}

/// Why a kernel has no binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoBinary {
    /// The class of failure, such as `timeout`, as journals name it.
    pub reason: String,
    /// The first line of what the compiler said.
    pub message: String,
}
