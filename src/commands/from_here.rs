//! Lines for a node as they are typed on this machine.

use crate::cluster::inventory::{EngineAt, Login, Node};
use crate::host::ssh::{SshSettings, over_ssh};
use crate::host::{EngineKind, ShellLine};

/// The line that has a shell of `node` read `line`.
pub(in crate::commands) fn on_node(node: &Node, ssh: &SshSettings, line: &ShellLine) -> ShellLine {
    match &node.reach.login {
        Some(Login::Ssh(route)) => over_ssh(route, ssh, line),
        Some(Login::Local) | None => line.clone(),
    }
}

/// The same of a command of its engine, which is reached where the node's programs run, but for one that listens on the
/// network.
pub(in crate::commands) fn by_engine(node: &Node, ssh: &SshSettings, line: &ShellLine) -> ShellLine {
    let variable = match node.settings.engine() {
        Some(EngineKind::Podman) => "CONTAINER_HOST",
        _ => "DOCKER_HOST",
    };
    match &node.reach.engine {
        EngineAt::Usual => on_node(node, ssh, line),
        EngineAt::Socket(path) => on_node(node, ssh, &line.with(variable, &format!("unix://{path}"))),
        EngineAt::Tcp { host, port, .. } => line.with(variable, &format!("tcp://{host}:{port}")),
    }
}
