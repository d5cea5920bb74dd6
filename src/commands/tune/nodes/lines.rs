//! The command lines that equal what would be done.

use std::io;

use super::NodesSettings;
use crate::cluster::inventory::Node;
use crate::cluster::runtimes::probe_lines;
use crate::commands::Output;
use crate::commands::from_here::{by_engine, on_node};
use crate::host::ssh::SshSettings;
use crate::host::{Program, ShellLine};

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
        if settings.options.is_none() && node.reach.login.is_some() {
            let python = |program: &str| ShellLine::of(&Program::new("python3", ["-I", "-c", program]));
            out.line(&on_node(node, ssh, &python("node/facts.py")).to_string())?;
        }
        let image = probe_lines(node, cluster, settings.options.is_some());
        if !image.is_empty() {
            out.line("# unless the image is known by its content")?;
        }
        for line in &image {
            out.line(&by_engine(node, ssh, line).to_string())?;
        }
    }
    Ok(())
}
