//! What a recipe comes to on these nodes: everything that is done, on which node, in which order.

mod stages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::error::PlanError;
use super::kind::ServingEngine;
use super::member::{self, ServingNode};
use super::memory::NodeMemory;
use super::recipe::ServingRecipe;
use super::release::Release;
use super::role::Role;
use super::rules::{Notice, NoticeKind, Rules, Situation};
use super::served::Served;
use super::split::Split;
use crate::cluster::inventory::NodeRole;
use crate::host::container_spec::{ContainerVariable, Labels};
use crate::host::{ContainerSpec, EngineKind};
use crate::host_name::HostName;

/// What is to be brought up, and where.
#[derive(Debug)]
pub(crate) struct PlanRequest<'a> {
    /// How the model is served.
    pub(crate) recipe: &'a ServingRecipe,
    /// What the model's class is called, where its config says so.
    pub(crate) architecture: Option<&'a str>,
    /// Its experts, where it has any.
    pub(crate) experts: Option<u32>,
    /// The nodes that may take part, in the inventory's order.
    pub(crate) nodes: Vec<ServingNode<'a>>,
    /// The engine's release there; none where nobody knows it.
    pub(crate) release: Option<&'a Release>,
    /// What is known of releases.
    pub(crate) rules: &'a Rules,
    /// Whose the containers are.
    pub(crate) labels: Labels,
}

/// Everything that brings a model up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LaunchPlan {
    /// The model, and behind a colon the variant.
    pub(crate) name: String,
    /// What clients call it.
    pub(crate) served_name: String,
    /// What serves it.
    pub(crate) engine: ServingEngine,
    /// How it is split.
    pub(crate) split: Split,
    /// The nodes that take part, rank 0 first.
    pub(crate) nodes: Vec<HostName>,
    /// Where clients reach it, without `/v1`.
    pub(crate) base_url: String,
    /// The port of the first node on which it listens.
    pub(crate) port: u16,
    /// What says of everything it starts that it is ours, and which model it serves.
    pub(crate) labels: Labels,
    /// One after the other.
    pub(crate) stages: Vec<Stage>,
    /// What rules had to say.
    pub(crate) notices: Vec<Notice>,
    /// What each node has to hold, in the order of the nodes; none where its memory or the weights' size is not known.
    pub(crate) memory: Vec<Option<NodeMemory>>,
}

/// What may be done at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    /// What it is, in a few words.
    pub(crate) what: &'static str,
    /// Why it stands here.
    pub(crate) reason: &'static str,
    /// A node may have several, one after the other.
    pub(crate) steps: Vec<Step>,
}

/// Something done on one node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// The node.
    pub(crate) node: HostName,
    /// The container in which it is done, and its engine; none where it is done on the node itself.
    pub(crate) container: Option<(EngineKind, String)>,
    /// Variables for it, where there is no container that has them.
    pub(crate) environment: BTreeMap<String, ContainerVariable>,
    /// What.
    pub(crate) action: Action,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// The container is created and started.
    Create(Box<ContainerSpec>),
    /// A program is started, and stays.
    Start {
        /// What it is to the others.
        role: Role,
        /// The program, then its arguments.
        argv: Vec<String>,
        /// Nothing goes on before its log says these words.
        until: Option<&'static str>,
    },
    /// Nothing goes on before a program prints so many GPUs.
    AwaitGpus {
        /// The program, then its arguments.
        argv: Vec<String>,
        /// How many.
        gpus: u64,
    },
    /// Nothing goes on before clients can use the model.
    AwaitReady,
}

impl LaunchPlan {
    /// What `request` comes to.
    ///
    /// # Errors
    /// What cannot be served so: too few nodes, a split that does not divide, too little memory, a rule that refuses.
    pub(crate) fn of(request: &PlanRequest<'_>) -> Result<Self, PlanError> {
        let PlanRequest { recipe, rules, .. } = request;
        let split = recipe.split();
        check_split(request)?;
        let nodes = taking_part(recipe, &request.nodes)?;
        if let Some(unknown) = recipe.keys.waive.iter().find(|id| rules.ids().all(|known| known != *id)) {
            return Err(PlanError::NoSuchRule {
                model: recipe.name(),
                rule: unknown.clone(),
                known: rules.ids().map(str::to_owned).collect(),
            });
        }
        let situation = situation(request, &nodes);
        let verdicts = rules.judge(&situation, &recipe.keys.waive);
        if let Some(at) = verdicts.notices.iter().position(|notice| notice.kind == NoticeKind::Refused) {
            return Err(PlanError::Refused(verdicts.notices[at].clone()));
        }
        let memory = memory(recipe, &nodes)?;
        let mut mended = (*recipe).clone();
        mended.keys.arguments.extend(verdicts.arguments);
        let members = member::members(&nodes, &mended, &verdicts.environment, &request.labels)?;
        let mut plan = Self {
            name: recipe.name(),
            served_name: recipe.served_name().to_owned(),
            engine: recipe.keys.engine,
            split,
            nodes: members.iter().map(|member| member.node.name.clone()).collect(),
            base_url: format!("http://{}", member::client_socket(&nodes[0], recipe.port())),
            port: recipe.port(),
            labels: Labels::default(),
            stages: stages::stages(&mended, &members),
            notices: verdicts.notices,
            memory,
        };
        // They say of each part how much there is in all.
        plan.labels = plan.served(&request.labels.owner).labelled(request.labels.clone());
        for step in plan.stages.iter_mut().flat_map(|stage| &mut stage.steps) {
            if let Action::Create(spec) = &mut step.action {
                spec.labels = plan.labels.clone();
            }
        }
        Ok(plan)
    }

