//! Nodes that this machine does not reach itself: three whose management link is cut, through the fabric of the first,
//! to which no route leads from here.
//!
//! Ignored by default: needs `tests/cluster/up`.

mod support;

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/deployment.rs"]
mod deployment;
#[path = "support/real.rs"]
mod real;
#[path = "support/spread.rs"]
mod spread;
#[path = "support/tuning.rs"]
mod tuning;

use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use cluster::{Faults, TestCluster, TestNode, cluster};
use deployment::{SITE, files, write_files};
use support::{Sandbox, stderr, stdout};

/// The four nodes, of which ssh reaches n2 and n3 through n1, and n4 through n2 and n1.
struct Bed<'a> {
    sandbox: Sandbox,
    // Before the faults: what mends a node looks whether it is heard from here.
    _routes: Vec<NoRoute>,
    faults: Faults<'a>,
}

/// An address of the fabric that this machine, which has a cable to it, cannot get to for as long as this lives.
struct NoRoute(Ipv4Addr);

impl NoRoute {
    fn add(to: Ipv4Addr) -> Self {
        let added = route("replace", to).status().unwrap();
        assert!(added.success(), "no route to {to}");
        Self(to)
    }
}

impl Drop for NoRoute {
    fn drop(&mut self) {
        let _ = route("del", self.0).status();
    }
}

fn route(what: &str, to: Ipv4Addr) -> Command {
    let mut command = Command::new("ip");
    command.args(["route", what, "unreachable", &format!("{to}/32")]);
    command
}

impl<'a> Bed<'a> {
    fn new(cluster: &'a TestCluster, image: &str) -> Self {
        let mut faults = Faults::new(cluster);
        let sandbox = Sandbox::new();
        let own = cluster.ssh_config.display();
        // A node shows the same key wherever it is met.
        let mut config = String::new();
        for TestNode { management, fabric, .. } in &cluster.nodes {
            config += &format!("Host {}\n  HostKeyAlias {}\n", fabric.address, management.address);
        }
        let text = std::fs::read_to_string(&cluster.ssh_config).unwrap();
        let fabric = cluster.machine.fabric.octets();
        let of_all = text.replace(
            "Host n1 n2 n3 n4\n",
            &format!("Host n1 n2 n3 n4 {}.{}.{}.*\n", fabric[0], fabric[1], fabric[2]),
        );
        assert_ne!(of_all, text, "{own}");
        let path = sandbox.write("ssh_config", format!("{config}{of_all}"));
        let mut inventory = format!(
            "name = \"through\"\nimage = \"{image}\"\nssh_config = \"{}\"\ncontainer = {{ gpus = \"none\" }}\n\
             expect_gpu = \"NVIDIA GB10\"\n",
            path.display()
        );
        for (node, through) in cluster.nodes.iter().zip([None, Some("n1"), Some("n1"), Some("n2")]) {
            let (name, fabric) = (&node.name, node.fabric.address);
            let keys = match through {
                None => format!("role = \"head\"\nssh = \"{}\"", node.ssh),
                Some(through) => format!("ssh = \"{fabric}\"\nthrough = \"{through}\""),
            };
            inventory += &format!("[[nodes]]\nname = \"{name}\"\n{keys}\nfabric = [\"{fabric}\"]\n");
        }
        sandbox.write("sparks.toml", inventory);
        for node in &cluster.nodes[1..] {
            faults.cause(&node.name, &["link-down"]);
        }
        let routes = cluster.nodes.iter().map(|node| NoRoute::add(node.fabric.address)).collect();
        Self { sandbox, faults, _routes: routes }
    }

