//! How nodes are joined, and what their runtimes have to be told of it: addresses, variables, topology.
//!
//! All of it is a function of what the nodes said. Each choice comes with its reason in words, and what a user gave
//! takes its place. Nothing here is written to a node: what is missing is a text for a person to apply.

mod data;
mod environment;
mod given;
mod netplan;
mod planes;
mod rails;
#[cfg(test)]
mod tests;
mod topology;

use serde::Serialize;

pub(crate) use environment::DerivedVariable;
#[cfg(test)]
pub(crate) use environment::ValueOrigin;
pub(crate) use given::{BadGiven, Given};
pub(crate) use netplan::Netplan;
pub(crate) use planes::Plane;
pub(crate) use rails::Subnet;
pub(crate) use topology::Topology;

use self::data::Data;
use self::environment::Rdma;
use self::rails::{Family, Rail, rails};
use self::topology::TopologyKind;
use crate::cluster::facts::NodeFacts;
use crate::host_name::HostName;

/// A node whose part in the fabric is worked out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    /// Its name.
    pub(crate) name: &'a HostName,
    /// What it said.
    pub(crate) facts: &'a NodeFacts,
    /// What the user gave for it.
    pub(crate) given: &'a Given,
}

/// Nodes, joined.
#[derive(Debug, Serialize)]
pub(crate) struct Fabric {
    /// Each node's part, in the order of the members.
    pub(crate) nodes: Vec<NodeFabric>,
    /// How they are joined.
    pub(crate) topology: Topology,
    /// What a person should look at.
    pub(crate) notes: Vec<String>,
    /// What is missing on nodes, to be applied by a person.
    pub(crate) netplan: Vec<Netplan>,
}

/// A node's part.
#[derive(Debug, Serialize)]
pub(crate) struct NodeFabric {
    /// The node.
    pub(crate) node: HostName,
    /// Where it is reached for orders; none where it has no address.
    pub(crate) control: Option<Plane>,
    /// Where its runtime meets the others'.
    pub(crate) data: Option<Plane>,
    /// RDMA devices with a cable and an address, by name.
    pub(crate) rdma: Vec<String>,
    /// What its runtime is told.
    pub(crate) environment: Vec<DerivedVariable>,
}

impl Fabric {
    /// Join `members`.
    pub(crate) fn of(members: &[Member<'_>]) -> Result<Self, BadGiven> {
        let family = Family::of(members);
        let mut controls = Vec::new();
        for member in members {
            controls.push(planes::control(member)?);
        }
        let all_rails: Vec<Vec<Rail<'_>>> =
            members.iter().map(|member| rails(member.facts, family)).collect();
        let Data { planes, no_rdma } = data::choose(members, &all_rails, &controls)?;
        let topology = Topology::of(members, &all_rails);
        let mut notes = topology::notes(members, &all_rails);
        let netplan = netplan::missing(members, &all_rails, family, &topology, &mut notes);
        let mut nodes = Vec::new();
        for (at, ((member, control), data)) in members.iter().zip(controls).zip(planes).enumerate() {
            let shared = rails::shared(&all_rails, at);
            let ring = matches!(topology.kind, TopologyKind::Ring(_));
            let rdma = Rdma { rails: &shared, all: &all_rails[at], off: no_rdma.as_deref(), ring };
            let derive = |data: &Plane| environment::derive(member, data, rdma);
            let environment = data.as_ref().map_or_else(Vec::new, derive);
            let names = shared.iter().map(|rail| rail.device.name.clone()).collect();
            nodes.push(NodeFabric { node: member.name.clone(), control, data, rdma: names, environment });
        }
        Ok(Self { nodes, topology, notes, netplan })
    }
}
