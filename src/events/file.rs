//! Files that runs are for.

use serde::{Deserialize, Serialize};

/// News of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum FileEvent {
    /// A config file is on disk and was read back.
    Written {
        /// Relative to the run's directory.
        path: String,
        /// SHA-256 of its bytes, hexadecimal.
        sha256: String,
    },
}
