//! What of the fabric shows on a node alone, and its ports.

use std::net::IpAddr;

use super::Judgement;
use super::seen::{Examined, Seen, is_spark, usual};

/// SGLang's HTTP, where its ranks meet, Ray's GCS and dashboard, and vLLM's HTTP as one document of such a cluster has it.
pub(super) const PORTS: [u16; 5] = [30_000, 50_000, 6379, 8265, 8011];
/// A Spark's port with its cable, Mb/s.
const FULL_SPEED: u32 = 200_000;

/// The inventory's addresses for data are the node's, on interfaces that are up.
pub(super) fn fabric_address(seen: &Seen) -> Option<Judgement> {
    let facts = seen.facts()?;
    let wanted = &seen.node.fabric;
    if wanted.is_empty() {
        return None;
    }
    let of = |address: &IpAddr| {
        facts.interfaces.iter().find(|it| it.addresses.iter().any(|own| own.address == *address))
    };
    for address in wanted {
        match of(address) {
            None => {
                let says = format!("no interface has {address}, which the inventory says is its own");
                return Some(Judgement::failed(says).fix("sparktune nodes, which shows its addresses"));
            }
            Some(interface) if !interface.up => {
                let says = format!("{} with {address} is down", interface.name);
                let fix = format!("look at its cable, then: sudo ip link set {} up", interface.name);
                return Some(Judgement::failed(says).fix(fix));
            }
            Some(_) => {}
        }
    }
    let shown = wanted.iter().map(|address| match of(address) {
        Some(interface) => format!("{address} ({})", interface.name),
        None => address.to_string(),
    });
    Some(Judgement::ok(shown.collect::<Vec<_>>().join(", ")))
}

pub(super) fn mtu(examined: &Examined) -> Vec<Option<Judgement>> {
    let mtus: Vec<Option<u32>> = examined.data.iter().map(|link| link.as_ref()?.mtu).collect();
    let usual = usual(&examined.nodes, &mtus, PartialEq::eq);
    let judge = |(link, own): (&Option<super::seen::DataLink>, &Option<u32>)| {
        let (link, own) = (link.as_ref()?, (*own)?);
        let interface = &link.interface;
        match usual.and_then(|at| Some((at, mtus[at]?))) {
            Some((at, usual)) if usual != own => {
                let of = &examined.nodes[at].node.name;
                let says = format!("{own} on {interface}, and {usual} on {of}");
                let fix = format!("sudo ip link set {interface} mtu {usual}, and in netplan for good");
                Some(Judgement::failed(says).fix(fix))
            }
            _ => Some(Judgement::ok(format!("{own} on {interface}"))),
        }
    };
    examined.data.iter().zip(&mtus).map(judge).collect()
}

/// Where one node has RDMA, every node needs it: NCCL fails where some have it and others not.
pub(super) fn rdma(examined: &Examined) -> Vec<Option<Judgement>> {
    let active = |seen: &Seen| -> Option<Vec<String>> {
        let devices = seen.facts()?.rdma.iter().filter(|device| device.active());
        Some(devices.map(|device| device.name.clone()).collect())
    };
    let all: Vec<Option<Vec<String>>> = examined.nodes.iter().map(active).collect();
    let Some(has) = all.iter().position(|it| it.as_ref().is_some_and(|it| !it.is_empty())) else {
        return examined.nodes.iter().map(|_| None).collect();
    };
    let has = &examined.nodes[has].node.name;
    let judge = |(seen, active): (&Seen, &Option<Vec<String>>)| {
        let active = active.as_ref()?;
        if !active.is_empty() {
            return Some(Judgement::ok(format!("{} ACTIVE", active.join(", "))));
        }
        let ports = seen.facts()?.rdma.iter().flat_map(|device| {
            device
                .ports
                .iter()
                .map(move |port| format!("{} port {} is {}", device.name, port.number, port.state))
        });
        let ports: Vec<String> = ports.collect();
        let judgement = match ports.is_empty() {
            true => Judgement::failed(format!("no RDMA device, and {has} has one"))
                .fix("sudo modprobe mlx5_ib; or NCCL_IB_DISABLE=1 on all nodes"),
            false => {
                Judgement::failed(format!("no port is ACTIVE ({}), and {has} has one", ports.join(", ")))
                    .fix("look at its cable, and set the interface up; or NCCL_IB_DISABLE=1 on all nodes")
            }
        };
        Some(judgement)
    };
    examined.nodes.iter().zip(&all).map(judge).collect()
}

/// Behind some switches a link comes up at half its speed.
pub(super) fn link_speed(seen: &Seen) -> Option<Judgement> {
    let facts = seen.facts()?;
    let active = facts.rdma.iter().filter(|device| device.active());
    let links = active.filter_map(|device| facts.interface(device.interface.as_deref()?));
    let mut speeds: Vec<(u32, &str)> =
        links.filter_map(|link| Some((link.speed_mbps?, link.name.as_str()))).collect();
    speeds.sort_unstable();
    let (slowest, name) = *speeds.first()?;
    let says = format!("{} Gb/s on {name}", slowest / 1000);
    match is_spark(facts) && slowest < FULL_SPEED {
        true => {
            let says = format!("{says}, where a Spark's port does {}", FULL_SPEED / 1000);
            Some(
                Judgement::warning(says)
                    .fix(format!("set the switch's port to 200 Gb/s, then: ethtool {name}")),
            )
        }
        false => Some(Judgement::ok(says)),
    }
}

pub(super) fn ports(seen: &Seen) -> Option<Judgement> {
    seen.facts()?;
    let looked = match seen.looked.as_ref()? {
        Ok(looked) => looked,
        Err(trouble) => return Some(Judgement::unknown(&trouble.says)),
    };
    let listed = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    if looked.taken.is_empty() {
        return Some(Judgement::ok(format!("{} are free", listed(&PORTS))));
    }
    let filter: Vec<String> = looked.taken.iter().map(|port| format!("sport = :{port}")).collect();
    Some(
        Judgement::failed(format!("somebody listens on {}", listed(&looked.taken)))
            .fix(format!("sudo ss -ltnp '{}', which says who", filter.join(" or "))),
    )
}
