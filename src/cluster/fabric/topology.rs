//! How the nodes' cables run, as far as subnets, speeds and neighbours tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::Member;
use super::rails::{Rail, Subnet, speed_in_words, wanted_address};
use crate::cluster::facts::Neighbour;
use crate::host_name::HostName;

/// How nodes are joined, and what says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Topology {
    /// The form.
    pub(crate) kind: TopologyKind,
    /// What says so, or what is missing to say it.
    pub(crate) reason: String,
}

/// The forms that are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TopologyKind {
    /// One node.
    Alone,
    /// Two nodes and a cable.
    Direct,
    /// A switch between them.
    Switch,
    /// Each node has a cable to two others, in this order, the last to the first again.
    Ring(Vec<HostName>),
    /// It cannot be told.
    Unknown,
}

/// Speed of a cable between two Sparks, Mb/s. Behind some switches it comes up at half of it (NVIDIA's playbook
/// multi-sparks-through-switch).
const CABLE_MBPS: u32 = 200_000;

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TopologyKind::Alone => f.write_str("alone")?,
            TopologyKind::Direct => f.write_str("by a cable between them")?,
            TopologyKind::Switch => f.write_str("by a switch")?,
            TopologyKind::Unknown => f.write_str("it cannot be told how")?,
            TopologyKind::Ring(nodes) => {
                let nodes: Vec<&str> = nodes.iter().map(HostName::as_str).collect();
                write!(f, "in a ring ({})", nodes.join(" - "))?;
            }
        }
        write!(f, ": {}", self.reason)
    }
}

impl Topology {
    /// Of `members`, whose rails are `all`.
    pub(super) fn of(members: &[Member<'_>], all: &[Vec<Rail<'_>>]) -> Self {
        let say = |kind, reason: String| Self { kind, reason };
        let name = |at: usize| members[at].name.as_str();
        match members {
            [] => return say(TopologyKind::Unknown, "no node was read".to_owned()),
            [_] => return say(TopologyKind::Alone, "one node was read".to_owned()),
            _ => {}
        }
        let without = (0..all.len()).filter(|at| !all[*at].iter().any(|rail| rail.addressed().is_some()));
        let without: Vec<&str> = without.map(name).collect();
        if !without.is_empty() {
            let theirs: Vec<_> =
                all.iter().filter(|rails| rails.iter().all(|it| it.addressed().is_none())).collect();
            let reason =
                format!("no RDMA port with {} on {}", wanted_address(&theirs, members), without.join(", "));
            return say(TopologyKind::Unknown, reason);
        }
        let net = Net { members, all };
        if let Some((subnet, _)) = net.segments().into_iter().find(|(_, at)| at.len() > 2) {
            let reason = format!("more than two nodes have addresses in {subnet}");
            return say(TopologyKind::Switch, reason);
        }
        for (at, rails) in all.iter().enumerate() {
            for rail in rails {
                let heard: BTreeSet<usize> = net.heard(at, rail).filter_map(|it| net.whose(it)).collect();
                if heard.len() > 1 {
                    let reason = format!("{} hears several nodes on {}", name(at), rail.interface.name);
                    return say(TopologyKind::Switch, reason);
                }
            }
        }
        let links = net.links();
        match members.len() {
            2 if links.is_empty() => {
                let reason =
                    "the nodes share no subnet on their cables, and neither hears the other".to_owned();
                say(TopologyKind::Unknown, reason)
            }
            2 => net.direct_or_switch(),
            _ => net.ring_or_unknown(&links),
        }
    }
}

/// Members with their rails.
#[derive(Clone, Copy)]
struct Net<'a> {
    members: &'a [Member<'a>],
    all: &'a [Vec<Rail<'a>>],
}

impl<'a> Net<'a> {
    /// Which nodes have addresses in each subnet that somebody set up.
    fn segments(self) -> BTreeMap<Subnet, BTreeSet<usize>> {
        let mut segments: BTreeMap<Subnet, BTreeSet<usize>> = BTreeMap::new();
        for (at, rails) in self.all.iter().enumerate() {
            for addressed in rails.iter().filter_map(Rail::addressed) {
                if !addressed.subnet.is_link_local() {
                    segments.entry(addressed.subnet).or_default().insert(at);
                }
            }
        }
        segments
    }

    /// Who node `at` has heard of on a rail.
    fn heard(self, at: usize, rail: &Rail<'_>) -> impl Iterator<Item = &'a Neighbour> {
        let name = rail.interface.name.clone();
        self.members[at].facts.neighbours.iter().filter(move |it| it.interface == name)
    }

    /// The node that has a neighbour's hardware address.
    fn whose(self, neighbour: &Neighbour) -> Option<usize> {
        let has = |member: &Member<'_>| {
            let mut macs = member.facts.interfaces.iter().filter_map(|it| it.mac.as_ref());
            macs.any(|mac| *mac == neighbour.mac)
        };
        self.members.iter().position(has)
    }

    /// Pairs of nodes that are joined.
    fn links(self) -> BTreeSet<(usize, usize)> {
        let mut links = BTreeSet::new();
        for nodes in self.segments().values() {
            if let [one, other] = nodes.iter().copied().collect::<Vec<_>>()[..] {
                links.insert((one, other));
            }
        }
        for (at, rails) in self.all.iter().enumerate() {
            let heard = rails.iter().flat_map(|rail| self.heard(at, rail));
            let others = heard.filter_map(|it| self.whose(it)).filter(|other| *other != at);
            links.extend(others.map(|other| (at.min(other), at.max(other))));
        }
        links
    }

