//! Images on their way to nodes.

use serde::{Deserialize, Serialize};

use crate::host_name::HostName;

/// How far an image is on its way to a node, which is the event's host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ImageEvent {
    /// It is copied there.
    Copying {
        /// Its name.
        image: String,
        /// The node that gives it.
        from: HostName,
        /// Bytes so far.
        bytes: u64,
        /// Bytes as the engine counts them that gives it: about what there is to copy.
        size: u64,
        /// Since the first byte.
        seconds: f64,
    },
    /// It was copied there, and is the same.
    Copied {
        /// Its name.
        image: String,
        /// The node that gave it.
        from: HostName,
        /// Bytes in all.
        bytes: u64,
        /// Since the first byte, the engine's unpacking included.
        seconds: f64,
    },
    /// It is copied there through this machine, because it cannot go, or did not get, straight from node to node.
    Detour {
        /// Its name.
        image: String,
        /// Why.
        why: String,
    },
    /// The node fetches it from its registry.
    Pulling {
        /// Its name.
        image: String,
        /// What its engine does, in its own words.
        status: String,
    },
    /// The node has fetched it.
    Pulled {
        /// Its name.
        image: String,
        /// How long it took.
        seconds: f64,
    },
    /// The node builds it.
    Building {
        /// Its name.
        image: String,
        /// What its engine does, in its own words.
        status: String,
    },
    /// The node has built it, and it holds what it is to hold.
    Built {
        /// Its name.
        image: String,
        /// How long it took.
        seconds: f64,
    },
    /// The node does not get it.
    Failed {
        /// Why not.
        why: String,
    },
}
