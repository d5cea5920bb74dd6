//! Network interfaces, the default route and neighbours: from `/sys/class/net` and iproute2's JSON.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use super::reading::Captured;
use super::{Doubts, NodeReading};

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Interface {
    /// Its name on the node.
    pub(crate) name: String,
    /// What it stands on.
    pub(crate) kind: InterfaceKind,
    /// Whether packets can go.
    pub(crate) up: bool,
    /// Its hardware address.
    pub(crate) mac: Option<String>,
    /// The largest packet, bytes.
    pub(crate) mtu: Option<u32>,
    /// The link's speed, Mb/s; none where there is no link.
    pub(crate) speed_mbps: Option<u32>,
    /// Where its hardware sits.
    pub(crate) pci: Option<PciAddress>,
    /// Its addresses, in the kernel's order.
    pub(crate) addresses: Vec<InterfaceAddress>,
}

/// What an interface stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InterfaceKind {
    /// The node itself.
    Loopback,
    /// A radio.
    Wireless,
    /// A device with a cable.
    Wired,
    /// Software: a bridge, a container's end, a tunnel.
    Virtual,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct InterfaceAddress {
    /// The address.
    pub(crate) address: IpAddr,
    /// Bits that its subnet has in common.
    pub(crate) prefix: u8,
    /// Whether it is one of IPv6 that goes by itself, or is not used yet: temporary, deprecated, tentative, a duplicate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) passing: bool,
}

/// Where a device sits: `0002:01:00.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PciAddress {
    /// The domain; a Spark's network chip is behind two.
    pub(crate) domain: u32,
    /// Bus, device and function.
    pub(crate) place: (u8, u8, u8),
}

/// The way out of the node's own networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DefaultRoute {
    /// The interface it leaves by.
    pub(crate) interface: String,
    /// The next machine.
    pub(crate) gateway: Option<IpAddr>,
}

/// A machine the node has heard of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Neighbour {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Its hardware address.
    pub(crate) mac: String,
    /// The node's interface it was heard on.
    pub(crate) interface: String,
}

impl Interface {
    /// The addresses that mean this interface to other nodes too, with their prefixes: those of IPv4 first. What is
    /// link-local in IPv6 needs the name of an interface with it, which is another one on each node.
    pub(crate) fn addresses_for_others(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        let v4 = self.ipv4().map(|(address, prefix)| (IpAddr::V4(address), prefix));
        v4.chain(self.addresses.iter().filter_map(|it| match it.address {
            IpAddr::V6(address) if !it.passing && !address.is_unicast_link_local() => {
                Some((IpAddr::V6(address), it.prefix))
            }
            _ => None,
        }))
    }

    /// Whether it has an address of IPv6 that is link-local, as every interface that is up gives itself one.
    pub(crate) fn has_link_local_v6(&self) -> bool {
        self.addresses.iter().any(|it| matches!(it.address, IpAddr::V6(own) if own.is_unicast_link_local()))
    }

    /// Its IPv4 addresses with their prefixes.
    pub(crate) fn ipv4(&self) -> impl Iterator<Item = (Ipv4Addr, u8)> {
        self.addresses.iter().filter_map(|it| match it.address {
            IpAddr::V4(address) => Some((address, it.prefix)),
            IpAddr::V6(_) => None,
        })
    }
}

impl FromStr for PciAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (domain, rest) = text.split_once(':').ok_or(())?;
        let (bus, rest) = rest.split_once(':').ok_or(())?;
        let (device, function) = rest.split_once('.').ok_or(())?;
        let byte = |text| u8::from_str_radix(text, 16).map_err(|_| ());
        let domain = u32::from_str_radix(domain, 16).map_err(|_| ())?;
        Ok(Self { domain, place: (byte(bus)?, byte(device)?, byte(function)?) })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bus, device, function) = self.place;
        write!(f, "{:04x}:{bus:02x}:{device:02x}.{function:x}", self.domain)
    }
}

impl Serialize for PciAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `ip -j addr`: an interface.
#[derive(Debug, Deserialize)]
struct Listed {
    ifname: String,
    #[serde(default)]
    addr_info: Vec<serde_json::Value>,
}

/// One of its addresses.
#[derive(Debug, Deserialize)]
struct ListedAddress {
    local: IpAddr,
    prefixlen: u8,
    /// Each of these is said only where it is so.
    #[serde(default)]
    temporary: bool,
    #[serde(default)]
    deprecated: bool,
    #[serde(default)]
    tentative: bool,
    #[serde(default)]
    dadfailed: bool,
}

/// `ip -j route`, `ip -6 -j route`: a route. One over several links has no `dev` of its own.
#[derive(Debug, Deserialize)]
struct Route {
    dst: String,
    dev: Option<String>,
    gateway: Option<IpAddr>,
    /// The least is taken; where it is not said it is 0.
    #[serde(default)]
    metric: u32,
}

/// `ip -j neigh`: a neighbour. One that did not answer has no `lladdr`.
#[derive(Debug, Deserialize)]
struct Heard {
    dst: IpAddr,
    dev: String,
    lladdr: Option<String>,
}

