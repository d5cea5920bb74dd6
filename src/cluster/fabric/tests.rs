//! Addresses and variables of made-up clusters: nodes of `tests/fixtures/nodes`, and others like them.

mod joined;
mod six;

use super::topology::TopologyKind;
use super::*;
use crate::cluster::facts::tests::{document, facts};
use environment::ValueOrigin;

/// A node of this name that is like a document with each of the pairs exchanged.
fn like(name: &str, node: &str, exchanged: &[(&str, &str)]) -> (HostName, NodeFacts) {
    let mut text = document(name);
    for (old, new) in exchanged {
        assert!(text.contains(old), "{name} has no {old}");
        text = text.replace(old, new);
    }
    (node.parse().unwrap(), facts(&text))
}

fn one(name: &str) -> Vec<(HostName, NodeFacts)> {
    vec![like(name, "spark-1", &[])]
}

/// The other end of the cable: hardware and IPv4 addresses of both ends exchanged.
fn with_peer(name: &str, addresses: &[(&str, &str)]) -> Vec<(HostName, NodeFacts)> {
    let mut exchanged =
        vec![("3c:6d:66:cc:b3", "MAC"), ("3c:6d:66:cc:b4", "3c:6d:66:cc:b3"), ("MAC", "3c:6d:66:cc:b4")];
    let gid = |address: &str| {
        let [a, b, c, d] = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
        format!("ffff:{a:02x}{b:02x}:{c:02x}{d:02x}")
    };
    let gids: Vec<_> = addresses.iter().map(|(here, there)| (gid(here), gid(there))).collect();
    for (here, there) in addresses {
        exchanged.extend([(*here, "ADDRESS"), (there, here), ("ADDRESS", there)]);
    }
    exchanged.extend(gids.iter().map(|(here, there)| (here.as_str(), there.as_str())));
    vec![like(name, "spark-1", &[]), like(name, "spark-2", &exchanged)]
}

fn twins() -> Vec<(HostName, NodeFacts)> {
    with_peer("spark-twins", &[("192.168.100.10", "192.168.100.11"), ("192.168.101.10", "192.168.101.11")])
}

fn joined_with(nodes: &[(HostName, NodeFacts)], given: &Given) -> Result<Fabric, BadGiven> {
    let members: Vec<Member<'_>> = nodes.iter().map(|(name, facts)| Member { name, facts, given }).collect();
    Fabric::of(&members)
}

fn joined(nodes: &[(HostName, NodeFacts)]) -> Fabric {
    joined_with(nodes, &Given::default()).unwrap()
}

/// `address interface: reason`
fn words(plane: &Option<Plane>) -> String {
    let Plane { address, interface, reason } = plane.as_ref().unwrap();
    format!("{address} {interface}: {reason}")
}

fn variable<'a>(node: &'a NodeFabric, name: &str) -> &'a DerivedVariable {
    let found = node.environment.iter().find(|it| it.name == name);
    found.unwrap_or_else(|| panic!("{name}: {:?}", node.environment))
}

fn value<'a>(node: &'a NodeFabric, name: &str) -> Option<&'a str> {
    node.environment.iter().find(|it| it.name == name)?.value.as_deref()
}

#[test]
fn a_spark_with_both_twins_addressed() {
    let fabric = joined(&one("spark-twins"));
    let node = &fabric.nodes[0];
    assert_eq!(
        words(&node.control),
        "10.0.0.25 enP7s7: it has a cable; the route to the default gateway would be Wi-Fi (wlP9s9)"
    );
    assert_eq!(words(&node.data), "192.168.100.10 enp1s0f1np1: rocep1s0f1 is ACTIVE at 200 Gb/s");
    let expected = [
        ("NCCL_SOCKET_IFNAME", "enp1s0f1np1"),
        ("GLOO_SOCKET_IFNAME", "enp1s0f1np1"),
        ("TP_SOCKET_IFNAME", "enp1s0f1np1"),
        ("NCCL_IB_HCA", "rocep1s0f1,roceP2p1s0f1"),
        ("NCCL_IB_GID_INDEX", "3"),
        ("SGLANG_HOST_IP", "192.168.100.10"),
        ("VLLM_HOST_IP", "192.168.100.10"),
        ("UCX_NET_DEVICES", "enp1s0f1np1"),
        ("OMPI_MCA_btl_tcp_if_include", "enp1s0f1np1"),
    ];
    let found: Vec<_> = node.environment.iter().map(|it| (it.name, it.value.as_deref().unwrap())).collect();
    assert_eq!(found, expected);
    assert!(node.environment.iter().all(|it| !it.reason.is_empty() && it.origin == ValueOrigin::Derived));
    assert!(fabric.notes.is_empty() && fabric.netplan.is_empty(), "{fabric:?}");
    assert_eq!(fabric.topology.kind, TopologyKind::Alone);
}

