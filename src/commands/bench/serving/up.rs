//! `sparkbench up`: a model brought up on the nodes of an inventory.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::nodes::{Nodes, look_further, this_command};
use super::plan::Stopped;
use super::planning::{Planned, Planning, PlanningSettings};
use super::up_output::{show, tell, untuned};
use crate::cluster::connect::{self, ConnectError, Connected, connect_all};
use crate::cluster::inventory::{Inventory, Node};
use crate::commands::{CommandResult, Output, Verdict};
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host::ssh::SshConnections;
use crate::host_name::HostName;
use crate::secret::Secret;
use crate::serving::live::{
    Condition, FoundModel, Lock, NodeDown, Up, UpError, UpReport, Wanted, ask_found, check_port, look,
    take_down,
};
use crate::serving::{KnownFailures, LaunchPlan, Served};

/// What is brought up.
#[derive(Debug)]
pub(crate) struct UpSettings {
    /// The model, and where.
    pub(crate) planning: PlanningSettings,
    /// How long it may take.
    pub(crate) startup_timeout: Duration,
    /// Whether it is to use a tuned config file for every kernel that looks for one.
    pub(crate) require_tuned: bool,
    /// Whether another model that is on these nodes is taken down first, or refused.
    pub(crate) instead: bool,
    /// One JSON object.
    pub(crate) json: bool,
}

/// Another model is on these nodes.
#[derive(Debug, thiserror::Error)]
#[error("{model} is on {} already ({condition})", on.iter().map(HostName::as_str).collect::<Vec<_>>().join(", "))]
struct AnotherIsUp {
    wanted: String,
    model: String,
    condition: &'static str,
    on: Vec<HostName>,
}

impl Failure for AnotherIsUp {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some(format!("`sparkbench switch {}` takes it down first; --node chooses others", self.wanted))
    }
}

/// It did not come up, and what became of what was started.
#[derive(Debug)]
struct NotUp {
    why: Box<dyn Failure>,
    left: Vec<NodeDown>,
}

