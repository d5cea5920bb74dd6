//! `sparktune nodes`: what each node is, and what its runtime has to be told of the network.

mod lines;
mod options;
mod runtime;
mod show;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cluster::connect::{self, ConnectError, Connected, connect_all};
use crate::cluster::fabric::{BadGiven, Fabric, Given, Member};
use crate::cluster::facts::{NodeAnswer, NodeFacts, NodeReadError, READ_LIMIT, read_all};
use crate::cluster::inventory;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::{Failure, Kind};
use crate::host::Host;
use crate::host_name::HostName;

use self::runtime::Serving;

/// What is shown of nodes.
#[derive(Debug)]
pub(crate) struct NodesSettings {
    /// The inventory; the usual one where not given.
    pub(crate) cluster: Option<PathBuf>,
    /// These nodes of it; all where empty.
    pub(crate) nodes: Vec<HostName>,
    /// An address for orders, of the one node that is shown.
    pub(crate) control: Option<IpAddr>,
    /// An address for what runtimes send one another, of the one node that is shown.
    pub(crate) data: Option<IpAddr>,
    /// Variables, of every node that is shown.
    pub(crate) set: Vec<(String, String)>,
    /// Only the variables, as lines for a file of them.
    pub(crate) env: bool,
    /// Only what each node's server takes, and a command line to hold against that.
    pub(crate) options: Option<Vec<String>>,
    /// Ask images again that were asked before.
    pub(crate) fresh: bool,
    /// Where what they said is kept.
    pub(crate) cache: PathBuf,
    /// Say what would be done and do nothing.
    pub(crate) dry_run: bool,
    /// One JSON object.
    pub(crate) json: bool,
}

/// What cannot be shown.
#[derive(Debug, thiserror::Error)]
enum BadRequest {
    #[error("{option}: it is one node's, and {count} are shown; name the node with --node")]
    OneNodeOnly { option: &'static str, count: usize },
    #[error("--set: {0}")]
    Set(BadGiven),
    #[error("{node}: its variables in the inventory: {error}")]
    OfInventory { node: HostName, error: BadGiven },
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
    unread: Vec<(HostName, Unread)>,
}

impl Failure for NotAllRead {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        self.unread.iter().find_map(|(_, error)| error.hint())
    }
}

/// Nodes named in a message where they have one thing in common.
const MOST_NAMED: usize = 3;

/// Each error, those of one kind in a line: where a cluster is out of reach, all its nodes say the same.
fn said(errors: &[(HostName, Unread)]) -> String {
    let mut kinds: Vec<(String, Vec<&(HostName, Unread)>)> = Vec::new();
    for error in errors {
        let problem = error.1.problem();
        match kinds.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, alike)) => alike.push(error),
            None => kinds.push((problem, vec![error])),
        }
    }
    let line = |(problem, alike): (String, Vec<&(HostName, Unread)>)| match &alike[..] {
        [(_, error)] => error.to_string(),
        alike => {
            let named = alike.iter().take(MOST_NAMED).map(|(node, _)| node.as_str()).collect::<Vec<_>>();
            let more = match alike.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{}{more}: {problem}", named.join(", "))
        }
    };
    kinds.into_iter().map(line).collect::<Vec<_>>().join("; ")
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
    let nodes = found.inventory.named(&settings.nodes)?;
    let given = given(&nodes, settings)?;
    let ssh = connect::ssh(&found.inventory);
    if settings.dry_run {
        lines::commands(&found.inventory.name, &nodes, ssh.settings(), settings, out).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let Some(connected) = cancel.run_until_cancelled(connect_all(&nodes, &ssh)).await else {
        return Err(Stopped.into());
    };
    let wish = runtime::wish(&found.inventory.name, settings);
    if let Some(command) = &settings.options {
        let asked = runtime::ask(&nodes, connected, &wish, &cancel).await;
        return options::show(&asked, command, settings.json, &cancel, out);
    }
    let (mut ways, mut reached): (Vec<Way>, Vec<Connected>) = Default::default();
    for (node, connected) in nodes.iter().zip(connected) {
        ways.push((
            node.name.clone(),
            connected.and_then(|connected| {
                let host = connected.host().cloned();
                reached.push(connected);
                host
            }),
        ));
    }
    let serving = async {
        match settings.env {
            true => Vec::new(),
            false => runtime::of_reached(&reached, &wish, &cancel).await,
        }
    };
    read_and_show(ways, serving, &given, settings, &cancel, out).await
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
        let of_inventory = Given::of_inventory(node)
            .map_err(|error| BadRequest::OfInventory { node: node.name.clone(), error })?;
        let mut given = of_inventory.over(settings.control, settings.data);
        for (name, value) in &settings.set {
            given.set(name, value).map_err(BadRequest::Set)?;
        }
        Ok((node.name.clone(), given))
    };
    nodes.iter().map(of).collect()
}

/// The way to a node, or why there is none.
type Way = (HostName, Result<Arc<dyn Host>, ConnectError>);

async fn read_and_show(
    ways: Vec<Way>,
    serving: impl Future<Output = Vec<Serving>>,
    given: &BTreeMap<HostName, Given>,
    settings: &NodesSettings,
    cancel: &CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    let hosts: Vec<Arc<dyn Host>> = ways.iter().filter_map(|(_, host)| host.as_ref().ok().cloned()).collect();
    // Who asks images has containers to remove, and hears of the stop by itself.
    let (answers, serving) = tokio::join!(cancel.run_until_cancelled(read_all(&hosts, READ_LIMIT)), serving);
    let (Some(answers), false) = (answers, cancel.is_cancelled()) else { return Err(Stopped.into()) };
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
        out.json(&show::as_json(&nodes, &serving, &fabric))
    } else if settings.env {
        show::environment(&nodes, &fabric, out)
    } else {
        show::for_people(&nodes, &serving, &fabric, out)
    };
    shown.map_err(OutputError)?;
    let asked = nodes.len();
    let unread: Vec<_> = nodes.into_iter().filter_map(|(node, read)| Some((node, read.err()?))).collect();
    if !unread.is_empty() {
        return Err(NotAllRead { asked, unread }.into());
    }
    runtime::verdict(&serving)
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
        Self { clock_ahead_s: answer.clock_ahead_s(&facts), facts }
    }
}

#[cfg(test)]
mod tests;
