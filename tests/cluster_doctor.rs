//! `sparktune doctor` on the four nodes of the test cluster: whole, and with one fault each.
//!
//! Ignored by default: needs `tests/cluster/up`.

use serde_json::Value;

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/doctor.rs"]
mod doctor;

use cluster::{Faults, TestCluster, TestNode, cluster, whole};
use doctor::{Bench, docker};

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn four_whole_nodes_have_nothing_that_fails() {
    let (cluster, _whole) = (cluster(), whole());
    let bench = Bench::new(&cluster);
    assert_eq!(bench.failed("nothing"), []);
    let output = bench.doctor(&["--verbose"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for node in &cluster.nodes {
        for item in ["reachable", "readable", "engine", "image", "fabric_address", "mtu", "fabric", "ports"] {
            let line = text.lines().find(|line| {
                let words: Vec<&str> = line.split_whitespace().take(3).collect();
                words == [node.name.as_str(), item, "ok"]
            });
            assert!(line.is_some(), "{}, {item}: {text}", node.name);
        }
    }
    assert!(text.lines().last().unwrap().starts_with("4 nodes: 0 failed, "), "{text}");
    let dry = bench.doctor(&["--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    let lines = String::from_utf8(dry.stdout).unwrap();
    assert!(lines.contains("# n4\nssh -F ") && lines.contains("node/doctor.py"), "{lines}");
    let one = bench.doctor(&["--node", &cluster.nodes[2].name, "--json"]);
    let value: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(value["nodes"], 1);
    let unknown = bench.doctor(&["--node", "elsewhere"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("it has n1, n2, n3, n4"), "{unknown:?}");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn every_fault_is_found_on_its_node_and_nothing_else() {
    let cluster = cluster();
    let bench = Bench::new(&cluster);
    let [_, node, ..] = &cluster.nodes[..] else { panic!("two nodes") };
    for (fault, item, says, fix) in [
        (&["stop-engine"][..], "engine", "no socket `/var/run/docker.sock`", "sudo systemctl start docker"),
        (&["kill-engine"], "engine", "nobody listens", "sudo systemctl start docker"),
        (&["mtu", "1400"], "mtu", "1400 on", "mtu 1500"),
        (&["take-port", "6379"], "ports", "6379", "sport = :6379"),
        (&["fill-disk"], "disk", "0.0 of", "docker system df"),
        (&["fabric-down"], "fabric_address", "is down", "sudo ip link set"),
        (&["link-down"], "reachable", "cannot be reached by ssh", "is the node on"),
        (&["stop-sshd"], "reachable", "refuses the connection", "start sshd"),
        (&["new-host-key"], "reachable", "its host key is not the one in", "ssh-keygen -f"),
        (&["ask-password"], "reachable", "asks for a password", "ssh-copy-id"),
    ] {
        let mut faults = Faults::new(&cluster);
        faults.cause(&node.name, fault);
        bench.only(&fault.join(" "), node, item, says, fix);
    }
}

/// A route of a node, for as long as this lives.
struct Route<'a> {
    cluster: &'a TestCluster,
    node: &'a TestNode,
    route: String,
}

impl<'a> Route<'a> {
    fn add(cluster: &'a TestCluster, node: &'a TestNode, route: String) -> Self {
        let added = cluster.ssh(node, &format!("ip route add {route}"));
        assert!(added.status.success(), "{added:?}");
        Self { cluster, node, route }
    }
}

impl Drop for Route<'_> {
    fn drop(&mut self) {
        self.cluster.ssh(self.node, &format!("ip route del {}", self.route));
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_pair_without_a_way_is_found_where_it_is_missing() {
    let cluster = cluster();
    let bench = Bench::new(&cluster);
    // Held so that no other test has its nodes broken meanwhile, or breaks these.
    let _alone = Faults::new(&cluster);
    let [first, node, third, ..] = &cluster.nodes[..] else { panic!("three nodes") };
    let _one = Route::add(&cluster, node, format!("unreachable {}/32", first.fabric.address));
    let _other = Route::add(&cluster, node, format!("unreachable {}/32", third.fabric.address));
    bench.only(
        "no route",
        node,
        "fabric",
        "none gets to n1, n3, none comes from n1, n3",
        "ping -M do -s 1472",
    );
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn another_image_of_the_same_name_is_found_where_it_is() {
    let cluster = cluster();
    let bench = Bench::new(&cluster);
    let _alone = Faults::new(&cluster);
    let node = &cluster.nodes[1];
    let id = docker(&node.docker_socket, &["image", "inspect", "--format", "{{.Id}}", "spark-test:python"]);
    docker(&node.docker_socket, &["tag", "spark-test:no-python", "spark-test:python"]);
    let found = bench.failed("another image");
    docker(&node.docker_socket, &["rmi", "spark-test:python"]);
    let missing = bench.failed("no image");
    docker(&node.docker_socket, &["tag", &id, "spark-test:python"]);
    let [other] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((other.node.as_str(), other.item.as_str()), (node.name.as_str(), "image"), "{other:#?}");
    assert!(other.says.contains(" on n1") && other.fix.contains("docker load on n2"), "{other:#?}");
    let [missing] = &missing[..] else { panic!("{missing:#?}") };
    assert_eq!((missing.node.as_str(), missing.item.as_str()), (node.name.as_str(), "image"), "{missing:#?}");
    assert!(missing.fix.contains("docker pull spark-test:python"), "{missing:#?}");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn where_no_node_answers_nothing_could_be_asked() {
    let cluster = cluster();
    let bench = Bench::new(&cluster);
    let mut faults = Faults::new(&cluster);
    faults.cause(&cluster.nodes[3].name, &["stop-sshd"]);
    let output = bench.doctor(&["--node", &cluster.nodes[3].name]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 failed"), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("no node could be asked anything"),
        "{output:?}"
    );
}
