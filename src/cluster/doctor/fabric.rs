//! Whether every node gets a whole packet to every other one.

use std::collections::BTreeSet;

use super::Judgement;
use super::paths::{Apart, apart};
use super::seen::{Examined, PingOutcome, Pinged};
use crate::cluster::inventory::NodeRole;

/// The pings that were lost and are one node's fault.
struct Blamed<'a> {
    node: usize,
    lost: Vec<&'a Pinged>,
}

pub(super) fn fabric(examined: &Examined) -> Vec<Option<Judgement>> {
    let lost = examined.pings.iter().filter(|ping| ping.outcome == PingOutcome::Known(false));
    let blamed = blame(examined, lost.collect());
    let pinged: BTreeSet<usize> =
        examined.pings.iter().flat_map(|ping| [ping.path.from, ping.path.to]).collect();
    let apart = apart(&examined.nodes, &examined.data, |at| pinged.contains(&at));
    (0..examined.nodes.len()).map(|at| judge(examined, at, &blamed, apart[at].as_ref())).collect()
}

/// A node that part of the fabric joins with nobody: no packet was lost, since none could be sent.
fn joined_with_nobody(Apart { own, others }: &Apart) -> Judgement {
    let own: Vec<String> =
        own.iter().map(|it| format!("{} on {} is in {}", it.address, it.interface, it.subnet)).collect();
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let says =
        format!("{}, where no other node has an address: they have {}", own.join(", "), others.join(", "));
    Judgement::failed(says).fix(
        "give both ends of a cable addresses of one subnet, and `fabric` in the inventory those".to_owned(),
    )
}

fn concerns(ping: &Pinged, at: usize) -> bool {
    ping.path.from == at || ping.path.to == at
}

/// Who is told of which lost pings. One broken cable loses every ping from and to its node, and is one node's fault: so
/// the node with most of them is told of all of its own, then whoever has most of the rest.
fn blame<'a>(examined: &Examined, mut lost: Vec<&'a Pinged>) -> Vec<Blamed<'a>> {
    let mut blamed = Vec::new();
    while !lost.is_empty() {
        // Of two that are equal it is not the head.
        let rank = |at: &usize| {
            let is_head = examined.nodes[*at].node.role == NodeRole::Head;
            (lost.iter().filter(|ping| concerns(ping, *at)).count(), !is_head)
        };
        let Some(node) = (0..examined.nodes.len()).max_by_key(rank) else { break };
        let (own, rest) = lost.into_iter().partition(|ping| concerns(ping, node));
        blamed.push(Blamed { node, lost: own });
        lost = rest;
    }
    blamed
}

/// The other nodes of what was lost by node `at`, each with the interface where other packets got to it or from it.
fn whom(examined: &Examined, at: usize, lost: &[&Pinged], sent: bool) -> String {
    let end = |ping: &Pinged| if sent { ping.path.from == at } else { ping.path.to == at };
    let peer = |ping: &Pinged| if sent { ping.path.to } else { ping.path.from };
    let lost: Vec<&Pinged> = lost.iter().copied().filter(|ping| end(ping)).collect();
    let peers: BTreeSet<usize> = lost.iter().map(|ping| peer(ping)).collect();
    let named = peers.into_iter().map(|other| {
        let name = &examined.nodes[other].node.name;
        let of_it = |ping: &&Pinged| end(ping) && peer(ping) == other;
        let ours: BTreeSet<&str> = lost
            .iter()
            .filter(|ping| of_it(ping))
            .map(|ping| {
                let (source, target) = &ping.path.interfaces;
                if sent { source.as_str() } else { target.as_str() }
            })
            .collect();
        let all = examined.pings.iter().filter(of_it).count();
        match all > lost.iter().filter(|ping| of_it(ping)).count() {
            true => format!("{name} by {}", ours.into_iter().collect::<Vec<_>>().join(" and ")),
            false => name.to_string(),
        }
    });
    named.collect::<Vec<_>>().join(", ")
}

fn judge(examined: &Examined, at: usize, blamed: &[Blamed<'_>], apart: Option<&Apart>) -> Option<Judgement> {
    let own = || examined.pings.iter().filter(|ping| concerns(ping, at));
    if let Some(Blamed { lost, .. }) = blamed.iter().find(|blamed| blamed.node == at) {
        let mtu = lost.iter().map(|ping| ping.path.mtu).max()?;
        let (to, from) = (whom(examined, at, lost, true), whom(examined, at, lost, false));
        let to = (!to.is_empty()).then(|| format!("none gets to {to}"));
        let from = (!from.is_empty()).then(|| format!("none comes from {from}"));
        let parts: Vec<String> = to.into_iter().chain(from).collect();
        let says = format!("packets of {mtu} bytes: {}", parts.join(", "));
        // To the first of the others, from this node.
        let other = |ping: &&&Pinged| ping.path.from + ping.path.to - at;
        let path = &lost.iter().min_by_key(other)?.path;
        let target = if path.from == at { path.target } else { path.source };
        let headers = if target.is_ipv4() { 28 } else { 48 };
        let fix = format!(
            "look at the cable and the switch's MTU, then: ping -M do -s {} {target}",
            path.mtu.saturating_sub(headers)
        );
        return Some(Judgement::failed(says).fix(fix));
    }
    if let Some(apart) = apart {
        return Some(joined_with_nobody(apart));
    }
    let mtu = own().map(|ping| ping.path.mtu).max()?;
    let unknown = own().filter(|ping| ping.path.from == at).find_map(|ping| match &ping.outcome {
        PingOutcome::Unknown(why) => Some(why),
        PingOutcome::Known(_) => None,
    });
    if let Some(why) = unknown {
        let judgement = Judgement::unknown(why);
        let fix = why.contains("no `ping`").then(|| "sudo apt-get install iputils-ping".to_owned());
        return Some(Judgement { fix, ..judgement });
    }
    let others: BTreeSet<usize> = blamed.iter().map(|blamed| blamed.node).collect();
    let peers = own().map(|ping| if ping.path.from == at { ping.path.to } else { ping.path.from });
    let good: BTreeSet<usize> = peers.filter(|peer| !others.contains(peer)).collect();
    let names: Vec<&str> = good.iter().map(|at| examined.nodes[*at].node.name.as_str()).collect();
    match names.is_empty() {
        // Whoever is told of it is another.
        true => None,
        false => Some(Judgement::ok(format!("packets of {mtu} bytes get to {} and back", names.join(", ")))),
    }
}
