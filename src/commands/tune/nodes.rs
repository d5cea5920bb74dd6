//! `sparktune nodes`: what each node is, and what its runtime has to be told of the network.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cluster::connect::{self, ConnectError, Connected, connect_all};
use crate::cluster::fabric::{BadGiven, DerivedVariable, Fabric, Given, Member, NodeFabric, Plane};
use crate::cluster::facts::{Engine, Gpu, NodeAnswer, NodeFacts, NodeReadError, read_all};
use crate::cluster::inventory::{self, Inventory};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::{Failure, Kind};
use crate::host::Host;
use crate::host::container_spec::ContainerVariable;
use crate::host_name::HostName;

/// Time for a node's answer: its tools have 5 s, the rest is the way there and a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// What is shown of nodes.
#[derive(Debug)]
pub(crate) struct NodesSettings {
    /// The inventory; the usual one where not given.
    pub(crate) cluster: Option<PathBuf>,
    /// These nodes of it; all where empty.
    pub(crate) nodes: Vec<HostName>,
    /// An address for orders, of the one node that is shown.
    pub(crate) control: Option<Ipv4Addr>,
    /// An address for what runtimes send one another, of the one node that is shown.
    pub(crate) data: Option<Ipv4Addr>,
    /// Variables, of every node that is shown.
    pub(crate) set: Vec<(String, String)>,
    /// Only the variables, as lines for a file of them.
    pub(crate) env: bool,
    /// One JSON object.
    pub(crate) json: bool,
}

