//! What tests of this folder find on made-up nodes.

use std::sync::Arc;

use super::found::{Part, PartState};
use super::place::Place;
use crate::host::Here;
use crate::host::detached::DetachedId;
use crate::serving::kind::ServingEngine;
use crate::serving::role::Role;
use crate::serving::served::Served;

/// A model on these nodes, one process each.
pub(super) fn served(model: &str, nodes: &str) -> Served {
    let nodes: Vec<_> = nodes.split(',').map(|name| name.parse().unwrap()).collect();
    Served {
        model: model.to_owned(),
        served_name: model.rsplit('/').next().unwrap_or(model).to_owned(),
        engine: ServingEngine::Sglang,
        base_url: "http://n1:30000".to_owned(),
        port: 30000,
        processes: nodes.len(),
        nodes,
        owner: "desk:7".to_owned(),
    }
}

/// A process that runs.
pub(super) fn part(node: &str, role: Role) -> Part {
    let node: crate::host_name::HostName = node.parse().unwrap();
    Part {
        place: Place { host: Arc::new(Here::named(node.clone())), container: None },
        node,
        container: Some("c".to_owned()),
        role,
        state: PartState::Running { pid: 7 },
        id: DetachedId::of_test("7"),
    }
}
