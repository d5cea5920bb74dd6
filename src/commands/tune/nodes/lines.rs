//! The command lines that equal what would be done.

use std::io;

use super::NodesSettings;
use crate::cluster::inventory::{EngineAt, Login, Node};
use crate::cluster::runtimes::probe_lines;
use crate::commands::Output;
use crate::host::ssh::{SshSettings, over_ssh};
use crate::host::{EngineKind, Program, ShellLine};

/// Each node's, under its name. The programs of the folder worker/ stand by name.
pub(super) fn commands(
    cluster: &str,
    nodes: &[Node],
    ssh: &SshSettings,
    settings: &NodesSettings,
    out: &mut dyn Output,
) -> io::Result<()> {
    for node in nodes {
        out.line(&format!("# {}", node.name))?;
        let over = |line: &ShellLine| match &node.reach.login {
            Some(Login::Ssh(route)) => over_ssh(route, ssh, line),
            Some(Login::Local) | None => line.clone(),
        };
        if settings.options.is_none() && node.reach.login.is_some() {
            let python = |program: &str| ShellLine::of(&Program::new("python3", ["-I", "-c", program]));
            out.line(&over(&python("node/facts.py")).to_string())?;
        }
        let image = probe_lines(node, cluster, settings.options.is_some());
        if !image.is_empty() {
            out.line("# unless the image is known by its content")?;
        }
        for line in &image {
            out.line(&by_engine(node, line, over).to_string())?;
        }
    }
    Ok(())
}

/// The engine is reached where the node's programs run, but for one that listens on the network.
pub(in crate::commands::tune) fn by_engine(
    node: &Node,
    line: &ShellLine,
    over: impl Fn(&ShellLine) -> ShellLine,
) -> ShellLine {
    let variable = match node.settings.engine() {
        Some(EngineKind::Podman) => "CONTAINER_HOST",
        _ => "DOCKER_HOST",
    };
    match &node.reach.engine {
        EngineAt::Usual => over(line),
        EngineAt::Socket(path) => over(&line.with(variable, &format!("unix://{path}"))),
        EngineAt::Tcp { host, port, .. } => line.with(variable, &format!("tcp://{host}:{port}")),
    }
}
