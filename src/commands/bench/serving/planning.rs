//! From a model's name to its plan: recipe and inventory read, the nodes that take part asked what they are.

use std::path::PathBuf;

use super::derived::Found;
use super::wanted::{Derivation, WantedError, WantedModel};
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
    model: NamedModel,
    rules: Rules,
    release: Option<Release>,
    /// The inventory.
    pub(super) inventory: Inventory,
    /// Its nodes that may take part.
    named: Vec<Node>,
}

enum NamedModel {
    /// A recipe says how it is served.
    Recipe(Box<WantedModel>),
    /// That follows from the nodes.
    Derived(Box<Found>),
}

/// A plan, and what it stands on.
pub(super) struct Planned {
    /// The plan.
    pub(super) plan: LaunchPlan,
    /// What its recipe was derived from, where there was none.
    pub(super) derived: Option<Derivation>,
    /// The inventory.
    pub(super) inventory: Inventory,
    /// Its nodes that take part, the head first.
    pub(super) nodes: Vec<Node>,
    /// The way to them; none where nobody was asked.
    pub(super) connected: Vec<Connected>,
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
    /// Read it all. No node is asked; the hub is where no recipe answers to the name, unless `offline`.
    pub(super) async fn read(settings: &PlanningSettings, offline: bool) -> Result<Self, Box<dyn Failure>> {
        let profiles = settings.profiles.as_deref();
        let catalogue = Catalogue::load(profiles)?;
        let rules = Rules::load(profiles)?;
        let model = match WantedModel::find(&catalogue, &settings.model) {
            Err(unknown @ WantedError::Unknown { .. }) => {
                NamedModel::Derived(Box::new(Found::find(&settings.model, unknown, profiles, offline).await?))
            }
            wanted => NamedModel::Recipe(Box::new(wanted?)),
        };
        let found = inventory::find(settings.cluster.as_deref())?;
        let named = found.inventory.named(&settings.nodes)?;
        Ok(Self { model, rules, release: settings.release.clone(), inventory: found.inventory, named })
    }

    /// The plan, by what the nodes say; with `offline` by what the inventory says alone.
    pub(super) async fn plan(self, ssh: &SshConnections, offline: bool) -> Result<Planned, Box<dyn Failure>> {
        let devices = DeviceCatalogue::embedded();
        let asked = match &self.model {
            // Nobody else is asked.
            NamedModel::Recipe(wanted) => nodes_of(wanted, &self.named)?,
            // How many take part follows from the memory of all.
            NamedModel::Derived(_) => self.named.clone(),
        };
        let (connected, facts) = if offline { (Vec::new(), Vec::new()) } else { ask(&asked, ssh).await? };
        let wanted = match self.model {
            NamedModel::Recipe(wanted) => *wanted,
            NamedModel::Derived(found) => {
                let mut all = as_inventoried(&asked, devices);
                for (node, (_, facts)) in all.iter_mut().zip(&facts) {
                    take_gpu(node, facts, devices);
                }
                found.on(&all)?
            }
        };
        let nodes = nodes_of(&wanted, &asked)?;
        let facts: Vec<&NodeFacts> = nodes
            .iter()
            .filter_map(|node| facts.iter().find(|(name, _)| *name == node.name).map(|(_, facts)| facts))
            .collect();
        let fabric = joined(&nodes, &facts)?;
        let mut serving = as_inventoried(&nodes, devices);
        for (at, node) in serving.iter_mut().enumerate() {
            let Some((facts, fabric)) = facts.get(at).zip(fabric.as_ref().and_then(|it| it.nodes.get(at)))
            else {
                continue;
            };
            node.data = fabric.data.as_ref().map(|plane| plane.address);
            node.derived = &fabric.environment;
            take_gpu(node, facts, devices);
        }
        let plan = planned(&wanted, &self.inventory.name, serving, &self.rules, self.release.as_ref())?;
        let connected =
            connected.into_iter().filter(|it| nodes.iter().any(|node| node.name == *it.name())).collect();
        Ok(Planned { plan, derived: wanted.derived, inventory: self.inventory, nodes, connected })
    }
}

/// Of `nodes` those that take part in serving `wanted`.
fn nodes_of(wanted: &WantedModel, nodes: &[Node]) -> Result<Vec<Node>, PlanError> {
    let taking_part = taking_part(&wanted.recipe, &as_inventoried(nodes, DeviceCatalogue::embedded()))?;
    Ok(taking_part.iter().map(|node| node.node.clone()).collect())
}

/// The way to every node, and what it says that it is.
async fn ask(
    nodes: &[Node],
    ssh: &SshConnections,
) -> Result<(Vec<Connected>, Vec<(HostName, NodeFacts)>), Box<dyn Failure>> {
    let connected: Vec<Connected> = connect_all(nodes, ssh).await.into_iter().collect::<Result<_, _>>()?;
    let hosts: Vec<_> = connected.iter().map(|node| node.host().cloned()).collect::<Result<_, _>>()?;
    let mut facts = Vec::new();
    for (node, answer) in nodes.iter().zip(read_all(&hosts, READ_LIMIT).await) {
        facts.push((node.name.clone(), NodeFacts::of(&answer?.reading)));
    }
    Ok((connected, facts))
}

/// Have `node` be what its facts say of its GPU.
fn take_gpu<'a>(node: &mut ServingNode<'a>, facts: &'a NodeFacts, devices: &DeviceCatalogue) {
    let Some(gpu) = facts.gpus.first() else { return };
    node.gpu = Some(&gpu.name);
    // Of others the profile knows the memory.
    let own = gpu.shares_memory().then_some(facts.memory.total).flatten();
    node.memory_gb = match own {
        // Exact below 2^53 bytes.
        Some(bytes) => Some(bytes as f64 / 1e9),
        None => devices.find(&gpu.name).ok().map(|device| device.memory_gb),
    };
}

/// How the nodes are joined; none where they were not asked.
fn joined(nodes: &[Node], facts: &[&NodeFacts]) -> Result<Option<Fabric>, Box<dyn Failure>> {
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
