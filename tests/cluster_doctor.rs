//! `sparktune doctor` on the four nodes of the test cluster: whole, and with one fault each.
//!
//! Ignored by default: needs `tests/cluster/up`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Faults, TestCluster, TestNode, cluster, whole};

/// The inventory of the test cluster.
struct Bench {
    _folder: tempfile::TempDir,
    inventory: PathBuf,
}

/// What is not fine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    node: String,
    item: String,
    says: String,
    fix: String,
}

impl Bench {
    fn new(cluster: &TestCluster) -> Self {
        Self::with(cluster, "gpus = \"none\"", |_| "")
    }

    /// With these settings of containers, and more for each node.
    fn with(cluster: &TestCluster, container: &str, of_node: impl Fn(&TestNode) -> &'static str) -> Self {
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

    fn doctor(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
        command.args(["doctor", "--cluster"]).arg(&self.inventory).args(arguments).output().unwrap()
    }

    /// What failed, and what nothing is known of. Prints how long it took.
    fn failed(&self, fault: &str) -> Vec<Found> {
        let (found, code) = self.found(fault, &[], |_, state| matches!(state, "failed" | "unknown"));
        assert_eq!(code, Some(i32::from(!found.is_empty())), "{found:#?}");
        found
    }

    /// What is so, with these arguments, and the exit code. Prints how long it took.
    fn found(
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
    fn only(&self, fault: &str, node: &TestNode, item: &str, says: &str, fix: &str) {
        let found = self.failed(fault);
        let [one] = &found[..] else { panic!("{fault}: {found:#?}") };
        assert_eq!((one.node.as_str(), one.item.as_str()), (node.name.as_str(), item), "{one:#?}");
        assert!(one.says.contains(says) && one.fix.contains(fix), "{fault}: {one:#?}");
    }
}

/// Docker's command line, spoken to one engine.
fn docker(socket: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    let output = command.arg("--host").arg(format!("unix://{}", socket.display())).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

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

/// What nvidia-smi says of a Spark at work, with nobody who works there.
const NVIDIA_SMI: &str = r#"#!/bin/sh
case "$1" in
    --query-gpu=*) echo 'NVIDIA GB10, 12.1, 580.142, 2411, 3003, 38, 4.86' ;;
    --query-compute-apps=*) echo "$$, 19135, /usr/bin/python3" | grep "${SPARK_TEST_GPU_PROGRAMS:-nobody}" ;;
esac
exit 0
"#;

/// Files and folders on nodes, for as long as this lives.
struct Laid(Vec<PathBuf>);

impl Laid {
    fn file(&mut self, node: &TestNode, path: &str, bytes: &[u8]) {
        let path = node.root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        self.0.push(path);
    }

