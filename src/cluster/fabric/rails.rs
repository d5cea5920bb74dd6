//! Rails: RDMA devices with a cable, each with its interface, its address and its index in the GID table.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Member;
use crate::cluster::facts::{Interface, NodeFacts, RdmaDevice};

/// The addresses of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subnet {
    network: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// That of `address`, whose first `prefix` bits it has.
    pub(crate) fn of(address: IpAddr, prefix: u8) -> Self {
        let network = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { network, prefix }
    }

    /// Whether every interface has it by itself (RFC 3927, RFC 4291), so that it says nothing of who is joined.
    pub(crate) fn is_link_local(self) -> bool {
        match self.network {
            IpAddr::V4(network) => network.is_link_local(),
            IpAddr::V6(network) => network.is_unicast_link_local(),
        }
    }

    /// Its IPv4 address number `host`, if it has so many.
    pub(super) fn host(self, host: u32) -> Option<Ipv4Addr> {
        let IpAddr::V4(network) = self.network else { return None };
        let size = 1u32.checked_shl(32 - u32::from(self.prefix))?;
        // The first is the network's, the last is for all.
        (1..size.saturating_sub(1)).contains(&host).then(|| Ipv4Addr::from_bits(network.to_bits() + host))
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

/// Of which kind the addresses are that the nodes' RDMA devices are told apart by: of one for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// Of IPv4 where a data address of it is given. Else of IPv6 where every node can be met so and not by IPv4 addresses
    /// that somebody has set up, or where one of IPv6 is given.
    pub(super) fn of(members: &[Member<'_>]) -> Self {
        if is_given_v4(members) {
            return Self::V4;
        }
        let is_asked = members.iter().any(|member| member.given.data.is_some());
        let set_up = |rail: &Rail<'_>| rail.addressed().is_some_and(|it| !it.subnet.is_link_local());
        let all = |family| members.iter().all(|member| rails(member.facts, family).iter().any(set_up));
        if (is_asked || !all(Self::V4)) && all(Self::V6) { Self::V6 } else { Self::V4 }
    }
}

/// An RDMA device that is ACTIVE, and the interface of the same hardware.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rail<'a> {
    pub(super) device: &'a RdmaDevice,
    pub(super) interface: &'a Interface,
    family: Family,
}

/// What makes a rail usable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addressed {
    pub(super) address: IpAddr,
    pub(super) subnet: Subnet,
    /// Where the device's own table has the address for RoCE v2; none on InfiniBand, which does not need it.
    pub(super) gid_index: Option<u32>,
}

impl<'a> Rail<'a> {
    /// Its interface's addresses of the nodes' kind, with their prefixes.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        let v4 = self.family == Family::V4;
        self.interface.addresses_for_others().filter(move |(address, _)| address.is_ipv4() == v4)
    }

    /// The first of them that is in the device's GID table: without that RoCE cannot use it.
    pub(super) fn addressed(&self) -> Option<Addressed> {
        self.addresses().find_map(|(address, prefix)| {
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

/// A node's rails, met by addresses of `family`: cable by cable, the lower PCI domain of twins first.
pub(super) fn rails(facts: &NodeFacts, family: Family) -> Vec<Rail<'_>> {
    let active = facts.rdma.iter().filter(|device| device.active());
    let mut rails: Vec<Rail<'_>> = active
        .filter_map(|device| {
            Some(Rail { device, interface: facts.interface(device.interface.as_ref()?)?, family })
        })
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

fn is_given_v4(members: &[Member<'_>]) -> bool {
    members.iter().filter_map(|member| member.given.data).any(|data| data.is_ipv4())
}

/// The addresses that no rail of `these` nodes, which are some of `members`, has, for people.
pub(super) fn wanted_address(these: &[&Vec<Rail<'_>>], members: &[Member<'_>]) -> &'static str {
    let has_other_kind = |rail: &Rail<'_>| {
        rail.family == Family::V4
            && rail.interface.addresses_for_others().next().is_some_and(|_| rail.addresses().next().is_none())
    };
    if these.iter().flat_map(|rails| rails.iter()).any(has_other_kind) {
        if these.len() < members.len() {
            return "an IPv4 address (only IPv6, where the others have IPv4)";
        }
        if is_given_v4(members) {
            return "an IPv4 address (only IPv6, where a data address of IPv4 is given)";
        }
    }
    let mut local = these.iter().flat_map(|rails| rails.iter());
    match local.any(|rail| rail.addressed().is_none() && rail.interface.has_link_local_v6()) {
        true => "an IPv4 or global IPv6 address (what is link-local in IPv6 means nothing to another node)",
        false => "an IPv4 or global IPv6 address",
    }
}

/// A link's speed for people.
pub(super) fn speed_in_words(mbps: u32) -> String {
    match mbps {
        ..1000 => format!("{mbps} Mb/s"),
        _ => format!("{} Gb/s", f64::from(mbps) / 1000.0),
    }
}
