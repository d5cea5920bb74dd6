//! A runtime's own tuner, one process a batch size.

use serde::{Deserialize, Serialize};

use super::Work;
use crate::shape::KernelConfig;

/// News of the tuner. Work counts batch sizes; what a process does is on the event's host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StockEvent {
    /// Batch sizes wait for a process.
    Queued {
        /// Those that earlier sessions tuned count as done.
        work: Work,
    },
    /// A process is started.
    Started {
        /// Its batch size.
        batch_size: u32,
    },
    /// It is at work.
    Running {
        /// Its batch size.
        batch_size: u32,
        /// Since its start.
        seconds: f64,
        /// The last line of its output, if there is one.
        line: Option<String>,
    },
    /// A batch size is tuned.
    Tuned {
        /// Which.
        batch_size: u32,
        /// The choice.
        config: KernelConfig,
        /// What the process took.
        seconds: f64,
        /// With this one.
        work: Work,
    },
    /// A process came to no result.
    Failed {
        /// Its batch size.
        batch_size: u32,
        /// Why.
        why: String,
        /// Whether the batch size is tried again.
        again: bool,
    },
    /// No more is tuned in this session.
    Ended {
        /// As it stands.
        work: Work,
    },
}
