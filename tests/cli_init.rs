//! `sparktune init`: what it writes, what it leaves alone, and whom it finds.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use spark::cluster::inventory::{Inventory, Login, NodeRole, find};

use support::{Sandbox, stderr, stdout};

fn written(sandbox: &Sandbox, path: &str) -> Inventory {
    Inventory::parse(Path::new(path), &sandbox.read(path)).unwrap()
}

/// Programs of these names and scripts, before all others on the path.
fn programs(sandbox: &Sandbox, scripts: &[(&str, &str)]) -> String {
    for (name, script) in scripts {
        let path = sandbox.home().join("bin").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        support::write(&path, format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", sandbox.home().join("bin").display(), std::env::var("PATH").unwrap())
}

const AVAHI: &str = "cat <<'END'
+;enP7s7;IPv4;spark-2;_ssh._tcp;local
=;enp1s0f1np1;IPv4;spark-2;_ssh._tcp;local;spark-2.local;169.254.35.62;22;
=;enP2p1s0f1np1;IPv4;spark-2;_ssh._tcp;local;spark-2.local;169.254.85.41;22;
=;enP7s7;IPv4;spark-2;_ssh._tcp;local;spark-2.local;10.0.0.22;22;
END";
const NEIGHBOURS: &str = r#"echo '[{"dst":"169.254.35.62","dev":"enp1s0f1np1","lladdr":"4c:bb:47:2c:00:01","state":["STALE"]},
{"dst":"169.254.7.7","dev":"enp1s0f1np1","lladdr":"4c:bb:47:2c:00:02","state":["REACHABLE"]}]'"#;

#[test]
fn nodes_that_are_given_are_written() {
    let sandbox = Sandbox::new();
    let nodes =
        ["--node", "a=local", "--node", "b=nvidia@192.168.1.12", "--node", "ssh://me@spark-3.local:2222"];
    let more = ["--image", "lmsysorg/sglang:spark", "--name", "lab", "--head", "b"];
    let said = sandbox.succeeds(&[&["init"][..], &nodes, &more].concat());
    assert_eq!(said, "wrote sparks.toml  3 nodes, head b\n");
    let lab = written(&sandbox, "sparks.toml");
    let names: Vec<(&str, NodeRole)> = lab.nodes.iter().map(|node| (node.name.as_str(), node.role)).collect();
    assert_eq!(names, [("a", NodeRole::Worker), ("b", NodeRole::Head), ("spark-3", NodeRole::Worker)]);
    assert_eq!(lab.nodes[0].reach.login, Some(Login::Local));
    assert_eq!(lab.nodes[1].address, Some("192.168.1.12".parse().unwrap()));
    assert_eq!(lab.nodes[2].settings.image(), Some("lmsysorg/sglang:spark"));
    // And it is the one that commands find.
    assert_eq!(find(Some(&sandbox.path("sparks.toml"))).unwrap().inventory, lab);
}

#[test]
fn this_machine_alone_is_a_cluster() {
    let sandbox = Sandbox::new();
    let said = sandbox.succeeds(&["init", "--engine", "none", "--output", "one.toml"]);
    assert!(said.starts_with("wrote one.toml  1 node, head "), "{said}");
    let one = written(&sandbox, "one.toml");
    assert_eq!((one.nodes.len(), one.nodes[0].settings.engine()), (1, None));
}

#[test]
fn a_dry_run_prints_the_file_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let arguments = ["init", "--engine", "none", "--node", "a=local"];
    let before = sandbox.snapshot();
    let text = sandbox.succeeds(&[&arguments[..], &["--dry-run"]].concat());
    assert!(sandbox.snapshot() == before);
    sandbox.succeeds(&arguments);
    assert_eq!(sandbox.read("sparks.toml"), text);
}

#[test]
fn a_file_that_is_there_stays_unless_it_is_forced() {
    let sandbox = Sandbox::new();
    sandbox.write("sparks.toml", "mine");
    let arguments = ["init", "--engine", "none", "--yes"];
    sandbox.refused(&arguments, &["`sparks.toml` is there already", "--force"]);
    assert_eq!(sandbox.read("sparks.toml"), "mine");
    sandbox.succeeds(&["init", "--engine", "none", "--dry-run"]);
    sandbox.succeeds(&[&arguments[..], &["--force"]].concat());
    assert_eq!(written(&sandbox, "sparks.toml").nodes.len(), 1);
}