/// What cannot be shown.
#[derive(Debug, thiserror::Error)]
enum BadRequest {
    #[error("--node: the inventory has no node `{name}`; it has {known}")]
    NoSuchNode { name: HostName, known: String },
    #[error("{option}: it is one node's, and {count} are shown; name the node with --node")]
    OneNodeOnly { option: &'static str, count: usize },
    #[error("--set: {0}")]
    Set(BadGiven),
}

impl Failure for BadRequest {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// A node that could not be connected to or read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Connect(ConnectError),
    #[error(transparent)]
    Read(NodeReadError),
}

impl Unread {
    /// Why not, where the node is named beside it.
    fn problem(&self) -> String {
        match self {
            Unread::Connect(error) => error.problem(),
            Unread::Read(error) => error.problem(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Unread::Connect(error) => error.hint(),
            Unread::Read(error) => error.hint(),
        }
    }
}

/// Some nodes could not be read; what the others said was shown.
#[derive(Debug, thiserror::Error)]
#[error("{} of {asked} {} not be read: {}", .unread.len(), if *.asked == 1 { "node could" } else { "nodes could" }, said(.unread))]
struct NotAllRead {
    asked: usize,
    unread: Vec<Unread>,
}

impl Failure for NotAllRead {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        self.unread.iter().find_map(Unread::hint)
    }
}

fn said(errors: &[Unread]) -> String {
    errors.iter().map(Unread::to_string).collect::<Vec<_>>().join("; ")
}

/// The user stopped it.
#[derive(Debug, thiserror::Error)]
#[error("stopped; nothing is changed by reading nodes")]
struct Stopped;

impl Failure for Stopped {
    fn kind(&self) -> Kind {
        Kind::Interrupted
    }
}

/// Connect to the nodes, read them, all at once, and show them.
pub(crate) async fn run(
    settings: &NodesSettings,
    cancel: CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    let found = inventory::find(settings.cluster.as_deref())?;
    let nodes = chosen(&found.inventory, &settings.nodes)?;
    let given = given(&nodes, settings)?;
    let ssh = connect::settings(&found.inventory);
    let Some(connected) = cancel.run_until_cancelled(connect_all(&nodes, &ssh)).await else {
        return Err(Stopped.into());
    };
    let way = |(node, connected): (&inventory::Node, Result<Connected, ConnectError>)| {
        let host = connected.and_then(|connected| connected.host().cloned());
        (node.name.clone(), host)
    };
    show(nodes.iter().zip(connected).map(way).collect(), &given, settings, cancel, out).await
}

/// The nodes of these names, in the inventory's order; all where none is named.
fn chosen(inventory: &Inventory, names: &[HostName]) -> Result<Vec<inventory::Node>, BadRequest> {
    if let Some(name) = names.iter().find(|name| inventory.nodes.iter().all(|node| node.name != **name)) {
        let known = inventory.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(BadRequest::NoSuchNode { name: name.clone(), known });
    }
    let named = |node: &&inventory::Node| names.is_empty() || names.contains(&node.name);
    Ok(inventory.nodes.iter().filter(named).cloned().collect())
}

/// What the inventory says of each node, and over it what the command line says.
fn given(
    nodes: &[inventory::Node],
    settings: &NodesSettings,
) -> Result<BTreeMap<HostName, Given>, BadRequest> {
    for (option, value) in [("--control", settings.control), ("--data", settings.data)] {
        if value.is_some() && nodes.len() > 1 {
            return Err(BadRequest::OneNodeOnly { option, count: nodes.len() });
        }
    }
    let of = |node: &inventory::Node| {
        let address = node.address.as_ref().and_then(|address| address.to_string().parse().ok());
        let fabric = node.fabric.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        let mut given = Given::addresses(settings.control.or(address), settings.data.or(fabric));
        for (name, value) in node.settings.environment() {
            if let ContainerVariable::Set(value) = value {
                // Others than those that are derived are not this command's.
                let _ = given.set(name, value);
            }
        }
        for (name, value) in &settings.set {
            given.set(name, value).map_err(BadRequest::Set)?;
        }
        Ok((node.name.clone(), given))
    };
    nodes.iter().map(of).collect()
}

/// The way to a node, or why there is none.
type Way = (HostName, Result<Arc<dyn Host>, ConnectError>);

async fn show(
    ways: Vec<Way>,
    given: &BTreeMap<HostName, Given>,
    settings: &NodesSettings,
    cancel: CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    let hosts: Vec<Arc<dyn Host>> = ways.iter().filter_map(|(_, host)| host.as_ref().ok().cloned()).collect();
    let answers = tokio::select! {
        answers = read_all(&hosts, LIMIT) => answers,
        () = cancel.cancelled() => return Err(Stopped.into()),
    };
    let mut answers = answers.into_iter();
    let mut nodes: Vec<Node> = Vec::new();
    for (name, host) in ways {
        let read = match host {
            Err(error) => Err(Unread::Connect(error)),
            // One answer a host, in their order.
            Ok(_) => match answers.next() {
                Some(answer) => answer.map(Read::of).map_err(Unread::Read),
                None => continue,
            },
        };
        nodes.push((name, read));
    }
    let none = Given::default();
    let members: Vec<Member<'_>> = nodes
        .iter()
        .filter_map(|(name, read)| {
            let facts = &read.as_ref().ok()?.facts;
            Some(Member { name, facts, given: given.get(name).unwrap_or(&none) })
        })
        .collect();
    let mut fabric = Fabric::of(&members)?;
    let unread = nodes.iter().filter(|(_, read)| read.is_err() && !members.is_empty());
    let left_out = |(name, _): &Node| format!("{name} was not read: the rest is worked out without it");
    fabric.notes.extend(unread.map(left_out));
    let shown = if settings.json {
        out.json(&as_json(&nodes, &fabric))
    } else if settings.env {
        environment(&nodes, &fabric, out)
    } else {
        for_people(&nodes, &fabric, out)
    };
    shown.map_err(OutputError)?;
    let asked = nodes.len();
    let unread: Vec<Unread> = nodes.into_iter().filter_map(|(_, read)| read.err()).collect();
    if unread.is_empty() { Ok(Verdict::Done) } else { Err(NotAllRead { asked, unread }.into()) }
}

/// A node that answered.
struct Read {
    facts: NodeFacts,
    /// Seconds by which its clock is ahead of this machine's: not less, not more.
    clock_ahead_s: [f64; 2],
}

type Node = (HostName, Result<Read, Unread>);

impl Read {
    fn of(answer: NodeAnswer) -> Self {
        let facts = NodeFacts::of(&answer.reading);
        // It read its clock after it was asked and before its answer was here.
        let clock_ahead_s = [facts.time_s - answer.answered_s, facts.time_s - answer.asked_s];
        Self { facts, clock_ahead_s }
    }
}

fn of_node<'a>(fabric: &'a Fabric, name: &HostName) -> Option<&'a NodeFabric> {
    fabric.nodes.iter().find(|node| node.node == *name)
}

fn as_json(nodes: &[Node], fabric: &Fabric) -> Value {
    let each = nodes.iter().map(|(name, read)| match read {
        Ok(read) => {
            let mut value = json!(of_node(fabric, name));
            let [least, most] = read.clock_ahead_s;
            value["clock_ahead_s"] = json!({ "least": least, "most": most });
            value["facts"] = json!(read.facts);
            value
        }
        Err(error) => json!({ "node": name, "error": error.to_string(), "hint": error.hint() }),
    });
    json!({
        "nodes": each.collect::<Vec<_>>(),
        "topology": fabric.topology,
        "notes": fabric.notes,
        "netplan": fabric.netplan,
    })
}