/// Interfaces by name, the default route that is taken, and neighbours that answered.
pub(super) fn all(
    reading: &NodeReading,
    doubts: &mut Doubts,
) -> (Vec<Interface>, Option<DefaultRoute>, Vec<Neighbour>) {
    if matches!(reading.command("ip_address"), Captured::Missing) {
        doubts
            .add("ip_address", "there is no `ip` (iproute2): addresses and routes are not known".to_owned());
    }
    let listed: Vec<Listed> = list(reading, "ip_address", doubts);
    let there = |name: &&str| reading.text(&format!("/sys/class/net/{name}/operstate")).is_some();
    let mut names: BTreeSet<&str> = reading.names("/sys/class/net").filter(there).collect();
    names.extend(listed.iter().map(|it| it.ifname.as_str()));
    let interfaces = names.iter().map(|name| interface(name, &listed, reading, doubts)).collect();

    // The way out by IPv6 counts where there is no other: older nodes' answers, too, have but the one.
    let default_route =
        ["ip_route", "ip_route_v6"].iter().find_map(|command| default_of(list(reading, command, doubts)));

    let heard: Vec<Heard> = list(reading, "ip_neighbour", doubts);
    let neighbours = heard
        .into_iter()
        .filter_map(|Heard { dst, dev, lladdr }| {
            Some(Neighbour { address: dst, mac: lladdr?.to_ascii_lowercase(), interface: dev })
        })
        .collect();
    (interfaces, default_route, neighbours)
}

/// The default route that is taken.
fn default_of(routes: Vec<Route>) -> Option<DefaultRoute> {
    let defaults = routes.into_iter().filter(|route| route.dst == "default");
    defaults
        .filter_map(|Route { dev, gateway, metric, .. }| Some((metric, dev?, gateway)))
        .min_by_key(|(metric, ..)| *metric)
        .map(|(_, interface, gateway)| DefaultRoute { interface, gateway })
}

fn interface(name: &str, listed: &[Listed], reading: &NodeReading, doubts: &mut Doubts) -> Interface {
    let path = |file: &str| format!("/sys/class/net/{name}/{file}");
    let kind = if reading.text(&path("type")) == Some("772") {
        // ARPHRD_LOOPBACK, linux/if_arp.h
        InterfaceKind::Loopback
    } else if reading.has_folder(&path("wireless")) || reading.link(&path("phy80211")).is_some() {
        InterfaceKind::Wireless
    } else if reading.link(&path("device")).is_some() {
        InterfaceKind::Wired
    } else {
        InterfaceKind::Virtual
    };
    let up = match reading.text(&path("operstate")) {
        Some("up") => true,
        // Drivers that do not tell; the carrier is what there is.
        Some("unknown") => reading.text(&path("carrier")) == Some("1"),
        _ => false,
    };
    // -1, or no answer, where there is no link; virtual machines' devices have none either.
    let speed: Option<i64> = reading.number(&path("speed"), doubts);
    let device = reading.link(&path("device")).unwrap_or_default();
    let addresses = listed.iter().filter(|it| it.ifname == name).flat_map(|it| &it.addr_info);
    let addresses = addresses.filter_map(|value| match ListedAddress::deserialize(value) {
        Ok(it) if it.prefixlen <= if it.local.is_ipv4() { 32 } else { 128 } => {
            let passing = it.temporary || it.deprecated || it.tentative || it.dadfailed;
            let passing = passing && it.local.is_ipv6();
            Some(InterfaceAddress { address: it.local, prefix: it.prefixlen, passing })
        }
        Ok(ListedAddress { local, prefixlen, .. }) => {
            doubts.add("ip_address", format!("{name}: {local} cannot have a prefix of {prefixlen}"));
            None
        }
        Err(error) => {
            doubts.add("ip_address", format!("{name}: {error}"));
            None
        }
    });
    let addresses = addresses.collect();
    Interface {
        name: name.to_owned(),
        kind,
        up,
        mac: reading.text(&path("address")).filter(|mac| !mac.is_empty()).map(str::to_ascii_lowercase),
        mtu: reading.number(&path("mtu"), doubts),
        speed_mbps: speed.and_then(|speed| u32::try_from(speed).ok()).filter(|speed| *speed > 0),
        pci: device.rsplit('/').find_map(|part| part.parse().ok()),
        addresses,
    }
}

/// The elements of a command's JSON list that are what is expected.
fn list<T: DeserializeOwned>(reading: &NodeReading, command: &str, doubts: &mut Doubts) -> Vec<T> {
    let Some(text) = reading.output(command, doubts) else { return Vec::new() };
    // Older releases write nothing where the list is empty.
    if text.trim().is_empty() {
        return Vec::new();
    }
    let values: Vec<serde_json::Value> = match serde_json::from_str(text) {
        Ok(values) => values,
        Err(error) => {
            doubts.add(command, format!("wrote no JSON list: {error}"));
            return Vec::new();
        }
    };
    let understood = values.into_iter().filter_map(|value| match T::deserialize(value) {
        Ok(element) => Some(element),
        Err(error) => {
            doubts.add(command, error.to_string());
            None
        }
    });
    understood.collect()
}
