//! `sparktune image` on four nodes with real engines: the same image everywhere, whatever is cut meanwhile.
//!
//! Ignored by default: needs `tests/cluster/up`.

mod support;

#[path = "support/cluster.rs"]
mod cluster;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use cluster::{Faults, TestCluster, TestNode, cluster, whole};
use support::{Sandbox, stderr, stdout};

/// Bytes of the image that is copied, which nothing can press together.
const BYTES: usize = 300 << 20;

/// An inventory of the four nodes that has `image`, and nothing of the fabric.
fn sandbox(cluster: &TestCluster, image: &str) -> Sandbox {
    sandbox_with(cluster, image, |_| String::new())
}

/// The same with the nodes' addresses on the fabric.
fn sandbox_with_fabric(cluster: &TestCluster, image: &str) -> Sandbox {
    sandbox_with(cluster, image, |node| format!("fabric = [\"{}\"]\n", node.fabric.address))
}

fn sandbox_with(cluster: &TestCluster, image: &str, keys: impl Fn(&TestNode) -> String) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut inventory =
        format!("name = \"test\"\nimage = \"{image}\"\nssh_config = \"{}\"\n", cluster.ssh_config.display());
    for (index, node) in cluster.nodes.iter().enumerate() {
        let role = if index == 0 { "head" } else { "worker" };
        inventory +=
            &format!("[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\n", node.name, node.ssh);
        inventory += &keys(node);
    }
    sandbox.write("sparks.toml", inventory);
    sandbox
}

fn said(cluster: &TestCluster, node: &TestNode, command: &str) -> String {
    let output = cluster.ssh(node, command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// An image on nodes of the test cluster, which is gone from all of them in the end.
struct TestImage<'a> {
    cluster: &'a TestCluster,
    name: String,
}

impl<'a> TestImage<'a> {
    /// One of random bytes on the first node, which is kept nowhere else.
    fn new(cluster: &'a TestCluster, name: &str, bytes: usize) -> Self {
        let image = Self { cluster, name: format!("spark-test/{name}:random") };
        image.make(&cluster.nodes[0], bytes);
        image
    }

    fn make(&self, node: &TestNode, bytes: usize) {
        let script = format!(
            "set -e; d=$(mktemp -d); head -c {bytes} /dev/urandom > $d/random; \
             tar -C $d -c random | docker import --change 'CMD [\"true\"]' - {} > /dev/null; rm -r $d",
            self.name
        );
        said(self.cluster, node, &script);
    }

    /// The ID that this node's engine gives it, which these engines make of its configuration.
    fn id(&self, node: &TestNode) -> String {
        said(self.cluster, node, &format!("docker image inspect --format '{{{{.Id}}}}' {}", self.name))
    }

    fn is_everywhere(&self) -> bool {
        let first = self.id(&self.cluster.nodes[0]);
        self.cluster.nodes.iter().all(|node| self.id(node) == first)
    }
}

impl Drop for TestImage<'_> {
    fn drop(&mut self) {
        for node in &self.cluster.nodes {
            self.cluster.ssh(node, &format!("docker image rm {}; docker image prune --force", self.name));
        }
    }
}

