//! How nodes are joined, what of that is noted, and what is missing.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::cluster::facts::NodeReading;
use crate::cluster::facts::tests::{replace_leaf, strange};

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
    let told = ["NCCL_IB_SUBNET_AWARE_ROUTING", "NCCL_IB_MERGE_NICS", "NCCL_NET_PLUGIN"];
    assert_eq!(told.map(|name| value(node, name)), [Some("1"), Some("0"), Some("none")]);
    let pair = joined(&twins());
    assert_eq!(told.map(|name| value(&pair.nodes[0], name)), [None; 3]);
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
fn no_nodes_are_no_fabric() {
    let fabric = joined(&[]);
    assert!(fabric.nodes.is_empty() && fabric.notes.is_empty() && fabric.netplan.is_empty());
    assert_eq!(fabric.topology.kind, TopologyKind::Unknown);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_change_to_a_node_breaks_its_cluster(
        which in 0..4_usize,
        changes in proptest::collection::vec((0..300_usize, strange()), 1..4),
    ) {
        let name = ["spark-twins", "spark-two-cables", "spark-switch", "spark-link-local"][which];
        let mut value: Value = serde_json::from_str(&document(name)).unwrap();
        for (pick, with) in changes {
            replace_leaf(&mut value, &mut pick.clone(), &with);
        }
        if let Ok(reading) = NodeReading::parse(value.to_string().as_bytes()) {
            let mut nodes = ring();
            nodes.push(("odd".parse().unwrap(), NodeFacts::of(&reading)));
            for count in 1..=nodes.len() {
                joined(&nodes[nodes.len() - count..]);
            }
        }
    }
}
