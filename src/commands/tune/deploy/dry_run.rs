//! The commands that equal what is done on the nodes, a node after the other.

use std::io;

use super::Ready;
use super::files::ForNodes;
use super::show::of_every_gpu;
use super::verify::LogOf;
use crate::cluster::deploy::{Delivery, DeploymentRecord};
use crate::commands::Output;
use crate::host::{Host, HostPath, Program, ShellLine};
use crate::runtime::CONFIG_LINE_MARKS;

/// A deployment.
pub(super) fn deploy(
    nodes: &[Ready],
    deliveries: &[Delivery],
    files: &ForNodes,
    out: &mut dyn Output,
) -> io::Result<()> {
    if let Some(words) = of_every_gpu(nodes) {
        out.line(&format!("# {words}"))?;
    }
    for (node, delivery) in nodes.iter().zip(deliveries) {
        out.line(&format!("# {}", node.name()))?;
        let into = &node.place.folder.folder;
        out.line(&at_the_files(node, &format!("mkdir -p {}", quoted(into.as_str()))))?;
        for (name, bytes) in &delivery.deployment.files {
            let script = format!("cat > {} && {}", temporary(into, name), into_place(into, name));
            let source = quoted(&files.source(node, name).to_string_lossy());
            out.line(&format!("{} < {source}  # {} bytes", at_the_files(node, &script), bytes.len()))?;
        }
    }
    Ok(())
}

/// A rollback of `records`; none where nothing of a node is undone.
pub(super) fn rollback(
    nodes: &[Ready],
    records: &[Option<DeploymentRecord>],
    out: &mut dyn Output,
) -> io::Result<()> {
    for (node, record) in nodes.iter().zip(records) {
        let Some(record) = record else {
            out.line(&format!("# {}: nothing to restore", node.name()))?;
            continue;
        };
        out.line(&format!("# {}: the deployment of {}, whose record goes too", node.name(), record.from))?;
        let into = &node.place.folder.folder;
        for file in &record.files {
            let script = match file.replaced {
                true => {
                    let kept = record.kept(into, &file.name);
                    let (kept, temporary) = (quoted(kept.as_str()), temporary(into, &file.name));
                    format!("cp {kept} {temporary} && {}", into_place(into, &file.name))
                }
                false => format!("rm {}", quoted(into.join(&file.name).as_str())),
            };
            out.line(&at_the_files(node, &script))?;
        }
    }
    Ok(())
}

/// A look at what lies there.
pub(super) fn status(nodes: &[Ready], out: &mut dyn Output) -> io::Result<()> {
    for node in nodes {
        out.line(&format!("# {}", node.name()))?;
        let folder = &node.place.folder.folder;
        let record = quoted(DeploymentRecord::path(folder).as_str());
        let script = format!("sha256sum {}/*.json; cat {record}", quoted(folder.as_str()));
        out.line(&at_the_files(node, &script))?;
    }
    Ok(())
}

/// A look at what lies there, and at the logs.
pub(super) fn verify(nodes: &[Ready], logs: &[LogOf], out: &mut dyn Output) -> io::Result<()> {
    let marks: Vec<String> = CONFIG_LINE_MARKS.iter().map(|mark| format!("-e {}", quoted(mark))).collect();
    let marks = marks.join(" ");
    for (node, log) in nodes.iter().zip(logs) {
        status(std::slice::from_ref(node), out)?;
        match log {
            LogOf::Container { engine, name } => {
                let script = format!("{} logs {} 2>&1 | grep -F {marks}", engine.program(), quoted(name));
                out.line(&shell(node.node.host().ok().map(AsRef::as_ref), &["sh", "-c", &script]))?;
            }
            LogOf::Files(paths) => {
                // A shell replaces `~` where it is not quoted.
                let path = |path: &String| match path.strip_prefix("~/") {
                    Some(rest) => format!("~/{}", quoted(rest)),
                    None => quoted(path),
                };
                let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
                let paths: Vec<String> = paths.iter().map(path).collect();
                out.line(&at_the_files(node, &format!("cat {} | grep -F {marks}", paths.join(" "))))?;
            }
        }
    }
    Ok(())
}

/// The command that runs `script` where the node's files lie.
fn at_the_files(node: &Ready, script: &str) -> String {
    let mut argv = Vec::new();
    if let Some((engine, name)) = &node.place.container {
        argv.extend([engine.program(), "exec", "-i", name]);
    }
    argv.extend(["sh", "-c", script]);
    shell(node.node.host().ok().map(AsRef::as_ref), &argv)
}

/// The command that runs `argv` on a node; as it stands where its engine alone is reached.
fn shell(host: Option<&dyn Host>, argv: &[&str]) -> String {
    let program = Program::new(argv[0], argv[1..].iter().copied());
    match host {
        Some(host) => host.as_shell(&program).to_string(),
        None => ShellLine::of(&program).to_string(),
    }
}

fn temporary(folder: &HostPath, name: &str) -> String {
    quoted(folder.join(&format!(".{name}.new")).as_str())
}

fn into_place(folder: &HostPath, name: &str) -> String {
    format!("mv {} {}", temporary(folder, name), quoted(folder.join(name).as_str()))
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| format!("{word:?}"), Into::into)
}
