//! Asking the nodes: all at once, each within limits of its own.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::asked::AskedModel;
use super::inside::{Inside, Wanted, inside};
use super::on_node::{LOOK_LIMIT, load, look, look_for};
use super::paths::paths;
use super::ping_path::PingPath;
use super::seen::{
    DataLink, EngineSeen, Examined, ImageSeen, Obstacle, PingOutcome, Pinged, ReadNode, Seen, Tuned,
};
use super::tuned;
use crate::cluster::connect::{Connected, connect};
use crate::cluster::fabric::{Fabric, Given, Member};
use crate::cluster::facts::{NodeFacts, READ_LIMIT, read_all};
use crate::cluster::images::runs;
use crate::cluster::inventory::Node;
use crate::cluster::runtimes::{Wish, runtimes};
use crate::failure::Failure;
use crate::host::container_spec::{ContainerVariable, NodePath};
use crate::host::engine::{BadImageName, EngineError, EngineFailure, ImageName};
use crate::host::ssh::SshConnections;
use crate::host::{Host, HostPath};

/// Time for an engine to say what it is and to look at an image.
const ENGINE_LIMIT: Duration = Duration::from_secs(20);
/// Time for what serves on a node to say what it is; a node that has another's image is asked where that one failed.
const RUNTIME_LIMIT: Duration = Duration::from_secs(60);

/// What a cluster is asked for.
#[derive(Debug)]
pub(crate) struct Examination<'a> {
    /// What labels call the cluster.
    pub(crate) cluster: &'a str,
    /// Those of its nodes that are examined.
    pub(crate) nodes: &'a [Node],
    /// Models that are to be served.
    pub(crate) models: Vec<AskedModel>,
    /// Where what images said is kept.
    pub(crate) cache: &'a Path,
    /// Whether their GPUs are kept busy for a few seconds.
    pub(crate) load: bool,
    /// How nodes are connected to.
    pub(crate) ssh: &'a SshConnections,
}

/// Ask all nodes what the doctor wants to know, and let them ping one another; none where that was cancelled, by when
/// the containers made for it are gone.
///
/// A node that does not answer keeps the others waiting for no longer than the limits of ssh and those above:
/// the pings begin when every node has been read or given up.
pub(crate) async fn examine(order: Examination<'_>, cancel: &CancellationToken) -> Option<Examined> {
    let (mut nodes, connected): (Vec<Seen>, Vec<Option<Connected>>) =
        join_all(order.nodes.iter().map(|node| see(node, &order, cancel))).await.into_iter().unzip();
    let data = data_links(&nodes);
    let host = |node: &Option<Connected>| node.as_ref()?.host().ok().cloned();
    let hosts: Vec<Option<Arc<dyn Host>>> = connected.iter().map(host).collect();
    // After everything else, which is to be seen as it was.
    let loads = join_all(hosts.iter().map(|host| load(host.as_deref().filter(|_| order.load))));
    let both = async { tokio::join!(pings(&hosts, paths(&nodes, &data)), loads) };
    let wish = Wish {
        cluster: order.cluster,
        cache: order.cache,
        fresh: false,
        options: false,
        limit: RUNTIME_LIMIT,
    };
    let serving: Vec<(usize, &Connected)> = nodes
        .iter()
        .zip(&connected)
        .enumerate()
        .filter_map(|(at, (seen, node))| Some((at, node.as_ref().filter(|_| can_serve(seen))?)))
        .collect();
    let reached: Vec<&Connected> = serving.iter().map(|(_, node)| *node).collect();
    // It has containers to remove, and hears of the end by itself.
    let (both, said) = tokio::join!(cancel.run_until_cancelled(both), runtimes(&reached, &wish, cancel));
    let (pings, loads) = both?;
    if cancel.is_cancelled() {
        return None;
    }
    for ((at, _), said) in serving.iter().zip(said) {
        nodes[*at].runtime = Some(said);
    }
    for (node, load) in nodes.iter_mut().zip(loads) {
        node.load = load.filter(|_| node.facts().is_none_or(|facts| !facts.gpus.is_empty()));
    }
    Some(Examined { nodes, data, pings, models: order.models })
}

