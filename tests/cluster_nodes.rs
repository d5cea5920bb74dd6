//! What serves on four nodes with real engines: asked of their image, once.
//!
//! Ignored by default: needs `tests/cluster/up`.

mod support;

#[path = "support/cluster.rs"]
mod cluster;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use cluster::{Faults, TestCluster, TestNode, cluster, whole};
use support::{Sandbox, stderr, stdout};

/// What a look-alike of SGLang has: metadata, where it keeps config files, a help, and an assembler.
const LOOK_ALIKE: &str = r#"
set -e; site=$d/usr/lib/python3/dist-packages; mkdir -p $site
package() { mkdir -p $site/$1 $site/$1-$2.dist-info; touch $site/$1/__init__.py
  printf 'Metadata-Version: 2.1\nName: %s\nVersion: %s\n' $1 $2 > $site/$1-$2.dist-info/METADATA; }
package sglang 0.5.4.post2; package triton 3.5.0; package torch 2.9.0
folder=$site/sglang/srt/layers/moe/fused_moe_triton/configs/triton_3_5_0; mkdir -p $folder; echo '{}' > $folder/E=1.json
echo "cuda: str = '12.9'" > $site/torch/version.py
bin=$site/triton/backends/nvidia/bin; mkdir -p $bin
printf '#!/bin/sh\necho "release 12.8, V12.8.93 '"'sm_90a','sm_120a'"'"\n' > $bin/ptxas; chmod 755 $bin/ptxas
cat > $site/sglang/launch_server.py <<EOF
import argparse, os, sys
assert not os.path.exists("/sys/class/net/eth0"), "there is a network"
parser = argparse.ArgumentParser()
parser.add_argument("--weights")
parser.parse_args()
EOF
"#;

fn sandbox(cluster: &TestCluster, name: &str, image: &str, count: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut inventory = format!(
        "name = \"{name}\"\nimage = \"{image}\"\nssh_config = \"{}\"\n",
        cluster.ssh_config.display()
    );
    for (index, node) in cluster.nodes.iter().take(count).enumerate() {
        let role = if index == 0 { "head" } else { "worker" };
        inventory +=
            &format!("[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\n", node.name, node.ssh);
    }
    sandbox.write("sparks.toml", inventory);
    sandbox
}

fn said(cluster: &TestCluster, node: &TestNode, command: &str) -> String {
    let output = cluster.ssh(node, command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The image of a test on all nodes, gone from them in the end.
struct LookAlike<'a> {
    cluster: &'a TestCluster,
    name: String,
}

impl<'a> LookAlike<'a> {
    /// The Python image with more on top, which each engine is given as the same bytes.
    fn new(cluster: &'a TestCluster, name: &str) -> Self {
        let image = Self { cluster, name: format!("spark-test/{name}:look-alike") };
        let [first, rest @ ..] = &cluster.nodes[..] else { panic!("no nodes") };
        let make = format!(
            "d=$(mktemp -d); {LOOK_ALIKE}
             c=$(docker create spark-test:python); tar -C $d -c . | docker cp - $c:/; docker commit $c {0} > /dev/null
             docker rm $c > /dev/null; rm -r $d; docker save {0} > /tmp/{name}.tar",
            image.name
        );
        said(cluster, first, &make);
        let tar = |node: &TestNode| node.root.join(format!("tmp/{name}.tar"));
        for node in rest {
            let load = std::fs::File::open(tar(first)).unwrap();
            let socket = format!("unix://{}", node.docker_socket.display());
            let loaded =
                Command::new("docker").args(["--host", &socket, "load"]).stdin(load).output().unwrap();
            assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        }
        said(cluster, first, &format!("rm /tmp/{name}.tar"));
        image
    }
}

impl Drop for LookAlike<'_> {
    fn drop(&mut self) {
        for node in &self.cluster.nodes {
            self.cluster.ssh(node, &format!("docker image rm {}; docker image prune --force", self.name));
        }
    }
}

