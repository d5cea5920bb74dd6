//! Addresses, variables and topologies of made-up clusters: nodes of `tests/fixtures/nodes`, and others like them.

use super::topology::TopologyKind;
use super::*;
use crate::cluster::facts::tests::{document, facts};
use environment::Origin;

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

fn variable<'a>(node: &'a NodeFabric, name: &str) -> &'a Variable {
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
    assert!(node.environment.iter().all(|it| !it.reason.is_empty() && it.origin == Origin::Derived));
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
fn an_address_that_came_by_itself_will_do() {
    let nodes = with_peer("spark-link-local", &[("169.254.35.62", "169.254.230.46")]);
    let fabric = joined(&nodes);
    assert_eq!(
        words(&fabric.nodes[1].data),
        "169.254.230.46 enp1s0f1np1: rocep1s0f1 is ACTIVE at 200 Gb/s; every node is in 169.254.0.0/16"
    );
    assert_eq!(value(&fabric.nodes[1], "NCCL_IB_HCA"), Some("rocep1s0f1"));
    // They hear one another, which is what shows the cable.
    assert_eq!(fabric.topology.kind, TopologyKind::Direct);
    // The twins can go into one subnet of their own.
    let texts: Vec<&str> = fabric.netplan.iter().map(|it| it.text.as_str()).collect();
    assert!(texts[0].contains("enP2p1s0f1np1:\n      addresses:\n        - 192.168.100.10/24"), "{texts:?}");
    assert!(texts[1].contains("enP2p1s0f1np1:\n      addresses:\n        - 192.168.100.11/24"), "{texts:?}");
    assert!(!texts[0].contains("enp1s0f1np1"), "{texts:?}");
}

