//! Fabrics that somebody has given addresses of IPv6 alone.

use std::net::{IpAddr, Ipv6Addr};

use super::*;
use crate::cluster::facts::{Gid, Interface, InterfaceAddress};

/// `192.168.100.10/24` as `fd00:100::10/64`.
fn six(address: IpAddr) -> Option<Ipv6Addr> {
    let IpAddr::V4(address) = address else { return None };
    let [192, 168, subnet, host] = address.octets() else { return None };
    format!("fd00:{subnet}::{host}").parse().ok()
}

fn exchange(interface: &mut Interface) {
    for own in &mut interface.addresses {
        if let Some(address) = six(own.address) {
            *own = InterfaceAddress { address: address.into(), prefix: 64, passing: false };
        }
    }
}

/// The fabric's addresses of these nodes as those of IPv6, in the GID tables too.
fn with_six(mut nodes: Vec<(HostName, NodeFacts)>) -> Vec<(HostName, NodeFacts)> {
    for (_, facts) in &mut nodes {
        let cables: Vec<String> = facts.rdma.iter().filter_map(|device| device.interface.clone()).collect();
        facts.interfaces.iter_mut().filter(|it| cables.contains(&it.name)).for_each(exchange);
        let gids = facts.rdma.iter_mut().flat_map(|device| &mut device.ports).flat_map(|port| &mut port.gids);
        for gid in gids {
            gid.gid = six(gid.gid.to_canonical()).unwrap_or(gid.gid);
        }
    }
    nodes
}

#[test]
fn two_sparks_meet_by_ipv6() {
    let fabric = joined(&with_six(twins()));
    assert_eq!(fabric.topology.kind, TopologyKind::Direct, "{}", fabric.topology);
    assert!(fabric.notes.is_empty() && fabric.netplan.is_empty(), "{fabric:?}");
    for (node, address) in fabric.nodes.iter().zip(["fd00:100::10", "fd00:100::11"]) {
        let words = words(&node.data);
        assert!(words.starts_with(&format!("{address} enp1s0f1np1: rocep1s0f1 is ACTIVE")), "{words}");
        assert!(words.ends_with("; every node is in fd00:100::/64"), "{words}");
        // Orders go where they went.
        assert!(node.control.as_ref().unwrap().address.is_ipv4());
        let expected = [
            ("SGLANG_HOST_IP", Some(address)),
            ("VLLM_HOST_IP", Some(address)),
            ("NCCL_SOCKET_FAMILY", Some("AF_INET6")),
            ("NCCL_IB_HCA", Some("rocep1s0f1,roceP2p1s0f1")),
            ("NCCL_IB_GID_INDEX", Some("3")),
            ("NCCL_IB_ADDR_FAMILY", Some("AF_INET6")),
        ];
        assert_eq!(expected.map(|(name, _)| (name, value(node, name))), expected);
    }
    let four = joined(&twins());
    let of_six = ["NCCL_SOCKET_FAMILY", "NCCL_IB_ADDR_FAMILY"];
    assert_eq!(of_six.map(|name| value(&four.nodes[0], name)), [None; 2]);
}

/// Two Sparks with addresses of both kinds.
fn with_both() -> Vec<(HostName, NodeFacts)> {
    let mut nodes = twins();
    for (both, six) in nodes.iter_mut().zip(with_six(twins())) {
        for (interface, of_six) in both.1.interfaces.iter_mut().zip(six.1.interfaces) {
            let more = of_six.addresses.into_iter().filter(|it| !interface.addresses.contains(it));
            let more: Vec<InterfaceAddress> = more.collect();
            interface.addresses.extend(more);
        }
        for (device, of_six) in both.1.rdma.iter_mut().zip(six.1.rdma) {
            for (port, of_six) in device.ports.iter_mut().zip(of_six.ports) {
                let known: Vec<_> = port.gids.iter().map(|gid| gid.gid).collect();
                let more = of_six.gids.into_iter().filter(|gid| !known.contains(&gid.gid));
                port.gids.extend(more.map(|gid| Gid { index: gid.index + 2, ..gid }));
            }
        }
    }
    nodes
}

