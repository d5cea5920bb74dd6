//! Which packets show that every node gets to every other one: who sends them, from which address to which. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ping_path::PingPath;
use super::seen::{DataLink, Seen};
use crate::cluster::fabric::Subnet;
use crate::cluster::facts::NodeFacts;

/// An address of a node's fabric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cable {
    pub(super) address: IpAddr,
    pub(super) subnet: Subnet,
    pub(super) interface: String,
    /// The interface's largest packet, bytes.
    pub(super) mtu: Option<u32>,
}

/// The addresses of a node that a cable of the fabric goes by: those of the inventory, and of interfaces of RDMA devices
/// that are ACTIVE. What is link-local, each interface has by itself: nothing says which of them share a cable.
pub(super) fn cables(seen: &Seen) -> Vec<Cable> {
    let Some(facts) = seen.facts() else { return Vec::new() };
    let active = facts.rdma.iter().filter(|device| device.active());
    let by_rdma: BTreeSet<&str> = active.filter_map(|device| device.interface.as_deref()).collect();
    let up = facts.interfaces.iter().filter(|interface| interface.up);
    let all = up.flat_map(|interface| interface.addresses_for_others().map(move |it| (interface, it)));
    let fabric = all.filter(|(interface, (address, _))| {
        by_rdma.contains(interface.name.as_str()) || seen.node.fabric.contains(address)
    });
    let cable = fabric.map(|(interface, (address, prefix))| Cable {
        address,
        subnet: Subnet::of(address, prefix),
        interface: interface.name.clone(),
        mtu: interface.mtu,
    });
    cable.filter(|cable| !cable.subnet.is_link_local()).collect()
}

/// Packets between all `nodes`, there and back: by every two cables that share a subnet, and from where one meets the
/// others to where the other does. Two addresses of the inventory that share no subnet are no such place: in a ring each
/// node has one of another cable first.
///
/// With the smaller MTU of the two ends: that they differ is said already, and what lies between is what this is for.
pub(super) fn paths(nodes: &[Seen], data: &[Option<DataLink>]) -> Vec<PingPath> {
    let all: Vec<Vec<Cable>> = nodes.iter().map(cables).collect();
    let mut found: Vec<PingPath> = Vec::new();
    for from in 0..nodes.len() {
        for to in (0..nodes.len()).filter(|to| *to != from) {
            let begin = found.len();
            let mut add = |own: &Cable, other: &Cable| {
                let (Some(own_mtu), Some(mtu)) = (own.mtu, other.mtu) else { return };
                let path = PingPath {
                    from,
                    to,
                    source: own.address,
                    target: other.address,
                    interfaces: (own.interface.clone(), other.interface.clone()),
                    mtu: mtu.min(own_mtu),
                };
                if !found[begin..].contains(&path) {
                    found.push(path);
                }
            };
            if let (Some(own), Some(other)) = (met_at(nodes, data, from), met_at(nodes, data, to)) {
                let given = [from, to].iter().any(|at| !nodes[*at].node.fabric.is_empty());
                let alike = own.address.is_ipv4() == other.address.is_ipv4();
                if alike && (!given || own.subnet == other.subnet) {
                    add(&own, &other);
                }
            }
            for own in &all[from] {
                all[to].iter().filter(|other| other.subnet == own.subnet).for_each(|other| add(own, other));
            }
        }
    }
    found
}

/// Addresses of the fabric that share a subnet with no other node's, and so are told by no packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Apart {
    /// These.
    pub(super) own: Vec<Cable>,
    /// The subnets of the other nodes.
    pub(super) others: BTreeSet<Subnet>,
}

/// What of each node's fabric is apart: of those that the inventory gives, each; of a node that `is_met` by no packet at
/// all, whatever it has. Nothing of a node that is alone, or has no fabric.
pub(super) fn apart(
    nodes: &[Seen],
    data: &[Option<DataLink>],
    is_met: impl Fn(usize) -> bool,
) -> Vec<Option<Apart>> {
    let given = |at: usize| met_at(nodes, data, at).filter(|_| !nodes[at].node.fabric.is_empty());
    let all: Vec<Vec<Cable>> = nodes
        .iter()
        .enumerate()
        .map(|(at, seen)| {
            let mut all = cables(seen);
            all.extend(given(at).filter(|cable| !all.contains(cable)));
            all
        })
        .collect();
    let place = |at: usize| {
        all[at].iter().map(|cable| cable.subnet).chain(met_at(nodes, data, at).map(|it| it.subnet))
    };
    let subnets: Vec<BTreeSet<Subnet>> = (0..nodes.len()).map(|at| place(at).collect()).collect();
    let mut having: BTreeMap<Subnet, usize> = BTreeMap::new();
    subnets.iter().flatten().for_each(|subnet| *having.entry(*subnet).or_default() += 1);
    let of = |at: usize| {
        let is_shared = |cable: &Cable| having.get(&cable.subnet).is_some_and(|nodes| *nodes > 1);
        let one_is_met = is_met(at) || all[at].iter().any(is_shared);
        let counts = |cable: &&Cable| !one_is_met || nodes[at].node.fabric.contains(&cable.address);
        let own: Vec<Cable> = all[at].iter().filter(|it| !is_shared(it)).filter(counts).cloned().collect();
        let is_others = |(subnet, nodes): (&Subnet, &usize)| {
            (*nodes > 1 || !subnets[at].contains(subnet)).then_some(*subnet)
        };
        let others: BTreeSet<Subnet> = match own.is_empty() {
            true => BTreeSet::new(),
            false => having.iter().filter_map(is_others).collect(),
        };
        (!own.is_empty() && !others.is_empty()).then_some(Apart { own, others })
    };
    (0..nodes.len()).map(of).collect()
}

/// Where node `at` meets the others.
fn met_at(nodes: &[Seen], data: &[Option<DataLink>], at: usize) -> Option<Cable> {
    let DataLink { address, interface, mtu } = data[at].clone()?;
    let prefix = prefix(nodes[at].facts()?, address)?;
    Some(Cable { address, subnet: Subnet::of(address, prefix), interface, mtu })
}

fn prefix(facts: &NodeFacts, address: IpAddr) -> Option<u8> {
    let mut all = facts.interfaces.iter().flat_map(|interface| &interface.addresses);
    all.find(|own| own.address == address).map(|own| own.prefix)
}
