//! A model taken down: the server first, then who serves with it, then their containers; and whether anything is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;

use super::answer::{Wanted, ask_server};
use super::found::{FoundModel, Look, Part, PartState, Spot, look};
use crate::cluster::connect::{ConnectError, Connected};
use crate::events::{Observer, ServeEvent};
use crate::host::detached::{DetachedEnding, DetachedError, DetachedFailure};
use crate::host_name::HostName;
use crate::serving::role::Role;
use crate::serving::served::Served;

/// How long a server may take to end by itself: it tells its ranks, and frees what it has.
const SERVER_GRACE: Duration = Duration::from_secs(30);
/// The same of everybody else.
const GRACE: Duration = Duration::from_secs(10);
/// How long ranks are waited for that the server has told to end. From SGLang 0.5.21 on they take no notice of SIGTERM before
/// (`engine.py`).
const BROADCAST: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(250);

/// What ended on one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct NodeDown {
    /// The node.
    pub(crate) node: HostName,
    /// Its processes, in the order in which they ended.
    pub(crate) ended: Vec<EndedPart>,
    /// Containers that are gone.
    pub(crate) removed: Vec<String>,
    /// What is still there, or could not be looked at.
    pub(crate) left: Vec<String>,
    /// Whether the node could be asked.
    pub(crate) reached: bool,
}

/// A process that was ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct EndedPart {
    /// What it was to the others.
    #[serde(flatten)]
    pub(crate) role: Role,
    /// How it ended.
    pub(crate) how: String,
    /// How many processes had to be killed.
    pub(crate) killed: usize,
}

/// Which of what is found is taken down.
pub(crate) type Which<'a> = &'a (dyn Fn(&Served) -> bool + Sync);

/// Take down what of `cluster` is found on `nodes` and is `which`.
pub(crate) async fn take_down(
    nodes: &[(HostName, Result<Connected, ConnectError>)],
    cluster: &str,
    which: Which<'_>,
    observer: &mut dyn Observer,
) -> Vec<NodeDown> {
    let pairs = || nodes.iter().map(|(name, node)| (name, node));
    let found = look(pairs(), cluster).await;
    let mut report: BTreeMap<HostName, NodeDown> = BTreeMap::new();
    for (name, _) in nodes {
        let node = NodeDown {
            node: name.clone(),
            ended: Vec::new(),
            removed: Vec::new(),
            left: Vec::new(),
            reached: true,
        };
        report.insert(name.clone(), node);
    }
    let models: Vec<FoundModel> = found.models().into_iter().filter(|model| which(&model.served)).collect();
    let parts: Vec<&Part> = models.iter().flat_map(|model| &model.parts).collect();
    // Ray's head last: its workers tell it that they go.
    let mut roles: Vec<fn(Role) -> bool> = vec![|role| role == Role::Server];
    roles.push(|role| matches!(role, Role::Rank(_)));
    roles.push(|role| role == Role::RayWorker);
    roles.push(|role| role == Role::RayHead);
    for (at, of_role) in roles.into_iter().enumerate() {
        let now: Vec<&Part> = parts.iter().copied().filter(|part| of_role(part.role)).collect();
        let grace = if at == 0 { SERVER_GRACE } else { GRACE };
        for (part, outcome) in now.iter().zip(join_all(now.iter().map(|part| end(part, grace))).await) {
            let Some(node) = report.get_mut(&part.node) else { continue };
            match outcome {
                Ok(ended) => {
                    let event = ServeEvent::Ended { part: part.role.to_string(), ending: ended.how.clone() };
                    observer.say_from(&part.node, event);
                    node.ended.push(ended);
                }
                // What is in a container ends with it.
                Err(_) if part.container.is_some() => {}
                Err(error) => node.left.push(format!("{}: {}", part.role, error.what)),
            }
        }
    }
    let spots = found.nodes.iter().flat_map(|it| it.spots.iter().flatten());
    let ours = |spot: &&Spot| spot.served.as_ref().is_some_and(which);
    let containers: Vec<&Spot> = spots.filter(ours).collect();
    let removed = join_all(containers.iter().map(|spot| remove(nodes, spot))).await;
    for (name, gone) in removed.into_iter().flatten() {
        let Some(node) = report.get_mut(&name) else { continue };
        match gone {
            Ok(container) => {
                observer.say_from(&name, ServeEvent::Removed { container: container.clone() });
                node.removed.push(container);
            }
            Err(why) => node.left.push(why),
        }
    }
    verify(nodes, cluster, which, &models, &mut report).await;
    // In the order of the nodes.
    nodes.iter().filter_map(|(name, _)| report.remove(name)).collect()
}

