//! What `ip -json neigh` prints.

use std::net::IpAddr;

use serde::Deserialize;

use super::{Seen, Sighting};

/// An entry, as iproute2 6.1.0 prints it.
#[derive(Deserialize)]
struct Neighbour {
    dst: IpAddr,
    dev: String,
    /// Missing where nobody answered.
    lladdr: Option<String>,
    #[serde(default)]
    state: Vec<String>,
}

/// Who answered on a link-local subnet (169.254/16), which is what cabled Sparks give themselves. Other neighbours may
/// be anything: routers, telephones.
pub(super) fn parse(json: &str) -> Result<Vec<Sighting>, serde_json::Error> {
    let neighbours: Vec<Neighbour> = serde_json::from_str(json)?;
    let near = neighbours.into_iter().filter(|it| {
        let link_local = matches!(it.dst, IpAddr::V4(ip) if ip.is_link_local());
        let silent = it.state.iter().any(|state| state == "FAILED" || state == "INCOMPLETE");
        link_local && !silent && it.lladdr.is_some() && !is_made_up(&it.dev)
    });
    Ok(near.map(|it| Sighting { host: None, seen: Seen { ip: it.dst, interface: it.dev } }).collect())
}

/// Whether an interface leads to no other machine, or to one over somebody's tunnel.
pub(super) fn is_made_up(interface: &str) -> bool {
    const MADE_UP: [&str; 8] = ["lo", "docker", "br-", "veth", "virbr", "cni", "podman", "tailscale"];
    MADE_UP.iter().any(|begin| interface.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_answered_on_a_link_local_subnet() {
        let seen = parse(include_str!("fixtures/ip-neigh.json")).unwrap();
        let ips: Vec<String> = seen.iter().map(|it| it.seen.ip.to_string()).collect();
        assert_eq!(ips, ["169.254.35.62", "169.254.7.7"]);
        assert_eq!(parse("[]").unwrap(), []);
    }

    #[test]
    fn what_is_no_such_list_is_an_error() {
        for bad in ["", "{}", "[{}]", "[{\"dst\":\"x\",\"dev\":\"a\"}]", "[{\"dst\":\"169.254.1.1\"}]"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
