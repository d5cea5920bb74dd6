//! Rails: RDMA devices with a cable, each with its interface, its address and its index in the GID table.

use std::fmt;
use std::net::Ipv4Addr;

use crate::cluster::facts::{Interface, NodeFacts, RdmaDevice};

/// The addresses of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subnet {
    network: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// That of `address`, whose first `prefix` bits it has.
    pub(super) fn of(address: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        Self { network: Ipv4Addr::from_bits(address.to_bits() & mask), prefix }
    }

    /// Whether every interface has it by itself (RFC 3927), so that it says nothing of who is joined.
    pub(super) fn is_link_local(self) -> bool {
        self.network.is_link_local()
    }

    /// Its address number `host`, if it has so many.
    pub(super) fn host(self, host: u32) -> Option<Ipv4Addr> {
        let size = 1u32.checked_shl(32 - u32::from(self.prefix))?;
        // The first is the network's, the last is for all.
        (1..size.saturating_sub(1))
            .contains(&host)
            .then(|| Ipv4Addr::from_bits(self.network.to_bits() + host))
    }

    /// Bits that its addresses have in common.
    pub(super) fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether an address can be in both.
    pub(super) fn meets(self, other: Self) -> bool {
        let prefix = self.prefix.min(other.prefix);
        Self::of(self.network, prefix) == Self::of(other.network, prefix)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// An RDMA device that is ACTIVE, and the interface of the same hardware.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rail<'a> {
    pub(super) device: &'a RdmaDevice,
    pub(super) interface: &'a Interface,
}

/// What makes a rail usable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addressed {
    pub(super) address: Ipv4Addr,
    pub(super) subnet: Subnet,
    /// Where the device's own table has the address for RoCE v2; none on InfiniBand, which does not need it.
    pub(super) gid_index: Option<u32>,
}

impl<'a> Rail<'a> {
    /// Its first IPv4 address that is in the device's GID table: without that RoCE cannot use it.
    pub(super) fn addressed(&self) -> Option<Addressed> {
        let mut addresses = self.interface.ipv4();
        addresses.find_map(|(address, prefix)| {
            let gid_index = self.device.gid_index(address);
            let usable = gid_index.is_some() || self.device.is_infiniband();
            usable.then(|| Addressed { address, subnet: Subnet::of(address, prefix), gid_index })
        })
    }

    /// What its twin has too: one cable of a Spark ends in two functions, which sit at one place behind two PCI
    /// domains. A device whose place is not known is a port of its own.
    pub(super) fn port(&self) -> Result<(u8, u8, u8), &'a str> {
        self.interface.pci.map(|pci| pci.place).ok_or(&self.device.name)
    }
}

/// A node's rails: cable by cable, the lower PCI domain of twins first.
pub(super) fn rails(facts: &NodeFacts) -> Vec<Rail<'_>> {
    let active = facts.rdma.iter().filter(|device| device.active());
    let mut rails: Vec<Rail<'_>> = active
        .filter_map(|device| Some(Rail { device, interface: facts.interface(device.interface.as_ref()?)? }))
        .collect();
    rails.sort_by_key(|rail| (rail.port(), rail.interface.pci.map(|pci| pci.domain), &rail.device.name));
    rails
}

/// Of node `at`, the addressed rails that another node shares a subnet with; alone, all that are addressed.
pub(super) fn shared<'a>(all: &[Vec<Rail<'a>>], at: usize) -> Vec<Rail<'a>> {
    let of_others = |subnet: Subnet| {
        let others = all.iter().enumerate().filter(|(other, _)| *other != at).flat_map(|(_, rails)| rails);
        others.filter_map(Rail::addressed).any(|other| other.subnet == subnet)
    };
    let wanted = |rail: &&Rail<'_>| {
        rail.addressed().is_some_and(|addressed| all.len() == 1 || of_others(addressed.subnet))
    };
    all[at].iter().filter(wanted).copied().collect()
}

/// A link's speed for people.
pub(super) fn speed_in_words(mbps: u32) -> String {
    match mbps {
        ..1000 => format!("{mbps} Mb/s"),
        _ => format!("{} Gb/s", f64::from(mbps) / 1000.0),
    }
}
