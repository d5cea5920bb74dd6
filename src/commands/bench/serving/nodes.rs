//! The nodes of an inventory for commands that ask all of them, whoever does not answer.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cluster::connect::{self, ConnectError, Connected, connect_all};
use crate::cluster::inventory;
use crate::failure::Failure;
use crate::host::Host;
use crate::host::container_spec::Labels;
use crate::host::ssh::SshConnections;
use crate::host_name::HostName;

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
    pub(super) nodes: Vec<(HostName, Result<Connected, ConnectError>)>,
    _ssh: SshConnections,
}

impl AskedNodes {
    /// Connect to all of them at once.
    pub(super) async fn connect(settings: &NodesSettings) -> Result<Self, Box<dyn Failure>> {
        let found = inventory::find(settings.cluster.as_deref())?;
        let named = found.inventory.named(&settings.nodes)?;
        let ssh = connect::ssh(&found.inventory);
        let connected = connect_all(&named, &ssh).await;
        let nodes = named.into_iter().map(|node| node.name).zip(connected).collect();
        Ok(Self { cluster: found.inventory.name, nodes, _ssh: ssh })
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

/// This command, for whoever finds that it is at work.
pub(super) fn this_command(doing: &str) -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let Labels { owner, .. } = Labels::of_this_command("", "");
    format!("{user} ({owner}, `sparkbench {doing}`)")
}
