//! `sparkbench plan` asks the four nodes of the test cluster what they are; nothing is started on them.

#[path = "support/bench.rs"]
mod bench;
#[path = "support/cluster.rs"]
mod cluster;
mod support;

use std::process::Command;

use serde_json::Value;

use bench::sparkbench;
use cluster::{Faults, TestCluster, cluster, whole};
use support::{Sandbox, stderr, stdout};

/// A sandbox with an inventory of the nodes that says nothing of their networks.
fn sandbox(cluster: &TestCluster) -> Sandbox {
    let mut inventory = format!(
        "name = \"plan\"\nimage = \"spark-test:python\"\nssh_config = \"{}\"\ncontainer = {{ gpus = \"none\" }}\n",
        cluster.ssh_config.display()
    );
    for (at, node) in cluster.nodes.iter().enumerate() {
        let role = if at == 2 { "head" } else { "worker" };
        inventory +=
            &format!("[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\n", node.name, node.ssh);
    }
    let sandbox = Sandbox::new();
    sandbox.write("sparks.toml", inventory);
    sandbox
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn every_node_is_told_its_own_addresses_and_the_heads() {
    let (cluster, _whole) = (cluster(), whole());
    let sandbox = sandbox(&cluster);
    let text = stdout(&sparkbench(&sandbox, &["plan", "GLM-4.7-FP8", "--json"]).assert().success());
    let plan: Value = serde_json::from_str(&text).unwrap();
    let head = cluster.nodes[2].management.address;
    assert_eq!(plan["base_url"], format!("http://{head}:30000"));
    assert_eq!(plan["nodes"].as_array().unwrap().len(), 4);
    let stages = plan["stages"].as_array().unwrap();
    let steps = |what: &str| {
        let stage = stages.iter().find(|stage| stage["what"] == what).unwrap();
        stage["steps"].as_array().unwrap().clone()
    };
    for step in steps("containers") {
        let node = cluster.nodes.iter().find(|node| step["node"] == node.name).unwrap();
        let line = step["line"].as_str().unwrap();
        for word in [
            format!("SGLANG_HOST_IP={}'", node.management.address),
            format!("NCCL_SOCKET_IFNAME={}'", node.management.interface),
        ] {
            assert!(line.contains(&word), "`{word}` is not in: {line}");
        }
    }
    for step in [steps("ranks"), steps("server")].concat() {
        let argv = step["argv"].to_string();
        assert!(argv.contains(&format!("\"--dist-init-addr\",\"{head}:50000\"")), "{argv}");
    }
    for node in &cluster.nodes {
        let docker = Command::new("docker")
            .args(["--host", &format!("unix://{}", node.docker_socket.display())])
            .args(["ps", "--all", "--quiet", "--filter", "label=sparktune.cluster=plan"])
            .output()
            .unwrap();
        assert!(docker.status.success() && docker.stdout.is_empty(), "{docker:?}");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_node_that_cannot_be_asked_is_named_unless_it_takes_no_part() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let sandbox = sandbox(&cluster);
    faults.cause("n2", &["stop-sshd"]);
    let plan = ["plan", "Qwen2.5-7B"];
    assert!(stdout(&sparkbench(&sandbox, &plan).assert().success()).contains("on n3, n1\n"));
    let asked = sparkbench(&sandbox, &["plan", "GLM-4.7-FP8"]).assert().code(3);
    assert!(stderr(&asked).contains("n2"), "{}", stderr(&asked));
    let offline = sparkbench(&sandbox, &[&plan[..], &["--offline"]].concat()).assert().code(2);
    assert!(stderr(&offline).contains("where do the ranks meet?"), "{}", stderr(&offline));
}
