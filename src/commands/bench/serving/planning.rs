//! From a model's name to its plan: recipe and inventory read, the nodes that take part asked what they are.

use std::path::PathBuf;

use super::wanted::WantedModel;
use crate::cluster::connect::{Connected, connect_all};
use crate::cluster::fabric::{BadGiven, Fabric, Given, Member};
use crate::cluster::facts::{NodeFacts, READ_LIMIT, read_all};
use crate::cluster::inventory::{self, Inventory, Node};
use crate::device::DeviceCatalogue;
use crate::failure::{Failure, Kind};
use crate::host::container_spec::Labels;
use crate::host::ssh::SshConnections;
use crate::host_name::HostName;
use crate::model::Catalogue;
use crate::serving::{LaunchPlan, PURPOSE, PlanError, PlanRequest, Release, Rules, ServingNode, taking_part};

/// Which model is to be served, and where.
#[derive(Debug)]
pub(crate) struct PlanningSettings {
    /// The model, or `MODEL:VARIANT`.
    pub(crate) model: String,
    /// The inventory; the usual one where not given.
    pub(crate) cluster: Option<PathBuf>,
    /// These nodes of it may take part; all where empty.
    pub(crate) nodes: Vec<HostName>,
    /// The engine's release, in the place of the one that the recipe is known to work with.
    pub(crate) release: Option<Release>,
    /// Recipes and rules of one's own.
    pub(crate) profiles: Option<PathBuf>,
}

/// What was read of what was named.
pub(super) struct Planning {
    wanted: WantedModel,
    rules: Rules,
    release: Option<Release>,
    /// The inventory.
    pub(super) inventory: Inventory,
    /// Its nodes that take part, the head first.
    pub(super) nodes: Vec<Node>,
}

/// Variables of the inventory that no node can be given.
#[derive(Debug, thiserror::Error)]
#[error("{node}: its variables in the inventory: {error}")]
struct BadVariables {
    node: HostName,
    error: BadGiven,
}

impl Failure for BadVariables {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Planning {
    /// Read it all. No node is asked.
    pub(super) fn read(settings: &PlanningSettings) -> Result<Self, Box<dyn Failure>> {
        let catalogue = Catalogue::load(settings.profiles.as_deref())?;
        let rules = Rules::load(settings.profiles.as_deref())?;
        let wanted = WantedModel::find(&catalogue, &settings.model)?;
        let found = inventory::find(settings.cluster.as_deref())?;
        let named = found.inventory.named(&settings.nodes)?;
        // Nobody else is asked.
        let taking_part = taking_part(&wanted.recipe, &as_inventoried(&named, DeviceCatalogue::embedded()))?;
        let nodes = taking_part.iter().map(|node| node.node.clone()).collect();
        Ok(Self { wanted, rules, release: settings.release.clone(), inventory: found.inventory, nodes })
    }

    /// Connect to the nodes that take part.
    pub(super) async fn connect(&self, ssh: &SshConnections) -> Result<Vec<Connected>, Box<dyn Failure>> {
        let connected: Result<Vec<_>, _> = connect_all(&self.nodes, ssh).await.into_iter().collect();
        Ok(connected?)
    }

    /// The plan by what the inventory says alone.
    pub(super) fn offline(&self) -> Result<LaunchPlan, Box<dyn Failure>> {
        self.plan(&[])
    }

    /// The plan by what the nodes say.
    pub(super) async fn asked(&self, connected: &[Connected]) -> Result<LaunchPlan, Box<dyn Failure>> {
        let hosts: Result<Vec<_>, _> = connected.iter().map(|node| node.host().cloned()).collect();
        let answers = read_all(&hosts?, READ_LIMIT).await;
        let facts: Result<Vec<_>, Box<dyn Failure>> =
            answers.into_iter().map(|answer| Ok(NodeFacts::of(&answer?.reading))).collect();
        self.plan(&facts?)
    }

    fn plan(&self, facts: &[NodeFacts]) -> Result<LaunchPlan, Box<dyn Failure>> {
        let devices = DeviceCatalogue::embedded();
        let fabric = joined(&self.nodes, facts)?;
        let mut serving = as_inventoried(&self.nodes, devices);
        for (at, node) in serving.iter_mut().enumerate() {
            let Some((facts, fabric)) = facts.get(at).zip(fabric.as_ref().and_then(|it| it.nodes.get(at)))
            else {
                continue;
            };
            node.data = fabric.data.as_ref().map(|plane| plane.address);
            node.derived = &fabric.environment;
            if let Some(gpu) = facts.gpus.first() {
                node.gpu = Some(&gpu.name);
                // Of others the profile knows the memory.
                let own = gpu.shares_memory().then_some(facts.memory.total).flatten();
                node.memory_gb = match own {
                    // Exact below 2^53 bytes.
                    Some(bytes) => Some(bytes as f64 / 1e9),
                    None => devices.find(&gpu.name).ok().map(|device| device.memory_gb),
                };
            }
        }
        Ok(planned(&self.wanted, &self.inventory.name, serving, &self.rules, self.release.as_ref())?)
    }
}

/// How the nodes are joined; none where they were not asked.
fn joined(nodes: &[Node], facts: &[NodeFacts]) -> Result<Option<Fabric>, Box<dyn Failure>> {
    if facts.is_empty() {
        return Ok(None);
    }
    let given = |node: &Node| {
        Given::of_inventory(node).map_err(|error| BadVariables { node: node.name.clone(), error })
    };
    let given: Vec<Given> = nodes.iter().map(given).collect::<Result<_, _>>()?;
    let members: Vec<Member<'_>> = nodes
        .iter()
        .zip(facts)
        .zip(&given)
        .map(|((node, facts), given)| Member { name: &node.name, facts, given })
        .collect();
    Ok(Some(Fabric::of(&members)?))
}

/// Nodes as the inventory alone has them.
pub(super) fn as_inventoried<'a>(nodes: &'a [Node], devices: &DeviceCatalogue) -> Vec<ServingNode<'a>> {
    let of = |node: &'a Node| {
        let gpu = node.settings.expect_gpu();
        let device = gpu.and_then(|name| devices.find(name).ok());
        ServingNode { node, data: None, derived: &[], gpu, memory_gb: device.map(|device| device.memory_gb) }
    };
    nodes.iter().map(of).collect()
}

/// What `wanted` comes to on `nodes`.
pub(super) fn planned(
    wanted: &WantedModel,
    cluster: &str,
    nodes: Vec<ServingNode<'_>>,
    rules: &Rules,
    release: Option<&Release>,
) -> Result<LaunchPlan, PlanError> {
    LaunchPlan::of(&PlanRequest {
        recipe: &wanted.recipe,
        architecture: wanted.architecture.as_deref(),
        experts: wanted.experts,
        nodes,
        release,
        rules,
        labels: Labels::of_this_command(cluster, PURPOSE),
    })
}
