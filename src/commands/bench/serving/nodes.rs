//! The nodes of an inventory for commands that ask all of them, whoever does not answer.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cluster::connect::{self, ConnectError, Connected, connect_all};
use crate::cluster::inventory::{self, Inventory, Node};
use crate::failure::Failure;
use crate::host::Host;
use crate::host::container_spec::Labels;
use crate::host::ssh::SshConnections;
use crate::host_name::HostName;
use crate::serving::live::{Look, look};

/// Which nodes.
#[derive(Debug)]
pub(crate) struct NodesSettings {
    /// The inventory; the usual one where not given.
    pub(crate) cluster: Option<PathBuf>,
    /// These nodes of it; all where empty.
    pub(crate) nodes: Vec<HostName>,
}

/// Nodes that were connected to, or not.
pub(super) struct AskedNodes {
    /// The cluster's name.
    pub(super) cluster: String,
    /// In the inventory's order.
    pub(super) nodes: Nodes,
    inventory: Inventory,
    ssh: SshConnections,
}

/// Nodes with the way to them.
pub(super) type Nodes = Vec<(HostName, Result<Connected, ConnectError>)>;

impl AskedNodes {
    /// Connect to all of them at once.
    pub(super) async fn connect(settings: &NodesSettings) -> Result<Self, Box<dyn Failure>> {
        let found = inventory::find(settings.cluster.as_deref())?;
        let named = found.inventory.named(&settings.nodes)?;
        let ssh = connect::ssh(&found.inventory);
        let connected = connect_all(&named, &ssh).await;
        let nodes = named.into_iter().map(|node| node.name).zip(connected).collect();
        Ok(Self { cluster: found.inventory.name.clone(), nodes, inventory: found.inventory, ssh })
    }

    /// What is on them, and of models that take part elsewhere too also what is there; with it the further nodes.
    pub(super) async fn look(&self) -> (Look, Nodes) {
        let mut found = look(self.pairs(), &self.cluster).await;
        let more = look_further(&mut found, &self.inventory, &self.ssh).await;
        (found, more)
    }

    /// Each with its name.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&HostName, &Result<Connected, ConnectError>)> {
        self.nodes.iter().map(|(name, node)| (name, node))
    }

    /// Where programs run on those that were connected to.
    pub(super) fn hosts(&self) -> Vec<Arc<dyn Host>> {
        let connected = self.nodes.iter().filter_map(|(_, node)| node.as_ref().ok());
        connected.filter_map(|node| node.host().ok().cloned()).collect()
    }
}

/// Ask those nodes of `inventory` too that were not asked and belong to a model that was found: some of its processes say
/// nothing of the whole. What was found lives no longer than the way to them, which is returned.
pub(super) async fn look_further(found: &mut Look, inventory: &Inventory, ssh: &SshConnections) -> Nodes {
    let models = found.models();
    let is_its = |node: &&Node| models.iter().any(|model| model.served.nodes.contains(&node.name));
    let is_new = |node: &&Node| found.nodes.iter().all(|asked| asked.node != node.name);
    let more: Vec<Node> = inventory.nodes.iter().filter(is_its).filter(is_new).cloned().collect();
    let connected = connect_all(&more, ssh).await;
    let nodes: Nodes = more.into_iter().map(|node| node.name).zip(connected).collect();
    let further = look(nodes.iter().map(|(name, node)| (name, node)), &inventory.name).await;
    found.nodes.extend(further.nodes);
    nodes
}

/// This command, for whoever finds that it is at work.
pub(super) fn this_command(doing: &str) -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let Labels { owner, .. } = Labels::of_this_command("", "");
    format!("{user} ({owner}, `sparkbench {doing}`)")
}
