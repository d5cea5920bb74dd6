//! Who pings whom by which cable.

use std::collections::BTreeSet;

use super::*;
use crate::cluster::doctor::paths::paths;
use crate::cluster::facts::{Interface, InterfaceAddress, InterfaceKind, RdmaDevice, RdmaPort};

/// A node of this name with a management address and cables: address and prefix of each, on an RDMA device that is ACTIVE.
fn node(at: usize, cables: &[&str]) -> Seen {
    let name = ["a", "b", "c", "d"][at];
    let role = if at == 0 { "role = \"head\"\n" } else { "" };
    let head = "[[nodes]]\nname = \"x\"\nrole = \"head\"\nssh = \"x\"\n";
    let more = if at == 0 { "" } else { head };
    let text =
        format!("name = \"l\"\nimage = \"i\"\n{more}[[nodes]]\nname = \"{name}\"\n{role}ssh = \"{name}\"\n");
    let nodes = Inventory::parse(Path::new("l"), &text).unwrap().nodes;
    let mut seen = healthy().nodes.remove(0);
    seen.node = nodes.into_iter().next_back().unwrap();
    let mut facts = seen.facts().unwrap().clone();
    let interface = |name: String, address: &str| {
        let (address, prefix) = address.split_once('/').unwrap();
        let own = InterfaceAddress {
            address: address.parse().unwrap(),
            prefix: prefix.parse().unwrap(),
            passing: false,
        };
        Interface {
            name,
            kind: InterfaceKind::Wired,
            up: true,
            mac: None,
            mtu: Some(9000),
            speed_mbps: Some(200_000),
            pci: None,
            addresses: vec![own],
        }
    };
    facts.interfaces = vec![interface("lan".into(), &format!("10.0.0.{}/24", at + 1))];
    facts.rdma.clear();
    for (cable, address) in cables.iter().enumerate() {
        facts.interfaces.push(interface(format!("cable{cable}"), address));
        let port = RdmaPort {
            number: 1,
            active: true,
            state: "ACTIVE".into(),
            // So that no GID table is needed.
            link_layer: Some("InfiniBand".into()),
            rate: None,
            gids: Vec::new(),
        };
        let interface = Some(format!("cable{cable}"));
        facts.rdma.push(RdmaDevice { name: format!("ib{cable}"), interface, ports: vec![port] });
    }
    seen.read = Some(Ok(ReadNode { facts, clock_ahead_s: [0.0, 0.0] }));
    seen
}

fn planned(nodes: &[Seen]) -> Vec<PingPath> {
    paths(nodes, &data_links(nodes))
}

/// Each packet as `from>to own>other`, without those of the management network.
fn by_cable(nodes: &[Seen]) -> BTreeSet<String> {
    let all = planned(nodes).into_iter().filter(|path| !path.source.to_string().starts_with("10.0.0."));
    let name = |at: usize| nodes[at].node.name.as_str();
    all.map(|it| format!("{}>{} {}>{}", name(it.from), name(it.to), it.source, it.target)).collect()
}

/// Both directions of each of these.
fn both_ways(pairs: &[(&str, &str, &str, &str)]) -> BTreeSet<String> {
    let ways =
        |(a, b, x, y): &(&str, &str, &str, &str)| [format!("{a}>{b} {x}>{y}"), format!("{b}>{a} {y}>{x}")];
    pairs.iter().flat_map(ways).collect()
}

#[test]
fn in_a_ring_of_three_every_cable_is_pinged_from_both_ends() {
    let nodes = [
        node(0, &["172.16.1.1/24", "172.16.3.2/24"]),
        node(1, &["172.16.1.2/24", "172.16.2.1/24"]),
        node(2, &["172.16.2.2/24", "172.16.3.1/24"]),
    ];
    let expected = both_ways(&[
        ("a", "b", "172.16.1.1", "172.16.1.2"),
        ("b", "c", "172.16.2.1", "172.16.2.2"),
        ("a", "c", "172.16.3.2", "172.16.3.1"),
    ]);
    assert_eq!(by_cable(&nodes), expected);
    // Where orders and sockets go, all get to all besides.
    assert_eq!(planned(&nodes).len(), 6 + 6);
}