#[test]
fn a_twin_without_an_address_is_left_out_and_the_address_is_offered() {
    let fabric = joined(&one("spark-one-cable"));
    let node = &fabric.nodes[0];
    assert_eq!(
        words(&node.control),
        "192.168.0.117 enp1s0f0np0: the fabric is the only cable; the route to the default gateway would be Wi-Fi \
         (wlP9s9)"
    );
    assert_eq!(value(node, "NCCL_IB_HCA"), Some("rocep1s0f0"));
    let reason = &variable(node, "NCCL_IB_HCA").reason;
    assert!(reason.contains("roceP2p1s0f0 is ACTIVE without one"), "{reason}");
    let expected = "network:\n  version: 2\n  ethernets:\n    enP2p1s0f0np0:\n      addresses:\n        \
                    - 192.168.100.117/24\n      dhcp4: no\n";
    assert_eq!(fabric.netplan, [Netplan { node: "spark-1".parse().unwrap(), text: expected.into() }]);
}

#[test]
fn cables_on_different_ports_have_different_names() {
    let mut nodes = twins();
    let ports = [
        ("s0f1np1", "s0f0NP0"),
        ("s0f0np0", "s0f1np1"),
        ("s0f0NP0", "s0f0np0"),
        ("1s0f1\"", "1s0fX\""),
        ("1s0f0\"", "1s0f1\""),
        ("1s0fX\"", "1s0f0\""),
        ("1s0f1/", "1s0fX/"),
        ("1s0f0/", "1s0f1/"),
        ("1s0fX/", "1s0f0/"),
    ];
    let addresses = [
        ("192.168.100.11", "192.168.100.A"),
        ("192.168.100.10", "192.168.100.11"),
        ("192.168.101.11", "192.168.101.A"),
        ("192.168.101.10", "192.168.101.11"),
        ("ffff:c0a8:640a", "ffff:c0a8:640b"),
        ("ffff:c0a8:650a", "ffff:c0a8:650b"),
    ];
    let exchanged: Vec<_> = ports.into_iter().chain(addresses).collect();
    let exchanged: Vec<_> = exchanged
        .into_iter()
        .chain([("192.168.100.A", "192.168.100.10"), ("192.168.101.A", "192.168.101.10")])
        .collect();
    nodes[1] = like("spark-twins", "spark-2", &exchanged);
    let fabric = joined(&nodes);
    assert_eq!(value(&fabric.nodes[0], "NCCL_SOCKET_IFNAME"), Some("enp1s0f1np1"));
    assert_eq!(value(&fabric.nodes[1], "NCCL_SOCKET_IFNAME"), Some("enp1s0f0np0"));
    assert_eq!(value(&fabric.nodes[1], "NCCL_IB_HCA"), Some("rocep1s0f0,roceP2p1s0f0"));
}

#[test]
fn two_cables_are_four_devices() {
    let fabric = joined(&one("spark-two-cables"));
    let node = &fabric.nodes[0];
    assert_eq!(value(node, "NCCL_IB_HCA"), Some("rocep1s0f0,roceP2p1s0f0,rocep1s0f1,roceP2p1s0f1"));
    assert!(variable(node, "NCCL_IB_HCA").reason.contains("its 2 cables"));
    assert_eq!(words(&node.control), "10.0.0.25 enP7s7: the default route leaves by it");
}

#[test]
fn one_node_without_rdma_turns_it_off_for_all() {
    let nodes = [like("spark-twins", "spark-ea8e", &[]), like("thor", "jetson-thor", &[])];
    let fabric = joined(&nodes);
    for (node, address) in fabric.nodes.iter().zip(["10.0.0.25", "10.0.0.27"]) {
        let off = variable(node, "NCCL_IB_DISABLE");
        assert_eq!(off.value.as_deref(), Some("1"));
        assert_eq!(
            off.reason,
            "jetson-thor has no RDMA port that is ACTIVE and has an IPv4 or global IPv6 address: so all nodes use sockets"
        );
        assert_eq!(value(node, "NCCL_IB_HCA"), None);
        assert_eq!(value(node, "NCCL_IB_GID_INDEX"), None);
        assert_eq!(value(node, "SGLANG_HOST_IP"), Some(address));
    }
    // Each by its own interface.
    assert_eq!(value(&fabric.nodes[0], "GLOO_SOCKET_IFNAME"), Some("enP7s7"));
    assert_eq!(value(&fabric.nodes[1], "GLOO_SOCKET_IFNAME"), Some("enP2p1s0"));
    assert_eq!(fabric.topology.kind, TopologyKind::Unknown);
}

#[test]
fn a_plain_pc_has_its_cable() {
    let fabric = joined(&one("plain-pc"));
    let node = &fabric.nodes[0];
    assert_eq!(words(&node.control), "192.168.1.20 enp4s0: the default route leaves by it");
    assert_eq!(words(&node.data), "192.168.1.20 enp4s0: it is the fastest cable at 1 Gb/s");
    assert_eq!(value(node, "NCCL_IB_DISABLE"), Some("1"));
}

#[test]
fn nothing_with_an_address_is_nothing() {
    let (name, mut facts) = like("plain-pc", "desk", &[]);
    for interface in &mut facts.interfaces {
        interface.up = interface.name == "lo";
    }
    let fabric = joined(&[(name, facts)]);
    let node = &fabric.nodes[0];
    assert_eq!((&node.control, &node.data, &node.environment[..]), (&None, &None, &[][..]));
}

