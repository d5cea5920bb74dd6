//! Nodes that work for a run.

use serde::{Deserialize, Serialize};

/// A node comes or goes; the event's host is its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum NodeEvent {
    /// It can work.
    Joined {
        /// Processors it compiles with.
        processors: u64,
        /// The GPU it measures on, as the driver calls it; none where it only compiles.
        gpu: Option<String>,
    },
    /// It works as soon as nobody else uses its GPU.
    Waiting {
        /// Who does.
        why: String,
    },
    /// It works no more.
    Left {
        /// Why.
        #[serde(flatten)]
        how: Left,
    },
}

/// How a node left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Left {
    /// Nothing was left for it, or the run ended.
    Drained,
    /// Its worker ended by itself.
    Died {
        /// How, such as `exit status: 1`.
        status: String,
    },
    /// It is heard of no more; whether it still works is not known.
    Lost {
        /// What is known.
        why: String,
    },
    /// It cannot work for this run.
    Unfit {
        /// Why not.
        why: String,
    },
}

impl Left {
    /// The reason, in words.
    pub(crate) fn why(&self) -> String {
        match self {
            Left::Drained => "nothing was left to do".to_owned(),
            Left::Died { status } => status.clone(),
            Left::Lost { why } | Left::Unfit { why } => why.clone(),
        }
    }
}
