//! What is found on the nodes: containers and processes of ours that serve models, or did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::answer::{Answer, Wanted, ask_server};
use super::place::Place;
use crate::cluster::connect::{ConnectError, Connected};
use crate::failure::Failure as _;
use crate::host::container_spec::Labels;
use crate::host::detached::{Detached, DetachedId, DetachedState};
use crate::host_name::HostName;
use crate::serving::role::Role;
use crate::serving::served::{PURPOSE, Served};

/// How long a node may take to say what is there.
const LOOK_LIMIT: Duration = Duration::from_secs(15);

/// What every node said.
#[derive(Debug)]
pub(crate) struct Look {
    /// In the order of the nodes.
    pub(crate) nodes: Vec<NodeLook>,
}

/// What one node said.
#[derive(Debug)]
pub(crate) struct NodeLook {
    /// The node.
    pub(crate) node: HostName,
    /// Where anything of ours is; or why nobody knows.
    pub(super) spots: Result<Vec<Spot>, String>,
}

/// A container of ours that serves, or a node whose own processes do.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) place: Place,
    /// Whether programs could run there: a container may have ended.
    pub(super) runs: bool,
    /// What its container says that it is for; none on the node itself.
    pub(super) served: Option<Served>,
    /// Our programs there.
    pub(super) programs: Vec<Detached>,
    /// Why they are not known.
    pub(super) problem: Option<String>,
}

/// Something that was brought up by one command.
#[derive(Debug)]
pub(crate) struct FoundModel {
    /// What, by its labels.
    pub(crate) served: Served,
    /// Its processes, the server first.
    pub(crate) parts: Vec<Part>,
    /// Containers that are there for it, whether anything runs in them or not.
    pub(crate) containers: Vec<FoundContainer>,
    /// Where its server is asked; none where its container is not there.
    pub(super) head: Option<Place>,
}

/// A container that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundContainer {
    /// Its node.
    pub(crate) node: HostName,
    /// Its name there.
    pub(crate) name: String,
    /// Whether it runs.
    pub(crate) runs: bool,
    /// Why nobody knows what runs in it.
    pub(crate) problem: Option<String>,
}

/// A process that serves with others.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its node.
    pub(crate) node: HostName,
    /// The name of its container; none where it runs on the node itself.
    pub(crate) container: Option<String>,
    /// What it is to the others.
    pub(crate) role: Role,
    /// What has become of it.
    pub(crate) state: PartState,
    pub(super) id: DetachedId,
    pub(super) place: Place,
}

/// What has become of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PartState {
    /// It runs.
    Running {
        /// As its node, or its container, numbers it.
        pid: i32,
    },
    /// It has ended.
    Ended {
        /// How.
        how: String,
        /// Processes that it has left behind and that still run.
        left: usize,
    },
}

/// Ask every node, at once, what of the inventory called `cluster` is there.
pub(crate) async fn look(
    nodes: impl IntoIterator<Item = (&HostName, &Result<Connected, ConnectError>)>,
    cluster: &str,
) -> Look {
    let labels = [("cluster", cluster), ("purpose", PURPOSE)];
    let labels: BTreeMap<String, String> =
        labels.map(|(key, value)| (format!("{}{key}", Labels::PREFIX), value.to_owned())).into();
    let labels = &labels;
    let asked = nodes.into_iter().map(|(name, node)| async move {
        let spots = match node {
            Err(error) => Err(with_hint(error)),
            Ok(node) => tokio::time::timeout(LOOK_LIMIT, spots(node, labels))
                .await
                .unwrap_or_else(|_| Err(format!("it did not answer within {} s", LOOK_LIMIT.as_secs()))),
        };
        NodeLook { node: name.clone(), spots }
    });
    Look { nodes: join_all(asked).await }
}

fn with_hint(error: &ConnectError) -> String {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}{hint}", error.problem())
}