/// Look again: what is still there, who did not say, and whether the ports are free.
async fn verify(
    nodes: &[(HostName, Result<Connected, ConnectError>)],
    cluster: &str,
    which: Which<'_>,
    models: &[FoundModel],
    report: &mut BTreeMap<HostName, NodeDown>,
) {
    let after: Look = look(nodes.iter().map(|(name, node)| (name, node)), cluster).await;
    for (name, problem) in after.problems() {
        if let Some(node) = report.get_mut(name) {
            node.reached = false;
            node.left.push(format!("nobody knows what is left: {problem}"));
        }
    }
    for model in after.models().iter().filter(|model| which(&model.served)) {
        for part in &model.parts {
            let runs = match &part.state {
                PartState::Running { pid } => Some(format!("{} still runs, as process {pid}", part.role)),
                PartState::Ended { left: 0, .. } => None,
                PartState::Ended { left, .. } => Some(format!("{}: {left} processes still run", part.role)),
            };
            if let Some((node, runs)) = report.get_mut(&part.node).zip(runs) {
                node.left.push(runs);
            }
        }
        for container in &model.containers {
            if let Some(node) = report.get_mut(&container.node) {
                node.left.push(format!("the container {} is still there", container.name));
            }
        }
    }
    let ports: BTreeSet<(&HostName, u16)> =
        models.iter().filter_map(|model| Some((model.served.head()?, model.served.port))).collect();
    for (head, port) in ports {
        let node = nodes.iter().find(|(name, _)| name == head).and_then(|(_, node)| node.as_ref().ok());
        let Some(host) = node.and_then(|node| node.host().ok()) else { continue };
        let taken = ask_server(&**host, port, "", Wanted::Listener).await;
        if let (Ok(true), Some(node)) = (taken.map(|answer| answer.listens), report.get_mut(head)) {
            node.left.push(format!("somebody still listens on port {port}"));
        }
    }
}

/// End a process, and forget it.
async fn end(part: &Part, grace: Duration) -> Result<EndedPart, DetachedError> {
    let programs = part.place.programs();
    let told = matches!(part.role, Role::Rank(_)) && ended_by_itself(part).await;
    let grace = if told { Duration::ZERO } else { grace };
    let (how, killed) = match programs.end(&part.id, grace).await {
        Ok(ended) => (ended.how, ended.killed),
        // Another one has ended and forgotten it.
        Err(DetachedError { what: DetachedFailure::NoProgram(_), .. }) => (DetachedEnding::Unseen, 0),
        Err(error) => return Err(error),
    };
    if part.container.is_none() {
        match programs.forget(&part.id).await {
            Ok(()) | Err(DetachedError { what: DetachedFailure::NoProgram(_), .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(EndedPart { role: part.role, how: how.to_string(), killed })
}

/// Whether a rank ends because the server has told it to, which is waited for.
async fn ended_by_itself(part: &Part) -> bool {
    let began = Instant::now();
    let labels = BTreeMap::new();
    while began.elapsed() < BROADCAST {
        let Ok(list) = part.place.programs().list(&labels).await else { return false };
        let found = list.programs.iter().find(|it| it.id == part.id);
        if found.is_none_or(|it| matches!(PartState::of(it), PartState::Ended { .. })) {
            return true;
        }
        tokio::time::sleep(PAUSE).await;
    }
    false
}

/// Remove a container of ours, with whatever runs in it.
async fn remove(
    nodes: &[(HostName, Result<Connected, ConnectError>)],
    spot: &Spot,
) -> Option<(HostName, Result<String, String>)> {
    let container = spot.place.container.as_ref()?;
    let name = spot.place.node();
    let (_, node) = nodes.iter().find(|(it, _)| it == name)?;
    let engine = match node {
        Ok(node) => node.engine().await.map_err(|error| error.problem()),
        Err(error) => Err(error.problem()),
    };
    let gone = match engine {
        Ok(engine) => engine.remove(container).await.map_err(|error| error.what.to_string()),
        Err(why) => Err(why),
    };
    let said = gone
        .map(|()| container.name().to_owned())
        .map_err(|why| format!("the container {}: {why}", container.name()));
    Some((name.clone(), said))
}

impl NodeDown {
    /// Whether nothing of it was there.
    pub(crate) fn is_nothing(&self) -> bool {
        self.ended.is_empty() && self.removed.is_empty() && self.left.is_empty()
    }
}