/// Lines as `docker run --env-file` and a shell read them.
fn environment(nodes: &[Node], fabric: &Fabric, out: &mut dyn Output) -> io::Result<()> {
    for (name, read) in nodes {
        out.line(&format!("# {name}"))?;
        if let Err(error) = read {
            out.line(&format!("# {}", error.problem()))?;
            continue;
        }
        let Some(NodeFabric { environment, data: Some(_), .. }) = of_node(fabric, name) else {
            out.line("# no interface that is up has an IPv4 address: nothing can be derived")?;
            continue;
        };
        for DerivedVariable { name, value, reason, .. } in environment {
            match value {
                Some(value) => {
                    out.line(&format!("# {reason}"))?;
                    out.line(&format!("{name}={value}"))?;
                }
                None => out.line(&format!("# {name} is left unset: {reason}"))?,
            }
        }
    }
    Ok(())
}

fn for_people(nodes: &[Node], fabric: &Fabric, out: &mut dyn Output) -> io::Result<()> {
    let rows: Vec<Vec<String>> = nodes.iter().map(|(name, read)| row(name, read, fabric)).collect();
    let header = ["node", "GPU", "driver", "engine", "memory free", "RDMA", "control", "data", "problem"];
    out.table(&header, &rows)?;
    for node in &fabric.nodes {
        for (what, plane) in [("control", &node.control), ("data", &node.data)] {
            let Some(Plane { address, interface, reason }) = plane else { continue };
            out.line(&format!("{}: {what} {address} ({interface}): {reason}", node.node))?;
        }
    }
    if fabric.nodes.len() > 1 {
        out.line(&format!("joined: {}", fabric.topology))?;
    }
    for note in &fabric.notes {
        out.line(&format!("note: {note}"))?;
    }
    for (name, read) in nodes {
        for doubt in read.iter().flat_map(|read| &read.facts.doubts) {
            out.line(&format!("note: {name}: {}: {}", doubt.about, doubt.problem))?;
        }
    }
    for netplan in &fabric.netplan {
        out.line(&format!(
            "missing on {}; for a file below /etc/netplan there, then `sudo netplan apply`:",
            netplan.node
        ))?;
        out.line(netplan.text.trim_end())?;
    }
    Ok(())
}

fn row(name: &HostName, read: &Result<Read, Unread>, fabric: &Fabric) -> Vec<String> {
    let none = || "-".to_owned();
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            let mut row = vec![none(); 9];
            row[0] = name.to_string();
            row[8] = error.problem();
            return row;
        }
    };
    let facts = &read.facts;
    let node = of_node(fabric, name);
    let address = |plane: Option<&Plane>| plane.map_or_else(none, |plane| plane.address.to_string());
    let joined = |words: Vec<String>| if words.is_empty() { none() } else { words.join(", ") };
    let engines = facts.engines.iter().map(|Engine { command, version, .. }| match version {
        Some(version) => format!("{command} {version}"),
        None => format!("{command} (not usable)"),
    });
    let problems = facts.engines.iter().filter_map(|it| it.problem.as_ref());
    let problems = problems.cloned().chain((!facts.doubts.is_empty()).then(|| "see the notes".to_owned()));
    vec![
        name.to_string(),
        joined(gpus(&facts.gpus)),
        facts.gpus.first().and_then(|gpu| gpu.driver.clone()).unwrap_or_else(none),
        joined(engines.collect()),
        match (facts.memory.available, facts.memory.total) {
            (Some(available), Some(total)) => format!("{:.0} of {:.0} GiB", gib(available), gib(total)),
            _ => none(),
        },
        joined(node.map(|node| node.rdma.clone()).unwrap_or_default()),
        address(node.and_then(|node| node.control.as_ref())),
        address(node.and_then(|node| node.data.as_ref())),
        problems.collect::<Vec<_>>().join("; "),
    ]
}

/// Each kind of GPU, with how many of it there are.
fn gpus(gpus: &[Gpu]) -> Vec<String> {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for gpu in gpus {
        match kinds.iter_mut().find(|(name, _)| *name == gpu.name) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&gpu.name, 1)),
        }
    }
    let shown = |(name, count): (&str, usize)| match count {
        1 => name.to_owned(),
        _ => format!("{count} x {name}"),
    };
    kinds.into_iter().map(shown).collect()
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests;