/// The containers of probes of the cluster `name` that are on the node, running or not.
fn left(cluster: &TestCluster, node: &TestNode, name: &str) -> String {
    let filters = format!("--filter label=sparktune.purpose=probe --filter label=sparktune.cluster={name}");
    said(cluster, node, &format!("docker ps --all --format '{{{{.Names}}}}' {filters}"))
}

/// How many containers were created on the node since `since`, seconds.
fn created(cluster: &TestCluster, node: &TestNode, since: &str, name: &str) -> usize {
    let filters = format!("--filter event=create --filter label=sparktune.cluster={name}");
    // Whole seconds: what was created within this one is to be heard of, too.
    let until = said(cluster, node, "echo $(($(date +%s) + 1))");
    said(cluster, node, &format!("docker events --since {since} --until {until} {filters}")).lines().count()
}

fn runtimes(value: &Value) -> Vec<&Value> {
    value["nodes"].as_array().unwrap().iter().map(|node| &node["runtime"]).collect()
}

fn kept(sandbox: &Sandbox) -> PathBuf {
    let entries = std::fs::read_dir(sandbox.path("cache/images")).unwrap();
    let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    file.clone()
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn an_image_is_asked_once_for_all_nodes_and_kept() {
    let (cluster, _whole) = (cluster(), whole());
    let name = "probe-once";
    let _image = LookAlike::new(&cluster, name);
    let sandbox = sandbox(&cluster, name, &format!("spark-test/{name}:look-alike"), 4);
    let since = said(&cluster, &cluster.nodes[0], "date +%s");
    let counted = || cluster.nodes.iter().map(|node| created(&cluster, node, &since, name)).sum::<usize>();
    let ask = |more: &[&str]| sandbox.json(&[&["nodes", "--json", "--cache", "cache"], more].concat());
    let first = ask(&[]);
    for runtime in runtimes(&first) {
        assert_eq!(runtime["installed"]["packages"]["sglang"]["version"], "0.5.4.post2", "{runtime}");
        assert_eq!((&runtime["kept"], &runtime["options"]), (&Value::Bool(false), &Value::Null));
        assert_eq!(runtime["installed"]["tools"]["cuda"], "12.9");
        assert_eq!(
            runtime["installed"]["tools"]["ptxas"][0]["targets"],
            serde_json::json!(["sm_120a", "sm_90a"])
        );
        assert_eq!(runtime["config_files"]["files"], serde_json::json!(["E=1.json"]));
    }
    assert_eq!(counted(), 1, "one container for four nodes that have the same image");
    let again = ask(&[]);
    assert!(runtimes(&again).iter().all(|runtime| runtime["kept"] == true), "{again}");
    assert_eq!(counted(), 1);
    // What was not asked for is asked for once, and then known.
    let list = sandbox.succeeds(&["nodes", "--options", "--cache", "cache"]);
    assert!(list.starts_with("n1, n2, n3, n4: SGLang 0.5.4.post2: 2 options, by its help\n"), "{list}");
    assert_eq!(counted(), 2);
    let refused = ["nodes", "--options", "--cache", "cache", "--", "--wieghts", "w"];
    let output = sandbox.sparktune(&refused).assert().code(1);
    assert!(stdout(&output).contains("did you mean `--weights`?"), "{}", stdout(&output));
    assert!(runtimes(&ask(&[])).iter().all(|runtime| runtime["options"]["from"] == "help"));
    assert_eq!(counted(), 2);
    // Damaged, and asked for anew.
    std::fs::write(kept(&sandbox), "{").unwrap();
    let shown = sandbox.succeeds(&["nodes", "--cache", "cache"]);
    assert!(shown.contains("note: n1: `cache/images/") && shown.contains("is damaged"), "{shown}");
    assert_eq!(counted(), 3);
    assert!(runtimes(&ask(&["--fresh"])).iter().all(|runtime| runtime["kept"] == false));
    assert_eq!(counted(), 4);
    assert!(cluster.nodes.iter().all(|node| left(&cluster, node, name).is_empty()));
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn images_that_serve_nothing_and_nodes_without_them_are_told_apart() {
    let (cluster, _whole) = (cluster(), whole());
    let name = "probe-bad";
    let sandbox = sandbox(&cluster, name, "spark-test:python", 4);
    let inventory = std::fs::read_to_string(sandbox.path("sparks.toml")).unwrap();
    let image =
        |node: usize, image: &str| format!("ssh = \"{}\"\nimage = \"{image}\"\n", cluster.nodes[node].ssh);
    let mut text = inventory;
    for (node, its) in [(1, "spark-test:no-python"), (2, "spark-test:absent")] {
        text = text.replace(&format!("ssh = \"{}\"\n", cluster.nodes[node].ssh), &image(node, its));
    }
    sandbox.write("sparks.toml", text);
    let output = sandbox.sparktune(&["nodes", "--cache", "cache"]).assert().code(3);
    let (shown, error) = (stdout(&output), stderr(&output));
    for words in [
        "the image `spark-test:python` has neither SGLang nor vLLM",
        "the image `spark-test:no-python` has no `python3`",
        "the image `spark-test:absent` is not there",
        "note: n3: docker pull spark-test:absent",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(
        error.contains("n1: the image `spark-test:python`") && error.contains("n2: the image"),
        "{error}"
    );
    assert!(!error.contains("absent") && error.contains("such as `image = "), "{error}");
    assert!(cluster.nodes.iter().all(|node| left(&cluster, node, name).is_empty()));
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_node_without_its_engine_harms_no_other_and_nothing_is_left_behind() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let name = "probe-fault";
    let _image = LookAlike::new(&cluster, name);
    let sandbox = sandbox(&cluster, name, &format!("spark-test/{name}:look-alike"), 3);
    faults.cause("n1", &["stop-engine"]);
    let value = sandbox.json(&["nodes", "--json", "--cache", "cache"]);
    let found = runtimes(&value);
    assert!(found[0]["error"].as_str().unwrap().starts_with("n1: "), "{}", found[0]);
    assert!(found[1..].iter().all(|runtime| runtime["family"] == "sglang"), "{value}");

    // Of nodes with the same image the first cannot make a container: the others are asked themselves.
    faults.cause("n1", &["start-engine"]);
    faults.cause("n1", &["fill-disk"]);
    let output = sandbox.sparktune(&["nodes", "--json", "--cache", "cache", "--fresh"]).output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = runtimes(&value);
    assert!(found[0]["error"].as_str().unwrap().contains("no space left"), "{}", found[0]);
    assert!(found[1..].iter().all(|runtime| runtime["kept"] == false), "{value}");
    faults.cause("n1", &["free-disk"]);

    // A server whose help hangs: a stop removes the container, a kill leaves it to the next.
    let node = &cluster.nodes[1];
    let hang = "import time; time.sleep(600)";
    let file = "/usr/lib/python3/dist-packages/sglang/launch_server.py";
    let image = format!("spark-test/{name}:look-alike");
    said(
        &cluster,
        node,
        &format!(
            "c=$(docker create {image}); echo '{hang}' > /tmp/hang.py; docker cp /tmp/hang.py $c:{file}; \
             docker commit $c {image} > /dev/null; docker rm $c"
        ),
    );
    for (signal, leaves) in [("-INT", false), ("-KILL", true)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
        command.args(["nodes", "--options", "--node", "n2", "--cache", "cache"]).current_dir(sandbox.work());
        let mut child = command.envs(sandbox.environment()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while left(&cluster, node, name).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no container in time");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), (!leaves).then_some(130));
        assert_eq!(!left(&cluster, node, name).is_empty(), leaves, "{signal}");
    }
    sandbox.succeeds(&["nodes", "--node", "n2", "--cache", "cache", "--fresh"]);
    assert_eq!(left(&cluster, node, name), "");
}
