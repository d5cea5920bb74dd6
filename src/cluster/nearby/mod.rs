//! Machines near this one that an inventory might name: those that say over mDNS that ssh is there, and the
//! neighbours on the fabric's link-local subnet.
//!
//! What programs print goes in, hosts come out; only `look` starts anything.

mod look;
mod mdns;
mod neighbours;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use look::{Found, look};

/// A machine that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearbyHost {
    /// Its host name without a domain, in small letters, where it said one.
    pub name: Option<String>,
    /// Where it was seen, sorted.
    pub seen: BTreeSet<Seen>,
}

/// An address, and the interface of this machine behind which it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The address.
    pub ip: IpAddr,
    /// This machine's interface.
    pub interface: String,
}

impl Seen {
    /// Whether it is on the network that the GPUs' data goes over, as far as its looks say.
    ///
    /// Link-local addresses are what two cabled Sparks give themselves, and the ConnectX ports of a Spark are called
    /// `enp1s0f0np0`, `enp1s0f1np1`, and their twins `enP2p1s0f0np0`, `enP2p1s0f1np1`.
    pub fn is_fabric(&self) -> bool {
        const PORTS: [&str; 4] = ["enp1s0f0np0", "enp1s0f1np1", "enP2p1s0f0np0", "enP2p1s0f1np1"];
        let link_local = matches!(self.ip, IpAddr::V4(ip) if ip.is_link_local());
        link_local || PORTS.contains(&self.interface.as_str())
    }
}

impl NearbyHost {
    /// The first address that is not on the fabric.
    pub fn address(&self) -> Option<IpAddr> {
        self.seen.iter().find(|seen| !seen.is_fabric()).map(|seen| seen.ip)
    }

    /// Its addresses on the fabric.
    pub fn fabric(&self) -> Vec<IpAddr> {
        let on_fabric: BTreeSet<IpAddr> =
            self.seen.iter().filter(|seen| seen.is_fabric()).map(|seen| seen.ip).collect();
        on_fabric.into_iter().collect()
    }
}

/// Somebody seen once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sighting {
    /// As a program prints it.
    host: Option<String>,
    seen: Seen,
}

/// Each machine once. A machine is seen behind each of its interfaces, twins and all: its name tells that it is one.
/// Neighbours say no name; one whose address belongs to nobody with a name stands for itself.
fn merged(mdns: Vec<Sighting>, neighbours: Vec<Sighting>) -> Vec<NearbyHost> {
    let mut named: BTreeMap<String, BTreeSet<Seen>> = BTreeMap::new();
    let mut nameless: BTreeMap<IpAddr, BTreeSet<Seen>> = BTreeMap::new();
    for Sighting { host, seen } in mdns.into_iter().chain(neighbours) {
        let known = named.values_mut().find(|others| others.iter().any(|other| other.ip == seen.ip));
        match (host, known) {
            (Some(host), _) => {
                let name = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
                named.entry(name).or_default().insert(seen);
            }
            (None, Some(others)) => {
                others.insert(seen);
            }
            (None, None) => {
                nameless.entry(seen.ip).or_default().insert(seen);
            }
        }
    }
    let named = named.into_iter().map(|(name, seen)| NearbyHost { name: Some(name), seen });
    named.chain(nameless.into_values().map(|seen| NearbyHost { name: None, seen })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MDNS: &str = include_str!("fixtures/avahi-browse.txt");
    const NEIGHBOURS: &str = include_str!("fixtures/ip-neigh.json");

    #[test]
    fn a_machine_with_two_interfaces_is_one() {
        let hosts = merged(mdns::parse(MDNS), neighbours::parse(NEIGHBOURS).unwrap());
        let shown: Vec<(Option<&str>, Option<String>, Vec<String>)> = hosts
            .iter()
            .map(|host| {
                let fabric = host.fabric().iter().map(ToString::to_string).collect();
                (host.name.as_deref(), host.address().map(|ip| ip.to_string()), fabric)
            })
            .collect();
        let of = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            shown,
            [
                (Some("nas"), Some("10.0.0.9".to_owned()), of(&[])),
                (Some("spark-4080"), Some("10.0.0.22".to_owned()), of(&["169.254.35.62", "169.254.85.41"])),
                (Some("spark-ea8e"), None, of(&["192.168.100.11", "192.168.101.11"])),
                (None, None, of(&["169.254.7.7"])),
            ]
        );
    }

    #[test]
    fn the_fabric_is_told_by_address_or_interface() {
        let seen = |ip: &str, interface: &str| Seen { ip: ip.parse().unwrap(), interface: interface.into() };
        assert!(seen("169.254.1.1", "eth0").is_fabric());
        assert!(seen("192.168.100.1", "enP2p1s0f1np1").is_fabric());
        assert!(!seen("192.168.1.1", "enP7s7").is_fabric());
        assert!(!seen("fd00::1", "wlan0").is_fabric());
    }
}
