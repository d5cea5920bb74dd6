//! What a node is, asked of the node itself and never copied from another.
//!
//! `read` runs one small program on each node, which answers with the text of files and the words of tools
//! ([`NodeReading`]). Everything after that is a function of this document: [`NodeFacts::of`] understands it, and what
//! is not there or says that it is not available is `None`. What is there and makes no sense is `None` too, with a
//! [`Doubt`] that names it: a node that says something odd is described as far as the rest goes.
//!
//! How the form of each field is known stands in docs/clusters.md, "Discovery".

mod gpu;
mod interfaces;
mod machine;
mod rdma;
mod read;
mod reading;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

#[cfg(test)]
pub(crate) use self::{
    interfaces::InterfaceAddress,
    rdma::{Gid, RdmaPort},
};
pub(crate) use gpu::Gpu;
pub(crate) use interfaces::{DefaultRoute, Interface, InterfaceKind, Neighbour};
pub(crate) use machine::{Disk, Engine, Memory, MemoryTrace, ResourceLimit};
pub(crate) use rdma::RdmaDevice;
pub(crate) use read::{NodeAnswer, NodeReadError, READ_LIMIT, gpu_names, read_all};
pub(crate) use reading::NodeReading;

/// A node, as far as it could be read.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NodeFacts {
    /// What it calls itself.
    pub(crate) host_name: String,
    /// Its kernel's release.
    pub(crate) kernel: String,
    /// Its kernel's command line.
    pub(crate) kernel_command_line: Option<String>,
    /// Its processors' architecture, as the kernel names it.
    pub(crate) architecture: String,
    /// Its distribution, as that names itself.
    pub(crate) distribution: Option<String>,
    /// Its clock when it was read, seconds since 1970.
    pub(crate) time_s: f64,
    /// Its GPUs, in the driver's order.
    pub(crate) gpus: Vec<Gpu>,
    /// Its memory, which on unified machines is the GPU's too.
    pub(crate) memory: Memory,
    /// File systems that images and models lie on.
    pub(crate) disks: Vec<Disk>,
    /// Its network interfaces, by name.
    pub(crate) interfaces: Vec<Interface>,
    /// The IPv4 default route that is taken.
    pub(crate) default_route: Option<DefaultRoute>,
    /// Machines it has heard of on its links.
    pub(crate) neighbours: Vec<Neighbour>,
    /// Its RDMA devices, by name.
    pub(crate) rdma: Vec<RdmaDevice>,
    /// Container engines that are installed.
    pub(crate) engines: Vec<Engine>,
    /// CDI specifications that describe NVIDIA devices to engines.
    pub(crate) cdi_specifications: Vec<String>,
    /// Programs that run and end others before memory is used up.
    pub(crate) memory_guards: Vec<String>,
    /// Lines of the kernel's log that tell of exhausted memory, as far as the user may read it.
    pub(crate) memory_traces: Vec<MemoryTrace>,
    /// The user's limits, by name.
    pub(crate) limits: BTreeMap<String, ResourceLimit>,
    /// What was there and could not be understood.
    pub(crate) doubts: Vec<Doubt>,
}

/// Something a node said that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Doubt {
    /// The file or the command.
    pub(crate) about: String,
    /// What is wrong with it.
    pub(crate) problem: String,
}

/// Doubts as they come up.
#[derive(Debug, Default)]
struct Doubts(Vec<Doubt>);

impl Doubts {
    fn add(&mut self, about: &str, problem: String) {
        self.0.push(Doubt { about: about.to_owned(), problem });
    }
}

impl NodeFacts {
    /// What `reading` says. Any document has facts.
    pub(crate) fn of(reading: &NodeReading) -> Self {
        let mut doubts = Doubts::default();
        reading.doubt_unreadable(&mut doubts);
        let (interfaces, default_route, neighbours) = interfaces::all(reading, &mut doubts);
        Self {
            host_name: reading.system.host_name.clone(),
            kernel: reading.system.kernel.clone(),
            kernel_command_line: reading.text("/proc/cmdline").map(str::to_owned),
            architecture: reading.system.machine.clone(),
            distribution: machine::distribution(reading),
            time_s: reading.time_s,
            gpus: gpu::all(reading, &mut doubts),
            memory: machine::memory(reading, &mut doubts),
            disks: machine::disks(reading),
            interfaces,
            default_route,
            neighbours,
            rdma: rdma::all(reading, &mut doubts),
            engines: machine::engines(reading),
            cdi_specifications: machine::cdi_specifications(reading),
            memory_guards: reading.guards.clone(),
            memory_traces: machine::memory_traces(reading),
            limits: machine::limits(reading),
            doubts: doubts.0,
        }
    }

    /// The interface of this name.
    pub(crate) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }
}