    /// An nvidia-smi that knows a Spark.
    fn nvidia_smi(&mut self, node: &TestNode) {
        use std::os::unix::fs::PermissionsExt;
        let path = "/usr/local/bin/nvidia-smi";
        self.file(node, path, NVIDIA_SMI.as_bytes());
        let file = node.root.join(&path[1..]);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
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
fn nothing_is_left(cluster: &TestCluster) {
    for node in &cluster.nodes {
        let label = "label=sparktune.purpose=doctor";
        assert_eq!(docker(&node.docker_socket, &["ps", "-aq", "--filter", label]), "", "{}", node.name);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_gpu_that_the_engine_cannot_give_away_is_found_where_it_is() {
    let cluster = cluster();
    let _alone = Faults::new(&cluster);
    let node = &cluster.nodes[1];
    let asks = |it: &TestNode| if it.name == node.name { "container = { gpus = \"all\" }\n" } else { "" };
    let bench = Bench::with(&cluster, "gpus = \"none\"", asks);
    let mut laid = Laid(Vec::new());
    laid.nvidia_smi(node);
    bench.only("no GPU for containers", node, "gpu_visible", "could not select device driver", "nvidia-ctk");
    nothing_is_left(&cluster);
}

const MODEL: &str = "/root/.cache/huggingface/hub/models--zai-org--GLM-4.7-FP8";
const LOOK_ALIKE: &str = "/root/look-alike";
const CONFIGS: &str = "/root/look-alike/sglang/srt/layers/moe/fused_moe_triton/configs/triton_3_5_0";
const UP: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
const DOWN: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8_down.json";

/// A file of safetensors with one tensor of so many bytes.
fn tensors(bytes: usize) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + bytes, 0);
    file
}

/// On a node a model in Hugging Face's cache, a look-alike of SGLang with its Triton, and config files for the model.
fn lay_out(laid: &mut Laid, node: &TestNode) {
    laid.nvidia_smi(node);
    let snapshot = format!("{MODEL}/snapshots/0123abcd");
    laid.file(node, &format!("{MODEL}/refs/main"), b"0123abcd");
    let index =
        br#"{"metadata":{"total_size":1000},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#;
    laid.file(node, &format!("{snapshot}/model.safetensors.index.json"), index);
    laid.file(node, &format!("{snapshot}/one.safetensors"), &tensors(400));
    laid.file(node, &format!("{snapshot}/two.safetensors"), &tensors(600));
    laid.file(node, &format!("{snapshot}/config.json"), b"{}");
    for (package, version) in [("sglang", "0.5.4.post2"), ("triton", "3.5.0")] {
        laid.file(node, &format!("{LOOK_ALIKE}/{package}/__init__.py"), b"");
        let metadata = format!("Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n");
        laid.file(node, &format!("{LOOK_ALIKE}/{package}-{version}.dist-info/METADATA"), metadata.as_bytes());
    }
    for file in [UP, DOWN] {
        laid.file(node, &format!("{CONFIGS}/{file}"), b"{}");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_model_that_one_node_cannot_serve_is_found_on_that_node() {
    let cluster = cluster();
    let _alone = Faults::new(&cluster);
    let mut laid = Laid(Vec::new());
    for node in &cluster.nodes {
        lay_out(&mut laid, node);
    }
    let site = "/usr/lib/python3/dist-packages";
    let mounts = ["sglang", "sglang-0.5.4.post2.dist-info", "triton", "triton-3.5.0.dist-info"]
        .map(|name| format!("\"{LOOK_ALIKE}/{name}:{site}/{name}\""));
    let volumes = format!(
        "gpus = \"none\", volumes = [\"~/.cache/huggingface:/root/.cache/huggingface\", {}]",
        mounts.join(", ")
    );
    let bench = Bench::with(&cluster, &volumes, |_| "");
    let of_models = |item: &str| item.starts_with("model_") || item == "tuned_files";
    let look = |fault: &str| {
        let arguments = ["--model", "glm-4.7-fp8"];
        bench.found(fault, &arguments, |item, state| of_models(item) && state != "ok")
    };
    let (all, code) = bench.found("nothing", &["--model", "glm-4.7-fp8"], |item, _| of_models(item));
    assert_eq!((all.len(), code), (12, Some(0)), "{all:#?}");
    let (wrong, _) = look("nothing");
    assert_eq!(wrong, []);
    nothing_is_left(&cluster);
    let [_, node, ..] = &cluster.nodes[..] else { panic!("two nodes") };
    let only = |fault: &str, item: &str, code: i32, says: &str, fix: &str| {
        let (found, exit) = look(fault);
        let [one] = &found[..] else { panic!("{fault}: {found:#?}") };
        assert_eq!(
            (one.node.as_str(), one.item.as_str(), exit),
            (node.name.as_str(), item, Some(code)),
            "{one:#?}"
        );
        assert!(one.says.contains(says) && one.fix.contains(fix), "{fault}: {one:#?}");
    };
    let at = |path: &str| node.root.join(path.trim_start_matches('/'));
    let file = at(&format!("{CONFIGS}/{DOWN}"));
    std::fs::remove_file(&file).unwrap();
    only("no _down file", "tuned_files", 0, DOWN, "sparktune moe --model zai-org/GLM-4.7-FP8 --tp 4");
    std::fs::write(&file, "{}").unwrap();
    let file = at(&format!("{MODEL}/snapshots/0123abcd/two.safetensors"));
    std::fs::write(&file, &tensors(600)[..500]).unwrap();
    let fetch = "hf download zai-org/GLM-4.7-FP8 --cache-dir /root/.cache/huggingface/hub";
    let (found, code) = look("a file that is cut");
    assert_eq!(code, Some(1));
    let files: Vec<&Found> = found.iter().filter(|it| it.item == "model_files").collect();
    let [one] = &files[..] else { panic!("{found:#?}") };
    assert!(
        one.node == node.name && one.says.contains("two.safetensors has 500 of") && one.fix == fetch,
        "{one:#?}"
    );
    std::fs::write(&file, tensors(600)).unwrap();
    let snapshots = at(&format!("{MODEL}/snapshots"));
    std::fs::rename(snapshots.join("0123abcd"), snapshots.join("fedc9876")).unwrap();
    std::fs::write(at(&format!("{MODEL}/refs/main")), "fedc9876").unwrap();
    only("another revision", "model_files", 0, "revision fedc9876, and 0123abcd on n1", "on every node");
    std::fs::remove_dir_all(at(MODEL)).unwrap();
    only("no model", "model_files", 1, "is not in /root/.cache/huggingface/hub", fetch);
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
