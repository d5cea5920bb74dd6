//! RDMA devices: `/sys/class/infiniband` (the kernel's Documentation/ABI/stable/sysfs-class-infiniband).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use serde::Serialize;

use super::{Doubts, NodeReading};
use crate::host::ask::beginning;

/// An RDMA device, which NCCL calls an HCA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RdmaDevice {
    /// Its name: `rocep1s0f1` on a Spark.
    pub(crate) name: String,
    /// The network interface of the same hardware.
    pub(crate) interface: Option<String>,
    /// Its ports, by number.
    pub(crate) ports: Vec<RdmaPort>,
}

/// A port of an RDMA device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RdmaPort {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// Whether its state is ACTIVE.
    pub(crate) active: bool,
    /// Its state in the kernel's words.
    pub(crate) state: String,
    /// `Ethernet` (then this is RoCE) or `InfiniBand`.
    pub(crate) link_layer: Option<String>,
    /// Its rate in the kernel's words.
    pub(crate) rate: Option<String>,
    /// The entries of its GID table that are set, by index.
    pub(crate) gids: Vec<Gid>,
}

/// An address of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Gid {
    /// Its place in the table, which `NCCL_IB_GID_INDEX` names.
    pub(crate) index: u32,
    /// The address.
    pub(crate) gid: Ipv6Addr,
    /// Whether it is for RoCE v2.
    pub(crate) roce_v2: bool,
    /// The interface it comes from.
    pub(crate) interface: Option<String>,
}

impl RdmaDevice {
    /// Whether one of its ports is ACTIVE.
    pub(crate) fn active(&self) -> bool {
        self.ports.iter().any(|port| port.active)
    }

    /// Whether it is InfiniBand proper, whose addresses are not in the GID table.
    pub(crate) fn is_infiniband(&self) -> bool {
        let mut active = self.ports.iter().filter(|port| port.active);
        // The kernel's documentation and its code differ in how they write it.
        active.any(|port| port.link_layer.as_ref().is_some_and(|it| it.eq_ignore_ascii_case("infiniband")))
    }

    /// The index of the RoCE v2 GID that is `address`, on a port that is ACTIVE. Every device has a table of its own,
    /// so that of another one is no answer.
    pub(crate) fn gid_index(&self, address: IpAddr) -> Option<u32> {
        let gids = self.ports.iter().filter(|port| port.active).flat_map(|port| &port.gids);
        // An IPv4 address stands there as `::ffff:a.b.c.d`, one of IPv6 as it is.
        gids.filter(|gid| gid.roce_v2 && gid.gid.to_canonical() == address).map(|gid| gid.index).min()
    }
}

/// The node's RDMA devices, by name.
pub(super) fn all(reading: &NodeReading, doubts: &mut Doubts) -> Vec<RdmaDevice> {
    let names: BTreeSet<&str> = reading.names("/sys/class/infiniband").collect();
    names.into_iter().map(|name| device(name, reading, doubts)).collect()
}

fn device(name: &str, reading: &NodeReading, doubts: &mut Doubts) -> RdmaDevice {
    let path = format!("/sys/class/infiniband/{name}");
    let mut ports: Vec<RdmaPort> = Vec::new();
    for number in reading.names(&format!("{path}/ports")) {
        match number.parse() {
            Ok(number) => ports.push(port(&format!("{path}/ports/{number}"), number, reading, doubts)),
            Err(_) => doubts.add(&format!("{path}/ports"), format!("`{number}` is no port's number")),
        }
    }
    ports.sort_by_key(|port| port.number);
    // Where the hardware has several interfaces, the GIDs say whose they are.
    let beside: Vec<&str> = reading.names(&format!("{path}/device/net")).collect();
    let of_gids = ports.iter().flat_map(|port| &port.gids).find_map(|gid| gid.interface.clone());
    let interface = match beside[..] {
        [only] => Some(only.to_owned()),
        _ => of_gids,
    };
    RdmaDevice { name: name.to_owned(), interface, ports }
}

fn port(path: &str, number: u32, reading: &NodeReading, doubts: &mut Doubts) -> RdmaPort {
    // `4: ACTIVE`
    let state = reading.text(&format!("{path}/state")).unwrap_or_default();
    let state = state.split_once(": ").map_or(state, |(_, word)| word);
    let text = |file: &str| reading.text(&format!("{path}/{file}")).map(str::to_owned);
    RdmaPort {
        number,
        active: state == "ACTIVE",
        state: state.to_owned(),
        link_layer: text("link_layer"),
        rate: text("rate"),
        gids: gids(path, reading, doubts),
    }
}

fn gids(path: &str, reading: &NodeReading, doubts: &mut Doubts) -> Vec<Gid> {
    let mut found = Vec::new();
    for (file, text) in reading.texts_below(&format!("{path}/gids/")) {
        let index = file.rsplit('/').next().unwrap_or_default();
        let (Ok(index), Ok(gid)) = (index.parse(), text.parse::<Ipv6Addr>()) else {
            doubts.add(file, format!("`{}` is no GID", beginning(text.as_bytes())));
            continue;
        };
        if gid.is_unspecified() {
            continue;
        }
        let kind = reading.text(&format!("{path}/gid_attrs/types/{index}"));
        let interface = reading.text(&format!("{path}/gid_attrs/ndevs/{index}")).map(str::to_owned);
        found.push(Gid { index, gid, roce_v2: kind == Some("RoCE v2"), interface });
    }
    found.sort_by_key(|gid| gid.index);
    found
}
