//! The variables by which NCCL, Gloo, UCX, Open MPI, SGLang and vLLM are told which network to take.

use serde::Serialize;

use super::Member;
use super::planes::Plane;
use super::rails::Rail;

/// The variables that are derived.
pub(super) const NAMES: [&str; 15] = [
    "NCCL_SOCKET_IFNAME",
    "NCCL_SOCKET_FAMILY",
    "GLOO_SOCKET_IFNAME",
    "TP_SOCKET_IFNAME",
    "NCCL_IB_DISABLE",
    "NCCL_IB_HCA",
    "NCCL_IB_GID_INDEX",
    "NCCL_IB_ADDR_FAMILY",
    "NCCL_IB_SUBNET_AWARE_ROUTING",
    "NCCL_IB_MERGE_NICS",
    "NCCL_NET_PLUGIN",
    "SGLANG_HOST_IP",
    "VLLM_HOST_IP",
    "UCX_NET_DEVICES",
    "OMPI_MCA_btl_tcp_if_include",
];

/// A variable of a node's runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DerivedVariable {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value; none where it is better left unset.
    pub(crate) value: Option<String>,
    /// Why.
    pub(crate) reason: String,
    /// Whose choice it is.
    pub(crate) origin: ValueOrigin,
}

/// Whose choice a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ValueOrigin {
    /// It follows from what the nodes said.
    Derived,
    /// The user gave it.
    Given,
}

/// What RDMA may use.
#[derive(Clone, Copy)]
pub(super) struct Rdma<'a> {
    /// The node's devices that another node can be met by.
    pub(super) rails: &'a [Rail<'a>],
    /// All that it has.
    pub(super) all: &'a [Rail<'a>],
    /// Why no node may use it, where that is so.
    pub(super) off: Option<&'a str>,
    /// Whether the cables make a ring.
    pub(super) ring: bool,
}

/// What the node's runtime is told; `data` is where it meets the others'.
pub(super) fn derive(member: &Member<'_>, data: &Plane, rdma: Rdma<'_>) -> Vec<DerivedVariable> {
    let of_name = |name| derived(name, member, data, rdma);
    let all = NAMES.into_iter().filter_map(|name| {
        let derived = of_name(name);
        let Some(given) = member.given.variable(name) else {
            let (value, reason) = derived?;
            return Some(DerivedVariable { name, value, reason, origin: ValueOrigin::Derived });
        };
        let reason = match derived {
            Some((Some(value), _)) if value == given => "given; it would be derived too".to_owned(),
            Some((Some(value), reason)) => format!("given; derived would be {value}: {reason}"),
            Some((None, reason)) => format!("given; it would be left unset: {reason}"),
            None => "given; it would be left unset".to_owned(),
        };
        Some(DerivedVariable { name, value: Some(given.to_owned()), reason, origin: ValueOrigin::Given })
    });
    all.collect()
}

