//! Nodes as they are given, and machines found as nodes.

use std::net::IpAddr;
use std::str::FromStr;

use crate::cluster::inventory::{Address, DraftNode, NodeRole};
use crate::cluster::nearby::NearbyHost;
use crate::host::ssh::{BadSshDestination, SshDestination};
use crate::host_name::{BadHostName, HostName};

/// `--node`: `NAME=DEST` or `DEST`, which is `local` or where ssh logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenNode {
    name: HostName,
    /// None on this machine.
    ssh: Option<SshDestination>,
}

/// A `--node` that is none. A destination is not repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum BadNode {
    /// What it would be called is no name.
    #[error(transparent)]
    Name(#[from] BadHostName),
    /// No destination.
    #[error("of `NAME=DEST`, DEST is refused: {0} (or `local`, this machine)")]
    SshDestination(#[from] BadSshDestination),
}

impl FromStr for GivenNode {
    type Err = BadNode;

    fn from_str(text: &str) -> Result<Self, BadNode> {
        let (name, destination) = match text.split_once('=') {
            Some((name, destination)) => (Some(name.parse()?), destination),
            None => (None, text),
        };
        if destination == "local" {
            return Ok(Self { name: name.unwrap_or_else(own_name), ssh: None });
        }
        let ssh: SshDestination = destination.parse()?;
        let name = match name {
            Some(name) => name,
            None => name_of(ssh.host())?,
        };
        Ok(Self { name, ssh: Some(ssh) })
    }
}

impl GivenNode {
    /// As a node. Where ssh logs in at an IP address, that is where others reach it.
    pub(super) fn draft(&self) -> DraftNode {
        let Self { name, ssh } = self.clone();
        let address = ssh.as_ref().and_then(|ssh| ssh.host().parse().ok()).map(Address::Ip);
        DraftNode { name, role: NodeRole::Worker, address, fabric: Vec::new(), ssh }
    }
}

/// This machine as a node.
pub(super) fn this_machine() -> DraftNode {
    GivenNode { name: own_name(), ssh: None }.draft()
}

/// What this machine is called.
fn own_name() -> HostName {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let first = name.as_deref().and_then(|name| name.trim().split('.').next());
    first.and_then(|name| name.parse().ok()).unwrap_or_else(HostName::local)
}

/// The first part of a host's name, or its address with `-` in it: `host-10-0-0-1`.
fn name_of(host: &str) -> Result<HostName, BadHostName> {
    match host.parse::<IpAddr>() {
        Ok(ip) => format!("host-{}", ip.to_string().replace(['.', ':'], "-")).parse(),
        Err(_) => host.split('.').next().unwrap_or_default().parse(),
    }
}

/// The hosts that are none of `nodes`, by name or by address.
pub(super) fn unlike<'a>(hosts: &'a [NearbyHost], nodes: &[DraftNode]) -> Vec<&'a NearbyHost> {
    let is = |host: &NearbyHost, node: &DraftNode| {
        let called = |name: &str| host.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        let at = |ssh: &SshDestination| {
            let ip: Option<IpAddr> = ssh.host().parse().ok();
            let name = ssh.host().split('.').next().unwrap_or_default();
            host.seen.iter().any(|seen| Some(seen.ip) == ip) || called(name)
        };
        called(node.name.as_str()) || node.ssh.as_ref().is_some_and(at)
    };
    hosts.iter().filter(|host| !nodes.iter().any(|node| is(host, node))).collect()
}

/// A machine that was found, as a node: ssh logs in at its address, or on the fabric where it has no other.
pub(super) fn of_host(host: &NearbyHost) -> DraftNode {
    let (address, fabric) = (host.address(), host.fabric());
    let at = address.or(fabric.first().copied()).map(|ip| ip.to_string()).unwrap_or_default();
    let name = host.name.as_deref().and_then(|name| name.parse().ok());
    let name = name.or_else(|| name_of(&at).ok()).unwrap_or_else(HostName::local);
    // An address is one.
    let ssh = SshDestination::new(None, &at, None).ok();
    DraftNode { name, role: NodeRole::Worker, address: address.map(Address::Ip), fabric, ssh }
}

/// A machine on one line: its name, and each address with this machine's interface.
pub(super) fn shown(host: &NearbyHost) -> String {
    let name = host.name.as_deref().unwrap_or("(no name)");
    let seen: Vec<String> =
        host.seen.iter().map(|seen| format!("{} ({})", seen.ip, seen.interface)).collect();
    format!("{name}  {}", seen.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (String, Option<String>, Option<String>) {
        let node = text.parse::<GivenNode>().unwrap_or_else(|error| panic!("{text}: {error}")).draft();
        let shown = |ssh: SshDestination| ssh.to_string();
        (node.name.to_string(), node.ssh.map(shown), node.address.map(|address| address.to_string()))
    }

    #[test]
    fn a_node_is_a_name_and_a_destination() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("a=192.168.1.1"), ("a".into(), some("192.168.1.1"), some("192.168.1.1")));
        assert_eq!(of("a=me@spark.local"), ("a".into(), some("me@spark.local"), None));
        assert_eq!(of("me@spark.local"), ("spark".into(), some("me@spark.local"), None));
        assert_eq!(of("10.0.0.1"), ("host-10-0-0-1".into(), some("10.0.0.1"), some("10.0.0.1")));
        assert_eq!(of("a=local"), ("a".into(), None, None));
        assert_eq!(of("local").1, None);
        assert_eq!(of("a=ssh://me@b:2222"), ("a".into(), some("ssh://me@b:2222"), None));
    }

    #[test]
    fn what_is_no_node_is_refused_without_its_password() {
        for (text, words) in [
            ("", "`USER@HOST`"),
            ("a=", "`USER@HOST`"),
            ("=b", "`` is no host name"),
            ("a b=c", "`a b` is no host name"),
            ("a=-oX", "`USER@HOST`"),
            ("a=me:hush@b", "use keys"),
        ] {
            let error = text.parse::<GivenNode>().unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("hush"), "{text}: {error}");
        }
    }
}
