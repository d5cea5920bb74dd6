//! The command lines that equal what would be done.

use std::io;
use std::path::PathBuf;

use super::wanted::Wanted;
use crate::cluster::connect::Connected;
use crate::cluster::images::{CONTEXT_FOLDER, CopyPlan, CopyStep, meeting};
use crate::cluster::inventory::{EngineAt, Login, Node};
use crate::commands::Output;
use crate::host::engine::ImageName;
use crate::host::ssh::over_ssh;
use crate::host::{EngineKind, Program, ShellLine};

/// One line for each copy, a word for everything else. What would go over the fabric, unless all goes `through_here`, no
/// line of a shell does: the one that it equals has a word before it.
pub(super) fn copies(
    image: &ImageName,
    plan: &CopyPlan,
    nodes: &[&Connected],
    through_here: bool,
    out: &mut dyn Output,
) -> io::Result<()> {
    let save = typed(nodes[plan.source], &["save", image.as_str()]);
    for (node, step) in nodes.iter().zip(&plan.steps) {
        match step {
            CopyStep::Source => out.line(&format!("# {}: has it", node.name()))?,
            CopyStep::Skip(_) => out.line(&format!("# {}: has the same", node.name()))?,
            CopyStep::WrongArchitecture => out.line(&format!("# {}: it would not run there", node.name()))?,
            CopyStep::Copy => {
                let met = meeting(&nodes[plan.source].node, &node.node).ok().filter(|_| !through_here);
                if let Some(met) = met {
                    let (name, at, from) = (node.name(), met.at, met.from);
                    out.line(&format!("# {name}: over the fabric, from {at} to {from}, which equals"))?;
                }
                out.line(&format!("{save} | {}", typed(node, &["load"])))?;
            }
        }
    }
    Ok(())
}

/// What each node's engine would be asked, under the node's name. Nobody is connected to.
pub(super) fn list(wanted: &Wanted, out: &mut dyn Output) -> io::Result<()> {
    for (image, nodes) in &wanted.images {
        for node in nodes {
            let line = ShellLine::of(&command(node, &["image", "inspect", image.as_str()]));
            let line = match (&node.reach.engine, &node.reach.login) {
                (EngineAt::Usual | EngineAt::Socket(_), Some(Login::Ssh(route))) => {
                    over_ssh(route, wanted.ssh.settings(), &line)
                }
                _ => line,
            };
            out.line(&format!("# {}", node.name))?;
            out.line(&line.to_string())?;
        }
    }
    Ok(())
}

/// The commands that build what `dockerfile` says of `files` on `node`, and call it `image`.
pub(super) fn build(
    image: &ImageName,
    dockerfile: &str,
    files: &[PathBuf],
    node: &Connected,
    out: &mut dyn Output,
) -> io::Result<()> {
    let files: Vec<String> = files.iter().map(|path| quoted(&path.to_string_lossy())).collect();
    out.line(&format!("d=$(mktemp -d) && mkdir \"$d/{CONTEXT_FOLDER}\""))?;
    out.line(&format!("cp {} \"$d/{CONTEXT_FOLDER}/\"", files.join(" ")))?;
    out.line(&format!("cat > \"$d/Dockerfile\" <<'END'\n{dockerfile}END"))?;
    let build = match node.node.settings.engine() {
        // It takes no context by its standard input.
        Some(EngineKind::Podman) => {
            let command = ShellLine::of(&command(&node.node, &["build", "--tag", image.as_str()]));
            let script = format!("d=$(mktemp -d) && tar -C \"$d\" -x && {command} \"$d\"");
            let program = Program::new("sh", ["-c", &script]);
            node.host().map_or_else(|_| script.clone(), |host| host.as_shell(&program).to_string())
        }
        _ => typed(node, &["build", "--tag", image.as_str(), "-"]),
    };
    out.line(&format!("tar -C \"$d\" -c . | {build}"))
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| format!("{word:?}"), Into::into)
}

pub(super) fn pull(image: &ImageName, node: &Connected, out: &mut dyn Output) -> io::Result<()> {
    out.line(&typed(node, &["pull", image.as_str()]))
}

/// The engine's command as typed on this machine.
fn typed(node: &Connected, arguments: &[&str]) -> String {
    let program = command(&node.node, arguments);
    match (&node.node.reach.engine, node.host()) {
        (EngineAt::Usual | EngineAt::Socket(_), Ok(host)) => host.as_shell(&program).to_string(),
        _ => ShellLine::of(&program).to_string(),
    }
}

/// The engine's command for whoever is where the node's engine is reached from.
fn command(node: &Node, arguments: &[&str]) -> Program {
    let kind = node.settings.engine().unwrap_or(EngineKind::Docker);
    let socket = match kind {
        EngineKind::Docker => "--host",
        EngineKind::Podman => "--url",
    };
    let mut words: Vec<String> = Vec::new();
    match &node.reach.engine {
        EngineAt::Usual => {}
        EngineAt::Socket(path) => words.extend([socket.to_owned(), format!("unix://{path}")]),
        EngineAt::Tcp { host, port, tls } => {
            words.extend([socket.to_owned(), format!("tcp://{host}:{port}"), "--tlsverify".to_owned()]);
            for (option, file) in [("--tlscacert", &tls.ca), ("--tlscert", &tls.cert), ("--tlskey", &tls.key)]
            {
                words.extend([option.to_owned(), file.display().to_string()]);
            }
        }
    }
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    Program::new(kind.program(), words)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::inventory::Inventory;

    fn line(keys: &str) -> String {
        let text =
            format!("name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\n{keys}\n");
        let inventory = Inventory::parse(Path::new("/lab/sparks.toml"), &text).unwrap();
        ShellLine::of(&command(&inventory.nodes[0], &["save", "a:b"])).to_string()
    }

    #[test]
    fn an_engine_is_named_where_it_is_not_the_usual_one() {
        assert_eq!(line("ssh = \"n1\""), "docker save a:b");
        assert_eq!(line("ssh = \"n1\"\nengine = \"podman\""), "podman save a:b");
        let socket = "ssh = \"n1\"\nengine_url = \"unix:///x/s.sock\"";
        assert_eq!(line(socket), "docker --host unix:///x/s.sock save a:b");
        let podman = format!("{socket}\nengine = \"podman\"");
        assert_eq!(line(&podman), "podman --url unix:///x/s.sock save a:b");
    }
}
