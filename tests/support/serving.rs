//! What the tests of serving share: look-alike engines on the nodes, inventories that have them, and what is on a node
//! as it is seen from outside.

#![allow(dead_code, reason = "each test target uses a part of this")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::bench::{Ended, process};
use crate::cluster::{TestCluster, TestNode};
use crate::support::Sandbox;

/// Where the look-alikes lie, on every node and in every container.
pub const ENGINES: &str = "/srv/look-alike";
/// The port of each recipe's server.
pub const PORT: u16 = 30000;

/// What the engines run in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Docker,
    Podman,
    /// The node itself.
    Bare,
}

/// Some nodes of the cluster with an inventory of their own, for this test alone.
pub struct ServingBed<'a> {
    cluster: &'a TestCluster,
    pub nodes: Vec<&'a TestNode>,
    pub sandbox: Sandbox,
    name: &'a str,
    place: Place,
    _held: Held,
}

/// Recipes: id, and how it is served. All have [`PORT`].
const RECIPES: [(&str, &str); 7] = [
    ("four", "engine = \"sglang\"\nversion = \"0.5.23\"\ntp = 4"),
    ("two", "engine = \"sglang\"\nversion = \"0.5.23\"\ntp = 2"),
    ("two-old", "engine = \"sglang\"\nversion = \"0.5.4.post2\"\ntp = 2"),
    ("two-vllm", "engine = \"vllm\"\nversion = \"0.33.0\"\ntp = 2"),
    ("one", "engine = \"sglang\"\nversion = \"0.5.23\""),
    ("other", "engine = \"sglang\"\nversion = \"0.5.23\""),
    ("misspelled", "engine = \"sglang\"\nversion = \"0.5.23\"\narguments = [\"--no-such-option\"]"),
];

impl<'a> ServingBed<'a> {
    /// The nodes of these names, the first as the head; no other test has them meanwhile. `variables` are for the
    /// look-alikes.
    pub fn new(
        cluster: &'a TestCluster,
        name: &'a str,
        nodes: &[&str],
        place: Place,
        variables: &[(&str, &str)],
    ) -> Self {
        let _held = Held::take(nodes);
        let node = |name: &&str| cluster.nodes.iter().find(|node| node.name == *name).unwrap();
        let nodes: Vec<&TestNode> = nodes.iter().map(node).collect();
        static LAID_OUT: Once = Once::new();
        LAID_OUT.call_once(|| cluster.nodes.iter().for_each(lay_out));
        let bed = Self { cluster, nodes, sandbox: Sandbox::new(), name, place, _held };
        for (id, serve) in RECIPES {
            let recipe = format!(
                "id = \"test/{id}\"\naliases = [\"{id}\"]\n[serve]\n{serve}\nport = {PORT}\n[sources]\nserve = \"a test\"\n"
            );
            bed.sandbox.write(format!("mine/models/{id}.toml"), recipe);
        }
        bed.tell(variables);
        bed.clear();
        bed
    }

    /// Begin anew with these variables for the look-alikes.
    pub fn tell(&self, variables: &[(&str, &str)]) {
        self.write("spark-test:python", variables);
    }