#[test]
fn two_sparks_and_a_cable() {
    let fabric = joined(&twins());
    assert_eq!(fabric.topology.kind, TopologyKind::Direct, "{}", fabric.topology);
    for (node, address) in fabric.nodes.iter().zip(["192.168.100.10", "192.168.100.11"]) {
        assert_eq!(value(node, "SGLANG_HOST_IP"), Some(address));
        assert_eq!(value(node, "NCCL_IB_HCA"), Some("rocep1s0f1,roceP2p1s0f1"));
        assert_eq!(value(node, "NCCL_IB_GID_INDEX"), Some("3"));
    }
    assert!(words(&fabric.nodes[1].data).ends_with("every node is in 192.168.100.0/24"));
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

/// Node `index` of four behind a switch.
fn switched(index: u8) -> (HostName, NodeFacts) {
    let name = format!("node-{index}");
    let last = 11 + index;
    let pairs = [
        ("192.168.101.11".to_owned(), format!("192.168.101.{last}")),
        ("192.168.102.11".to_owned(), format!("192.168.102.{last}")),
        ("ffff:c0a8:650b".to_owned(), format!("ffff:c0a8:65{last:02x}")),
        ("ffff:c0a8:660b".to_owned(), format!("ffff:c0a8:66{last:02x}")),
        ("192.168.12.227".to_owned(), format!("192.168.12.{}", 223 + u16::from(index))),
        ("3c:6d:66:cc:b3".to_owned(), format!("3c:6d:66:cc:c{index}")),
    ];
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
    like("spark-switch", &name, &pairs)
}

#[test]
fn four_nodes_behind_a_switch() {
    let nodes: Vec<_> = (0..4).map(switched).collect();
    let fabric = joined(&nodes);
    assert_eq!(fabric.topology.kind, TopologyKind::Switch);
    assert!(fabric.topology.reason.contains("192.168.101.0/24"), "{}", fabric.topology);
    assert_eq!(value(&fabric.nodes[3], "VLLM_HOST_IP"), Some("192.168.101.14"));
    assert_eq!(fabric.notes, [""; 0]);
    // Two of them are told by their speed and by who else is heard.
    let two = joined(&nodes[..2]);
    assert_eq!(two.topology.kind, TopologyKind::Switch);
}

#[test]
fn links_at_half_speed_are_behind_a_switch() {
    let mut nodes = twins();
    for (_, facts) in &mut nodes {
        for interface in &mut facts.interfaces {
            interface.speed_mbps = interface.speed_mbps.map(|_| 100_000);
        }
    }
    let topology = joined(&nodes).topology;
    assert_eq!(topology.kind, TopologyKind::Switch);
    assert!(topology.reason.contains("100 Gb/s"), "{topology}");
}

/// Three Sparks, each cable in subnets of its own.
fn ring() -> Vec<(HostName, NodeFacts)> {
    // Node, and of its two cables the third octets and its last one.
    let node = |name: &str, cables: [(u8, u8, u8); 2], lan: &str| {
        let mut pairs = Vec::new();
        for (at, (rail, twin, last)) in cables.into_iter().enumerate() {
            let old = 100 + 2 * u8::try_from(at).unwrap();
            for (old, new) in [(old, rail), (old + 1, twin)] {
                pairs.push((format!("192.168.{old}.10\\"), format!("172.16.{new}.{last}\\")));
                pairs.push((format!("192.168.{old}."), format!("172.16.{new}.")));
                pairs.push((format!("ffff:c0a8:{old:02x}0a"), format!("ffff:ac10:{new:02x}{last:02x}")));
            }
        }
        pairs.push(("10.0.0.25".to_owned(), lan.to_owned()));
        pairs.push(("3c:6d:66:cc:b4".to_owned(), "3c:6d:66:cc:00".to_owned()));
        pairs.push(("3c:6d:66:cc:b3".to_owned(), format!("3c:6d:66:cc:d{}", &name[6..])));
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        like("spark-two-cables", name, &pairs)
    };
    vec![
        node("spark-1", [(1, 2, 1), (5, 6, 2)], "10.0.0.31"),
        node("spark-2", [(1, 2, 2), (3, 4, 1)], "10.0.0.32"),
        node("spark-3", [(3, 4, 2), (5, 6, 1)], "10.0.0.33"),
    ]
}

#[test]
fn a_ring_has_no_network_for_all_but_the_control_network() {
    let fabric = joined(&ring());
    let names = ["spark-1", "spark-2", "spark-3"].map(|name| name.parse().unwrap());
    assert_eq!(fabric.topology.kind, TopologyKind::Ring(names.to_vec()), "{}", fabric.topology);
    let node = &fabric.nodes[1];
    assert_eq!(
        words(&node.data),
        "10.0.0.32 enP7s7: no cable's subnet holds every node: sockets take the control address; RDMA takes the cables"
    );
    assert_eq!(value(node, "NCCL_SOCKET_IFNAME"), Some("enP7s7"));
    assert_eq!(value(node, "NCCL_IB_HCA"), Some("rocep1s0f0,roceP2p1s0f0,rocep1s0f1,roceP2p1s0f1"));
    // Without one of them the ring is open.
    let open = joined(&ring()[..2]);
    assert_eq!(value(&open.nodes[0], "NCCL_IB_HCA"), Some("rocep1s0f0,roceP2p1s0f0"));
}

#[test]
fn nodes_that_do_not_meet_are_not_guessed_at() {
    let nodes = [like("spark-twins", "spark-1", &[]), like("spark-one-cable", "spark-2", &[])];
    let fabric = joined(&nodes);
    assert_eq!(fabric.topology.kind, TopologyKind::Unknown);
    assert!(fabric.topology.reason.contains("share no subnet"), "{}", fabric.topology);
    // No RDMA device that another node can be met by.
    assert_eq!(value(&fabric.nodes[0], "NCCL_IB_HCA"), None);
    let mut open = ring();
    open[2].1.rdma.retain(|device| device.name.ends_with("f0"));
    let topology = joined(&open).topology;
    assert_eq!(topology.kind, TopologyKind::Unknown);
    assert!(topology.reason.starts_with("spark-1 is joined to spark-2;"), "{topology}");
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
            "jetson-thor has no RDMA port that is ACTIVE and has an IPv4 address: so all nodes use sockets"
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
fn an_address_that_is_not_in_the_gid_table_is_noted() {
    let (name, mut facts) = like("spark-twins", "spark-1", &[]);
    let twin = facts.rdma.iter_mut().find(|device| device.name == "roceP2p1s0f1").unwrap();
    twin.ports[0].gids.iter_mut().for_each(|gid| gid.roce_v2 = false);
    let fabric = joined(&[(name, facts)]);
    assert_eq!(value(&fabric.nodes[0], "NCCL_IB_HCA"), Some("rocep1s0f1"));
    assert!(
        fabric.notes[0].contains("192.168.101.10") && fabric.notes[0].contains("roceP2p1s0f1"),
        "{fabric:?}"
    );
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
fn what_a_person_should_look_at() {
    let mut nodes = twins();
    let jumbo = nodes[1].1.interfaces.iter_mut().find(|it| it.name == "enp1s0f1np1").unwrap();
    jumbo.mtu = Some(9000);
    let notes = joined(&nodes).notes;
    assert_eq!(
        notes,
        ["the MTU differs in 192.168.100.0/24: 1500 on spark-1 (enp1s0f1np1), 9000 on spark-2 (enp1s0f1np1)"]
    );
    let pairs = [("192.168.101.10", "192.168.100.20"), ("ffff:c0a8:650a", "ffff:c0a8:6414")];
    let notes = joined(&[like("spark-twins", "spark-1", &pairs)]).notes;
    assert_eq!(
        notes,
        [
            "spark-1: enp1s0f1np1 and enP2p1s0f1np1 are both in 192.168.100.0/24: each needs a subnet of its own"
        ]
    );
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
    assert_eq!((devices.value.as_deref(), devices.origin), (Some("rocep1s0f1"), Origin::Given));
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
