//! Addresses that are missing, as a text for netplan. It is shown to a person and never written to a node.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use super::Member;
use super::rails::{Family, Rail, Subnet};
use super::topology::{Topology, TopologyKind};
use crate::host_name::HostName;

/// What is missing on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Netplan {
    /// The node.
    pub(crate) node: HostName,
    /// What a person could put into a file below `/etc/netplan` there.
    pub(crate) text: String,
}

/// A rail's place on its node: which of its cables, which function of that. Rails of one place belong together.
type Place = (usize, usize);

/// Addresses for the rails that have none, twins in subnets of their own as NVIDIA's playbook has it.
pub(super) fn missing(
    members: &[Member<'_>],
    all: &[Vec<Rail<'_>>],
    family: Family,
    topology: &Topology,
    notes: &mut Vec<String>,
) -> Vec<Netplan> {
    let unaddressed = |rails: &&Vec<Rail<'_>>| rails.iter().any(|rail| rail.addresses().next().is_none());
    if !all.iter().any(|rails| unaddressed(&rails)) {
        return Vec::new();
    }
    if family == Family::V6 {
        let lacks = members.iter().zip(all).filter(|(_, rails)| unaddressed(rails));
        let lacks: Vec<&str> = lacks.map(|(member, _)| member.name.as_str()).collect();
        notes.push(format!(
            "cables without addresses on {}, where the others' are of IPv6: address them by hand, a subnet a cable and \
             function",
            lacks.join(", ")
        ));
        return Vec::new();
    }
    let places: Vec<Vec<(Place, Rail<'_>)>> = all.iter().map(|rails| placed(rails)).collect();
    let several_cables = places.iter().flatten().any(|((cable, _), _)| *cable > 0);
    if members.len() > 2 && several_cables && topology.kind != TopologyKind::Switch {
        notes.push(
            "cables without addresses, and which node is at the other end cannot be told: address them by hand, a \
             subnet a cable and function"
                .to_owned(),
        );
        return Vec::new();
    }
    let mut plan = Plan::of(members, &places);
    let mut texts = Vec::new();
    for (at, (member, places)) in members.iter().zip(&places).enumerate() {
        let mut lines = String::new();
        for (place, rail) in places {
            if rail.addresses().next().is_some() {
                continue;
            }
            let Some((address, prefix)) = plan.address(*place, at, places) else { continue };
            // Writing to a text cannot fail.
            let _ = write!(
                lines,
                "    {}:\n      addresses:\n        - {address}/{prefix}\n      dhcp4: no\n",
                rail.interface.name
            );
        }
        if !lines.is_empty() {
            let text = format!("network:\n  version: 2\n  ethernets:\n{lines}");
            texts.push(Netplan { node: member.name.clone(), text });
        }
    }
    texts
}

/// A node's rails with their places, which follow from their order.
fn placed<'a>(rails: &[Rail<'a>]) -> Vec<(Place, Rail<'a>)> {
    let mut placed: Vec<(Place, Rail<'a>)> = Vec::new();
    for rail in rails {
        let place = match placed.last() {
            None => (0, 0),
            Some(((cable, function), last)) if last.port() == rail.port() => (*cable, function + 1),
            Some(((cable, _), _)) => (cable + 1, 0),
        };
        placed.push((place, *rail));
    }
    placed
}

/// Subnets and addresses as they are dealt out.
struct Plan {
    subnets: BTreeMap<Place, Subnet>,
    /// Every subnet that some node is in.
    taken: Vec<Subnet>,
    addresses: Vec<Ipv4Addr>,
}

impl Plan {
    /// What is there already: a place's subnet is the one that some node has there.
    fn of(members: &[Member<'_>], places: &[Vec<(Place, Rail<'_>)>]) -> Self {
        let mut subnets = BTreeMap::new();
        for (place, rail) in places.iter().flatten() {
            let mut there = rail.addresses().map(|(address, prefix)| Subnet::of(address, prefix));
            // Addresses that came by themselves are nothing to go on with.
            if let Some(subnet) = there.find(|subnet| !subnet.is_link_local()) {
                subnets.entry(*place).or_insert(subnet);
            }
        }
        let all = members.iter().flat_map(|member| &member.facts.interfaces).flat_map(|it| it.ipv4());
        let all: Vec<(Ipv4Addr, u8)> = all.collect();
        let taken = all.iter().map(|(address, prefix)| Subnet::of((*address).into(), *prefix)).collect();
        Self { subnets, taken, addresses: all.into_iter().map(|(address, _)| address).collect() }
    }

    /// An address for node `at` in the subnet of `place`, with its prefix; none where there is no room.
    fn address(&mut self, place: Place, at: usize, places: &[(Place, Rail<'_>)]) -> Option<(Ipv4Addr, u8)> {
        let subnet = match self.subnets.get(&place) {
            Some(subnet) => *subnet,
            None => {
                let free = (100..255u8).map(|third| Subnet::of(Ipv4Addr::new(192, 168, third, 0).into(), 24));
                let subnet = free.into_iter().find(|it| !self.taken.iter().any(|other| other.meets(*it)))?;
                self.taken.push(subnet);
                self.subnets.insert(place, subnet);
                subnet
            }
        };
        // The number that the node has beside it, else 10 and up, as the playbook has it.
        let beside = places.iter().find_map(|(_, rail)| rail.addressed());
        let beside = beside.filter(|it| !it.subnet.is_link_local() && it.subnet.prefix() == 24);
        let beside = beside.and_then(|it| match it.address {
            IpAddr::V4(address) => Some(u32::from(address.octets()[3])),
            IpAddr::V6(_) => None,
        });
        let first = 10 + u32::try_from(at).ok()?;
        let numbers = beside.into_iter().chain(first..first + 254);
        let mut free = numbers.filter_map(|number| subnet.host(number));
        let address = free.find(|address| !self.addresses.contains(address))?;
        self.addresses.push(address);
        Some((address, subnet.prefix()))
    }
}
