//! Asking the nodes: all at once, each within limits of its own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::machine::FOLDERS;
use super::network::PORTS;
use super::seen::{
    DataLink, EngineSeen, Examined, ImageSeen, Looked, Obstacle, PingOutcome, Pinged, ReadNode, Seen,
};
use crate::cluster::ask::{AskError, AskFailure, ask, beginning};
use crate::cluster::connect::{ConnectError, Connected, connect};
use crate::cluster::fabric::{Fabric, Given, Member};
use crate::cluster::facts::{NodeFacts, read_all};
use crate::cluster::inventory::Node;
use crate::failure::Failure;
use crate::host::engine::{BadImageName, EngineError, EngineFailure, ImageName};
use crate::host::ssh::SshSettings;
use crate::host::{Host, HostPath};

const PROGRAM: &str = include_str!("../../../worker/node_doctor.py");
/// Time for a node's facts: its tools have 5 s, the rest is the way there and a busy machine.
const READ_LIMIT: Duration = Duration::from_secs(20);
/// Time for what is asked besides, and for all pings of a node, which end by themselves before.
const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// Time for an engine to say what it is and to look at an image.
const ENGINE_LIMIT: Duration = Duration::from_secs(20);

/// Ask all `nodes` what the doctor wants to know, and let them ping one another.
///
/// A node that does not answer keeps the others waiting for no longer than the limits of `settings` and those above:
/// the pings begin when every node has been read or given up.
pub(crate) async fn examine(nodes: &[Node], settings: &SshSettings) -> Examined {
    let (nodes, hosts): (Vec<Seen>, Vec<Option<Arc<dyn Host>>>) =
        join_all(nodes.iter().map(|node| see(node, settings))).await.into_iter().unzip();
    let data = data_links(&nodes);
    let pings = pings(&hosts, &data).await;
    Examined { nodes, data, pings }
}

/// One node, and it as a host where it could be logged in to.
async fn see(node: &Node, settings: &SshSettings) -> (Seen, Option<Arc<dyn Host>>) {
    let unseen = |reached| Seen { node: node.clone(), reached, read: None, engine: None, looked: None };
    let connected = match connect(node, settings).await {
        Ok(connected) => connected,
        Err(error) => return (unseen(Err(error.into())), None),
    };
    let host = connected.host().ok().cloned();
    let on_host = async {
        match &host {
            Some(host) => {
                let (read, looked) = tokio::join!(read(host), look(&**host, None, &[]));
                (Some(read), Some(looked))
            }
            None => (None, None),
        }
    };
    let engine = async {
        node.settings.engine()?;
        let seen = timeout(ENGINE_LIMIT, engine(&connected)).await;
        Some(seen.unwrap_or_else(|_| {
            let says = format!("the engine did not answer within {} s", ENGINE_LIMIT.as_secs());
            Err(Obstacle { says, fix: None })
        }))
    };
    let ((read, looked), engine) = tokio::join!(on_host, engine);
    (Seen { read, engine, looked, ..unseen(Ok(())) }, host)
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

/// Ask `host` for ports, folders and the token, or let it ping from an address.
async fn look(host: &dyn Host, from: Option<String>, pings: &[(String, u32)]) -> Result<Looked, Obstacle> {
    let pinging = from.is_some();
    let order = json!({
        "ports": if pinging { &[][..] } else { &PORTS },
        "folders": if pinging { &[][..] } else { &FOLDERS },
        "from": from,
        "pings": pings,
    });
    let python = HostPath::new("python3");
    let answer = ask(host, &python, PROGRAM, &[order.to_string().as_bytes()], LOOK_LIMIT).await?;
    serde_json::from_slice(&answer).map_err(|_| {
        let says =
            format!("`{python}` answered `{}`, where one JSON document was expected", beginning(&answer));
        Obstacle { says, fix: None }
    })
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
        if v4(seen).next().is_some() && usable(seen).is_none() {
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

/// The inventory's addresses for data that pings can go from.
fn v4(seen: &Seen) -> impl Iterator<Item = std::net::Ipv4Addr> {
    seen.node.fabric.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    })
}

/// The first of them that the node has, on an interface that is up.
fn usable(seen: &Seen) -> Option<std::net::Ipv4Addr> {
    let facts = seen.facts()?;
    let up = |address: &std::net::Ipv4Addr| {
        let interface = facts.interfaces.iter().find(|it| it.ipv4().any(|(own, _)| own == *address));
        interface.is_some_and(|it| it.up) && !address.is_loopback()
    };
    v4(seen).find(up)
}

/// Every node that has an address for data pings every other one that has, all of them at once.
///
/// With the smaller MTU of the two: that they differ is said already, and what lies between is what this is for.
async fn pings(hosts: &[Option<Arc<dyn Host>>], data: &[Option<DataLink>]) -> Vec<Pinged> {
    let from = |(at, host): (usize, &Option<Arc<dyn Host>>)| {
        let (host, own) = (host.clone(), data[at].clone());
        async move {
            let (Some(host), Some(own)) = (host, own) else { return Vec::new() };
            let peer = |(to, link): (usize, &Option<DataLink>)| {
                let link = link.as_ref().filter(|_| to != at)?;
                let mtu = own.mtu?.min(link.mtu?);
                Some((to, link.address.to_string(), mtu))
            };
            let peers: Vec<(usize, String, u32)> = data.iter().enumerate().filter_map(peer).collect();
            if peers.is_empty() {
                return Vec::new();
            }
            let order: Vec<(String, u32)> = peers.iter().map(|(_, to, mtu)| (to.clone(), *mtu)).collect();
            let outcomes =
                look(&*host, Some(own.address.to_string()), &order).await.map(|looked| looked.pings);
            let outcome = |nth: usize| match &outcomes {
                Ok(outcomes) => outcomes
                    .get(nth)
                    .cloned()
                    .unwrap_or_else(|| PingOutcome::Unknown("the node said nothing of this ping".into())),
                Err(trouble) => PingOutcome::Unknown(trouble.says.clone()),
            };
            let pinged = |(nth, (to, _, mtu)): (usize, &(usize, String, u32))| Pinged {
                from: at,
                to: *to,
                mtu: *mtu,
                outcome: outcome(nth),
            };
            peers.iter().enumerate().map(pinged).collect()
        }
    };
    join_all(hosts.iter().enumerate().map(from)).await.into_iter().flatten().collect()
}

impl From<ConnectError> for Obstacle {
    fn from(error: ConnectError) -> Self {
        Self { fix: error.hint(), says: error.problem() }
    }
}

impl From<EngineError> for Obstacle {
    fn from(error: EngineError) -> Self {
        Self { fix: error.hint(), says: error.what.to_string() }
    }
}

impl From<AskError> for Obstacle {
    fn from(error: AskError) -> Self {
        let fix = error.hint();
        let says = match error.what {
            AskFailure::Host(error) => error.what.to_string(),
            what => what.to_string(),
        };
        Self { says, fix }
    }
}