    /// The inventory.
    pub fn write(&self, image: &str, variables: &[(&str, &str)]) {
        let engine = match self.place {
            Place::Docker => "docker",
            Place::Podman => "podman",
            Place::Bare => "none",
        };
        let mut text = format!(
            "name = \"{}\"\nengine = \"{engine}\"\nssh_config = \"{}\"\n",
            self.name,
            self.cluster.ssh_config.display()
        );
        match self.place {
            Place::Bare => _ = writeln!(text, "bare = {{ virtualenv = \"{ENGINES}\" }}"),
            _ => {
                _ = writeln!(
                    text,
                    "image = \"{image}\"\ncontainer = {{ gpus = \"none\", volumes = [\"{ENGINES}:{ENGINES}:ro\"] }}"
                );
            }
        }
        let path = format!("{ENGINES}/bin:/usr/local/bin:/usr/bin:/bin");
        let own = [("PYTHONPATH", ENGINES), ("PATH", &path), ("PYTHONDONTWRITEBYTECODE", "1")];
        text += "[env]\n";
        for (name, value) in own.iter().chain(variables) {
            _ = writeln!(text, "{name} = \"{value}\"");
        }
        for (at, node) in self.nodes.iter().enumerate() {
            let role = if at == 0 { "head" } else { "worker" };
            _ = writeln!(
                text,
                "[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\nfabric = [\"{}\"]",
                node.name, node.ssh, node.fabric.address
            );
        }
        self.sandbox.write("sparks.toml", text);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process(&self.sandbox, arguments);
        command.env("SPARKBENCH_PROFILES", self.sandbox.path("mine"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `sparkbench` with these arguments, to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// The same, started.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// What `status --json` says, and its exit code.
    #[track_caller]
    pub fn status(&self) -> (Option<i32>, Value) {
        let ended = self.run(&["status", "--json"]);
        (ended.code, ended.json())
    }

    /// What runs and lies on each of these nodes.
    pub fn known(&self) -> Vec<KnownState> {
        self.nodes.iter().map(|node| self.known_of(node)).collect()
    }

    fn known_of(&self, node: &TestNode) -> KnownState {
        let label = format!("label=sparktune.cluster={}", self.name);
        let list = ["ps", "--all", "--filter", &label, "--format", "{{.Names}}"];
        let said = self.engine(node, &list);
        let containers = said.lines().map(str::to_owned).collect();
        let mut state = KnownState { containers, engines: Vec::new(), others: Vec::new() };
        let network = namespace(node.pid);
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            if network.is_none() || namespace(pid) != network {
                continue;
            }
            let read = |file: &str| {
                let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let (line, variables) = (read("cmdline"), read("environ"));
            if ["sglang.launch_server", "/vllm serve"].iter().any(|words| line.contains(words)) {
                state.engines.push(pid);
            } else if variables.contains("SPARKTUNE_PROGRAM=") {
                state.others.push(pid);
            }
        }
        state
    }

    /// What its engine's command says; nothing on a node without.
    fn engine(&self, node: &TestNode, arguments: &[&str]) -> String {
        let mut command = match self.place {
            Place::Bare => return String::new(),
            Place::Docker => {
                let mut docker = Command::new("docker");
                docker.arg("--host").arg(format!("unix://{}", node.docker_socket.display()));
                docker
            }
            Place::Podman => {
                let mut podman = Command::new("podman");
                podman.arg("--url").arg(format!("unix://{}", node.podman_socket.as_ref().unwrap().display()));
                podman
            }
        };
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its only container on a node, ended by its engine.
    pub fn kill_container(&self, node: &TestNode) {
        let [name] = &self.known_of(node).containers[..] else { panic!("a container on {}", node.name) };
        self.engine(node, &["kill", name]);
    }

    /// Nothing of it runs or lies on any of its nodes, and nobody listens.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        let nothing = KnownState::default();
        for (node, known) in self.nodes.iter().zip(self.known()) {
            assert_eq!(known, nothing, "on {}: {}", node.name, lines_of(&known));
        }
        assert!(!self.listens(), "somebody listens");
    }

    /// Whether somebody listens on the head's port.
    pub fn listens(&self) -> bool {
        let address = (self.nodes[0].fabric.address, PORT).into();
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
    }

    /// What the head's server says of `path` to this machine; with a body it is posted.
    #[track_caller]
    pub fn ask(&self, path: &str, body: Option<&str>) -> Value {
        let url = format!("http://{}:{PORT}{path}", self.nodes[0].fabric.address);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--noproxy", "*", "--max-time", "10", &url]);
        if let Some(body) = body {
            curl.args(["--header", "content-type: application/json", "--data", body]);
        }
        let output = curl.output().unwrap();
        assert!(output.status.success(), "{url}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Take away what a test has left, whatever it is.
    fn clear(&self) {
        for node in &self.nodes {
            let known = self.known_of(node);
            for name in &known.containers {
                self.engine(node, &["rm", "--force", name]);
            }
            let pids = known.engines.iter().chain(&known.others).map(u32::to_string);
            _ = Command::new("kill").arg("-KILL").args(pids).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for ServingBed<'_> {
    fn drop(&mut self) {
        // A second panic would hide the test's own.
        if std::thread::panicking() {
            _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.clear()));
        } else {
            self.clear();
        }
    }
}

/// What is on a node, by its engine's command and by the processes of its network.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KnownState {
    /// Containers of the bed's inventory, whatever their state.
    pub containers: Vec<String>,
    /// Look-alike engines, by their command line; as this machine numbers them.
    pub engines: Vec<u32>,
    /// Others that have the mark of programs that outlive the connection.
    pub others: Vec<u32>,
}

fn lines_of(known: &KnownState) -> String {
    let line = |pid: &u32| {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text: String = String::from_utf8_lossy(&bytes).replace('\0', " ").chars().take(200).collect();
        format!("\n{pid}: {text}")
    };
    known.engines.iter().chain(&known.others).map(line).collect()
}

/// The network namespace of a process; none where it is gone.
fn namespace(pid: u32) -> Option<u64> {
    Some(std::fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino())
}

/// Nodes that a test has to itself.
struct Held(Vec<String>);

static TAKEN: (Mutex<BTreeSet<String>>, Condvar) = (Mutex::new(BTreeSet::new()), Condvar::new());

impl Held {
    fn take(names: &[&str]) -> Self {
        let (taken, given_back) = &TAKEN;
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = |taken: &mut BTreeSet<String>| names.iter().any(|name| taken.contains(*name));
        let mut taken = given_back.wait_while(taken, busy).unwrap_or_else(PoisonError::into_inner);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        taken.extend(names.iter().cloned());
        Self(names)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (taken, given_back) = &TAKEN;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.iter().for_each(|name| _ = taken.remove(name));
        given_back.notify_all();
    }
}

/// A node's folder of this path, as this machine sees it.
pub fn on_node(node: &TestNode, path: &str) -> PathBuf {
    node.root.join(path.trim_start_matches('/'))
}

/// Put the look-alikes on a node, and an interpreter beside `vllm`, as in a virtual environment.
fn lay_out(node: &TestNode) {
    let target = on_node(node, ENGINES);
    _ = std::fs::remove_dir_all(&target);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/look_alike"), &target);
    symlink("/usr/bin/python3", target.join("bin/python")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
