//! Two nodes whose fabric has addresses of IPv6 alone: what they are, whether they meet, and what goes between them.
//!
//! Ignored by default: needs `tests/cluster/up`.

mod support;

#[path = "support/cluster.rs"]
mod cluster;

use serde_json::Value;

use cluster::{Faults, TestCluster, TestNode, cluster};
use support::{Sandbox, stdout};

const IMAGE: &str = "spark-test/ipv6:random";

/// The first two nodes with addresses of IPv6 in the place of those of IPv4, for as long as this lives.
struct Six<'a> {
    cluster: &'a TestCluster,
    // No other test of this target has the nodes meanwhile.
    _alone: Faults<'a>,
}

impl<'a> Six<'a> {
    fn new(cluster: &'a TestCluster) -> Self {
        let six = Self { cluster, _alone: Faults::new(cluster) };
        for (at, node) in six.nodes().iter().enumerate() {
            let (four, interface) = (node.fabric.address, &node.fabric.interface);
            let six = address(at);
            // Without the wait for somebody else who has it.
            said(
                cluster,
                node,
                &format!("ip addr add {six}/64 dev {interface} nodad; ip addr del {four}/24 dev {interface}"),
            );
        }
        six
    }

    fn nodes(&self) -> &'a [TestNode] {
        &self.cluster.nodes[..2]
    }
}

impl Drop for Six<'_> {
    fn drop(&mut self) {
        for (at, node) in self.nodes().iter().enumerate() {
            let (four, interface, six) = (node.fabric.address, &node.fabric.interface, address(at));
            let mend = format!("ip addr add {four}/24 dev {interface}; ip addr del {six}/64 dev {interface}");
            self.cluster.ssh(node, &format!("{mend}; docker image rm {IMAGE}"));
        }
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
        said(cluster, node, &format!("ip -6 route add {route}"));
        Self { cluster, node, route }
    }
}

impl Drop for Route<'_> {
    fn drop(&mut self) {
        self.cluster.ssh(self.node, &format!("ip -6 route del {}", self.route));
    }
}

fn address(at: usize) -> String {
    format!("fd00:5a6b::{}", at + 1)
}

fn said(cluster: &TestCluster, node: &TestNode, command: &str) -> String {
    let output = cluster.ssh(node, command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn nodes_that_meet_by_ipv6_alone_are_read_examined_and_given_images() {
    let cluster = cluster();
    let six = Six::new(&cluster);
    let sandbox = Sandbox::new();
    let mut inventory = format!(
        "name = \"six\"\nimage = \"{IMAGE}\"\nssh_config = \"{}\"\ncontainer = {{ gpus = \"none\" }}\n",
        cluster.ssh_config.display()
    );
    for (at, node) in six.nodes().iter().enumerate() {
        let role = if at == 0 { "head" } else { "worker" };
        inventory += &format!(
            "[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\nfabric = [\"{}\"]\n",
            node.name,
            node.ssh,
            address(at)
        );
    }
    sandbox.write("sparks.toml", &inventory);
    said(
        &cluster,
        &six.nodes()[0],
        &format!(
            "set -e; d=$(mktemp -d); head -c 8388608 /dev/urandom > $d/random; tar -C $d -c random | docker import - \
             {IMAGE}; rm -r $d"
        ),
    );

    let synced = sandbox.json(&["image", "sync", "--json"]);
    let copied = &synced["images"][0]["nodes"][1];
    assert_eq!(
        (copied["how"].as_str(), copied["way"].as_str()),
        (Some("copied"), Some("fabric")),
        "{synced}"
    );

    let nodes = sandbox.succeeds(&["nodes", "--env"]);
    for at in 0..2 {
        assert!(nodes.contains(&format!("SGLANG_HOST_IP={}\n", address(at))), "{nodes}");
    }
    assert!(nodes.contains("NCCL_SOCKET_FAMILY=AF_INET6\n"), "{nodes}");

    let found = |expected: [(&str, &str); 3]| {
        let output = stdout(&sandbox.sparktune(&["doctor", "--json"]).assert());
        let value: Value = serde_json::from_str(&output).unwrap();
        for (item, words) in expected {
            let mut of = value["findings"].as_array().unwrap().iter().filter(|it| it["item"] == item);
            assert!(of.any(|it| it["says"].as_str().unwrap().contains(words)), "{item}: {words}: {output}");
        }
    };
    found([
        ("fabric_address", &address(1)),
        ("fabric", "packets of 1500 bytes get to n2 and back"),
        ("fabric", "packets of 1500 bytes get to n1 and back"),
    ]);
    // A way that is too narrow for whole packets.
    let narrow = Route::add(
        &cluster,
        &six.nodes()[1],
        format!("{}/128 dev {} mtu lock 1400", address(0), six.nodes()[1].fabric.interface),
    );
    let ping = format!("ping -M do -s 1452 {}", address(0));
    let output = stdout(&sandbox.sparktune(&["doctor"]).assert().code(1));
    drop(narrow);
    assert!(output.contains("none gets to n1") && output.contains(&ping), "{output}");
}
