//! A node as it takes part: where it meets the others, what its processes run in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::error::PlanError;
use super::recipe::ServingRecipe;
use crate::cluster::fabric::DerivedVariable;
use crate::cluster::inventory::{Address, Node};
use crate::host::ContainerSpec;
use crate::host::container_spec::{ContainerVariable, Labels};

/// The variable that the hub's clients read a token from.
const TOKEN: &str = "HF_TOKEN";

/// Variables of every process of Ray.
///
/// On unified memory its monitor kills workers while weights load (NVIDIA's playbook for vLLM on DGX Spark sets it too).
/// A token that some other `ray.init()` has left in the home would keep workers out (`scripts.py` of 2.60).
const OF_RAY: [(&str, &str); 2] = [("RAY_memory_monitor_refresh_ms", "0"), ("RAY_AUTH_MODE", "disabled")];
/// Where its head is. Engines call `ray.init()` without an address, which takes the cluster that was started last on the
/// machine, by whomever.
const RAY_ADDRESS: &str = "RAY_ADDRESS";

/// A node that may take part, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServingNode<'a> {
    /// What the inventory says of it.
    pub(crate) node: &'a Node,
    /// Its address on the network for data, where it was asked; else what the inventory says counts.
    pub(crate) data: Option<IpAddr>,
    /// Variables that follow from what it said.
    pub(crate) derived: &'a [DerivedVariable],
    /// Its GPU, as torch names it.
    pub(crate) gpu: Option<&'a str>,
    /// Memory that a GPU can have, GB (10^9 bytes).
    pub(crate) memory_gb: Option<f64>,
}

/// A node that takes part.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// The node.
    pub(super) node: &'a Node,
    /// Where the others meet it.
    pub(super) address: IpAddr,
    /// Variables of all its processes.
    pub(super) environment: BTreeMap<String, ContainerVariable>,
    /// The container of its processes; none where they run on the node itself.
    pub(super) container: Option<ContainerSpec>,
}

impl Member<'_> {
    /// A port of this node for the others.
    pub(super) fn socket(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// The interpreter of its runtime.
    pub(super) fn python(&self) -> String {
        self.in_environment("python", "python3")
    }

    /// A command that its runtime brings along.
    pub(super) fn script(&self, name: &str) -> String {
        self.in_environment(name, name)
    }

    /// `own` of its virtual environment where it has one, else `usual`.
    fn in_environment(&self, own: &str, usual: &str) -> String {
        match self.node.settings.virtualenv() {
            Some(folder) => format!("{folder}/bin/{own}"),
            None => usual.to_owned(),
        }
    }
}

/// The nodes as they take part, in their order.
pub(super) fn members<'a>(
    nodes: &[ServingNode<'a>],
    recipe: &ServingRecipe,
    of_rules: &BTreeMap<String, String>,
    labels: &Labels,
) -> Result<Vec<Member<'a>>, PlanError> {
    let head = nodes.first().filter(|_| nodes.len() > 1).and_then(data_address);
    let ray = recipe.keys.ray.zip(head).map(|(ray, head)| SocketAddr::new(head, ray.port));
    nodes
        .iter()
        .map(|it| {
            let node = it.node;
            let address = match data_address(it) {
                Some(address) => address,
                // Nobody is to be met.
                None if nodes.len() == 1 => IpAddr::V4(Ipv4Addr::LOCALHOST),
                None => return Err(PlanError::NoAddress { node: node.name.clone() }),
            };
            let environment = environment(it, recipe, ray, of_rules);
            let container = match node.settings.engine() {
                None => None,
                Some(_) => {
                    let image = recipe.keys.image.as_deref().or(node.settings.image());
                    let image = image.ok_or_else(|| PlanError::NoImage {
                        node: node.name.clone(),
                        model: recipe.name(),
                    })?;
                    let spec = node.settings.container_from(image.to_owned(), labels.clone());
                    Some(ContainerSpec { environment: environment.clone(), ..spec })
                }
            };
            Ok(Member { node, address, environment, container })
        })
        .collect()
}

/// Where the others meet a node.
fn data_address(it: &ServingNode<'_>) -> Option<IpAddr> {
    let control = match it.node.address {
        Some(Address::Ip(ip)) => Some(ip),
        _ => None,
    };
    it.data.or(it.node.fabric.first().copied()).or(control)
}

/// Where clients reach a node.
pub(super) fn client_socket(it: &ServingNode<'_>, port: u16) -> String {
    match (&it.node.address, data_address(it)) {
        (Some(Address::Name(name)), _) => format!("{name}:{port}"),
        (Some(Address::Ip(ip)), _) => SocketAddr::new(*ip, port).to_string(),
        (None, Some(ip)) => SocketAddr::new(ip, port).to_string(),
        (None, None) => format!("localhost:{port}"),
    }
}

/// Variables of a node's processes. What stands later counts: what follows from the node's own words, what rules add,
/// the recipe, the inventory.
fn environment(
    it: &ServingNode<'_>,
    recipe: &ServingRecipe,
    ray: Option<SocketAddr>,
    of_rules: &BTreeMap<String, String>,
) -> BTreeMap<String, ContainerVariable> {
    let set = |(name, value): (&str, &str)| (name.to_owned(), ContainerVariable::Set(value.to_owned()));
    let derived = it.derived.iter().filter_map(|derived| Some((derived.name, derived.value.as_deref()?)));
    let mut all: BTreeMap<String, ContainerVariable> = derived.map(set).collect();
    if let Some(head) = ray {
        all.extend(OF_RAY.map(set));
        all.extend([set((RAY_ADDRESS, &head.to_string()))]);
    }
    if recipe.keys.needs_token {
        all.insert(TOKEN.to_owned(), ContainerVariable::FromHarness);
    }
    let told = of_rules.iter().chain(&recipe.keys.environment);
    all.extend(told.map(|(name, value)| set((name, value))));
    all.extend(it.node.settings.environment().clone());
    all
}
