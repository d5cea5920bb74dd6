//! `sparkbench plan`: everything that would bring a model up, on which node and why.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::derived::Found;
use super::plan_output::{self, Audience};
use super::wanted::{WantedError, WantedModel};
use crate::cluster::connect::{self, connect_all};
use crate::cluster::fabric::{BadGiven, Fabric, Given, Member};
use crate::cluster::facts::{NodeFacts, READ_LIMIT, read_all};
use crate::cluster::inventory::{self, Node};
use crate::commands::{CommandResult, Output, Verdict};
use crate::device::DeviceCatalogue;
use crate::failure::{Failure, Kind};
use crate::host::container_spec::Labels;
use crate::host_name::HostName;
use crate::model::Catalogue;
use crate::serving::{LaunchPlan, PlanError, PlanRequest, Release, Rules, ServingNode, taking_part};

/// What is planned.
#[derive(Debug)]
pub(crate) struct LaunchPlanSettings {
    /// The model, or `MODEL:VARIANT`.
    pub(crate) model: String,
    /// The inventory; the usual one where not given.
    pub(crate) cluster: Option<PathBuf>,
    /// These nodes of it may take part; all where empty.
    pub(crate) nodes: Vec<HostName>,
    /// Ask no node: what the inventory says is all there is.
    pub(crate) offline: bool,
    /// The engine's release, in the place of the one that the recipe is known to work with.
    pub(crate) release: Option<Release>,
    /// Recipes and rules of one's own.
    pub(crate) profiles: Option<PathBuf>,
    /// A shell script that would do it.
    pub(crate) dry_run: bool,
    /// One JSON object.
    pub(crate) json: bool,
}

/// The user stopped it.
#[derive(Debug, thiserror::Error)]
#[error("stopped; nothing was started")]
struct Stopped;

impl Failure for Stopped {
    fn kind(&self) -> Kind {
        Kind::Interrupted
    }
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

/// Plan, and show it.
pub(crate) async fn run(
    settings: &LaunchPlanSettings,
    cancel: CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    let catalogue = Catalogue::load(settings.profiles.as_deref())?;
    let rules = Rules::load(settings.profiles.as_deref())?;
    let profiles = settings.profiles.as_deref();
    let wanted = match WantedModel::find(&catalogue, &settings.model) {
        Err(unknown @ WantedError::Unknown { .. }) => {
            let looking = Found::find(&settings.model, unknown, profiles, settings.offline);
            Err(cancel.run_until_cancelled(looking).await.ok_or(Stopped)??)
        }
        wanted => Ok(wanted?),
    };
    let found = inventory::find(settings.cluster.as_deref())?;
    let devices = DeviceCatalogue::embedded();
    let named = found.inventory.named(&settings.nodes)?;
    let ssh = connect::ssh(&found.inventory);
    let ask = async |nodes: &[Node]| -> Result<Vec<NodeFacts>, Box<dyn Failure>> {
        match settings.offline {
            true => Ok(Vec::new()),
            false => cancel.run_until_cancelled(read(nodes, &ssh)).await.ok_or(Stopped)?,
        }
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        // How many take part follows from the memory of all.
        Err(model) => {
            let facts = ask(&named).await?;
            let mut all = as_inventoried(&named, devices);
            for (node, facts) in all.iter_mut().zip(&facts) {
                take_gpu(node, facts, devices);
            }
            model.on(&all)?
        }
    };
    // Nobody else is asked.
    let taking_part = taking_part(&wanted.recipe, &as_inventoried(&named, devices))?;
    let nodes: Vec<Node> = taking_part.iter().map(|node| node.node.clone()).collect();
    let facts = ask(&nodes).await?;
    let fabric = joined(&nodes, &facts)?;
    let mut serving = as_inventoried(&nodes, devices);
    for (at, node) in serving.iter_mut().enumerate() {
        let Some((facts, fabric)) = facts.get(at).zip(fabric.as_ref().and_then(|it| it.nodes.get(at))) else {
            continue;
        };
        node.data = fabric.data.as_ref().map(|plane| plane.address);
        node.derived = &fabric.environment;
        take_gpu(node, facts, devices);
    }
    let plan = planned(&wanted, &found.inventory.name, serving, &rules, settings.release.as_ref())?;
    let audience = match (settings.json, settings.dry_run) {
        (true, _) => Audience::Programs,
        (false, true) => Audience::Shell,
        (false, false) => Audience::People { offline: settings.offline },
    };
    plan_output::show(&plan, wanted.derived.as_ref(), &nodes, ssh.settings(), audience, out)?;
    Ok(Verdict::Done)
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

/// Every node's facts, in their order.
async fn read(
    nodes: &[Node],
    ssh: &crate::host::ssh::SshConnections,
) -> Result<Vec<NodeFacts>, Box<dyn Failure>> {
    let mut hosts = Vec::new();
    // The connections live as long as they are read through.
    let mut connected = Vec::new();
    for node in connect_all(nodes, ssh).await {
        let node = node?;
        hosts.push(node.host()?.clone());
        connected.push(node);
    }
    let answers = read_all(&hosts, READ_LIMIT).await;
    answers.into_iter().map(|answer| Ok(NodeFacts::of(&answer?.reading))).collect()
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
        labels: Labels::of_this_command(cluster, "serve"),
    })
}