async fn spots(node: &Connected, labels: &BTreeMap<String, String>) -> Result<Vec<Spot>, String> {
    if node.node.settings.engine().is_none() {
        let host = Arc::clone(node.host().map_err(|error| with_hint(&error))?);
        let place = Place { host, container: None };
        let programs = place.programs().list(labels).await.map_err(|error| error.what.to_string())?.programs;
        let spot = Spot { place, runs: true, served: None, programs, problem: None };
        return Ok(vec![spot]);
    }
    let engine = node.engine().await.map_err(|error| with_hint(&error))?;
    let listed = engine.list(labels).await.map_err(|error| error.what.to_string())?;
    let within = listed.into_iter().map(|listed| async move {
        let place =
            Place { host: engine.within_container(&listed.container), container: Some(listed.container) };
        let listed_programs = match listed.running {
            true => place.programs().list(labels).await.map(|list| list.programs),
            false => Ok(Vec::new()),
        };
        let (programs, problem) = match listed_programs {
            Ok(programs) => (programs, None),
            Err(error) => (Vec::new(), Some(error.what.to_string())),
        };
        Spot { place, runs: listed.running, served: Served::of(&listed.labels), programs, problem }
    });
    Ok(join_all(within).await)
}

impl Look {
    /// Nodes that did not say what is there, and why.
    pub(crate) fn problems(&self) -> impl Iterator<Item = (&HostName, &str)> {
        self.nodes.iter().filter_map(|it| Some((&it.node, it.spots.as_ref().err()?.as_str())))
    }

    /// What was brought up, each by the command that did; a model that several commands brought up stands several times.
    pub(crate) fn models(&self) -> Vec<FoundModel> {
        let mut models: BTreeMap<String, FoundModel> = BTreeMap::new();
        for spot in self.nodes.iter().flat_map(|it| it.spots.iter().flatten()) {
            if let (Some(served), Some(container)) = (&spot.served, &spot.place.container) {
                let model = model(&mut models, served);
                model.containers.push(FoundContainer {
                    node: spot.place.node().clone(),
                    name: container.name().to_owned(),
                    runs: spot.runs,
                    problem: spot.problem.clone(),
                });
                if spot.runs && served.head() == Some(spot.place.node()) {
                    model.head = Some(spot.place.clone());
                }
            }
            for program in &spot.programs {
                let known = Served::of(&program.labels).zip(Role::of(&program.labels));
                let Some((served, role)) = known else { continue };
                let model = model(&mut models, &served);
                if spot.place.container.is_none() && served.head() == Some(spot.place.node()) {
                    model.head = Some(spot.place.clone());
                }
                model.parts.push(Part {
                    node: spot.place.node().clone(),
                    container: spot.place.container.as_ref().map(|it| it.name().to_owned()),
                    role,
                    state: PartState::of(program),
                    id: program.id.clone(),
                    place: spot.place.clone(),
                });
            }
        }
        let mut models: Vec<FoundModel> = models.into_values().collect();
        for model in &mut models {
            model.parts.sort_by(|a, b| (a.role, &a.node).cmp(&(b.role, &b.node)));
        }
        models
    }
}

fn model<'a>(models: &'a mut BTreeMap<String, FoundModel>, served: &Served) -> &'a mut FoundModel {
    let new = || FoundModel { served: served.clone(), parts: Vec::new(), containers: Vec::new(), head: None };
    models.entry(served.owner.clone()).or_insert_with(new)
}

/// Ask the server of `model`, on its own node; none where that does not say that it is there.
pub(crate) async fn ask_found(model: &FoundModel, wanted: Wanted) -> Option<Result<Answer, String>> {
    let place = model.head.as_ref()?;
    let Served { port, served_name, .. } = &model.served;
    Some(ask_server(&*place.host, *port, served_name, wanted).await.map_err(|error| error.problem()))
}

impl PartState {
    pub(super) fn of(program: &Detached) -> Self {
        match program.state {
            DetachedState::Running { pid } => Self::Running { pid },
            DetachedState::Ended { how, left, .. } => Self::Ended { how: how.to_string(), left },
        }
    }
}
