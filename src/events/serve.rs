//! Models brought up and taken down.

use serde::{Deserialize, Serialize};

/// What becomes of a model on the nodes. The event's host is the node where there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ServeEvent {
    /// A stage of its start begins.
    Stage {
        /// Which, in a few words.
        what: String,
    },
    /// A stage of its start is done.
    StageDone {
        /// Which.
        what: String,
        /// How long it took.
        seconds: f64,
    },
    /// A process runs there.
    Started {
        /// What it is to the others.
        part: String,
    },
    /// A process has come so far, by what it logs.
    Loading {
        /// What it is to the others.
        part: String,
        /// What it does now.
        stage: String,
        /// How much of that is done, 0 to 1, where it says so.
        fraction: Option<f64>,
    },
    /// A process has ended there, as it was asked to.
    Ended {
        /// What it was to the others.
        part: String,
        /// How.
        ending: String,
    },
    /// A container is gone there.
    Removed {
        /// Its name.
        container: String,
    },
    /// Clients can use it.
    Ready {
        /// What they call it.
        served_name: String,
        /// Where they reach it, without `/v1`.
        base_url: String,
        /// Since it was begun.
        seconds: f64,
    },
}
