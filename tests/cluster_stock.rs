//! `sparktune moe --tuner stock --cluster`: a stand-in for SGLang's script in a container on each of four nodes, one batch
//! size a process. Whatever happens to nodes and to this program, every batch size is tuned once and nothing stays.
//!
//! Ignored by default: needs `tests/cluster/up`.

#[path = "support/cluster.rs"]
mod cluster;
mod support;
#[path = "support/tuning.rs"]
mod tuning;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use cluster::{Faults, TestCluster, cluster, whole};
use support::Sandbox;
use tuning::{docker, journal, left, said, signal, sparktune};

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stand_in_tuning_script.py");
const SIZES: &str = "1,2,4,8,16,24,32,48,64,96,128,256";
/// Where images look for packages, and where SGLang's own have its repository.
const SITE: &str = "/usr/lib/python3/dist-packages";
const SCRIPTS: &str = "/sgl-workspace/sglang/benchmark/kernels/fused_moe_triton";
const NAME: &str = "E=8,N=256,device_name=NVIDIA_GB10.json";
const CONFIG: &str = r#"{"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_local_experts": 8,
    "num_experts_per_tok": 2, "intermediate_size": 256, "hidden_size": 256, "torch_dtype": "bfloat16"}"#;

/// Four nodes whose containers have an SGLang with the script, as far as this program can tell. Each test has a folder of
/// its own on them.
struct Bed {
    cluster: TestCluster,
    sandbox: Sandbox,
    name: String,
}