    /// What it brings up for `owner`.
    fn served(&self, owner: &str) -> Served {
        Served {
            model: self.name.clone(),
            served_name: self.served_name.clone(),
            engine: self.engine,
            base_url: self.base_url.clone(),
            port: self.port,
            nodes: self.nodes.clone(),
            processes: self.processes(),
            owner: owner.to_owned(),
        }
    }

    /// How many programs are started and stay.
    pub(crate) fn processes(&self) -> usize {
        let steps = self.stages.iter().flat_map(|stage| &stage.steps);
        steps.filter(|step| matches!(step.action, Action::Start { .. })).count()
    }
}

/// Whether heads and experts can be split so.
fn check_split(request: &PlanRequest<'_>) -> Result<(), PlanError> {
    let split = request.recipe.split();
    let refuse = |what: &'static str, count: u32, by: &'static str, parts: u32| {
        Err(PlanError::DoesNotDivide { model: request.recipe.name(), what, count, by, parts })
    };
    if let Some(attention) = request.recipe.keys.attention {
        if !attention.heads.is_multiple_of(split.tp) {
            return refuse("attention heads", attention.heads, "tp", split.tp);
        }
        // Fewer than GPUs: each is kept by several, equally many each.
        let (few, many) = (attention.kv_heads.min(split.tp), attention.kv_heads.max(split.tp));
        if attention.latent.is_none() && !many.is_multiple_of(few) {
            return refuse("key-value heads", attention.kv_heads, "tp", split.tp);
        }
    }
    match request.experts {
        Some(experts) if !experts.is_multiple_of(split.ep) => refuse("experts", experts, "ep", split.ep),
        _ => Ok(()),
    }
}

/// Of `nodes` those that take part: the head, then others in the inventory's order, as many as the split needs.
///
/// # Errors
/// There are too few.
pub(crate) fn taking_part<'a>(
    recipe: &ServingRecipe,
    nodes: &[ServingNode<'a>],
) -> Result<Vec<ServingNode<'a>>, PlanError> {
    let needed = recipe.split().gpus();
    let is_head = |node: &&ServingNode<'_>| node.node.role == NodeRole::Head;
    let (head, others): (Vec<_>, Vec<_>) = nodes.iter().partition(is_head);
    let all: Vec<ServingNode<'a>> = head.into_iter().chain(others).copied().collect();
    let take = usize::try_from(needed).unwrap_or(usize::MAX);
    match all.get(..take) {
        Some(nodes) => Ok(nodes.to_vec()),
        None => Err(PlanError::TooFewNodes {
            model: recipe.name(),
            split: recipe.split(),
            needed,
            there: all.len(),
        }),
    }
}

fn situation<'a>(request: &PlanRequest<'a>, nodes: &[ServingNode<'a>]) -> Situation<'a> {
    let keys = &request.recipe.keys;
    Situation {
        engine: keys.engine,
        release: request.release.or(keys.version.as_ref()),
        nodes: nodes.len(),
        split: request.recipe.split(),
        context: keys.context_length,
        speculative: keys.speculative.as_ref().map(|speculative| speculative.method.as_str()),
        gpus: nodes.iter().filter_map(|node| node.gpu).collect(),
        architecture: request.architecture,
        ray: keys.ray.is_some(),
        arguments: &keys.arguments,
    }
}

/// What each node has to hold; an error where it does not go in.
fn memory(recipe: &ServingRecipe, nodes: &[ServingNode<'_>]) -> Result<Vec<Option<NodeMemory>>, PlanError> {
    let of = |node: &ServingNode<'_>| NodeMemory::of(recipe, node.memory_gb?);
    let all: Vec<Option<NodeMemory>> = nodes.iter().map(of).collect();
    let too_much = nodes.iter().zip(&all).filter_map(|(node, memory)| {
        let memory = (*memory)?;
        (!memory.fits()).then(|| (node.node.name.clone(), memory))
    });
    let too_much: Vec<_> = too_much.collect();
    if too_much.is_empty() {
        Ok(all)
    } else {
        Err(PlanError::TooLittleMemory {
            model: recipe.name(),
            split: recipe.split(),
            context: recipe.keys.context_length,
            nodes: too_much,
        })
    }
}
