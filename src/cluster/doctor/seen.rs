//! What was learnt of the nodes, as plain data.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;

use crate::cluster::facts::NodeFacts;
use crate::cluster::inventory::{Node, NodeRole};
use crate::host::engine::{EngineFacts, Image};

/// All nodes that were examined.
#[derive(Debug)]
pub(crate) struct Examined {
    /// Each node, as the inventory has them.
    pub(super) nodes: Vec<Seen>,
    /// Where each node's runtime meets the others', in the same order.
    pub(super) data: Vec<Option<DataLink>>,
    /// Pings between nodes.
    pub(super) pings: Vec<Pinged>,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What the inventory says of it.
    pub(super) node: Node,
    /// Whether it could be logged in to.
    pub(super) reached: Result<(), Obstacle>,
    /// What it is; none where nobody could log in.
    pub(super) read: Option<Result<ReadNode, Obstacle>>,
    /// Its engine; none where it needs none, or where nobody could log in.
    pub(super) engine: Option<Result<EngineSeen, Obstacle>>,
    /// What the doctor asked besides; none where nobody could log in.
    pub(super) looked: Option<Result<Looked, Obstacle>>,
}

/// Something that could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// Why, without the node's name.
    pub(super) says: String,
    /// What mends it.
    pub(super) fix: Option<String>,
}

/// A node that was read.
#[derive(Debug)]
pub(super) struct ReadNode {
    pub(super) facts: NodeFacts,
    /// Seconds by which its clock is ahead of this machine's: not less, not more.
    pub(super) clock_ahead_s: [f64; 2],
}

/// An engine that answered.
#[derive(Debug)]
pub(super) struct EngineSeen {
    pub(super) facts: EngineFacts,
    pub(super) image: ImageSeen,
}

/// The image of a node's containers.
#[derive(Debug)]
pub(super) enum ImageSeen {
    There(Image),
    Missing,
    Unknown(Obstacle),
}

/// What `worker/node_doctor.py` answers.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Looked {
    /// Who logs in.
    pub(super) user: u32,
    /// Those of the ports asked for that somebody listens on.
    pub(super) taken: Vec<u16>,
    /// Folders of the user's that somebody else owns, and who.
    pub(super) foreign: BTreeMap<String, u32>,
    pub(super) ray_token: bool,
    pub(super) pings: Vec<PingOutcome>,
}

/// What became of a ping.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum PingOutcome {
    /// Whether it came back.
    Known(bool),
    /// Why nobody can tell.
    Unknown(String),
}

/// An address for data, and its interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataLink {
    pub(super) address: Ipv4Addr,
    pub(super) interface: String,
    /// The interface's largest packet, bytes.
    pub(super) mtu: Option<u32>,
}

/// A ping from a node to another, by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pinged {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The packet, bytes.
    pub(super) mtu: u32,
    pub(super) outcome: PingOutcome,
}

impl Seen {
    pub(super) fn facts(&self) -> Option<&NodeFacts> {
        Some(&self.read.as_ref()?.as_ref().ok()?.facts)
    }

    pub(super) fn engine_seen(&self) -> Option<&EngineSeen> {
        self.engine.as_ref()?.as_ref().ok()
    }

    pub(super) fn look(&self) -> Option<&Looked> {
        self.looked.as_ref()?.as_ref().ok()
    }

    /// Whether anything came back from it.
    pub(super) fn answered(&self) -> bool {
        self.facts().is_some() || self.engine_seen().is_some() || self.look().is_some()
    }

    /// Whether its programs are to have GPUs, as far as the inventory says.
    pub(super) fn wants_gpus(&self) -> bool {
        self.node.settings.wants_gpus()
    }
}

/// Whether the node is a Spark, by its GPU: makers differ, and its figures are no other machine's.
pub(super) fn is_spark(facts: &NodeFacts) -> bool {
    facts.gpus.iter().any(|gpu| gpu.name.contains("GB10"))
}

/// The place of the value that most have; the head's where as many have another. None where nobody has any.
pub(super) fn usual<T>(nodes: &[Seen], values: &[Option<T>], same: impl Fn(&T, &T) -> bool) -> Option<usize> {
    let have = |value: &T| values.iter().flatten().filter(|other| same(value, other)).count();
    let counted = values.iter().enumerate().filter_map(|(at, value)| Some((at, have(value.as_ref()?))));
    // The last of equals wins, so the first node comes last and the head's above it.
    let rank = |at: usize, count: usize| (count, nodes[at].node.role == NodeRole::Head);
    counted.rev().max_by_key(|(at, count)| rank(*at, *count)).map(|(at, _)| at)
}