impl Bed {
    fn new(name: &str) -> Self {
        let cluster = cluster();
        let sandbox = Sandbox::new();
        let on_nodes = format!("/srv/stock-{name}");
        let parts = ["sglang", "sglang-0.5.4.post2.dist-info", "triton", "triton-3.5.0.dist-info"];
        for node in &cluster.nodes {
            let root = node.root.join(&on_nodes[1..]);
            let _ = std::fs::remove_dir_all(&root);
            let write = |path: &str, text: &[u8]| {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            };
            write("sglang/__init__.py", b"");
            write("sglang-0.5.4.post2.dist-info/METADATA", b"Name: sglang\nVersion: 0.5.4.post2\n");
            write("triton/__init__.py", b"");
            write("triton-3.5.0.dist-info/METADATA", b"Name: triton\nVersion: 3.5.0\n");
            write("scripts/tuning_fused_moe_triton.py", &std::fs::read(STAND_IN).unwrap());
            for size in SIZES.split(',') {
                write(&format!("notes/faults/{size}"), b"slow slow slow slow slow slow");
            }
        }
        let mut mounts: Vec<String> =
            parts.iter().map(|part| format!("\"{on_nodes}/{part}:{SITE}/{part}:ro\"")).collect();
        mounts.push(format!("\"{on_nodes}/scripts:{SCRIPTS}:ro\""));
        mounts.push(format!("\"{on_nodes}/notes:{on_nodes}/notes\""));
        let mut inventory = format!(
            "name = \"{name}\"\nimage = \"spark-test:python\"\nssh_config = \"{}\"\n\
             [container]\ngpus = \"none\"\nvolumes = [{}]\n[env]\nSTAND_IN = \"{on_nodes}/notes\"\n",
            cluster.ssh_config.display(),
            mounts.join(", ")
        );
        for (place, node) in cluster.nodes.iter().enumerate() {
            let role = if place == 0 { "head" } else { "worker" };
            inventory +=
                &format!("[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\n", node.name, node.ssh);
        }
        sandbox.write("lab.toml", inventory);
        sandbox.write("model/config.json", CONFIG);
        Self { cluster, sandbox, name: name.to_owned() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = sparktune(&self.sandbox, &self.sandbox.home().join("cache"), arguments);
        command.args(["--cluster", "lab.toml"]);
        command
    }

    fn begin(&self, out: &str) -> Child {
        let arguments =
            ["moe", "--tuner", "stock", "--model", "./model", "--batch-sizes", SIZES, "--out", out];
        self.command(&arguments).spawn().unwrap()
    }

    fn resume(&self, out: &str) -> Output {
        self.command(&["moe", "--resume", out]).output().unwrap()
    }

    fn fault(&self, node: usize, size: &str, words: &str) {
        let root = &self.cluster.nodes[node].root;
        std::fs::write(root.join(format!("srv/stock-{}/notes/faults/{size}", self.name)), words).unwrap();
    }

    /// The file has every batch size, each of which was tuned once. The nodes that did so.
    #[track_caller]
    fn is_whole(&self, out: &str) -> BTreeSet<String> {
        let file: Value =
            serde_json::from_str(&self.sandbox.read(format!("{out}/triton_3_5_0/{NAME}"))).unwrap();
        let mut keys: Vec<&str> = file.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_by_key(|key| key.parse::<u32>().unwrap());
        assert_eq!(keys.join(","), SIZES);
        let tuned: Vec<Value> =
            journal(&self.sandbox.path(out)).into_iter().filter(|line| line["record"] == "tuned").collect();
        let sizes: BTreeSet<u64> = tuned.iter().map(|line| line["batch_size"].as_u64().unwrap()).collect();
        assert_eq!((tuned.len(), sizes.len()), (keys.len(), keys.len()), "each once");
        for line in &tuned {
            // The file has what its journal has, whoever wrote it.
            assert_eq!(line["config"], file[line["batch_size"].to_string()]);
        }
        tuned.iter().map(|line| line["on"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        for node in &self.cluster.nodes {
            assert_eq!(left(node, &self.name), [""; 0], "{}", node.name);
        }
    }
}

#[track_caller]
fn until_tuned(run: &Path, many: usize, child: &mut Child) {
    let began = Instant::now();
    while journal(run).iter().filter(|line| line["record"] == "tuned").count() < many {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("ended too early: {status}");
        }
        assert!(began.elapsed() < Duration::from_secs(120), "nothing was tuned in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn four_nodes_share_the_batch_sizes_and_outlive_dead_scripts_containers_and_harnesses() {
    let _whole = whole();
    let bed = Bed::new("stock-spread");
    bed.fault(0, "256", "die slow slow");
    bed.fault(1, "128", "broken slow slow");
    bed.fault(2, "96", "exit slow slow");
    let run = bed.sandbox.path("dead");
    let mut child = bed.begin("dead");
    until_tuned(&run, 1, &mut child);
    let of_n2 = left(&bed.cluster.nodes[1], &bed.name);
    said(&docker(&bed.cluster.nodes[1], &["kill", &of_n2[0]]).output().unwrap());
    until_tuned(&run, 3, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!left(&bed.cluster.nodes[0], &bed.name).is_empty(), "a killed run leaves its containers");
    let before = journal(&run).into_iter().filter(|line| line["record"] == "tuned").count();
    assert!(before >= 3);
    said(&bed.resume("dead"));
    assert!(bed.is_whole("dead").len() > 2);
    bed.nothing_is_left();
    let failed = journal(&run).into_iter().filter(|line| line["record"] == "failed");
    let why: Vec<String> = failed.map(|line| line["why"].as_str().unwrap().to_owned()).collect();
    assert!(why.iter().any(|why| why.contains("signal: 9")), "{why:?}");

    // The user's word reaches every node.
    let mut child = bed.begin("stopped");
    until_tuned(&bed.sandbox.path("stopped"), 1, &mut child);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("--resume 'stopped' --cluster 'lab.toml'"), "{told}");
    bed.nothing_is_left();
    said(&bed.resume("stopped"));
    bed.is_whole("stopped");
    bed.nothing_is_left();
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_node_whose_link_is_cut_loses_its_batch_size_to_the_others() {
    let bed = Bed::new("stock-cut");
    let mut faults = Faults::new(&bed.cluster);
    // It is at work when its link goes, and would be for long.
    for size in SIZES.split(',') {
        bed.fault(3, size, "hang hang hang");
    }
    let mut child = bed.begin("cut");
    until_tuned(&bed.sandbox.path("cut"), 2, &mut child);
    faults.cause("n4", &["link-down"]);
    let output = child.wait_with_output().unwrap();
    said(&output);
    let on = bed.is_whole("cut");
    assert!(!on.contains("n4"), "{on:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let of_n4 = |line: &str| line.contains("n4: batch size ") && line.ends_with("; it is tried again");
    assert!(told.lines().any(of_n4), "{told}");
    faults.heal();
    // What could not be removed goes once the node is back, with the next command of the run.
    said(&bed.resume("cut"));
    bed.nothing_is_left();
}