#[test]
fn ipv4_counts_where_every_node_has_it_unless_ipv6_is_asked_for() {
    let nodes = with_both();
    let node = &joined(&nodes).nodes[0];
    assert_eq!(
        (value(node, "SGLANG_HOST_IP"), value(node, "NCCL_IB_GID_INDEX")),
        (Some("192.168.100.10"), Some("3"))
    );
    let asked = ["fd00:100::10", "fd00:100::11"].map(|it| Given::addresses(None, Some(it.parse().unwrap())));
    let members: Vec<Member<'_>> =
        nodes.iter().zip(&asked).map(|((name, facts), given)| Member { name, facts, given }).collect();
    let node = &Fabric::of(&members).unwrap().nodes[0];
    assert_eq!(
        (value(node, "SGLANG_HOST_IP"), value(node, "NCCL_IB_GID_INDEX")),
        (Some("fd00:100::10"), Some("5"))
    );
    assert_eq!(value(node, "NCCL_SOCKET_FAMILY"), Some("AF_INET6"));
}

#[test]
fn what_is_link_local_is_left_out_with_the_reason() {
    let mut nodes = with_six(twins());
    for (_, facts) in &mut nodes {
        for interface in &mut facts.interfaces {
            interface.addresses.retain(|it| !it.address.to_string().starts_with("fd00:"));
        }
    }
    let fabric = joined(&nodes);
    let reason = &variable(&fabric.nodes[0], "NCCL_IB_DISABLE").reason;
    assert!(reason.contains("what is link-local in IPv6 means nothing to another node"), "{reason}");
    assert!(fabric.topology.reason.contains("link-local in IPv6"), "{}", fabric.topology);
    let local: IpAddr = nodes[0].1.interface("enp1s0f1np1").unwrap().addresses[0].address;
    let error = joined_with(&nodes[..1], &Given::addresses(None, Some(local))).unwrap_err().to_string();
    assert!(error.contains(&format!("{local} is link-local")) && error.contains("10.0.0.25"), "{error}");
}

#[test]
fn a_twin_without_an_address_of_ipv6_is_for_a_person_to_address() {
    let mut nodes = with_six(twins());
    let twin = nodes[1].1.interfaces.iter_mut().find(|it| it.name == "enP2p1s0f1np1").unwrap();
    twin.addresses.clear();
    let fabric = joined(&nodes);
    assert_eq!(fabric.netplan, []);
    let note = "cables without addresses on spark-2, where the others' are of IPv6";
    assert!(fabric.notes.iter().any(|it| it.starts_with(note)), "{:?}", fabric.notes);
}

#[test]
fn one_address_of_ipv4_that_is_given_makes_it_ipv4_for_all() {
    let nodes = with_both();
    for given in [["192.168.100.10", "fd00:100::11"], ["fd00:100::10", "192.168.100.11"]] {
        let given = given.map(|it| Given::addresses(None, Some(it.parse().unwrap())));
        let members: Vec<Member<'_>> =
            nodes.iter().zip(&given).map(|((name, facts), given)| Member { name, facts, given }).collect();
        let fabric = Fabric::of(&members).unwrap();
        for node in &fabric.nodes {
            assert_eq!(value(node, "NCCL_IB_GID_INDEX"), Some("3"), "{given:?}");
            assert_eq!(value(node, "NCCL_IB_ADDR_FAMILY"), None, "{given:?}");
        }
    }
}

#[test]
fn where_the_kinds_differ_the_reason_says_so() {
    let mixed = [twins().remove(0), with_six(twins()).remove(1)];
    let fabric = joined(&mixed);
    let expected = "spark-2 has no RDMA port that is ACTIVE and has an IPv4 address (only IPv6, where the others have IPv4): \
                    so all nodes use sockets";
    assert_eq!(variable(&fabric.nodes[0], "NCCL_IB_DISABLE").reason, expected);
    assert!(fabric.topology.reason.contains("only IPv6, where the others have IPv4"), "{}", fabric.topology);
    // Not where somebody has only been asked to meet elsewhere.
    let given = Given::addresses(None, Some("10.0.0.25".parse().unwrap()));
    let fabric = joined_with(&with_six(twins())[..1], &given).unwrap();
    let reason = &variable(&fabric.nodes[0], "NCCL_IB_DISABLE").reason;
    assert!(reason.ends_with("(only IPv6, where a data address of IPv4 is given)"), "{reason}");
}
