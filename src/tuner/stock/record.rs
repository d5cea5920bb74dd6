//! What the journal of a run of the stock tuner holds.

use serde::{Deserialize, Serialize};

use crate::host_name::HostName;
use crate::journal::JournalRecord;
use crate::shape::KernelConfig;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum StockRecord {
    /// A batch size is tuned.
    Tuned(Tuned),
    /// A process ended without a result.
    Failed {
        /// The node it ran on.
        on: HostName,
        /// Its batch size.
        batch_size: u32,
        /// Why.
        why: String,
    },
    /// A process could not be started, or was heard of no more: nothing is known of its batch size.
    Lost {
        /// The node.
        on: HostName,
        /// The batch size.
        batch_size: u32,
        /// What is known.
        why: String,
    },
    /// A file is on disk.
    File {
        /// Relative to the run directory.
        path: String,
        /// SHA-256 of its bytes.
        sha256: String,
    },
}

/// What the script chose for a batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tuned {
    /// The node it ran on.
    pub on: HostName,
    /// The batch size.
    pub batch_size: u32,
    /// Its choice.
    pub config: KernelConfig,
    /// What the process took from start to end, seconds.
    pub seconds: f64,
    /// The name of the file it wrote.
    pub file: String,
}

impl JournalRecord for StockRecord {
    const FORMAT: u32 = 1;
}
