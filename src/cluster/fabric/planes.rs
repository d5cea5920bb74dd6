//! A node's addresses: where it is reached for orders, and where its runtime meets the others'.

use std::cmp::Reverse;
use std::net::IpAddr;

use serde::Serialize;

use super::rails::{Family, rails};
use super::{BadGiven, Member};
use crate::cluster::facts::{Interface, InterfaceKind, NodeFacts};

/// An address of a node, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Plane {
    /// The address.
    pub(crate) address: IpAddr,
    /// Its interface.
    pub(crate) interface: String,
    /// Why this one.
    pub(crate) reason: String,
}

/// A node's interface with an address, through which others can be met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) interface: &'a Interface,
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
}

/// The addresses of a node's interfaces that are up, as other nodes can be told them; never loopback.
pub(super) fn ways(facts: &NodeFacts) -> impl Iterator<Item = Way<'_>> {
    let up = facts.interfaces.iter().filter(|it| it.up && it.kind != InterfaceKind::Loopback);
    let all = up.flat_map(|interface| {
        interface.addresses_for_others().map(move |(address, prefix)| Way { interface, address, prefix })
    });
    all.filter(|way| !way.address.is_loopback())
}

/// An address that was given, if the node has it.
pub(super) fn given(plane: &'static str, member: &Member<'_>, address: IpAddr) -> Result<Plane, BadGiven> {
    let addresses = || ways(member.facts).map(|way| way.address).collect();
    let node = || member.name.clone();
    if address.is_loopback() {
        return Err(BadGiven::Loopback { plane, node: node(), address, addresses: addresses() });
    }
    if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
        return Err(BadGiven::LinkLocal { plane, node: node(), address, addresses: addresses() });
    }
    match ways(member.facts).find(|way| way.address == address) {
        Some(way) => {
            let (interface, reason) = (way.interface.name.clone(), "given".to_owned());
            Ok(Plane { address, interface, reason })
        }
        None => Err(BadGiven::NotThere { plane, node: node(), address, addresses: addresses() }),
    }
}

/// Where a node is reached for orders: by a cable of its own if there is one, not by radio while there is any cable.
pub(super) fn control(member: &Member<'_>) -> Result<Option<Plane>, BadGiven> {
    if let Some(address) = member.given.control {
        return given("control", member, address).map(Some);
    }
    let facts = member.facts;
    let fabric: Vec<&str> =
        rails(facts, Family::V4).iter().map(|rail| rail.interface.name.as_str()).collect();
    let route = facts.default_route.as_ref().map(|route| route.interface.as_str());
    let routed = route.and_then(|name| facts.interface(name));
    let by_radio = routed.is_some_and(|it| it.kind == InterfaceKind::Wireless);
    let way_out = match route {
        Some(name) if by_radio => format!("the route to the default gateway would be Wi-Fi ({name})"),
        Some(name) => format!("the default route leaves by {name}, which has no address of its own"),
        None => "there is no default route".to_owned(),
    };
    let rank = |way: &Way<'_>| {
        let interface = way.interface;
        let is_fabric = fabric.contains(&interface.name.as_str());
        match interface.kind {
            kind if kind != InterfaceKind::Wireless && Some(interface.name.as_str()) == route => 0,
            InterfaceKind::Wired if !is_fabric => 1,
            InterfaceKind::Wired => 2,
            InterfaceKind::Wireless => 3,
            InterfaceKind::Virtual | InterfaceKind::Loopback => 4,
        }
    };
    let best = ways(facts).min_by_key(|way| {
        let name = &way.interface.name;
        let link_local = matches!(way.address, IpAddr::V4(address) if address.is_link_local());
        (rank(way), link_local, way.address.is_ipv6(), Reverse(way.interface.speed_mbps), name)
    });
    Ok(best.map(|way| {
        let reason = match rank(&way) {
            0 => "the default route leaves by it".to_owned(),
            1 => format!("it has a cable; {way_out}"),
            2 => format!("the fabric is the only cable; {way_out}"),
            3 => "there is nothing but Wi-Fi: when that goes, so does the cluster".to_owned(),
            _ => format!("there is no other interface; {way_out}"),
        };
        Plane { address: way.address, interface: way.interface.name.clone(), reason }
    }))
}
