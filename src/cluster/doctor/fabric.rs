//! Whether every node gets a whole packet to every other one.

use std::collections::BTreeSet;

use super::Judgement;
use super::seen::{Examined, PingOutcome};
use crate::cluster::inventory::NodeRole;

pub(super) fn fabric(examined: &Examined) -> Vec<Option<Judgement>> {
    let lost = examined.pings.iter().filter(|ping| ping.outcome == PingOutcome::Known(false));
    let lost: Vec<(usize, usize)> = lost.map(|ping| (ping.from, ping.to)).collect();
    let blamed = blame(examined, lost);
    (0..examined.nodes.len()).map(|at| judge(examined, at, &blamed)).collect()
}

/// Who is told of which lost pings. One broken cable loses every ping from and to its node, and is one node's fault: so
/// the node with most of them is told of all of its own, then whoever has most of the rest.
fn blame(examined: &Examined, mut lost: Vec<(usize, usize)>) -> Vec<(usize, Vec<(usize, usize)>)> {
    let mut blamed = Vec::new();
    while !lost.is_empty() {
        let concerns = |at: usize| move |(from, to): &&(usize, usize)| *from == at || *to == at;
        // Of two that are equal it is not the head.
        let rank = |at: &usize| {
            let is_head = examined.nodes[*at].node.role == NodeRole::Head;
            (lost.iter().filter(concerns(*at)).count(), !is_head)
        };
        let Some(worst) = (0..examined.nodes.len()).max_by_key(rank) else { break };
        let (own, rest) = lost.iter().partition::<Vec<_>, _>(|pair| concerns(worst)(pair));
        blamed.push((worst, own));
        lost = rest;
    }
    blamed
}

fn judge(examined: &Examined, at: usize, blamed: &[(usize, Vec<(usize, usize)>)]) -> Option<Judgement> {
    let own = || examined.pings.iter().filter(|ping| ping.from == at || ping.to == at);
    let mtu = own().map(|ping| ping.mtu).max()?;
    let names = |of: BTreeSet<usize>| {
        of.into_iter().map(|at| examined.nodes[at].node.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if let Some((_, lost)) = blamed.iter().find(|(node, _)| *node == at) {
        let to: BTreeSet<usize> = lost.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to).collect();
        let from: BTreeSet<usize> = lost.iter().filter(|(_, to)| *to == at).map(|(from, _)| *from).collect();
        let mut parts = Vec::new();
        if !to.is_empty() {
            parts.push(format!("none gets to {}", names(to)));
        }
        if !from.is_empty() {
            parts.push(format!("none comes from {}", names(from)));
        }
        let says = format!("packets of {mtu} bytes: {}", parts.join(", "));
        let peer = lost.iter().map(|(from, to)| if *from == at { *to } else { *from }).min()?;
        let to = examined.data[peer].as_ref().map(|link| link.address)?;
        let fix = format!(
            "look at the cable and the switch's MTU, then: ping -M do -s {} {to}",
            mtu.saturating_sub(28)
        );
        return Some(Judgement::failed(says).fix(fix));
    }
    let unknown = own().filter(|ping| ping.from == at).find_map(|ping| match &ping.outcome {
        PingOutcome::Unknown(why) => Some(why),
        PingOutcome::Known(_) => None,
    });
    if let Some(why) = unknown {
        let judgement = Judgement::unknown(why);
        let fix = why.contains("no `ping`").then(|| "sudo apt-get install iputils-ping".to_owned());
        return Some(Judgement { fix, ..judgement });
    }
    let peers: BTreeSet<usize> =
        own().map(|ping| if ping.from == at { ping.to } else { ping.from }).collect();
    let others: BTreeSet<usize> = blamed.iter().map(|(node, _)| *node).collect();
    let good: BTreeSet<usize> = peers.difference(&others).copied().collect();
    match good.is_empty() {
        // Whoever is told of it is another.
        true => None,
        false => Some(Judgement::ok(format!("packets of {mtu} bytes get to {} and back", names(good)))),
    }
}