#[test]
fn in_a_ring_of_four_those_opposite_share_no_cable() {
    let mut nodes = [
        node(0, &["172.16.1.1/24", "172.16.4.2/24"]),
        node(1, &["172.16.1.2/24", "172.16.2.1/24"]),
        node(2, &["172.16.2.2/24", "172.16.3.1/24"]),
        node(3, &["172.16.3.2/24", "172.16.4.1/24"]),
    ];
    let expected = both_ways(&[
        ("a", "b", "172.16.1.1", "172.16.1.2"),
        ("b", "c", "172.16.2.1", "172.16.2.2"),
        ("c", "d", "172.16.3.1", "172.16.3.2"),
        ("a", "d", "172.16.4.2", "172.16.4.1"),
    ]);
    assert_eq!(by_cable(&nodes), expected);
    let opposite = |path: &PingPath| (path.from, path.to) == (0, 2);
    assert_eq!(planned(&nodes).into_iter().filter(opposite).count(), 1);
    // The inventory's addresses, of which two nodes share the second one, or none.
    let fabric = [
        ["172.16.1.1", "172.16.4.2"],
        ["172.16.1.2", "172.16.2.1"],
        ["172.16.2.2", "172.16.3.1"],
        ["172.16.3.2", "172.16.4.1"],
    ];
    for (node, fabric) in nodes.iter_mut().zip(fabric) {
        node.node.fabric = fabric.map(|it| it.parse().unwrap()).to_vec();
    }
    assert_eq!(by_cable(&nodes), expected);
    assert_eq!(planned(&nodes).len(), 8);
}

#[test]
fn two_cables_of_a_pair_are_pinged_each_for_itself() {
    let nodes = [node(0, &["172.16.1.1/24", "fd00:2::1/64"]), node(1, &["172.16.1.2/24", "fd00:2::2/64"])];
    let expected = both_ways(&[("a", "b", "172.16.1.1", "172.16.1.2"), ("a", "b", "fd00:2::1", "fd00:2::2")]);
    assert_eq!(by_cable(&nodes), expected);
}

#[test]
fn behind_a_switch_all_ping_all_on_both_rails() {
    let nodes: Vec<Seen> = (0..3)
        .map(|at| node(at, &[&format!("172.16.1.{}/24", at + 1), &format!("172.16.2.{}/24", at + 1)]))
        .collect();
    assert_eq!(planned(&nodes).len(), 3 * 2 * 2);
    assert_eq!(by_cable(&nodes).len(), 3 * 2 * 2);
}

#[test]
fn whoever_shares_nothing_is_not_pinged() {
    // A pair on a cable, one that has another, and one that was not read.
    let mut nodes = [
        node(0, &["172.16.1.1/24"]),
        node(1, &["172.16.1.2/24"]),
        node(2, &["172.16.9.1/24"]),
        node(3, &["172.16.1.4/24"]),
    ];
    nodes[3].read = Some(Err(Obstacle { says: "away".into(), fix: None }));
    assert_eq!(by_cable(&nodes), both_ways(&[("a", "b", "172.16.1.1", "172.16.1.2")]));
    assert!(planned(&nodes).iter().all(|path| path.from != 3 && path.to != 3));
    // Addresses that came by themselves are all in one subnet, whatever cable they are on.
    let nodes =
        [node(0, &["169.254.1.1/16", "169.254.2.1/16"]), node(1, &["169.254.1.2/16", "169.254.2.2/16"])];
    let met: Vec<PingPath> = planned(&nodes);
    assert_eq!(met.len(), 2, "{met:?}");
    // A cable that is pulled out is another item's.
    let mut nodes = [node(0, &["172.16.1.1/24"]), node(1, &["172.16.1.2/24"])];
    let Some(Ok(read)) = &mut nodes[1].read else { panic!("{nodes:?}") };
    read.facts.interfaces[1].up = false;
    read.facts.rdma[0].ports[0].active = false;
    assert_eq!(by_cable(&nodes), BTreeSet::new());
}

#[test]
fn the_smaller_mtu_is_the_packets() {
    let mut nodes = [node(0, &["172.16.1.1/24"]), node(1, &["172.16.1.2/24"])];
    let Some(Ok(read)) = &mut nodes[1].read else { panic!("{nodes:?}") };
    read.facts.interfaces[1].mtu = Some(1500);
    assert!(
        planned(&nodes)
            .iter()
            .filter(|path| path.source.to_string().starts_with("172"))
            .all(|it| it.mtu == 1500)
    );
}

#[test]
fn one_of_two_cables_that_is_broken_is_named() {
    let nodes = [node(0, &["172.16.1.1/24", "fd00:2::1/64"]), node(1, &["172.16.1.2/24", "fd00:2::2/64"])];
    let lost = |path: &PingPath| path.source.is_ipv6();
    let outcome = |path: PingPath| Pinged { outcome: PingOutcome::Known(!lost(&path)), path };
    let pings = planned(&nodes).into_iter().map(outcome).collect();
    let examined =
        Examined { data: data_links(&nodes), pings, nodes: nodes.into_iter().collect(), models: Vec::new() };
    let all = examined.findings();
    let found: Vec<_> = all.iter().filter(|it| it.item == "fabric").collect();
    let [one] = found[..] else { panic!("{found:?}") };
    assert_eq!((one.node.as_str(), one.state), ("b", State::Failed));
    assert_eq!(one.says, "packets of 9000 bytes: none gets to a by cable1, none comes from a by cable1");
    assert!(one.fix.as_ref().unwrap().ends_with("ping -M do -s 8952 fd00:2::1"), "{one:?}");
}

