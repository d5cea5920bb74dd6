//! Which addresses of the fabric two nodes meet at. Pure.

use std::net::IpAddr;

use crate::cluster::inventory::{EngineAt, Node};

/// Where one node hands an image to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meeting {
    /// The address of the node that gives, where it listens.
    pub at: IpAddr,
    /// The address of the node that takes.
    pub from: IpAddr,
}

/// Where `giver` hands an image to `taker`: of the fabric's addresses that the inventory has, those two that begin
/// most alike, because a node has one in the subnet of each cable.
///
/// # Errors
/// Why not, in words: an address, a login or a socket that is not there.
pub(crate) fn meeting(giver: &Node, taker: &Node) -> Result<Meeting, String> {
    for node in [giver, taker] {
        if node.reach.login.is_none() {
            return Err(format!("no login to {} is in the inventory", node.name));
        }
        if matches!(node.reach.engine, EngineAt::Tcp { .. }) {
            return Err(format!("the engine of {} is reached by TCP, not by a socket there", node.name));
        }
        if node.fabric.is_empty() {
            return Err(format!("no `fabric` address of {} is in the inventory", node.name));
        }
    }
    let pairs = giver.fabric.iter().flat_map(|at| taker.fabric.iter().map(|from| (*at, *from)));
    let alike = |(at, from): &(IpAddr, IpAddr)| alike(*at, *from).unwrap_or(0);
    let alike_at_all = |(at, from): &(IpAddr, IpAddr)| at.is_ipv4() == from.is_ipv4();
    // Of several the first: the maximum of a reversed list is.
    let pairs: Vec<_> = pairs.filter(alike_at_all).collect();
    let (at, from) = pairs.into_iter().rev().max_by_key(alike).ok_or_else(|| {
        format!("the `fabric` addresses of {} and {} are of two kinds, IPv4 and IPv6", giver.name, taker.name)
    })?;
    Ok(Meeting { at, from })
}

/// How many bits two addresses of one kind have in common at their beginning.
fn alike(a: IpAddr, b: IpAddr) -> Option<u32> {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
        (IpAddr::V6(a), IpAddr::V6(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::inventory::Inventory;

    fn met(giver: &str, taker: &str) -> Result<Meeting, String> {
        let text = format!(
            "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\n{giver}\n\
             [[nodes]]\nname = \"n2\"\n{taker}\n"
        );
        let inventory = Inventory::parse(Path::new("/lab/sparks.toml"), &text).unwrap();
        meeting(&inventory.nodes[0], &inventory.nodes[1])
    }

    #[test]
    fn nodes_meet_in_the_subnet_that_both_are_in() {
        let n1 = "ssh = \"n1\"\nfabric = [\"192.168.100.11\", \"192.168.101.11\"]";
        let meeting =
            |at: &str, from: &str| Ok(Meeting { at: at.parse().unwrap(), from: from.parse().unwrap() });
        let of = |fabric: &str| met(n1, &format!("ssh = \"n2\"\nfabric = [{fabric}]"));
        assert_eq!(of("\"192.168.101.12\""), meeting("192.168.101.11", "192.168.101.12"));
        assert_eq!(of("\"192.168.100.12\", \"192.168.101.12\""), meeting("192.168.100.11", "192.168.100.12"));
        assert_eq!(of("\"fd00::1\", \"192.168.101.12\""), meeting("192.168.101.11", "192.168.101.12"));
    }

    #[test]
    fn who_cannot_meet_is_told_why() {
        let n1 = "ssh = \"n1\"\nfabric = [\"192.168.100.11\"]";
        let tls = "tls = { ca = \"a\", cert = \"b\", key = \"c\" }";
        for (taker, words) in [
            ("ssh = \"n2\"".to_owned(), "no `fabric` address of n2"),
            ("ssh = \"n2\"\nfabric = [\"fd00::1\"]".to_owned(), "IPv4 and IPv6"),
            (
                format!("engine_url = \"tcp://n2:2376\"\n{tls}\nfabric = [\"192.168.100.12\"]"),
                "no login to n2",
            ),
            (
                format!("ssh = \"n2\"\nengine_url = \"tcp://n2:2376\"\n{tls}\nfabric = [\"192.168.100.12\"]"),
                "the engine of n2 is reached by TCP",
            ),
        ] {
            let error = met(n1, &taker).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