/// Whether there is something to ask what serves there; why there is not, another item says.
fn can_serve(seen: &Seen) -> bool {
    match (&seen.engine, seen.node.settings.engine()) {
        (Some(Ok(engine)), _) => matches!(engine.image, ImageSeen::There(_)),
        (Some(Err(_)), _) | (None, Some(_)) => false,
        (None, None) => seen.facts().is_some(),
    }
}

/// One node, and the way to it.
async fn see(node: &Node, order: &Examination<'_>, cancel: &CancellationToken) -> (Seen, Option<Connected>) {
    let unseen = |reached| Seen {
        node: node.clone(),
        reached,
        read: None,
        engine: None,
        looked: None,
        models: None,
        gpus_inside: None,
        runtime: None,
        load: None,
        tuned: None,
    };
    let Some(connected) = cancel.run_until_cancelled(connect(node, order.ssh)).await else {
        return (unseen(Ok(())), None);
    };
    let connected = match connected {
        Ok(connected) => connected,
        Err(error) => return (unseen(Err(error.into())), None),
    };
    let host = connected.host().ok().cloned();
    let on_host = async {
        match &host {
            Some(host) => {
                let models = &order.models;
                let (read, looked, models, tuned) = tokio::join!(
                    read(host),
                    look(&**host, &[]),
                    look_for(&**host, node, models),
                    tuned_here(host, &connected, !models.is_empty())
                );
                (Some(read), Some(looked), models, tuned)
            }
            None => (None, None, None, None),
        }
    };
    let engine = async {
        let Some(_) = node.settings.engine() else { return (None, Inside::default()) };
        let seen = timeout(ENGINE_LIMIT, engine(&connected));
        let Some(seen) = cancel.run_until_cancelled(seen).await else { return (None, Inside::default()) };
        let seen = seen.unwrap_or_else(|_| {
            let says = format!("the engine did not answer within {} s", ENGINE_LIMIT.as_secs());
            Err(Obstacle { says, fix: None })
        });
        let inside = match &seen {
            Ok(EngineSeen { image: ImageSeen::There(image), facts })
                if runs(&image.architecture, &facts.architecture) =>
            {
                in_containers(node, &connected, order, cancel).await
            }
            // The image, or the engine, is an item of its own.
            _ => Inside::default(),
        };
        (Some(seen), inside)
    };
    let on_host = cancel.run_until_cancelled(on_host);
    let (on_host, (engine, inside)) = tokio::join!(on_host, engine);
    let (read, looked, models, tuned) = on_host.unwrap_or_default();
    let (gpus_inside, tuned) = (inside.gpus, inside.tuned.or(tuned));
    (Seen { read, engine, looked, models, gpus_inside, tuned, ..unseen(Ok(())) }, Some(connected))
}

/// What a container of the node has; nothing where neither GPUs nor models are to be looked at.
async fn in_containers(
    node: &Node,
    connected: &Connected,
    order: &Examination<'_>,
    cancel: &CancellationToken,
) -> Inside {
    let wanted = Wanted { gpus: node.settings.wants_gpus(), tuned: !order.models.is_empty() };
    match connected.engine().await {
        Ok(engine) if wanted.gpus || wanted.tuned => {
            inside(connected, engine, order.cluster, wanted, cancel).await
        }
        _ => Inside::default(),
    }
}

/// Config files where the runtime of a node without containers looks, if that is `wanted`.
async fn tuned_here(
    host: &Arc<dyn Host>,
    connected: &Connected,
    wanted: bool,
) -> Option<Result<Tuned, Obstacle>> {
    let settings = &connected.node.settings;
    if !wanted || settings.engine().is_some() {
        return None;
    }
    let python = match settings.virtualenv() {
        None => HostPath::new("python3"),
        Some(NodePath::Absolute(path)) => path.join("bin/python"),
        Some(path @ NodePath::Home(_)) => match connected.home().await {
            Ok(home) => path.on(&home).join("bin/python"),
            Err(error) => return Some(Err(error.into())),
        },
    };
    let set = |(name, variable): (&String, &ContainerVariable)| match variable {
        ContainerVariable::Set(value) => Some((name.clone(), value.clone())),
        ContainerVariable::FromHarness => None,
    };
    let variables = settings.environment().iter().filter_map(set).collect();
    let whose = format!("for {python}");
    let looked = timeout(LOOK_LIMIT, tuned::look(host, python, &variables, whose)).await;
    Some(looked.unwrap_or_else(|_| {
        let says = format!("its runtime did not answer within {} s", LOOK_LIMIT.as_secs());
        Err(Obstacle { says, fix: None })
    }))
}