#[test]
fn a_gid_index_that_differs_is_left_to_nccl() {
    let (name, mut facts) = like("spark-twins", "spark-1", &[]);
    let twin = facts.rdma.iter_mut().find(|device| device.name == "roceP2p1s0f1").unwrap();
    twin.ports[0].gids.iter_mut().for_each(|gid| gid.index += 2);
    let fabric = joined(&[(name, facts)]);
    let variable = variable(&fabric.nodes[0], "NCCL_IB_GID_INDEX");
    assert_eq!(variable.value, None);
    assert!(variable.reason.contains("rocep1s0f1 3, roceP2p1s0f1 5"), "{}", variable.reason);
}

#[test]
fn names_that_begin_alike_are_told_apart() {
    let (name, mut facts) = like("spark-one-cable", "spark-1", &[]);
    let mut vlan = facts.interface("enp1s0f0np0").unwrap().clone();
    vlan.name = "enp1s0f0np0.100".into();
    vlan.addresses.clear();
    facts.interfaces.push(vlan);
    let mut tenth = facts.rdma[0].clone();
    tenth.name = "rocep1s0f01".into();
    facts.rdma.push(tenth);
    let fabric = joined(&[(name, facts)]);
    assert_eq!(value(&fabric.nodes[0], "NCCL_SOCKET_IFNAME"), Some("=enp1s0f0np0"));
    // Gloo knows no such sign.
    assert_eq!(value(&fabric.nodes[0], "GLOO_SOCKET_IFNAME"), Some("enp1s0f0np0"));
    assert_eq!(value(&fabric.nodes[0], "NCCL_IB_HCA"), Some("=rocep1s0f0"));
}

#[test]
fn what_is_given_wins_and_is_shown() {
    let address = |text: &str| Some(text.parse().unwrap());
    let mut given = Given::addresses(address("192.168.1.25"), address("192.168.101.10"));
    given.set("NCCL_IB_HCA", "rocep1s0f1").unwrap();
    given.set("NCCL_IB_DISABLE", "0").unwrap();
    given.set("NCCL_IB_GID_INDEX", "3").unwrap();
    let fabric = joined_with(&one("spark-twins"), &given).unwrap();
    let node = &fabric.nodes[0];
    assert_eq!(words(&node.control), "192.168.1.25 wlP9s9: given");
    assert_eq!(words(&node.data), "192.168.101.10 enP2p1s0f1np1: given");
    assert_eq!(value(node, "NCCL_SOCKET_IFNAME"), Some("enP2p1s0f1np1"));
    let devices = variable(node, "NCCL_IB_HCA");
    assert_eq!((devices.value.as_deref(), devices.origin), (Some("rocep1s0f1"), ValueOrigin::Given));
    assert!(devices.reason.starts_with("given; derived would be rocep1s0f1,roceP2p1s0f1: "), "{devices:?}");
    assert_eq!(variable(node, "NCCL_IB_DISABLE").reason, "given; it would be left unset");
    assert_eq!(variable(node, "NCCL_IB_GID_INDEX").reason, "given; it would be derived too");
}

#[test]
fn what_cannot_be_given_says_what_can() {
    let refused = |control: Option<&str>, data: Option<&str>| {
        let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let given = Given::addresses(address(control), address(data));
        joined_with(&one("spark-twins"), &given).unwrap_err().to_string()
    };
    let loopback = refused(Some("127.0.0.1"), None);
    assert!(loopback.starts_with("control address of spark-1: 127.0.0.1 is loopback"), "{loopback}");
    assert!(loopback.contains("10.0.0.25") && !loopback.contains("127.0.0.1,"), "{loopback}");
    let unknown = refused(None, Some("192.168.100.99"));
    assert!(
        unknown.starts_with("data address of spark-1: it has no 192.168.100.99; give one of"),
        "{unknown}"
    );
    let mut given = Given::default();
    let mistyped = given.set("NCCL_IB_HCAS", "x").unwrap_err().to_string();
    assert!(mistyped.contains("`NCCL_IB_HCAS`") && mistyped.contains("NCCL_IB_HCA,"), "{mistyped}");
    let lines = given.set("NCCL_IB_HCA", "x\nLD_PRELOAD=y").unwrap_err().to_string();
    assert!(lines.contains("NCCL_IB_HCA"), "{lines}");
}

#[test]
fn infiniband_proper_needs_no_gid_index() {
    let (name, mut facts) = like("spark-one-cable", "spark-1", &[]);
    for port in facts.rdma.iter_mut().flat_map(|device| &mut device.ports) {
        port.link_layer = Some("InfiniBand".into());
        port.gids.clear();
    }
    let fabric = joined(&[(name, facts)]);
    let node = &fabric.nodes[0];
    assert_eq!(value(node, "NCCL_IB_HCA"), Some("rocep1s0f0"));
    assert_eq!((value(node, "NCCL_IB_GID_INDEX"), value(node, "NCCL_IB_DISABLE")), (None, None));
}
