//! Is every node ready? What is wrong, and what mends it, an item a node.
//!
//! `examine` asks all nodes at once and keeps what they said ([`Examined`]); every verdict is a function of that.
//! docs/clusters.md, "Doctor", has each item with where its limit comes from.

mod asked;
mod examine;
mod fabric;
mod gpu;
mod hub_cache;
mod image;
mod inside;
mod load;
mod machine;
mod memory;
mod model;
mod network;
mod on_node;
mod paths;
mod ping_path;
mod reach;
mod runtime;
mod seen;
#[cfg(test)]
mod tests;
mod tuned;

use serde::Serialize;

pub(crate) use asked::{AskedModel, ModelSource};
pub(crate) use examine::{Examination, examine};
pub(crate) use inside::lines as container_lines;
pub(crate) use seen::Examined;

use self::seen::Seen;
use crate::host_name::HostName;

/// One item of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NodeFinding {
    /// The node.
    pub(crate) node: HostName,
    /// The item's name, which stays what it is.
    pub(crate) item: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What was found.
    pub(crate) says: String,
    /// What mends it: a command for that node where there is one.
    pub(crate) fix: Option<String>,
}

/// How an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It could not be found out.
    Unknown,
    /// It works, and costs speed or may end badly.
    Warning,
    /// It keeps the cluster from working.
    Failed,
}

/// A verdict, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Judgement {
    state: State,
    says: String,
    fix: Option<String>,
}

impl Judgement {
    fn new(state: State, says: impl Into<String>) -> Self {
        Self { state, says: says.into(), fix: None }
    }

    fn ok(says: impl Into<String>) -> Self {
        Self::new(State::Ok, says)
    }

    fn unknown(says: impl Into<String>) -> Self {
        Self::new(State::Unknown, says)
    }

    fn warning(says: impl Into<String>) -> Self {
        Self::new(State::Warning, says)
    }

    fn failed(says: impl Into<String>) -> Self {
        Self::new(State::Failed, says)
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// Who is judged: a node for itself, each among the others, or each for every model that was asked for. None where a node has nothing to do with the item, or
/// where another item says already why nothing is known.
enum Judge {
    Each(fn(&Seen) -> Option<Judgement>),
    All(fn(&Examined) -> Vec<Option<Judgement>>),
    Models(fn(&Examined, usize) -> Vec<Option<Judgement>>),
}

/// Every item, in the order they are shown: what others stand on comes first.
const ITEMS: &[(&str, Judge)] = &[
    ("reachable", Judge::Each(reach::reachable)),
    ("readable", Judge::Each(reach::readable)),
    ("engine", Judge::Each(reach::engine)),
    ("gpu", Judge::Each(gpu::gpu)),
    ("gpu_in_containers", Judge::Each(gpu::in_containers)),
    ("gpu_visible", Judge::Each(gpu::visible)),
    ("shared_memory", Judge::Each(gpu::shared_memory)),
    ("gpu_clock", Judge::All(gpu::clock)),
    ("gpu_temperature", Judge::Each(gpu::temperature)),
    ("load_clock", Judge::All(load::clock)),
    ("load_throttling", Judge::Each(load::throttling)),
    ("load_kernels", Judge::All(load::kernels)),
    ("gpu_in_use", Judge::Each(gpu::in_use)),
    ("image", Judge::All(image::image)),
    ("runtime", Judge::All(runtime::runtime)),
    ("triton", Judge::All(runtime::triton)),
    ("ptxas", Judge::Each(runtime::ptxas)),
    ("model_files", Judge::Models(model::files)),
    ("model_disk", Judge::Models(model::disk)),
    ("model_memory", Judge::Models(model::memory)),
    ("tuned_files", Judge::Models(tuned::files)),
    ("fabric_address", Judge::Each(network::fabric_address)),
    ("mtu", Judge::All(network::mtu)),
    ("rdma", Judge::All(network::rdma)),
    ("link_speed", Judge::Each(network::link_speed)),
    ("fabric", Judge::All(fabric::fabric)),
    ("ports", Judge::Each(network::ports)),
    ("disk", Judge::Each(machine::disk)),
    ("memory", Judge::Each(memory::memory)),
    ("page_cache", Judge::Each(memory::page_cache)),
    ("swap", Judge::Each(memory::swap)),
    ("memory_guard", Judge::Each(memory::guard)),
    ("memory_traces", Judge::Each(memory::traces)),
    ("memlock", Judge::Each(memory::memlock)),
    ("clock", Judge::Each(machine::clock)),
    ("folders", Judge::Each(machine::folders)),
    ("ray_token", Judge::All(machine::ray_token)),
];

impl Examined {
    /// What is to be said of the nodes: by node, in their order, then by item.
    pub(crate) fn findings(&self) -> Vec<NodeFinding> {
        let mut found = Vec::new();
        for (item, judge) in ITEMS {
            let judgements: Vec<Vec<Option<Judgement>>> = match judge {
                Judge::Each(judge) => vec![self.nodes.iter().map(judge).collect()],
                Judge::All(judge) => vec![judge(self)],
                Judge::Models(judge) => (0..self.models.len()).map(|model| judge(self, model)).collect(),
            };
            for (at, judgement) in judgements.into_iter().flat_map(|it| it.into_iter().enumerate()) {
                let Some(Judgement { state, says, fix }) = judgement else { continue };
                let node = self.nodes[at].node.name.clone();
                found.push((at, NodeFinding { node, item, state, says, fix }));
            }
        }
        // Stable: the items of a node keep their order.
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, finding)| finding).collect()
    }

    /// Whether any node could be asked anything.
    pub(crate) fn any_answered(&self) -> bool {
        self.nodes.iter().any(Seen::answered)
    }
}
