//! The command lines that equal what would be done.

use std::io;

use super::DoctorSettings;
use crate::cluster::doctor::container_lines;
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
    settings: &DoctorSettings,
    out: &mut dyn Output,
) -> io::Result<()> {
    let models = !settings.models.is_empty();
    for node in nodes {
        out.line(&format!("# {}", node.name))?;
        let line = |words: &[&str]| ShellLine::of(&Program::new(words[0], words[1..].iter().copied()));
        if node.reach.login.is_some() {
            let programs = ["node/facts.py", "node/doctor.py"].into_iter();
            let programs = programs.chain(models.then_some("node/models.py"));
            for program in programs.chain(settings.load.then_some("node/load.py")) {
                out.line(&on_node(node, ssh, &line(&["python3", "-I", "-c", program])).to_string())?;
            }
            for address in
                nodes.iter().filter(|other| other.name != node.name).flat_map(|it| it.fabric.first())
            {
                let ping = ["ping", "-M", "do", "-c", "1", "-W", "1", &address.to_string()];
                out.line(&on_node(node, ssh, &line(&ping)).to_string())?;
            }
        }
        let Some(kind) = node.settings.engine() else { continue };
        let image = node.settings.image().unwrap_or_default();
        for words in [&["version"][..], &["info"], &["image", "inspect", image]] {
            let words = [&[kind.program()], words].concat();
            out.line(&by_engine(node, ssh, &line(&words)).to_string())?;
        }
        for line in container_lines(node, cluster, models) {
            out.line(&by_engine(node, ssh, &line).to_string())?;
        }
        out.line("# unless the image is known by its content")?;
        for line in probe_lines(node, cluster, false) {
            out.line(&by_engine(node, ssh, &line).to_string())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::inventory::Inventory;
    use crate::commands::shown::Shown;

    const INVENTORY: &str = "name = \"lab\"\nimage = \"a:b\"\ncontainer = { gpus = \"none\" }\n[[nodes]]\nname = \"x\"\n\
                             role = \"head\"\nlocal = true\nfabric = [\"10.0.0.1\"]\n[[nodes]]\nname = \"y\"\nssh = \
                             \"me@y\"\nfabric = [\"10.0.0.2\"]\n";

    fn lines(inventory: &str, model: bool, load: bool) -> Vec<String> {
        let nodes = Inventory::parse(Path::new("sparks.toml"), inventory).unwrap().nodes;
        let models = if model { vec!["GLM-4.7-FP8".to_owned()] } else { Vec::new() };
        let settings = DoctorSettings { models, load, ..super::super::tests::settings() };
        let mut out = Shown::default();
        commands("lab", &nodes, &SshSettings::default(), &settings, &mut out).unwrap();
        out.0.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_asked_of_each_node_is_a_line() {
        let lines = lines(INVENTORY, false, false);
        let here = [
            "# x",
            "python3 -I -c node/facts.py",
            "python3 -I -c node/doctor.py",
            "ping -M do -c 1 -W 1 10.0.0.2",
            "docker version",
            "docker info",
            "docker image inspect a:b",
            "# unless the image is known by its content",
        ];
        assert_eq!(lines[..8], here);
        assert!(lines[8].starts_with("docker run --detach --name sparktune-lab-probe-x-"), "{lines:#?}");
        let there = lines.iter().position(|line| line == "# y").unwrap();
        assert!(
            lines[there + 1..].iter().all(|line| line.starts_with("ssh ") || line.starts_with('#')),
            "{lines:#?}"
        );
        assert!(lines[there + 1].ends_with("node/facts.py'"), "{lines:#?}");
    }

    #[test]
    fn models_gpus_and_a_load_have_lines_of_their_own() {
        let with_all = lines(&INVENTORY.replace("gpus = \"none\"", "gpus = \"all\""), true, true);
        for words in
            ["node/models.py", "node/load.py", "node/gpu.py", "--gpus all", "rm --force sparktune-lab-doctor"]
        {
            assert!(with_all.iter().any(|line| line.contains(words)), "{words}: {with_all:#?}");
        }
        let without = lines(INVENTORY, false, false);
        assert!(
            !without.iter().any(|line| line.contains("doctor-") || line.contains("node/load")),
            "{without:#?}"
        );
    }
}