    /// A command on a node that has no link to this machine.
    fn inside(&self, node: &TestNode, script: &str) -> Output {
        let mut command = Command::new("nsenter");
        let pid = node.pid.to_string();
        command.args(["--target", &pid, "--mount", "--uts", "--net", "--pid", "--root", "--wd"]);
        let output = command.args(["sh", "-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        output
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn nodes_and_doctor_get_to_whoever_is_behind() {
    let cluster = cluster();
    let mut bed = Bed::new(&cluster, "spark-test:python");
    // No runtime is in the image, and every node says so by itself: containers come up on all of them.
    let nodes = bed.sandbox.sparktune(&["nodes", "--json"]).assert();
    let value: Value = serde_json::from_str(&stdout(&nodes)).unwrap();
    let rows = value["nodes"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for (row, node) in rows.iter().zip(&cluster.nodes) {
        assert_eq!((&row["node"], &row["facts"]["host_name"]), (&json!(node.name), &json!(node.name)));
        let runtime = row["runtime"]["error"].as_str().unwrap();
        assert!(runtime.contains("has neither SGLang nor vLLM"), "{runtime}");
    }
    let found = bed.sandbox.sparktune(&["doctor", "--json"]).assert();
    let value: Value = serde_json::from_str(&stdout(&found)).unwrap();
    let findings = value["findings"].as_array().unwrap();
    let says = |node: &str, item: &str| {
        let mut of = findings.iter().filter(|it| it["node"] == node && it["item"] == item);
        let it = of.next().unwrap_or_else(|| panic!("{node} {item}: {value}"));
        (it["state"].as_str().unwrap().to_owned(), it["says"].as_str().unwrap().to_owned())
    };
    let to = |at: usize| cluster.nodes[at].fabric.address;
    assert_eq!(says("n3", "reachable"), ("ok".into(), format!("by ssh to {} through n1", to(2))));
    assert_eq!(says("n4", "reachable").1, format!("by ssh to {} through n1 and n2", to(3)));
    for node in ["n1", "n2", "n3", "n4"] {
        for item in ["reachable", "readable", "engine", "image", "fabric_address", "fabric"] {
            assert_eq!(says(node, item).0, "ok", "{node} {item}");
        }
    }
    let lines = bed.sandbox.succeeds(&["nodes", "--dry-run"]);
    let jumps = format!(" -J 'n1,{}' {} '", to(1), to(3));
    assert!(lines.contains(&jumps) && lines.contains(&format!(" -J n1 {} '", to(1))), "{lines}");
    let line = lines.lines().find(|line| line.contains(&jumps)).unwrap();
    // As a person would type it, with a program of theirs.
    let typed = format!("{} 'hostname; echo $SSH_CONNECTION'", line.split(" 'python3").next().unwrap());
    let typed = Command::new("sh").args(["-c", &typed]).output().unwrap();
    let typed = String::from_utf8_lossy(&typed.stdout).into_owned();
    assert!(typed.contains("n4") && typed.contains(&format!("{} ", to(1))), "{typed}");

    // Without the first node nobody is reached, which each of them says, and nobody waits longer for that.
    bed.faults.cause("n1", &["link-down"]);
    let begun = Instant::now();
    let away = bed.sandbox.sparktune(&["nodes"]).assert().code(3);
    assert!(begun.elapsed() < Duration::from_secs(16), "{:?}", begun.elapsed());
    let text = stdout(&away) + &stderr(&away);
    assert!(text.contains("its way goes through n1: cannot be reached by ssh: "), "{text}");
    assert!(!text.contains("goes through n2"), "{text}");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn what_lies_in_the_way_is_told_of_the_node_behind_alone() {
    let cluster = cluster();
    let mut bed = Bed::new(&cluster, "spark-test:python");
    bed.faults.cause("n2", &["stop-sshd"]);
    bed.faults.cause("n3", &["new-host-key"]);
    let text = stderr(&bed.sandbox.sparktune(&["image", "list"]).assert().code(3));
    let (second, third) = (cluster.nodes[1].fabric.address, cluster.nodes[2].management.address);
    assert!(
        text.contains(&format!("n1 gets no connection to {second} port 22: nobody listens there")),
        "{text}"
    );
    assert!(text.contains("n3: cannot be reached by ssh: its host key is not the one in "), "{text}");
    assert!(text.contains("n4: its way goes through n2: "), "{text}");
    // Of several failures only the first has its hint there.
    let found = stdout(&bed.sandbox.sparktune(&["doctor", "--json"]).assert());
    let value: Value = serde_json::from_str(&found).unwrap();
    let mut findings = value["findings"].as_array().unwrap().iter();
    let key = findings.find(|it| it["node"] == "n3" && it["item"] == "reachable").unwrap();
    let fix = key["fix"].as_str().unwrap();
    assert!(fix.contains("ssh-keygen -f ") && fix.contains(" -R "), "{fix}");
    assert!(fix.trim_end_matches(['"', '\'']).ends_with(&third.to_string()), "{fix}");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn images_and_files_get_to_whoever_is_behind() {
    let cluster = cluster();
    let image = "spark-test/through:random";
    let bed = Bed::new(&cluster, image);
    let all = |script: &str| {
        for node in &cluster.nodes {
            bed.inside(node, script);
        }
    };
    all(&format!("docker image rm {image} 2> /dev/null || true"));
    bed.inside(
        &cluster.nodes[0],
        &format!(
            "set -e; d=$(mktemp -d); head -c 8388608 /dev/urandom > $d/random; tar -C $d -c random | docker import - \
             {image}; rm -r $d"
        ),
    );
    let dry = bed.sandbox.succeeds(&["image", "sync", "--dry-run"]);
    let last = format!(
        " -J 'n1,{}' {} 'docker load'",
        cluster.nodes[1].fabric.address, cluster.nodes[3].fabric.address
    );
    assert!(dry.contains(&last), "{dry}");
    let over = format!(
        "# n2: over the fabric, from {} to {}, which equals\n",
        cluster.nodes[0].fabric.address, cluster.nodes[1].fabric.address
    );
    assert!(dry.contains(&over), "{dry}");
    let here = bed.sandbox.succeeds(&["image", "sync", "--through-here", "--dry-run"]);
    assert!(here.contains(&last) && !here.contains("over the fabric"), "{here}");
    let how = |value: &Value| -> Vec<(String, String)> {
        let nodes = value["images"][0]["nodes"].as_array().unwrap();
        let words = |node: &Value| (node["how"].to_string(), node["way"].to_string());
        nodes.iter().map(words).collect()
    };
    let synced = bed.sandbox.json(&["image", "sync", "--json"]);
    let copied = how(&synced);
    assert_eq!(copied[0].0, "\"had_it\"", "{synced}");
    assert!(copied[1..].iter().all(|it| *it == ("\"copied\"".into(), "\"fabric\"".into())), "{synced}");
    for node in &cluster.nodes[1..] {
        bed.inside(node, &format!("docker image rm {image}"));
    }
    let synced = bed.sandbox.json(&["image", "sync", "--through-here", "--json"]);
    assert!(how(&synced)[1..].iter().all(|it| it.1 == "\"through_here\""), "{synced}");
    all(&format!("docker image rm {image}"));

    // Files into a container of each node that has a runtime.
    let container = "through-runtime";
    let site = SITE.replace('\'', r"'\''");
    let text = std::fs::read_to_string(bed.sandbox.path("sparks.toml")).unwrap();
    bed.sandbox.write("sparks.toml", text.replace(image, "spark-test:python"));
    all(&format!(
        "docker rm -f {container} 2> /dev/null; docker run -d --network host --name {container} spark-test:python sleep \
         infinity && docker exec {container} python3 -c '{site}'"
    ));
    write_files(&bed.sandbox, "new", &files(3, 4));
    let arguments = |more: &'static str| ["deploy", "--container", container, more];
    let dry = bed.sandbox.succeeds(&["deploy", "--container", container, "--dry-run", "new"]);
    assert!(dry.contains(&format!(" -J n1 {} ", cluster.nodes[2].fabric.address)), "{dry}");
    bed.sandbox.succeeds(&arguments("new"));
    let status = bed.sandbox.succeeds(&arguments("--status"));
    for node in &cluster.nodes {
        assert!(status.contains(&node.name), "{status}");
    }
    bed.sandbox.succeeds(&arguments("--rollback"));
    all(&format!("docker rm -f {container}"));
}

/// Containers are made, workers started and their streams held through one node or two.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn a_run_works_on_whoever_is_behind() {
    const NAME: &str = "tuned-behind";
    let tuned = spread::Bed::new(NAME).await;
    let alone = tuned.alone();
    let bed = Bed::new(&tuned.cluster, "spark-test:python");
    // The compiler of one inventory, the ways of the other.
    let (own, behind) = (tuned.sandbox.read("lab.toml"), bed.sandbox.read("sparks.toml"));
    let [(common, _), (_, nodes)] = [&own, &behind].map(|text| text.split_once("[[nodes]]").unwrap());
    let ways = bed.sandbox.path("ssh_config").display().to_string();
    let common = common.replace(&tuned.cluster.ssh_config.display().to_string(), &ways);
    assert!(common.contains(&ways), "{common}");
    tuned.sandbox.write("lab.toml", format!("{common}[[nodes]]{nodes}"));

    tuning::said(&tuned.spread("behind").output().unwrap());
    assert_eq!(tuned.came_to("behind").0, alone);
    let journal = tuning::journal(&tuned.sandbox.path("behind"));
    assert_eq!(journal.iter().filter(|line| line["record"] == "joined").count(), 4);
    tuned.nothing_is_left(NAME);
}
