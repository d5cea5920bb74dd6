//! The test cluster itself: are its four nodes what `cluster.json` says, each with an engine and a network of its own?
//!
//! Ignored by default, but for what is refused: needs `tests/cluster/up`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Faults, TestCluster, TestNode, cluster, whole};

/// What a program said that must have succeeded, without the last line's end.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

/// Docker's command line, spoken to one engine.
fn docker(socket: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("docker");
    command.arg("--host").arg(format!("unix://{}", socket.display())).args(arguments).output().unwrap()
}

/// `tests/cluster/up`, which these settings or this user keep from doing anything.
fn refused(path: Option<&Path>, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut up = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/up"));
    if let Some(path) = path {
        up.env("PATH", format!("{}:{}", path.display(), std::env::var("PATH").unwrap()));
    }
    let output = up.envs(settings.iter().copied()).output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    for (name, value) in [
        ("SPARK_CLUSTER_PREFIX", "with-dash"),
        ("SPARK_CLUSTER_PREFIX", "elevenchars"),
        ("SPARK_CLUSTER_PREFIX", "../etc"),
        ("SPARK_CLUSTER_MANAGEMENT", "10.77.0.1"),
        ("SPARK_CLUSTER_MANAGEMENT", "10.77.256"),
        ("SPARK_CLUSTER_FABRIC", "10.77"),
        ("SPARK_CLUSTER_FABRIC", "fabric"),
        ("SPARK_CLUSTER_DISK", "much"),
        ("SPARK_CLUSTER_DISK", "100M"),
    ] {
        let settings = [("SPARK_CLUSTER_STATE", state.to_str().unwrap()), (name, value)];
        let (code, said) = refused(None, &settings);
        assert_eq!(code, Some(2), "{name}={value}: {said}");
        assert!(said.contains(name) && said.contains(&format!("`{value}`")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let same = [("SPARK_CLUSTER_MANAGEMENT", "10.9.8"), ("SPARK_CLUSTER_FABRIC", "10.9.8")];
    let (code, said) = refused(None, &same);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("same subnet"), "{said}");
    assert!(!state.exists());
}

#[test]
fn a_user_who_is_not_root_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let id = folder.path().join("id");
    std::fs::write(&id, "#!/bin/sh\necho 1000\n").unwrap();
    std::fs::set_permissions(&id, std::fs::Permissions::from_mode(0o755)).unwrap();
    let state = folder.path().join("state");
    let (code, said) = refused(Some(folder.path()), &[("SPARK_CLUSTER_STATE", state.to_str().unwrap())]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("needs root") && said.lines().count() == 1, "{said}");
    assert!(!state.exists());
}

/// Something that all nodes say, each its own.
fn all_different(cluster: &TestCluster, what: impl Fn(&TestNode) -> String) {
    let values: BTreeSet<_> = cluster.nodes.iter().map(what).collect();
    assert_eq!(values.len(), cluster.nodes.len(), "{values:?}");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn four_nodes_are_described_each_with_its_own() {
    let cluster = cluster();
    let names: Vec<_> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n1", "n2", "n3", "n4"]);
    all_different(&cluster, |node| node.management.address.to_string());
    all_different(&cluster, |node| node.fabric.address.to_string());
    all_different(&cluster, |node| node.docker_socket.display().to_string());
    all_different(&cluster, |node| node.namespace.clone());
    all_different(&cluster, |node| node.pid.to_string());
    assert_eq!(cluster.nodes.iter().filter(|node| node.podman_socket.is_some()).count(), 1);
    for node in &cluster.nodes {
        assert!(node.disk.is_file(), "{}", node.disk.display());
        let hostname = std::fs::read_to_string(node.root.join("etc/hostname")).unwrap();
        assert_eq!(hostname.trim_end(), node.name);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn each_engine_answers_over_its_socket_and_over_ssh() {
    let (cluster, _whole) = (cluster(), whole());
    for node in &cluster.nodes {
        let version = ["version", "--format", "{{.Server.APIVersion}}"];
        let local = said(&docker(&node.docker_socket, &version));
        assert!(local.starts_with("1."), "{local}");
        // The engine that `docker` finds on a node is that node's.
        assert_eq!(said(&docker(&node.docker_socket, &["info", "--format", "{{.Name}}"])), node.name);
        assert_eq!(
            said(&cluster.ssh(node, "hostname; docker info --format '{{.Name}}'")),
            format!("{0}\n{0}", node.name)
        );
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn each_engine_answers_by_tls_whom_it_knows() {
    let (cluster, _whole) = (cluster(), whole());
    for node in &cluster.nodes {
        let mut docker = Command::new("docker");
        docker.arg("--host").arg(format!("tcp://{}", node.docker_tcp));
        docker.args(["--tlsverify", "info", "--format", "{{.Name}}"]);
        let known = docker.env("DOCKER_CERT_PATH", &cluster.tls).output().unwrap();
        assert_eq!(said(&known), node.name);
        let stranger = Command::new("curl")
            .args(["--silent", "--show-error", "--cacert"])
            .arg(cluster.tls.join("ca.pem"))
            .arg(format!("https://{}/version", node.docker_tcp))
            .output()
            .unwrap();
        assert!(!stranger.status.success() && stranger.stdout.is_empty(), "{stranger:?}");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn every_engine_has_the_same_images() {
    let (cluster, _whole) = (cluster(), whole());
    assert_eq!(cluster.images, ["spark-test:python", "spark-test:no-python"]);
    for image in &cluster.images {
        let id = |node: &TestNode| {
            said(&docker(&node.docker_socket, &["image", "inspect", "--format", "{{.Id}}", image]))
        };
        let ids: BTreeSet<_> = cluster.nodes.iter().map(id).collect();
        assert_eq!(ids.len(), 1, "{image}: {ids:?}");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_container_on_the_host_network_is_on_its_nodes_network() {
    let (cluster, _whole) = (cluster(), whole());
    let script = "import os; print(*sorted(os.listdir('/sys/class/net')))";
    for node in &cluster.nodes {
        let run = ["run", "--rm", "--network", "host", "spark-test:python", "python3", "-c", script];
        let interfaces = said(&docker(&node.docker_socket, &run));
        assert_eq!(interfaces, format!("{} {} lo", node.management.interface, node.fabric.interface));
        let address =
            said(&cluster.ssh(node, &format!("ip -brief -4 address show {}", node.fabric.interface)));
        assert!(address.contains(&format!(" {}/24", node.fabric.address)), "{address}");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn podman_answers_over_its_socket_and_over_ssh() {
    let (cluster, _whole) = (cluster(), whole());
    let node = cluster.nodes.iter().find(|node| node.podman_socket.is_some()).expect("a node has Podman");
    let socket = node.podman_socket.as_deref().unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--unix-socket"]).arg(socket).arg("http://podman/version");
    assert!(said(&curl.output().unwrap()).contains(r#""Name":"Podman Engine""#));
    for image in &cluster.images {
        said(&cluster.ssh(node, &format!("podman image exists {image}")));
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_fault_is_its_nodes_alone_and_heals() {
    let cluster = cluster();
    let [broken, other, ..] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut faults = Faults::new(&cluster);
    faults.cause(&broken.name, &["link-down"]);
    let cut = cluster.ssh(broken, "true");
    assert_eq!(cut.status.code(), Some(255), "{cut:?}");
    said(&cluster.ssh(other, "true"));
    // The other network is another cable.
    said(&cluster.ssh(other, &format!("ping -c 1 -W 5 {}", broken.fabric.address)));
    faults.heal();
    said(&cluster.ssh(broken, "true"));

    faults.cause(&broken.name, &["stop-engine"]);
    assert!(!docker(&broken.docker_socket, &["version"]).status.success());
    said(&docker(&other.docker_socket, &["version"]));
    faults.heal();
    said(&docker(&broken.docker_socket, &["version"]));
}
