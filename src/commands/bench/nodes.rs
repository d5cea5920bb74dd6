//! The nodes of an inventory as the machines behind a server: connected to once, read before and after each run.

use std::path::PathBuf;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio_util::sync::CancellationToken;

use crate::bench::campaign::CampaignStopped;
use crate::bench::nodes::{GpuState, NodeState, ServingNodes};
use crate::cluster::connect::{self, Connected, connect_all};
use crate::cluster::facts::{Gpu, NodeFacts, READ_LIMIT, read_all};
use crate::cluster::inventory::{self, Inventory};
use crate::failure::Failure;

/// An inventory that was named and reads.
#[derive(Debug, Clone)]
pub(crate) struct NamedCluster {
    /// Its file.
    pub path: PathBuf,
    /// The cluster.
    pub inventory: Inventory,
}

impl NamedCluster {
    /// The inventory in the file at `path`.
    ///
    /// # Errors
    /// A file that is no inventory.
    pub(crate) fn read(path: PathBuf) -> Result<Self, Box<dyn Failure>> {
        let found = inventory::find(Some(&path))?;
        Ok(Self { path, inventory: found.inventory })
    }

    /// In a line, for dry runs.
    pub(super) fn planned(&self) -> String {
        let names: Vec<&str> = self.inventory.nodes.iter().map(|node| node.name.as_str()).collect();
        let Self { path, inventory } = self;
        format!(
            "nodes of {} ({}) would be read before and after each run: {}",
            inventory.name,
            path.display(),
            names.join(", ")
        )
    }
}

/// The nodes of a cluster, each within reach.
#[derive(Debug)]
pub(super) struct WatchedNodes {
    cluster: String,
    nodes: Vec<Connected>,
}

impl WatchedNodes {
    /// Connect to every node at once.
    ///
    /// # Errors
    /// The first node that cannot be reached or read by a login: nothing was measured yet, and what was asked for
    /// cannot be had. [`CampaignStopped`] where `stop` was pulled.
    pub(super) async fn open(
        cluster: &NamedCluster,
        stop: &CancellationToken,
    ) -> Result<Self, Box<dyn Failure>> {
        let Inventory { name, nodes, .. } = &cluster.inventory;
        let ssh = connect::ssh(&cluster.inventory);
        let connecting = stop.run_until_cancelled(connect_all(nodes, &ssh));
        let mut reached = Vec::new();
        for connected in connecting.await.ok_or(CampaignStopped::BeforeTheFirst)? {
            let connected = connected?;
            connected.host()?;
            reached.push(connected);
        }
        Ok(Self { cluster: name.clone(), nodes: reached })
    }
}

impl ServingNodes for WatchedNodes {
    fn cluster(&self) -> &str {
        &self.cluster
    }

    fn look(&self) -> BoxFuture<'_, Vec<NodeState>> {
        join_all(self.nodes.iter().map(look)).boxed()
    }
}

async fn look(node: &Connected) -> NodeState {
    let name = node.name().to_string();
    let unread = |why: String| NodeState { node: name.clone(), unread: Some(why), ..NodeState::default() };
    let host = match node.host() {
        Ok(host) => host.clone(),
        Err(error) => return unread(error.problem()),
    };
    match read_all(&[host], READ_LIMIT).await.pop() {
        Some(Ok(answer)) => state(name, &NodeFacts::of(&answer.reading)),
        Some(Err(error)) => unread(error.problem()),
        // One answer a host.
        None => unread("it was not asked".to_owned()),
    }
}

fn state(node: String, facts: &NodeFacts) -> NodeState {
    let gpu = |gpu: &Gpu| GpuState {
        name: gpu.name.clone(),
        driver: gpu.driver.clone(),
        clock_mhz: gpu.clock_mhz,
        max_clock_mhz: gpu.max_clock_mhz,
        temperature_c: gpu.temperature_c,
        power_w: gpu.power_w,
    };
    let memory = &facts.memory;
    let swapped = memory.swap_total.zip(memory.swap_free).map(|(total, free)| total.saturating_sub(free));
    NodeState {
        node,
        unread: None,
        kernel: Some(facts.kernel.clone()),
        gpus: facts.gpus.iter().map(gpu).collect(),
        memory_available_bytes: memory.available,
        swap_used_bytes: swapped,
    }
}
