//! Where the runtimes of all nodes meet: one network for all, by RDMA if every node can.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::planes::{Plane, Way, given, ways};
use super::rails::{Rail, Subnet, speed_in_words, wanted_address};
use super::{BadGiven, Member};
use crate::cluster::facts::InterfaceKind;

/// The data addresses of all nodes.
pub(super) struct Data {
    /// Each node's, in their order.
    pub(super) planes: Vec<Option<Plane>>,
    /// Why no node may use RDMA, where that is so.
    pub(super) no_rdma: Option<String>,
}

/// A way that a node could take.
#[derive(Clone, Copy)]
struct Choice<'a> {
    way: Way<'a>,
    subnet: Subnet,
    /// The RDMA device on it, if that is what it is chosen for.
    rail: Option<Rail<'a>>,
}

/// Choose for every node.
pub(super) fn choose(
    members: &[Member<'_>],
    all_rails: &[Vec<Rail<'_>>],
    controls: &[Option<Plane>],
) -> Result<Data, BadGiven> {
    let lacking = members.iter().zip(all_rails);
    let lacking = lacking.filter(|(_, rails)| rails.iter().all(|rail| rail.addressed().is_none()));
    let (lacking, theirs): (Vec<&str>, Vec<_>) =
        lacking.map(|(member, rails)| (member.name.as_str(), rails)).unzip();
    let no_rdma = (!lacking.is_empty()).then(|| {
        let rest = if members.len() > lacking.len() { ": so all nodes use sockets" } else { "" };
        let have = if lacking.len() == 1 { "has" } else { "have" };
        format!(
            "{} {have} no RDMA port that is ACTIVE and has {}{rest}",
            lacking.join(", "),
            wanted_address(&theirs, members)
        )
    });
    let choices: Vec<Vec<Choice<'_>>> = match no_rdma {
        None => all_rails.iter().map(|rails| by_rdma(rails)).collect(),
        Some(_) => members.iter().map(by_sockets).collect(),
    };
    let subnet = common_subnet(&choices, controls);
    let mut planes = Vec::new();
    for ((member, choices), control) in members.iter().zip(&choices).zip(controls) {
        planes.push(match (member.given.data, subnet) {
            (Some(address), _) => Some(given("data", member, address)?),
            (None, Some(subnet)) => choices
                .iter()
                .find(|choice| choice.subnet == subnet)
                .map(|choice| plane(choice, members.len() > 1)),
            (None, None) => control.clone().map(|control| {
                let what = if no_rdma.is_none() { "no cable's subnet" } else { "no subnet" };
                let then = if no_rdma.is_none() { "; RDMA takes the cables" } else { "" };
                let reason = format!("{what} holds every node: sockets take the control address{then}");
                Plane { reason, ..control }
            }),
        });
    }
    Ok(Data { planes, no_rdma })
}

fn by_rdma<'a>(rails: &[Rail<'a>]) -> Vec<Choice<'a>> {
    let choice = |rail: &Rail<'a>| {
        let found = rail.addressed()?;
        let way = Way { interface: rail.interface, address: found.address, prefix: found.subnet.prefix() };
        Some(Choice { way, subnet: found.subnet, rail: Some(*rail) })
    };
    rails.iter().filter_map(choice).collect()
}

/// Bridges and tunnels are left out: every node with Docker has an address in the same subnet of its own.
fn by_sockets<'a>(member: &Member<'a>) -> Vec<Choice<'a>> {
    let real = ways(member.facts).filter(|way| way.interface.kind != InterfaceKind::Virtual);
    real.map(|way| Choice { way, subnet: Subnet::of(way.address, way.prefix), rail: None }).collect()
}

/// The subnet that every node can be met in: by cable before radio, one that was set up before one that came by
/// itself, the one whose slowest link is fastest, IPv4 before IPv6, then the control network, then the first node's order.
fn common_subnet(choices: &[Vec<Choice<'_>>], controls: &[Option<Plane>]) -> Option<Subnet> {
    let (first, rest) = choices.split_first()?;
    let here = |choices: &[Choice<'_>], subnet| choices.iter().any(|choice| choice.subnet == subnet);
    let common = first.iter().filter(|choice| rest.iter().all(|choices| here(choices, choice.subnet)));
    let mut seen = BTreeSet::new();
    let common = common.map(|choice| choice.subnet).filter(|subnet| seen.insert(*subnet));
    // Two link-local addresses are of one cable, as far as there is one; three may be of three.
    let common = common.filter(|subnet| choices.len() <= 2 || !subnet.is_link_local());
    common.min_by_key(|subnet| {
        let of_it = || choices.iter().flatten().filter(|choice| choice.subnet == *subnet);
        let radio = of_it().any(|choice| choice.way.interface.kind == InterfaceKind::Wireless);
        let slowest = of_it().map(|choice| choice.way.interface.speed_mbps).min().flatten();
        let controls = controls.iter().flatten().map(|control| control.address);
        let is_control = controls.filter(|control| of_it().any(|choice| choice.way.address == *control));
        let is_v6 = of_it().any(|choice| choice.way.address.is_ipv6());
        (radio, subnet.is_link_local(), Reverse(slowest), is_v6, Reverse(is_control.count()))
    })
}

fn plane(choice: &Choice<'_>, with_others: bool) -> Plane {
    let interface = choice.way.interface;
    let speed =
        interface.speed_mbps.map_or_else(String::new, |speed| format!(" at {}", speed_in_words(speed)));
    let by = match choice.rail {
        Some(rail) => format!("{} is ACTIVE{speed}", rail.device.name),
        None if interface.kind == InterfaceKind::Wireless => "there is nothing but Wi-Fi".to_owned(),
        None if speed.is_empty() => "it is a cable, whose speed is not told".to_owned(),
        None => format!("it is the fastest cable{speed}"),
    };
    let all = if with_others { format!("; every node is in {}", choice.subnet) } else { String::new() };
    Plane { address: choice.way.address, interface: interface.name.clone(), reason: format!("{by}{all}") }
}
