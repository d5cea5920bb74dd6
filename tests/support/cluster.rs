//! The four nodes that `tests/cluster/up` brings up, for the tests that need them.

#![allow(dead_code, reason = "each test target uses a part of this")]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Deserialize;

/// `cluster.json`, as `tests/cluster/README.md` explains it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestCluster {
    pub prefix: String,
    pub ssh_config: PathBuf,
    /// `ca.pem`, `cert.pem` and `key.pem` for the engines' TCP ports.
    pub tls: PathBuf,
    /// This machine's own addresses in both networks.
    pub machine: MachineAddresses,
    /// The images that every engine has.
    pub images: Vec<String>,
    pub nodes: Vec<TestNode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineAddresses {
    pub management: Ipv4Addr,
    pub fabric: Ipv4Addr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestNode {
    pub name: String,
    /// What `ssh` with the cluster's configuration calls it.
    pub ssh: String,
    pub management: TestInterface,
    pub fabric: TestInterface,
    /// The sockets as this machine sees them.
    pub docker_socket: PathBuf,
    pub docker_tcp: SocketAddrV4,
    pub podman_socket: Option<PathBuf>,
    /// Its network namespace.
    pub namespace: String,
    /// Its first process.
    pub pid: u32,
    /// The node's root folder as this machine sees it.
    pub root: PathBuf,
    /// The file that is its disk.
    pub disk: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestInterface {
    pub address: Ipv4Addr,
    pub interface: String,
}

/// The cluster that is up. One that is not is a failure.
pub fn cluster() -> TestCluster {
    let folder = std::env::var_os("SPARK_CLUSTER_STATE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster"), PathBuf::from);
    let path = folder.join("cluster.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: is the test cluster up? tests/cluster/up", path.display())
    });
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

static NODES: RwLock<()> = RwLock::new(());

/// Held by a test that needs every node whole.
pub fn whole() -> RwLockReadGuard<'static, ()> {
    NODES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that breaks something: no other test of its target runs meanwhile, and in the end every node that
/// was broken is whole again.
pub struct Faults<'a> {
    cluster: &'a TestCluster,
    broken: Vec<String>,
    _alone: RwLockWriteGuard<'static, ()>,
}

impl<'a> Faults<'a> {
    pub fn new(cluster: &'a TestCluster) -> Self {
        let alone = NODES.write().unwrap_or_else(PoisonError::into_inner);
        Self { cluster, broken: Vec::new(), _alone: alone }
    }

    /// `tests/cluster/fault` with this node and these words.
    pub fn cause(&mut self, node: &str, fault: &[&str]) {
        self.broken.push(node.to_owned());
        let output = self.command(node, fault).output().unwrap();
        assert!(
            output.status.success(),
            "fault {node} {fault:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Every broken node is whole again, and the test is still alone: what it looks at next may not meet the faults of
    /// another test.
    pub fn heal(&mut self) {
        for node in std::mem::take(&mut self.broken) {
            let healed = self.command(&node, &["heal"]).status();
            // A second panic while the test's own is on its way would hide it.
            if !std::thread::panicking() {
                assert!(healed.unwrap().success(), "{node} does not heal");
            }
        }
    }

    fn command(&self, node: &str, fault: &[&str]) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/fault"));
        command.arg(node).args(fault).env("SPARK_CLUSTER_PREFIX", &self.cluster.prefix);
        command
    }
}

impl Drop for Faults<'_> {
    fn drop(&mut self) {
        self.heal();
    }
}

impl TestCluster {
    /// A command on a node, over ssh, as a person would run it.
    pub fn ssh(&self, node: &TestNode, command: &str) -> Output {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&self.ssh_config).args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]);
        ssh.args([&node.ssh, command]).stdin(std::process::Stdio::null()).output().unwrap()
    }
}