    /// Of two nodes that are joined.
    fn direct_or_switch(self) -> Topology {
        let say = |kind, reason| Topology { kind, reason };
        let addressed = |rail: &&Rail<'_>| rail.addressed().is_some();
        let rails =
            self.all.iter().enumerate().flat_map(|(at, rails)| rails.iter().map(move |rail| (at, rail)));
        for (at, rail) in rails.clone() {
            if let Some(third) = self.heard(at, rail).find(|it| self.whose(it).is_none()) {
                let (node, interface) = (self.members[at].name, &rail.interface.name);
                let reason = format!("{node} also hears {} on {interface}", third.address);
                return say(TopologyKind::Switch, reason);
            }
        }
        let speeds: BTreeSet<Option<u32>> =
            rails.map(|(_, rail)| rail).filter(addressed).map(|rail| rail.interface.speed_mbps).collect();
        let slowest = speeds.first().copied().flatten();
        match slowest {
            None => say(TopologyKind::Unknown, "a link does not tell its speed".to_owned()),
            Some(speed) if speed < CABLE_MBPS => {
                let (found, cable) = (speed_in_words(speed), speed_in_words(CABLE_MBPS));
                let reason = format!("a link is at {found}, where a cable between two Sparks gives {cable}");
                say(TopologyKind::Switch, reason)
            }
            Some(speed) => {
                let reason = format!("links at {} on which nobody else is heard", speed_in_words(speed));
                say(TopologyKind::Direct, reason)
            }
        }
    }

    /// Of more than two nodes, joined in pairs.
    fn ring_or_unknown(self, links: &BTreeSet<(usize, usize)>) -> Topology {
        let name = |at: usize| self.members[at].name.clone();
        let beside = |at: usize| -> Vec<usize> {
            let touching = links.iter().filter(|(one, other)| *one == at || *other == at);
            touching.map(|(one, other)| if *one == at { *other } else { *one }).collect()
        };
        if let Some(odd) = (0..self.all.len()).find(|at| beside(*at).len() != 2) {
            let others: Vec<String> = beside(odd).into_iter().map(|at| name(at).to_string()).collect();
            let others = if others.is_empty() { "no other node".to_owned() } else { others.join(", ") };
            let reason = format!("{} is joined to {others}; a ring takes two, a switch all", name(odd));
            return Topology { kind: TopologyKind::Unknown, reason };
        }
        // Every node has two others: follow them around.
        let mut around = vec![0];
        let (mut before, mut here) = (0, beside(0)[0]);
        while here != 0 {
            around.push(here);
            let next = beside(here).into_iter().find(|at| *at != before).unwrap_or(0);
            (before, here) = (here, next);
        }
        if around.len() < self.all.len() {
            let reason = "the nodes make several rings".to_owned();
            return Topology { kind: TopologyKind::Unknown, reason };
        }
        let kind = TopologyKind::Ring(around.into_iter().map(name).collect());
        Topology {
            kind,
            reason: "every node is joined to two others, each in a subnet of its own".to_owned(),
        }
    }
}

/// What a person should look at in the nodes' networks.
pub(super) fn notes(members: &[Member<'_>], all: &[Vec<Rail<'_>>]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut by_subnet: BTreeMap<Subnet, Vec<(&HostName, &Rail<'_>)>> = BTreeMap::new();
    for (member, rails) in members.iter().zip(all) {
        let mut on_node: BTreeMap<Subnet, Vec<&str>> = BTreeMap::new();
        for rail in rails {
            if let Some(addressed) = rail.addressed() {
                on_node.entry(addressed.subnet).or_default().push(&rail.interface.name);
                by_subnet.entry(addressed.subnet).or_default().push((member.name, rail));
            } else if let Some((address, _)) = rail.addresses().next() {
                notes.push(format!(
                    "{}: {} has {address}, and the GID table of {} has it not for RoCE v2: RDMA cannot use it yet",
                    member.name, rail.interface.name, rail.device.name
                ));
            }
        }
        // Answers leave by either, and NCCL pairs devices wrongly (NVIDIA's playbook connect-two-sparks).
        for (subnet, interfaces) in on_node.iter().filter(|(_, interfaces)| interfaces.len() > 1) {
            let interfaces = interfaces.join(" and ");
            notes.push(format!(
                "{}: {interfaces} are both in {subnet}: each needs a subnet of its own",
                member.name
            ));
        }
    }
    for (subnet, rails) in by_subnet {
        let mtus: BTreeSet<Option<u32>> = rails.iter().map(|(_, rail)| rail.interface.mtu).collect();
        if mtus.len() > 1 {
            let each = rails.iter().map(|(node, rail)| {
                let mtu = rail.interface.mtu.map_or_else(|| "unknown".to_owned(), |mtu| mtu.to_string());
                format!("{mtu} on {node} ({})", rail.interface.name)
            });
            let each: Vec<String> = each.collect();
            notes.push(format!("the MTU differs in {subnet}: {}", each.join(", ")));
        }
    }
    notes
}
