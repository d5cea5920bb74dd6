//! `sparktune moe --tuner stock --cluster`: a stand-in for the runtime's script in a container on each of four nodes, one
//! batch size a process. Whatever happens to nodes and to this program, every batch size is tuned once and nothing stays.
//!
//! Ignored by default: needs `tests/cluster/up`.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/stock.rs"]
mod stock;
mod support;
#[path = "support/tuning.rs"]
mod tuning;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use cluster::{Faults, TestCluster, cluster, whole};
use support::Sandbox;
use tuning::{docker, journal, left, said, signal, sparktune};

const SIZES: &str = "1,2,4,8,16,24,32,48,64,96,128,256";
/// Where images look for packages.
const SITE: &str = "/usr/lib/python3/dist-packages";

/// A runtime, as an image has it.
struct Served {
    /// Its packages: folder, version, and that of the Triton beside it.
    package: &'static str,
    version: &'static str,
    triton: &'static str,
    /// Its script, and where its own images have that.
    script: fn() -> String,
    file: &'static str,
    scripts: &'static str,
    /// What says which it is, on the command line.
    said: &'static [&'static str],
    /// The folder of its files in a run's directory.
    folder: &'static str,
}

const SGLANG: Served = Served {
    package: "sglang",
    version: "0.5.4.post2",
    triton: "3.5.0",
    script: || include_str!("fixtures/stand_in_tuning_script.py").to_owned(),
    file: "tuning_fused_moe_triton.py",
    scripts: "/sgl-workspace/sglang/benchmark/kernels/fused_moe_triton",
    said: &[],
    folder: "triton_3_5_0",
};
const VLLM: Served = Served {
    package: "vllm",
    version: "0.33.0",
    triton: "3.8.0",
    script: stock::vllms_script,
    file: "benchmark_moe.py",
    scripts: "/vllm-workspace/benchmarks/kernels",
    said: &["--vllm", "0.33.0"],
    folder: "vllm",
};

/// Tells of a process of somebody else's while the file `busy` is among the notes.
const NVIDIA_SMI: &str = "#!/bin/sh
case $1 in *compute-apps*) test -e \"$STAND_IN/busy\" && echo 4711; exit 0;; esac
exit 9
";
const NAME: &str = "E=8,N=256,device_name=NVIDIA_GB10.json";
const CONFIG: &str = r#"{"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_local_experts": 8,
    "num_experts_per_tok": 2, "intermediate_size": 256, "hidden_size": 256, "torch_dtype": "bfloat16"}"#;

/// Four nodes whose containers have a runtime with its script, as far as this program can tell. Each test has a folder of
/// its own on them.
struct Bed {
    cluster: TestCluster,
    sandbox: Sandbox,
    name: String,
    served: Served,
}

impl Bed {
    fn new(name: &str, served: Served) -> Self {
        let cluster = cluster();
        let sandbox = Sandbox::new();
        let on_nodes = format!("/srv/stock-{name}");
        let Served { package, version, triton, script, file, scripts, .. } = served;
        let info = |package: &str, version: &str| format!("{package}-{version}.dist-info");
        let metadata = |package: &str, version: &str| format!("Name: {package}\nVersion: {version}\n");
        let parts = [package.to_owned(), info(package, version), "triton".to_owned(), info("triton", triton)];
        for node in &cluster.nodes {
            let root = node.root.join(&on_nodes[1..]);
            let _ = std::fs::remove_dir_all(&root);
            let write = |path: &str, text: &[u8]| {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            };
            for (package, version) in [(package, version), ("triton", triton)] {
                write(&format!("{package}/__init__.py"), b"");
                let path = format!("{}/METADATA", info(package, version));
                write(&path, metadata(package, version).as_bytes());
            }
            write(&format!("scripts/{file}"), script().as_bytes());
            write("nvidia-smi", NVIDIA_SMI.as_bytes());
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(root.join("nvidia-smi"), executable).unwrap();
            for size in SIZES.split(',') {
                write(&format!("notes/faults/{size}"), b"slow slow slow slow slow slow");
            }
        }
        let mut mounts: Vec<String> =
            parts.iter().map(|part| format!("\"{on_nodes}/{part}:{SITE}/{part}:ro\"")).collect();
        mounts.push(format!("\"{on_nodes}/scripts:{scripts}:ro\""));
        mounts.push(format!("\"{on_nodes}/nvidia-smi:/usr/local/bin/nvidia-smi:ro\""));
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
        Self { cluster, sandbox, name: name.to_owned(), served }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = sparktune(&self.sandbox, &self.sandbox.home().join("cache"), arguments);
        command.args(["--cluster", "lab.toml"]);
        command
    }

    fn begin(&self, out: &str) -> Child {
        self.begin_with(out, &[])
    }

    fn begin_with(&self, out: &str, more: &[&str]) -> Child {
        let arguments =
            ["moe", "--tuner", "stock", "--model", "./model", "--batch-sizes", SIZES, "--out", out];
        self.command(&[&arguments, self.served.said, more].concat()).spawn().unwrap()
    }

    fn resume(&self, out: &str) -> Output {
        self.command(&["moe", "--resume", out]).output().unwrap()
    }

    fn notes(&self, node: usize) -> PathBuf {
        self.cluster.nodes[node].root.join(format!("srv/stock-{}/notes", self.name))
    }

    fn fault(&self, node: usize, size: &str, words: &str) {
        std::fs::write(self.notes(node).join("faults").join(size), words).unwrap();
    }

    /// The file has every batch size, each of which was tuned once. The nodes that did so.
    #[track_caller]
    fn is_whole(&self, out: &str) -> BTreeSet<String> {
        let file: Value =
            serde_json::from_str(&self.sandbox.read(format!("{out}/{}/{NAME}", self.served.folder))).unwrap();
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
    let bed = Bed::new("stock-spread", SGLANG);
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
    let bed = Bed::new("stock-cut", SGLANG);
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

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn vllms_is_shared_by_four_nodes_and_one_whose_gpu_others_use_joins_later() {
    let _whole = whole();
    let bed = Bed::new("stock-vllm", VLLM);
    bed.fault(0, "256", "die slow slow");
    let busy = bed.notes(1).join("busy");
    std::fs::write(&busy, "").unwrap();
    // Not without --wait; the others work all the same.
    let mut child = bed.begin("refused");
    until_tuned(&bed.sandbox.path("refused"), 1, &mut child);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = "n2: other processes compute on its GPU (process ids [4711]): it takes no part";
    assert!(told.contains(refused), "{told}");
    bed.nothing_is_left();

    let run = bed.sandbox.path("waits");
    let mut child = bed.begin_with("waits", &["--wait"]);
    until_tuned(&run, 2, &mut child);
    let of_n2 = |run: &Path| journal(run).iter().any(|line| line["on"] == "n2");
    assert!(!of_n2(&run), "nothing runs where others are");
    std::fs::remove_file(&busy).unwrap();
    // It looks again every 5 s.
    let began = Instant::now();
    while !of_n2(&run) && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(120), "n2 never joined");
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    said(&output);
    assert!(told.contains("waiting for n2 to be free: other processes compute on its GPU"), "{told}");
    assert!(bed.is_whole("waits").contains("n2"), "{told}");
    bed.nothing_is_left();
}