/// A value and its reason; none where there is nothing to say.
fn derived(
    name: &'static str,
    member: &Member<'_>,
    data: &Plane,
    Rdma { rails, all, off, ring }: Rdma<'_>,
) -> Option<(Option<String>, String)> {
    let interface = &data.interface;
    let set = |value: String, reason: String| Some((Some(value), reason));
    match name {
        "NCCL_SOCKET_IFNAME" => {
            let others = member.facts.interfaces.iter().map(|it| it.name.as_str());
            let value = exact([interface.as_str()], others);
            set(value, format!("the interface of the data address {}", data.address))
        }
        "NCCL_SOCKET_FAMILY" if data.address.is_ipv6() => {
            set("AF_INET6".to_owned(), "else NCCL may take another address of this interface".to_owned())
        }
        "GLOO_SOCKET_IFNAME" => {
            set(interface.clone(), "Gloo would take what the host's name leads to".to_owned())
        }
        "TP_SOCKET_IFNAME" | "UCX_NET_DEVICES" | "OMPI_MCA_btl_tcp_if_include" => {
            set(interface.clone(), "the interface of the data address".to_owned())
        }
        "SGLANG_HOST_IP" | "VLLM_HOST_IP" => set(
            data.address.to_string(),
            "else the engine may tell others the address of another network".to_owned(),
        ),
        "NCCL_IB_DISABLE" => set("1".to_owned(), off?.to_owned()),
        "NCCL_IB_HCA" if off.is_none() && !rails.is_empty() => {
            let used = rails.iter().map(|rail| rail.device.name.as_str());
            let others = member.facts.rdma.iter().map(|device| device.name.as_str());
            set(exact(used, others), why_these(all, rails))
        }
        "NCCL_IB_GID_INDEX" if off.is_none() => gid_index(rails),
        "NCCL_IB_ADDR_FAMILY" if off.is_none() => {
            let v6 = rails.iter().filter_map(Rail::addressed).any(|it| it.address.is_ipv6());
            v6.then(|| {
                (Some("AF_INET6".to_owned()), "NCCL looks for IPv4 in GID tables unless told".to_owned())
            })
        }
        "NCCL_IB_SUBNET_AWARE_ROUTING" if ring => {
            set("1".to_owned(), "a device reaches only the node at the other end of its cable".to_owned())
        }
        "NCCL_IB_MERGE_NICS" if ring => {
            set("0".to_owned(), "devices of several cables are not one".to_owned())
        }
        "NCCL_NET_PLUGIN" if ring => {
            set("none".to_owned(), "NVIDIA's playbook leaves plugins out in a ring".to_owned())
        }
        _ => None,
    }
}

/// `names` as NCCL reads them: each stands for all that begin so, unless a `=` says that it is whole.
fn exact<'a>(names: impl IntoIterator<Item = &'a str>, all: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let mut others = all.filter(|other| !names.contains(other));
    let ambiguous = others.any(|other| names.iter().any(|name| other.starts_with(name)));
    format!("{}{}", if ambiguous { "=" } else { "" }, names.join(","))
}

fn why_these(all: &[Rail<'_>], rails: &[Rail<'_>]) -> String {
    let mut ports: Vec<_> = rails.iter().map(Rail::port).collect();
    ports.dedup();
    let cables =
        if ports.len() == 1 { "its cable".to_owned() } else { format!("its {} cables", ports.len()) };
    let left_out = all.iter().filter(|it| it.addressed().is_none()).map(|it| it.device.name.as_str());
    let left_out: Vec<&str> = left_out.collect();
    match left_out[..] {
        [] => format!("every device of {cables}: a Spark's cable ends in two"),
        _ => format!(
            "what {cables} has an address on; {} is ACTIVE without one, which costs its share of the speed",
            left_out.join(", ")
        ),
    }
}

/// One number for all devices, if there is one: each has a table of its own.
fn gid_index(rails: &[Rail<'_>]) -> Option<(Option<String>, String)> {
    let found = rails.iter().filter_map(|rail| {
        let addressed = rail.addressed()?;
        Some((rail, addressed.address, addressed.gid_index?))
    });
    let found: Vec<_> = found.collect();
    let (_, _, first) = found.first()?;
    if found.iter().all(|(_, _, index)| index == first) {
        let addresses: Vec<String> = found.iter().map(|(_, address, _)| address.to_string()).collect();
        let reason = format!("RoCE v2 of {} in the device's own table", addresses.join(", "));
        return Some((Some(first.to_string()), reason));
    }
    let differ: Vec<String> =
        found.iter().map(|(rail, _, index)| format!("{} {index}", rail.device.name)).collect();
    // From 2.21 on it looks for RoCE v2 in each device's table (read in 2.31.2's net_ib/connect.cc: the default is -1).
    let reason =
        format!("it differs ({}), and NCCL finds each device's own while it is unset", differ.join(", "));
    Some((None, reason))
}