impl fmt::Display for NotUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)?;
        if self.left.is_empty() {
            return f.write_str("\nwhat was started is gone again");
        }
        for node in &self.left {
            for what in &node.left {
                write!(f, "\nleft on {}: {what}", node.node)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for NotUp {}

impl Failure for NotUp {
    fn kind(&self) -> Kind {
        self.why.kind()
    }

    fn hint(&self) -> Option<String> {
        match self.left.is_empty() {
            true => self.why.hint(),
            false => Some("`sparkbench down` takes it down once the node answers".to_owned()),
        }
    }
}

/// Bring it up.
pub(crate) async fn run(
    settings: &UpSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let known = KnownFailures::load(settings.planning.profiles.as_deref())?;
    let planned = async {
        let planning = Planning::read(&settings.planning, false).await?;
        let ssh = connect::ssh(&planning.inventory);
        Ok::<_, Box<dyn Failure>>((planning.plan(&ssh, false).await?, ssh))
    };
    let (planned, ssh) = cancel.run_until_cancelled(planned).await.ok_or(Stopped)??;
    let Planned { plan, derived, inventory, nodes: _, connected } = planned;
    for remark in derived.iter().flat_map(|derived| &derived.remarks) {
        observer.note(remark.clone());
    }
    let hosts: Vec<_> = connected.iter().filter_map(|node| node.host().ok().cloned()).collect();
    let cluster = &inventory.name;
    let doing = if settings.instead { "switch" } else { "up" };
    let who = this_command(&format!("{doing} {}", plan.name));
    let locks = cancel.run_until_cancelled(Lock::take_all(&hosts, cluster, &who)).await.ok_or(Stopped)??;
    let nodes: Vec<(HostName, Result<Connected, ConnectError>)> =
        connected.into_iter().map(|node| (node.name().clone(), Ok(node))).collect();
    let start = Start { known: &known, settings, plan: &plan, inventory: &inventory, ssh: &ssh, who };
    let brought_up = start.run(nodes, &cancel, observer).await;
    drop(locks);
    let outcome = brought_up?;
    let report = match &outcome {
        Outcome::AlreadyUp => None,
        Outcome::Up(report) => Some(&**report),
    };
    if let Some(report) = report {
        tell(report, &plan, observer);
    }
    show(&plan, report, settings.json, out)?;
    Ok(Verdict::Done)
}

/// What came of it.
enum Outcome {
    AlreadyUp,
    Up(Box<UpReport>),
}

/// A start, once the nodes are ours alone.
struct Start<'a> {
    known: &'a KnownFailures,
    settings: &'a UpSettings,
    plan: &'a LaunchPlan,
    inventory: &'a Inventory,
    ssh: &'a SshConnections,
    who: String,
}

impl Start<'_> {
    async fn run(
        &self,
        nodes: Nodes,
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, Box<dyn Failure>> {
        let Self { plan, inventory, .. } = self;
        let mut found = look(nodes.iter().map(|(name, node)| (name, node)), &inventory.name).await;
        // A model that is well may be here in part.
        let _further = look_further(&mut found, inventory, self.ssh).await;
        if let Some((node, why)) = found.problems().next() {
            return Err(CannotLook { node: node.clone(), why: why.to_owned() }.into());
        }
        let mut in_the_way = Vec::new();
        let mut on_its_way = None;
        for model in found.models() {
            let answer = ask_found(&model, Wanted::Token).await;
            match Condition::of(&model, answer.as_ref(), &[], None) {
                Condition::Ready(()) if is_same(&model, plan) => return Ok(Outcome::AlreadyUp),
                // Whoever began it is gone: what it has loaded in the meantime is not thrown away.
                Condition::Starting(_) if is_same(&model, plan) => on_its_way = Some(model),
                condition @ (Condition::Ready(()) | Condition::Starting(_))
                    if !is_same(&model, plan) && !self.settings.instead =>
                {
                    return Err(AnotherIsUp {
                        wanted: plan.name.clone(),
                        model: model.served.model,
                        condition: condition.name(),
                        on: model.served.nodes,
                    }
                    .into());
                }
                // What a killed start has left, what has died, what never got ready, and what this one is instead of.
                _ => in_the_way.push(model.served),
            }
        }
        let nodes = self.clear(nodes, &in_the_way, observer).await?;
        let by_name: BTreeMap<HostName, Connected> =
            nodes.into_iter().filter_map(|(name, node)| Some((name, node.ok()?))).collect();
        let secrets = |name: &str| std::env::var(name).ok().map(Secret::new);
        let limit = self.settings.startup_timeout;
        let up = Up { plan, nodes: &by_name, secrets: &secrets, limit, known: self.known };
        let (owner, outcome) = match &on_its_way {
            Some(model) => (&model.served.owner, up.join(model, cancel, observer).await),
            None => {
                if let Some(head) = plan.nodes.first().and_then(|head| by_name.get(head)) {
                    check_port(plan, head).await?;
                }
                (&plan.labels.owner, up.run(cancel, observer).await)
            }
        };
        let why: Box<dyn Failure> = match outcome {
            Ok(report) => match untuned(&report).filter(|_| self.settings.require_tuned) {
                None => return Ok(Outcome::Up(Box::new(report))),
                Some(untuned) => untuned.into(),
            },
            // Nothing was started.
            Err(why @ UpError::Secrets { .. }) => return Err(why.into()),
            Err(why) => why.into(),
        };
        let nodes: Nodes = by_name.into_iter().map(|(name, node)| (name, Ok(node))).collect();
        let ours = |served: &Served| served.owner == *owner;
        let report = take_down(&nodes, &inventory.name, &ours, observer).await;
        Err(NotUp { why, left: report.into_iter().filter(is_left).collect() }.into())
    }

    /// Take down what is in the way, on all its nodes, also on those that take no part in what comes.
    async fn clear(
        &self,
        mut nodes: Nodes,
        in_the_way: &[Served],
        observer: &mut dyn Observer,
    ) -> Result<Nodes, Box<dyn Failure>> {
        if in_the_way.is_empty() {
            return Ok(nodes);
        }
        let is_its = |node: &&Node| in_the_way.iter().any(|served| served.nodes.contains(&node.name));
        let is_new = |node: &&Node| !self.plan.nodes.contains(&node.name);
        let more: Vec<Node> = self.inventory.nodes.iter().filter(is_its).filter(is_new).cloned().collect();
        let connected = connect_all(&more, self.ssh).await;
        let hosts = connected.iter().filter_map(|node| node.as_ref().ok()?.host().ok().cloned());
        let _locks = Lock::take_all(&hosts.collect::<Vec<_>>(), &self.inventory.name, &self.who).await?;
        let ours = nodes.len();
        nodes.extend(more.into_iter().map(|node| node.name).zip(connected));
        let which = |served: &Served| in_the_way.contains(served);
        let report = take_down(&nodes, &self.inventory.name, &which, observer).await;
        let left: Vec<NodeDown> = report.into_iter().filter(is_left).collect();
        if !left.is_empty() {
            return Err(InTheWay(left).into());
        }
        nodes.truncate(ours);
        Ok(nodes)
    }
}

fn is_left(node: &NodeDown) -> bool {
    !node.left.is_empty()
}

/// Whether a model that was found is what the plan would bring up.
fn is_same(model: &FoundModel, plan: &LaunchPlan) -> bool {
    let Served { model: name, base_url, nodes, processes, .. } = &model.served;
    let planned = (&plan.name, &plan.base_url, &plan.nodes, plan.processes());
    (name, base_url, nodes, *processes) == planned
}

/// A node does not say what is there.
#[derive(Debug, thiserror::Error)]
#[error("{node}: {why}")]
struct CannotLook {
    node: HostName,
    why: String,
}

impl Failure for CannotLook {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

/// What is in the way cannot be taken down.
#[derive(Debug)]
struct InTheWay(Vec<NodeDown>);

impl fmt::Display for InTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what is in the way cannot be taken down:")?;
        for node in &self.0 {
            for what in &node.left {
                write!(f, "\n  {}: {what}", node.node)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for InTheWay {}

impl Failure for InTheWay {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}