/// How each node came to it, in the order of the inventory.
fn how(value: &Value) -> Vec<&str> {
    let nodes = value["images"][0]["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["how"].as_str().unwrap()).collect()
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
#[allow(clippy::disallowed_macros, reason = "the rate is for whoever runs it")]
fn an_image_of_one_node_gets_to_all_and_is_copied_once() {
    let (cluster, _whole) = (cluster(), whole());
    let image = TestImage::new(&cluster, "once", BYTES);
    let sandbox = sandbox(&cluster, &image.name);

    let missing = sandbox.sparktune(&["image", "list", "--json"]).assert().code(1);
    let missing: Value = serde_json::from_str(&stdout(&missing)).unwrap();
    let states: Vec<&Value> =
        missing["images"][0]["nodes"].as_array().unwrap().iter().map(|node| &node["state"]).collect();
    assert_eq!(states, ["compared_with", "missing", "missing", "missing"]);

    let lines = sandbox.succeeds(&["image", "sync", "--dry-run"]);
    let config = cluster.ssh_config.display();
    let pipe = |node: &str| {
        format!("ssh -F {config} n1 'docker save {}' | ssh -F {config} {node} 'docker load'", image.name)
    };
    let expected = format!("# n1: has it\n{}\n{}\n{}\n", pipe("n2"), pipe("n3"), pipe("n4"));
    assert_eq!(lines, expected);
    sandbox.sparktune(&["image", "list"]).assert().code(1);

    let begun = std::time::Instant::now();
    let synced = sandbox.sparktune(&["image", "sync", "--json"]).assert().success();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{BYTES} bytes to three nodes in {seconds:.1} s\n{}", stderr(&synced));
    let value: Value = serde_json::from_str(&stdout(&synced)).unwrap();
    assert_eq!(how(&value), ["had_it", "copied", "copied", "copied"]);
    assert_eq!(value["images"][0]["source"], "n1");
    assert!(image.is_everywhere());
    let now = &value["images"][0]["nodes"][3]["now"];
    assert_eq!(now["id"], json!(image.id(&cluster.nodes[3])));

    let again = sandbox.json(&["image", "sync", "--json"]);
    assert_eq!(how(&again), ["had_it"; 4]);
    assert_eq!(again["images"][0]["nodes"][1]["same_by"], "configuration");
    let table = sandbox.succeeds(&["image", "list"]);
    assert_eq!(table.matches("as on n1 (by configuration)").count(), 3, "{table}");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn another_image_of_the_name_gives_way_to_the_heads_or_the_named_nodes() {
    let (cluster, _whole) = (cluster(), whole());
    let image = TestImage::new(&cluster, "another", 1 << 20);
    image.make(&cluster.nodes[2], 1 << 20);
    let [heads, others] = [0, 2].map(|at| image.id(&cluster.nodes[at]));
    assert_ne!(heads, others);
    let sandbox = sandbox(&cluster, "not:used");
    let name = image.name.as_str();
    let value = sandbox.json(&["image", "sync", name, "--from", "n3", "--json"]);
    assert_eq!(how(&value), ["copied", "copied", "had_it", "copied"]);
    assert!(image.is_everywhere());
    assert_eq!(image.id(&cluster.nodes[0]), others);
    image.make(&cluster.nodes[0], 1 << 20);
    let table = sandbox.sparktune(&["image", "list", name]).assert().code(1);
    assert_eq!(stdout(&table).matches("another than on n1").count(), 3, "{}", stdout(&table));
    sandbox.succeeds(&["image", "sync", name]);
    assert!(image.is_everywhere());
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_link_that_is_cut_half_way_fails_its_node_alone_and_a_second_sync_ends_it() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let image = TestImage::new(&cluster, "cut", BYTES);
    let sandbox = sandbox(&cluster, &image.name);
    let cut = &cluster.nodes[2];
    // Slow enough that half of it is a moment one can meet.
    faults.cause(&cut.name, &["rate", "200"]);
    let mut sync = Command::new(env!("CARGO_BIN_EXE_sparktune"));
    sync.args(["image", "sync", "--json", "--events", "json"]).current_dir(sandbox.work());
    let mut sync = sync.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut half = false;
    let mut told = String::new();
    for line in BufReader::new(sync.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        told += &format!("{line}\n");
        if !half && event["bytes"].as_u64().is_some_and(|bytes| bytes > BYTES as u64 / 2) {
            half = true;
            faults.cause(&cut.name, &["link-down"]);
        }
    }
    let output = sync.wait_with_output().unwrap();
    assert!(half, "it was never half-way: {told}");
    assert_eq!(output.status.code(), Some(4), "{told}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(how(&value), ["had_it", "copied", "failed", "copied"], "{told}");
    assert!(told.contains("\"exit_code\":4") && told.contains("n3: "), "{told}");

    faults.cause(&cut.name, &["heal"]);
    let again = sandbox.json(&["image", "sync", "--json"]);
    assert_eq!(how(&again), ["had_it", "had_it", "copied", "had_it"]);
    assert!(image.is_everywhere());
}

/// Which way each node got it.
fn ways(value: &Value) -> Vec<&Value> {
    value["images"][0]["nodes"].as_array().unwrap().iter().map(|node| &node["way"]).collect()
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
#[allow(clippy::disallowed_macros, reason = "the rate is for whoever runs it")]
fn an_image_goes_over_the_fabric_where_the_inventory_has_it() {
    let (cluster, _whole) = (cluster(), whole());
    let image = TestImage::new(&cluster, "fabric", BYTES);
    let sandbox = sandbox_with_fabric(&cluster, &image.name);
    let begun = Instant::now();
    let synced = sandbox.sparktune(&["image", "sync", "--json"]).assert().success();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{BYTES} bytes to three nodes over the fabric in {seconds:.1} s\n{}", stderr(&synced));
    let value: Value = serde_json::from_str(&stdout(&synced)).unwrap();
    assert_eq!(how(&value), ["had_it", "copied", "copied", "copied"]);
    assert_eq!(ways(&value), [&Value::Null, &json!("fabric"), &json!("fabric"), &json!("fabric")]);
    assert!(image.is_everywhere());
    // Nobody listens any more, and no program is left.
    for node in &cluster.nodes {
        assert_eq!(
            said(&cluster, node, "pgrep --full '[H]and an image' --count || true").lines().next(),
            Some("0")
        );
    }
    image.make(&cluster.nodes[0], 1 << 20);
    let value = sandbox.json(&["image", "sync", "--through-here", "--json"]);
    assert_eq!(ways(&value)[1..], [&json!("through_here"); 3]);
    assert!(image.is_everywhere());
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_fabric_that_is_cut_half_way_leaves_the_way_through_here() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let image = TestImage::new(&cluster, "detour", BYTES);
    let sandbox = sandbox_with_fabric(&cluster, &image.name);
    let cut = &cluster.nodes[2];
    faults.cause(&cut.name, &["rate", "200"]);
    let mut sync = Command::new(env!("CARGO_BIN_EXE_sparktune"));
    sync.args(["image", "sync", "--json", "--events", "json"]).current_dir(sandbox.work());
    let mut sync = sync.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut half, mut told) = (false, String::new());
    for line in BufReader::new(sync.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        told += &format!("{line}\n");
        if !half && event["bytes"].as_u64().is_some_and(|bytes| bytes > BYTES as u64 / 2) {
            half = true;
            faults.cause(&cut.name, &["fabric-down"]);
            faults.cause(&cut.name, &["full-rate"]);
        }
    }
    let output = sync.wait_with_output().unwrap();
    assert!(half, "it was never half-way: {told}");
    assert!(told.contains("\"event\":\"detour\""), "{told}");
    assert_eq!(output.status.code(), Some(0), "{told}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(how(&value), ["had_it", "copied", "copied", "copied"], "{told}");
    assert_eq!(ways(&value)[2], "through_here", "{told}");
    assert!(image.is_everywhere());
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn an_engine_that_has_no_room_says_so_over_the_fabric_too() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let image = TestImage::new(&cluster, "no-room", 32 << 20);
    let sandbox = sandbox_with_fabric(&cluster, &image.name);
    faults.cause("n4", &["fill-disk"]);
    let synced = sandbox.sparktune(&["image", "sync"]).assert().code(3);
    let said = stderr(&synced);
    assert!(
        said.contains("n4: the engine cannot load the image: ") && said.contains("no space left"),
        "{said}"
    );
    assert!(!said.contains("through this machine"), "{said}");
    assert_eq!(stdout(&synced).matches("copied from n1 over the fabric").count(), 2, "{}", stdout(&synced));
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_node_that_cannot_is_named_and_the_others_have_it() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let image = TestImage::new(&cluster, "cannot", 32 << 20);
    let sandbox = sandbox(&cluster, &image.name);
    faults.cause("n2", &["stop-engine"]);
    faults.cause("n4", &["fill-disk"]);
    let synced = sandbox.sparktune(&["image", "sync"]).assert().code(3);
    let said = stderr(&synced);
    assert!(said.contains("2 of 4 nodes could not be brought in line, the others were"), "{said}");
    assert!(said.contains("n2: ") && said.contains("n4: "), "{said}");
    assert!(said.contains("no space left on device"), "{said}");
    assert!(stdout(&synced).contains("copied from n1"), "{}", stdout(&synced));
    assert_eq!(image.id(&cluster.nodes[2]), image.id(&cluster.nodes[0]));
    let list = sandbox.sparktune(&["image", "list"]).assert().code(3);
    assert!(stderr(&list).contains("n2: "), "{}", stderr(&list));
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn what_no_registry_has_is_pulled_by_no_node() {
    let (cluster, _whole) = (cluster(), whole());
    let sandbox = sandbox(&cluster, "127.0.0.1:9/none:none");
    let pulled = sandbox.sparktune(&["image", "sync", "--pull"]).assert().code(3);
    let said = stderr(&pulled);
    assert!(said.contains("4 of 4 nodes could not be brought in line"), "{said}");
    let nowhere = sandbox.sparktune(&["image", "sync"]).assert().code(3);
    let said = stderr(&nowhere);
    assert!(
        said.contains("no node has the image `127.0.0.1:9/none:none`") && said.contains("--pull"),
        "{said}"
    );
    let lines = sandbox.succeeds(&["image", "sync", "--pull", "--dry-run"]);
    assert_eq!(lines.matches("docker pull 127.0.0.1:9/none:none").count(), 4, "{lines}");
}

/// Debian's registry on a node's own loopback, from which its engine pulls without TLS; gone in the end.
struct Registry<'a> {
    cluster: &'a TestCluster,
    node: &'a TestNode,
}

impl<'a> Registry<'a> {
    fn start(cluster: &'a TestCluster, node: &'a TestNode) -> Self {
        // One that a killed test has left has the port.
        let start = "set -e; if [ -e /srv/registry.pid ]; then kill $(cat /srv/registry.pid) || true; sleep 0.5; fi; \
                     rm -rf /srv/registry; mkdir -p /srv/registry; cd /srv/registry; \
                     printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: /srv/registry/data}}\n\
                     http: {addr: \"127.0.0.1:5000\"}\n' > config.yml; \
                     docker-registry serve config.yml > log 2>&1 < /dev/null & echo $! > /srv/registry.pid; \
                     for i in $(seq 100); do curl -fs http://127.0.0.1:5000/v2/ && exit; sleep 0.1; done; \
                     cat /srv/registry/log >&2; exit 1";
        said(cluster, node, start);
        Self { cluster, node }
    }

    /// Let it have `image` as `name`, which its engine forgets.
    fn hold(&self, image: &str, name: &str) {
        let push = format!("docker tag {image} {name} && docker push {name} && docker image rm {name}");
        said(self.cluster, self.node, &push);
    }
}

impl Drop for Registry<'_> {
    fn drop(&mut self) {
        self.cluster.ssh(self.node, "kill $(cat /srv/registry.pid); rm -rf /srv/registry /srv/registry.pid");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_registry_gives_every_node_its_image_and_who_gets_another_one_is_named() {
    let (cluster, _whole) = (cluster(), whole());
    let name = "127.0.0.1:5000/spark-test/pulled:1";
    let _image = TestImage { cluster: &cluster, name: name.to_owned() };
    let registries: Vec<_> = cluster.nodes.iter().map(|node| Registry::start(&cluster, node)).collect();
    for registry in &registries {
        registry.hold("spark-test:no-python", name);
    }
    let sandbox = sandbox(&cluster, name);
    let pulled = sandbox.json(&["image", "sync", "--pull", "--json"]);
    assert_eq!(how(&pulled), ["pulled"; 4]);
    let now = &pulled["images"][0]["nodes"][2]["now"];
    assert!(
        now["repo_digests"][0].as_str().unwrap().starts_with("127.0.0.1:5000/spark-test/pulled@sha256:"),
        "{now}"
    );
    assert_eq!(how(&sandbox.json(&["image", "sync", "--pull", "--json"])), ["pulled_the_same"; 4]);
    sandbox.succeeds(&["image", "list"]);

    registries[2].hold("spark-test:python", name);
    let differs = sandbox.sparktune(&["image", "sync", "--pull", "--json"]).assert().code(3);
    let value: Value = serde_json::from_str(&stdout(&differs)).unwrap();
    assert_eq!(how(&value), ["pulled_the_same", "pulled_the_same", "failed", "pulled_the_same"]);
    let words = format!("n3: what goes by `{name}` there is not the same after all");
    assert!(stderr(&differs).contains(&words), "{}", stderr(&differs));
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn dockers_image_becomes_podmans_and_dockers_again_either_way() {
    let (cluster, _whole) = (cluster(), whole());
    let [docker, podman] =
        [&cluster.nodes[0], cluster.nodes.iter().find(|node| node.podman_socket.is_some()).unwrap()];
    for (turn, options) in [&[][..], &["--through-here"]].into_iter().enumerate() {
        let image = TestImage::new(&cluster, &format!("mixed-{turn}"), 8 << 20);
        let sandbox = sandbox_with(&cluster, &image.name, |node| {
            let engine = if node.name == podman.name { "podman" } else { "docker" };
            format!("engine = \"{engine}\"\nfabric = [\"{}\"]\n", node.fabric.address)
        });
        let first = image.id(docker);
        let sync = [&["image", "sync", "--json"], options].concat();
        let there = sandbox.json(&sync);
        assert_eq!(how(&there), ["had_it", "copied", "copied", "copied"]);
        let way = if options.is_empty() { "fabric" } else { "through_here" };
        assert_eq!(ways(&there)[3], way);
        let inspect = format!("podman image inspect --format '{{{{.Id}}}}' {}", image.name);
        assert_eq!(format!("sha256:{}", said(&cluster, podman, &inspect)), first);
        sandbox.succeeds(&["image", "list"]);
        assert_eq!(how(&sandbox.json(&sync)), ["had_it"; 4]);

        // Back to where it was, of which nothing is left.
        for node in cluster.nodes.iter().filter(|node| node.name != podman.name) {
            said(&cluster, node, &format!("docker image rm {}", image.name));
        }
        let back = sandbox.json(&sync);
        assert_eq!(how(&back), ["copied", "copied", "copied", "had_it"]);
        assert_eq!((&ways(&back)[0], &back["images"][0]["source"]), (&&json!(way), &json!(podman.name)));
        sandbox.succeeds(&["image", "list"]);
        said(&cluster, podman, &format!("podman image rm {}", image.name));
    }
}