#[test]
fn what_cannot_be_right_is_refused_and_nothing_written() {
    let sandbox = Sandbox::new();
    for (arguments, words) in [
        (&[][..], &["no image", "--image", "--engine none"][..]),
        (&["--engine", "none", "--image", "a"], &["--image `a`", "--engine none"]),
        (&["--engine", "none", "--head", "b", "--node", "a=local"], &["--head `b`", "none of the nodes: a"]),
        (&["--engine", "none", "--head", "-"], &["--head", "`-` is no host name"]),
        (&["--engine", "none", "--name", "my lab"], &["sparks.toml", "field `name`, line 2", "`my lab`"]),
        (&["--image", "a b"], &["sparks.toml", "field `image`", "`a b` is no image"]),
        (&["--engine", "none", "--node", "a b=c"], &["--node", "`a b` is no host name"]),
        (&["--engine", "none", "--node", "a=-oX"], &["--node", "`USER@HOST`"]),
        (&["--engine", "none", "--node", "a=me:hush@b"], &["--node", "use keys"]),
        (&["--engine", "none", "--node", "a=b", "--node", "a=c"], &["field `nodes[1].name`", "`a` too"]),
        (&["--engine", "none", "--node", "a=b", "--node", "c=b"], &["field `nodes[1]`", "reached as `a` is"]),
        (
            &["--engine", "none", "--node", "a=127.0.0.1", "--node", "c=b"],
            &["nodes[0].address", "themselves"],
        ),
        (&["--engine", "none", "--discover"], &["nobody is here to look at it", "--yes"]),
    ] {
        let message = sandbox.refused(&[&["init"][..], arguments].concat(), words);
        assert!(!message.contains("hush"), "{message}");
    }
    sandbox.fails(
        3,
        &["init", "--engine", "none", "--output", "nowhere/sparks.toml"],
        &["nowhere/sparks.toml"],
    );
}

#[test]
fn hosts_that_are_found_are_said_and_written() {
    let sandbox = Sandbox::new();
    let path = programs(&sandbox, &[("avahi-browse", AVAHI), ("ip", NEIGHBOURS)]);
    let arguments = ["init", "--discover", "--yes", "--engine", "none", "--node", "head=local"];
    let assert = sandbox.sparktune(&arguments).env("PATH", path).assert().success();
    let said = stderr(&assert);
    for words in
        ["found spark-2  10.0.0.22 (enP7s7), 169.254.35.62 (enp1s0f1np1)", "found (no name)  169.254.7.7"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(stdout(&assert), "wrote sparks.toml  3 nodes, head head\n");
    let lab = written(&sandbox, "sparks.toml");
    let spark = &lab.nodes[1];
    assert_eq!((spark.name.as_str(), &spark.address), ("spark-2", &Some("10.0.0.22".parse().unwrap())));
    assert_eq!(spark.fabric.len(), 2);
    assert_eq!(lab.nodes[2].name.as_str(), "host-169-254-7-7");
}

#[test]
fn who_cannot_look_says_so() {
    let sandbox = Sandbox::new();
    let arguments = ["init", "--discover", "--yes", "--engine", "none"];
    let missing = sandbox.home().join("empty");
    std::fs::create_dir(&missing).unwrap();
    let assert = sandbox.sparktune(&arguments).env("PATH", missing).assert().code(3);
    let said = stderr(&assert);
    for words in
        ["no `avahi-browse` here", "avahi-utils", "no `ip` here", "iproute2", "no host was found", "--node"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let failing = "echo 'Failed to create client object: Daemon not running' >&2; exit 1";
    let path = programs(&sandbox, &[("avahi-browse", failing), ("ip", "echo nonsense")]);
    let assert = sandbox.sparktune(&arguments).env("PATH", path).assert().code(3);
    let said = stderr(&assert);
    assert!(said.contains("Daemon not running"), "{said}");
    assert!(said.contains("no list of neighbours"), "{said}");
    assert!(!sandbox.path("sparks.toml").exists());
}
