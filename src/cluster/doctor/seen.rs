//! What was learnt of the nodes, as plain data.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::asked::AskedModel;
use super::ping_path::PingPath;
use crate::cluster::facts::NodeFacts;
use crate::cluster::installed::ConfigPlace;
use crate::cluster::inventory::{Node, NodeRole};
use crate::cluster::runtimes::{NoRuntime, NodeRuntime};
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
    /// The models that were asked for.
    pub(super) models: Vec<AskedModel>,
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
    /// What it has of each model that was asked for; none where nobody could log in.
    pub(super) models: Option<Result<Vec<ModelSeen>, Obstacle>>,
    /// The GPUs that its containers have; none where they are to have none, or none could be tried.
    pub(super) gpus_inside: Option<GpuInside>,
    /// What serves there; none where nobody could log in, or its engine or image is in the way.
    pub(super) runtime: Option<Result<NodeRuntime, NoRuntime>>,
    /// How its GPU did under a load; none where none was asked for, or nobody could log in.
    pub(super) load: Option<Result<LoadSeen, Obstacle>>,
    /// Config files where its runtime looks; none where no model was asked for, or another item says why.
    pub(super) tuned: Option<Result<Tuned, Obstacle>>,
}

/// What a container of the node's image with the node's settings says of its GPUs.
#[derive(Debug, Clone)]
pub(super) enum GpuInside {
    /// It did not come up.
    NoContainer(Obstacle),
    /// It came up, and did not say.
    Unknown(Obstacle),
    /// What it says.
    Seen(GpusSeen),
}

/// What `worker/node/gpu.py` answers.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct GpusSeen {
    /// NVIDIA's files below `/dev`.
    pub(super) nodes: Vec<String>,
    /// What the driver calls its boards.
    pub(super) driver: Vec<String>,
    /// Whether there is a libcuda.
    pub(super) library: bool,
    /// What keeps it from working.
    pub(super) trouble: Option<String>,
    /// The GPUs that it has.
    pub(super) gpus: Vec<CudaGpu>,
}

/// A GPU as the driver's library has it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CudaGpu {
    /// Its name, which torch reports too.
    pub(super) name: String,
    /// Shared memory that a block may have after opting in, bytes.
    pub(super) shared_memory_per_block: Option<u32>,
}

/// What `worker/node/load.py` answers.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct LoadSeen {
    /// What kept the GPU from being tried.
    pub(super) trouble: Option<String>,
    /// The GPU's name.
    pub(super) name: Option<String>,
    /// Times of a kernel that only calculates, ms.
    pub(super) spin_ms: Vec<f64>,
    /// Times of a kernel that reads memory as decoding does, ms, and what each of its launches reads.
    pub(super) gemv_ms: Vec<f64>,
    pub(super) gemv_bytes: u64,
    /// nvidia-smi's words while the first was running.
    pub(super) samples: Vec<String>,
}

/// The config files that a runtime finds.
#[derive(Debug, Clone)]
pub(super) struct Tuned {
    /// Which runtime, and where it looks.
    pub(super) place: ConfigPlace,
    /// Whose that is.
    pub(super) whose: String,
    /// Names of the files there.
    pub(super) files: Vec<String>,
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

/// What `worker/node/doctor.py` answers.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Looked {
    /// Who logs in.
    pub(super) user: u32,
    /// Those of the ports asked for that somebody listens on.
    pub(super) taken: Vec<u16>,
    /// Folders of the user's that somebody else owns, and who.
    pub(super) foreign: BTreeMap<String, u32>,
    pub(super) ray_token: bool,
    /// nvidia-smi's words of who uses the GPU; none where it says nothing.
    pub(super) gpu_programs: Option<String>,
    /// Whose these processes are.
    pub(super) owners: BTreeMap<String, String>,
    pub(super) pings: Vec<PingOutcome>,
}

/// What `worker/node/models.py` answers of a model.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ModelSeen {
    /// Where it was looked for.
    pub(super) folder: String,
    /// The revision that a runtime would take; none in a plain folder.
    pub(super) revision: Option<String>,
    /// Whether anything is there.
    pub(super) there: bool,
    /// Files with weights.
    pub(super) files: usize,
    /// Bytes of all weights, where something says it.
    pub(super) total: Option<u64>,
    /// Bytes of those that are whole.
    pub(super) have: u64,
    /// The first files that are not whole, and why not.
    pub(super) faults: Vec<String>,
    /// How many there are.
    pub(super) wrong: usize,
    /// Files there whose inside was not looked at in time.
    pub(super) unlooked: usize,
    /// Downloads that have not ended, and their bytes.
    pub(super) unfinished: (usize, u64),
    /// Bytes that can still be written there.
    pub(super) free: Option<u64>,
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
    pub(super) address: IpAddr,
    pub(super) interface: String,
    /// The interface's largest packet, bytes.
    pub(super) mtu: Option<u32>,
}

/// A ping from a node to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pinged {
    pub(super) path: PingPath,
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

    /// What it has of a model, by its place; none where it was not asked.
    pub(super) fn model(&self, at: usize) -> Option<Result<&ModelSeen, &Obstacle>> {
        self.models.as_ref()?.as_ref().map(|models| models.get(at)).transpose()
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

pub(super) fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
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
