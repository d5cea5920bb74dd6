//! An inventory before it is one: what somebody wants in it, and the text that says so.

use std::net::IpAddr;

use super::{Address, NodeRole};
use crate::host::EngineKind;
use crate::host::ssh::SshDestination;
use crate::host_name::HostName;

/// What is known of a cluster that is to have an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is called.
    pub name: String,
    /// What keeps its containers, and their image; none where programs run on the nodes themselves.
    pub containers: Option<(EngineKind, String)>,
    /// Its nodes.
    pub nodes: Vec<DraftNode>,
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftNode {
    /// What it is called.
    pub name: HostName,
    /// What it is to the others.
    pub role: NodeRole,
    /// Where others reach it.
    pub address: Option<Address>,
    /// Its addresses on the fabric.
    pub fabric: Vec<IpAddr>,
    /// Where ssh logs in; none on this machine.
    pub ssh: Option<SshDestination>,
}

impl Draft {
    /// The text of its inventory, which only [`Inventory::parse`](super::Inventory::parse) can say is one.
    pub fn render(&self) -> String {
        let mut text = format!(
            "# The machines that sparktune and sparkbench work with. Every key: docs/clusters.md.\nname = {}\n",
            quoted(&self.name)
        );
        match &self.containers {
            Some((engine, image)) => {
                text += &format!("engine = \"{engine}\"\nimage = {}\n", quoted(image));
                text += CONTAINER;
                if self.nodes.len() > 1 {
                    text += RDMA;
                }
            }
            None => text += BARE,
        }
        for node in &self.nodes {
            text += &node.render();
        }
        text
    }
}

/// What the images of SGLang and vLLM want wherever they run.
const CONTAINER: &str = r#"# Secrets are named, and taken from where the program runs:
# env_from = ["HF_TOKEN"]

[container]
ipc = "host"
gpus = "all"
ulimits = { memlock = -1, stack = 67108864 }
volumes = ["~/.cache/huggingface:/root/.cache/huggingface"]
"#;

/// What NCCL wants besides, to use the fabric's RDMA.
const RDMA: &str = r#"# For RDMA. Take both away where nodes have no /dev/infiniband.
devices = ["/dev/infiniband"]
cap_add = ["IPC_LOCK"]
"#;

const BARE: &str = r#"engine = "none"

# The virtual environment that programs run in, on every node; without it the node's own Python.
# [bare]
# virtualenv = "~/sglang/.venv"
"#;

impl DraftNode {
    fn render(&self) -> String {
        let Self { name, role, address, fabric, ssh } = self;
        let mut text = format!("\n[[nodes]]\nname = {}\n", quoted(name.as_str()));
        if *role == NodeRole::Head {
            text += "role = \"head\"\n";
        }
        if let Some(address) = address {
            text += &format!("address = {}\n", quoted(&address.to_string()));
        }
        if !fabric.is_empty() {
            let list: Vec<String> = fabric.iter().map(|ip| quoted(&ip.to_string())).collect();
            text += &format!("fabric = [{}]\n", list.join(", "));
        }
        match ssh {
            Some(destination) => text += &format!("ssh = {}\n", quoted(&destination.to_string())),
            None => text += "local = true\n",
        }
        text
    }
}

/// A basic string of TOML. JSON's escapes are its escapes too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Inventory;
    use super::*;

    fn node(name: &str, role: NodeRole, ssh: Option<&str>) -> DraftNode {
        let ssh = ssh.map(|text| text.parse().unwrap());
        DraftNode { name: name.parse().unwrap(), role, address: None, fabric: Vec::new(), ssh }
    }

    #[test]
    fn the_text_of_a_draft_is_its_inventory() {
        let mut worker = node("b", NodeRole::Worker, Some("ssh://me@b:2222"));
        worker.address = Some("10.0.0.2".parse().unwrap());
        worker.fabric = vec!["169.254.1.2".parse().unwrap(), "169.254.2.2".parse().unwrap()];
        let containers = Some((EngineKind::Podman, "localhost/vllm-next".to_owned()));
        let nodes = vec![node("a", NodeRole::Head, None), worker.clone()];
        let draft = Draft { name: "lab".into(), containers, nodes };
        let inventory = Inventory::parse(Path::new("a"), &draft.render()).unwrap();
        assert_eq!(inventory.name, "lab");
        let b = &inventory.nodes[1];
        assert_eq!(
            (b.name.as_str(), b.role, &b.address, &b.fabric),
            ("b", NodeRole::Worker, &worker.address, &worker.fabric)
        );
        assert_eq!(b.settings.engine(), Some(EngineKind::Podman));
        let rdma = |draft: &Draft| draft.render().contains("\ndevices = ");
        assert!(rdma(&draft) && !rdma(&Draft { nodes: draft.nodes[..1].to_vec(), ..draft.clone() }));
        let bare = Draft { containers: None, ..draft };
        let inventory = Inventory::parse(Path::new("a"), &bare.render()).unwrap();
        assert_eq!(inventory.nodes[0].settings.engine(), None);
    }

    #[test]
    fn awkward_texts_stay_within_their_quotes() {
        for awkward in ["\"", "\\", "a\nb = 1", "\u{0}", "]]", "#", "'''"] {
            let containers = Some((EngineKind::Docker, awkward.to_owned()));
            let draft = Draft { name: "a".into(), containers, nodes: vec![node("a", NodeRole::Head, None)] };
            let error = Inventory::parse(Path::new("a"), &draft.render()).unwrap_err().to_string();
            assert!(error.contains("field `image`, line 4") && error.contains("is no image"), "{error}");
        }
    }
}
