//! `sparktune doctor` asked of the test cluster, and what is laid on its nodes for it.

#![allow(dead_code, reason = "each test target uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;

use crate::cluster::{TestCluster, TestNode};

/// The inventory of the test cluster.
pub struct Bench {
    _folder: tempfile::TempDir,
    pub inventory: PathBuf,
}

/// What is not fine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub node: String,
    pub item: String,
    pub says: String,
    pub fix: String,
}

impl Bench {
    pub fn new(cluster: &TestCluster) -> Self {
        Self::with(cluster, "gpus = \"none\"", |_| "")
    }

    /// Nodes without containers, that serve from this virtual environment.
    pub fn bare(cluster: &TestCluster, virtualenv: &str) -> Self {
        let bench = Self::new(cluster);
        let text = std::fs::read_to_string(&bench.inventory).unwrap();
        let containers = "image = \"spark-test:python\"\ncontainer = { gpus = \"none\" }\n";
        let bare = format!("engine = \"none\"\nbare = {{ virtualenv = \"{virtualenv}\" }}\n");
        assert!(text.contains(containers), "{text}");
        std::fs::write(&bench.inventory, text.replace(containers, &bare)).unwrap();
        bench
    }

    /// With these settings of containers, and more for each node.
    pub fn with(cluster: &TestCluster, container: &str, of_node: impl Fn(&TestNode) -> &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = format!(
            "name = \"bed\"\nssh_config = \"{}\"\nimage = \"spark-test:python\"\ncontainer = {{ {container} }}\n",
            cluster.ssh_config.display()
        );
        for (at, node) in cluster.nodes.iter().enumerate() {
            let TestNode { name, ssh, management, fabric, .. } = node;
            let role = if at == 0 { "head" } else { "worker" };
            text.push_str(&format!(
                "[[nodes]]\nname = \"{name}\"\nrole = \"{role}\"\nssh = \"{ssh}\"\naddress = \"{}\"\nfabric = [\"{}\"]\n{}",
                management.address, fabric.address, of_node(node)
            ));
        }
        let inventory = folder.path().join("bed.toml");
        std::fs::write(&inventory, text).unwrap();
        Self { _folder: folder, inventory }
    }

    pub fn doctor(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
        command.env("SPARKTUNE_CACHE", self._folder.path().join("cache"));
        command.args(["doctor", "--cluster"]).arg(&self.inventory).args(arguments).output().unwrap()
    }

    /// What failed, and what nothing is known of. Prints how long it took.
    pub fn failed(&self, fault: &str) -> Vec<Found> {
        let (found, code) = self.found(fault, &[], |_, state| matches!(state, "failed" | "unknown"));
        assert_eq!(code, Some(i32::from(!found.is_empty())), "{found:#?}");
        found
    }

    /// What is so, with these arguments, and the exit code. Prints how long it took.
    pub fn found(
        &self,
        fault: &str,
        arguments: &[&str],
        is_so: impl Fn(&str, &str) -> bool,
    ) -> (Vec<Found>, Option<i32>) {
        let begun = Instant::now();
        let output = self.doctor(&[&["--json"], arguments].concat());
        eprintln!("{fault}: {:.1} s", begun.elapsed().as_secs_f64());
        let value: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let all = value["findings"].as_array().unwrap().iter();
        let so = all.filter(|it| is_so(it["item"].as_str().unwrap(), it["state"].as_str().unwrap()));
        let found = so.map(|it| Found {
            node: it["node"].as_str().unwrap().to_owned(),
            item: it["item"].as_str().unwrap().to_owned(),
            says: it["says"].as_str().unwrap().to_owned(),
            fix: it["fix"].as_str().unwrap_or_default().to_owned(),
        });
        (found.collect(), output.status.code())
    }

    /// The one thing that failed, if it is this item of this node, and its fix says these words.
    pub fn only(&self, fault: &str, node: &TestNode, item: &str, says: &str, fix: &str) {
        let found = self.failed(fault);
        let [one] = &found[..] else { panic!("{fault}: {found:#?}") };
        assert_eq!((one.node.as_str(), one.item.as_str()), (node.name.as_str(), item), "{one:#?}");
        assert!(one.says.contains(says) && one.fix.contains(fix), "{fault}: {one:#?}");
    }
}

/// Docker's command line, spoken to one engine.
pub fn docker(socket: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    let output = command.arg("--host").arg(format!("unix://{}", socket.display())).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// What nvidia-smi says of a Spark at work, with nobody who works there.
pub const NVIDIA_SMI: &str = r#"#!/bin/sh
case "$1" in
    --query-gpu=*) echo 'NVIDIA GB10, 12.1, 580.142, 2411, 3003, 38, 4.86' ;;
    --query-compute-apps=*) echo "$$, 19135, /usr/bin/python3" | grep "${SPARK_TEST_GPU_PROGRAMS:-nobody}" ;;
esac
exit 0
"#;

/// Files and folders on nodes, for as long as this lives.
#[derive(Default)]
pub struct Laid(Vec<PathBuf>);

impl Laid {
    pub fn file(&mut self, node: &TestNode, path: &str, bytes: &[u8]) {
        let path = node.root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        self.0.push(path);
    }

    pub fn program(&mut self, node: &TestNode, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.file(node, path, text.as_bytes());
        let file = node.root.join(path.trim_start_matches('/'));
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// An nvidia-smi that knows a Spark.
    pub fn nvidia_smi(&mut self, node: &TestNode) {
        self.program(node, "/usr/local/bin/nvidia-smi", NVIDIA_SMI);
    }

    /// What pip notes of a package, of which there is one version at a time.
    pub fn package(&mut self, node: &TestNode, site: &str, name: &str, version: &str) {
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        self.file(node, &format!("{site}/{name}-1.dist-info/METADATA"), metadata.as_bytes());
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// No container that the doctor made is left on a node.
pub fn nothing_is_left(cluster: &TestCluster) {
    for node in &cluster.nodes {
        let label = "label=sparktune.purpose=doctor";
        assert_eq!(docker(&node.docker_socket, &["ps", "-aq", "--filter", label]), "", "{}", node.name);
    }
}
