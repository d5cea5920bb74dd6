//! The way of one packet.

use std::net::IpAddr;

/// A packet from a node to another, by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PingPath {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) source: IpAddr,
    pub(super) target: IpAddr,
    /// The interfaces with these addresses, on their nodes.
    pub(super) interfaces: (String, String),
    /// The packet, bytes.
    pub(super) mtu: u32,
}