async fn read(host: &Arc<dyn Host>) -> Result<ReadNode, Obstacle> {
    let answer = read_all(std::slice::from_ref(host), READ_LIMIT).await.pop();
    // There is one answer a host.
    let Some(answer) = answer else { return Err(Obstacle { says: "nothing was asked".into(), fix: None }) };
    let answer = answer.map_err(|error| Obstacle { says: error.problem(), fix: error.hint() })?;
    let facts = NodeFacts::of(&answer.reading);
    Ok(ReadNode { clock_ahead_s: answer.clock_ahead_s(&facts), facts })
}

async fn engine(connected: &Connected) -> Result<EngineSeen, Obstacle> {
    let engine = connected.engine().await?;
    let facts = engine.facts().await?;
    let image = match connected.node.settings.image().unwrap_or_default().parse::<ImageName>() {
        Err(error @ BadImageName { .. }) => {
            ImageSeen::Unknown(Obstacle { says: error.to_string(), fix: error.hint() })
        }
        Ok(name) => match engine.image(&name).await {
            Ok(image) => ImageSeen::There(image),
            Err(EngineError { what: EngineFailure::NoImage(_), .. }) => ImageSeen::Missing,
            Err(error) => ImageSeen::Unknown(error.into()),
        },
    };
    Ok(EngineSeen { facts, image })
}

/// Where the nodes that were read meet one another: where the inventory says it, else as it is derived.
pub(super) fn data_links(nodes: &[Seen]) -> Vec<Option<DataLink>> {
    let given: Vec<Given> = nodes.iter().map(given).collect();
    let members = nodes
        .iter()
        .zip(&given)
        .filter_map(|(seen, given)| Some(Member { name: &seen.node.name, facts: seen.facts()?, given }));
    let members: Vec<Member<'_>> = members.collect();
    // What was given is the node's own, so there is nothing to refuse.
    let fabric = Fabric::of(&members).map(|fabric| fabric.nodes).unwrap_or_default();
    let link = |seen: &Seen| {
        // An address of the inventory that cannot be used is an item of its own; another one is not tried instead.
        if !seen.node.fabric.is_empty() && usable(seen).is_none() {
            return None;
        }
        let node = fabric.iter().find(|node| node.node == seen.node.name)?;
        let plane = node.data.as_ref()?;
        let mtu = seen.facts()?.interface(&plane.interface)?.mtu;
        Some(DataLink { address: plane.address, interface: plane.interface.clone(), mtu })
    };
    nodes.iter().map(link).collect()
}

fn given(seen: &Seen) -> Given {
    Given::addresses(None, usable(seen))
}

/// The one of the inventory's addresses for data that counts, of those that the node has on an interface that is up.
fn usable(seen: &Seen) -> Option<IpAddr> {
    let facts = seen.facts()?;
    let up = |address: &IpAddr| {
        let interface =
            facts.interfaces.iter().find(|it| it.addresses.iter().any(|own| own.address == *address));
        interface.is_some_and(|it| it.up) && !address.is_loopback()
    };
    Given::data_of(seen.node.fabric.iter().copied().filter(up))
}

/// The nodes ping one another by all of these paths at once.
async fn pings(hosts: &[Option<Arc<dyn Host>>], paths: Vec<PingPath>) -> Vec<Pinged> {
    let from = |(at, host): (usize, &Option<Arc<dyn Host>>)| {
        let own: Vec<PingPath> = paths.iter().filter(|path| path.from == at).cloned().collect();
        let host = host.clone().filter(|_| !own.is_empty());
        async move {
            let Some(host) = host else { return Vec::new() };
            let looked = look(&*host, &own).await.map(|looked| looked.pings);
            let outcome = |nth: usize| match &looked {
                Ok(outcomes) => outcomes
                    .get(nth)
                    .cloned()
                    .unwrap_or_else(|| PingOutcome::Unknown("the node said nothing of this ping".into())),
                Err(trouble) => PingOutcome::Unknown(trouble.says.clone()),
            };
            let pinged = |(nth, path)| Pinged { path, outcome: outcome(nth) };
            own.into_iter().enumerate().map(pinged).collect()
        }
    };
    join_all(hosts.iter().enumerate().map(from)).await.into_iter().flatten().collect()
}