/// What the item `fabric` says where every packet gets there.
fn said_of_fabric(nodes: Vec<Seen>) -> Vec<(String, State, String)> {
    let outcome = |path: PingPath| Pinged { outcome: PingOutcome::Known(true), path };
    let pings = planned(&nodes).into_iter().map(outcome).collect();
    let examined = Examined { data: data_links(&nodes), pings, nodes, models: Vec::new() };
    let all = examined.findings().into_iter().filter(|it| it.item == "fabric");
    all.map(|it| (it.node.to_string(), it.state, it.says)).collect()
}

fn with_fabric(at: usize, cables: &[&str], fabric: &[&str]) -> Seen {
    let mut seen = node(at, cables);
    seen.node.fabric = fabric.iter().map(|it| it.parse().unwrap()).collect();
    let Some(Ok(read)) = &mut seen.read else { panic!("{seen:?}") };
    // Addresses of the inventory count without RDMA.
    read.facts.rdma.clear();
    seen
}

#[test]
fn an_address_that_no_other_node_can_be_met_from_is_a_fault() {
    for (one, other, subnets) in [
        ("192.168.177.11", "192.168.178.12", ["192.168.177.0/24", "192.168.178.0/24"]),
        ("192.168.177.11", "fd00:2::2", ["192.168.177.0/24", "fd00:2::/64"]),
    ] {
        let cable = |address: &str| format!("{address}/{}", if address.contains(':') { 64 } else { 24 });
        let found = said_of_fabric(vec![
            with_fabric(0, &[&cable(one)], &[one]),
            with_fabric(1, &[&cable(other)], &[other]),
        ]);
        let [(a, State::Failed, of_a), (b, State::Failed, of_b)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((a.as_str(), b.as_str()), ("a", "b"));
        for says in [of_a, of_b] {
            assert!(subnets.iter().all(|subnet| says.contains(subnet)), "{says}");
        }
    }
    // One of three; and one of two addresses of a node, where the other one is met.
    let (one, two) = ("172.16.1.1/24", "172.16.1.2/24");
    let found = said_of_fabric(vec![
        with_fabric(0, &[one], &["172.16.1.1"]),
        with_fabric(1, &[two], &["172.16.1.2"]),
        with_fabric(2, &["172.16.2.3/24"], &["172.16.2.3"]),
    ]);
    let states: Vec<_> = found.iter().map(|(name, state, _)| (name.as_str(), *state)).collect();
    assert_eq!(states, [("a", State::Ok), ("b", State::Ok), ("c", State::Failed)], "{found:?}");
    let found = said_of_fabric(vec![
        with_fabric(0, &[one, "172.16.2.1/24"], &["172.16.1.1", "172.16.2.1"]),
        with_fabric(1, &[two], &["172.16.1.2"]),
    ]);
    let (name, state, says) = &found[0];
    assert_eq!((name.as_str(), *state), ("a", State::Failed), "{found:?}");
    assert!(says.starts_with("172.16.2.1 on cable1 is in 172.16.2.0/24, "), "{says}");
}

#[test]
fn who_has_no_fabric_or_nobody_to_be_joined_with_is_not_told_of_it() {
    assert_eq!(said_of_fabric(vec![with_fabric(0, &["172.16.1.1/24"], &["172.16.1.1"])]), []);
    let mut away = with_fabric(1, &["172.16.2.2/24"], &["172.16.2.2"]);
    away.read = Some(Err(Obstacle { says: "away".into(), fix: None }));
    assert_eq!(said_of_fabric(vec![with_fabric(0, &["172.16.1.1/24"], &["172.16.1.1"]), away]), []);
    // They meet by the management network.
    let found = said_of_fabric(vec![node(0, &[]), node(1, &[])]);
    assert!(found.iter().all(|(_, state, _)| *state == State::Ok), "{found:?}");
    // Cables of which each leads somewhere else.
    let found = said_of_fabric(vec![node(0, &["172.16.1.1/24"]), node(1, &["172.16.2.1/24"])]);
    assert!(found.iter().all(|(_, state, _)| *state == State::Ok), "{found:?}");
}

#[test]
fn a_ring_of_the_inventory_is_joined() {
    let ring = [["172.16.1.1", "172.16.3.2"], ["172.16.1.2", "172.16.2.1"], ["172.16.2.2", "172.16.3.1"]];
    let of = |at: usize| {
        let cables = ring[at].map(|address| format!("{address}/24"));
        with_fabric(at, &[&cables[0], &cables[1]], &ring[at])
    };
    let found = said_of_fabric((0..3).map(of).collect());
    assert!(found.len() == 3 && found.iter().all(|(_, state, _)| *state == State::Ok), "{found:?}");
}
