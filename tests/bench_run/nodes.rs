//! `--cluster`: what the machines behind the server were like, beside the figures.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::bench::{Ended, Results, ended, mock, quick, sparkbench};
use crate::support::Sandbox;

/// This machine as the one node of a cluster.
const HERE: &str =
    "name = \"lab\"\nengine = \"none\"\n[[nodes]]\nname = \"spark-1\"\nrole = \"head\"\nlocal = true\n";

const LOAD: [&str; 7] = ["-n", "4", "-i", "16", "-o", "2", "--no-html"];

/// A command that says what nvidia-smi says on a node with one GPU. It is no nvidia-smi.
fn look_alike_gpu(sandbox: &Sandbox, driver: &str) -> String {
    let folder = sandbox.path("bin");
    sandbox.write(
        "bin/nvidia-smi",
        format!("#!/bin/sh\necho 'NVIDIA GB10, 12.1, {driver}, 208, 3003, 51, [N/A]'\n"),
    );
    std::fs::set_permissions(folder.join("nvidia-smi"), PermissionsExt::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// Measure with the look-alike in the place of the driver's tool.
fn measured(sandbox: &Sandbox, url: &str, out: &str, driver: &str) -> Ended {
    let arguments = [&["run", "--base-url", url, "--cluster", "lab.toml", "--out", out], &LOAD[..]].concat();
    let path = look_alike_gpu(sandbox, driver);
    Ended::of(sparkbench(sandbox, &arguments).env("PATH", path).output().unwrap())
}

#[test]
fn nodes_are_read_before_and_after_a_run_and_shown_with_it() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    sandbox.write("lab.toml", HERE);
    let said = measured(&sandbox, &mock.url(), "a", "580.95.05").with(0);
    let file = Results::of(&sandbox, "a").json("nodes.json");
    assert_eq!((&file["format"], &file["cluster"]), (&json!(1), &json!("lab")));
    for when in ["before", "after"] {
        let node = &file[when][0];
        assert_eq!((&node["node"], &node["unread"]), (&json!("spark-1"), &json!(null)), "{file:#}");
        let gpu = &node["gpus"][0];
        assert_eq!((&gpu["name"], &gpu["driver"]), (&json!("NVIDIA GB10"), &json!("580.95.05")));
        assert_eq!((&gpu["max_clock_mhz"], &gpu["power_w"]), (&json!(3003.0), &json!(null)));
        assert!(node["memory_available_bytes"].as_u64() > Some(0), "{file:#}");
    }
    let report = ended(&sandbox, &["report", "a", "--html", "page.html"]).with(0);
    for text in [&said.out, &report.out, &sandbox.read("page.html")] {
        assert!(text.contains("clock limit, MHz") && text.contains("580.95.05"), "{text}");
    }
    // Another driver under the same load is what whoever compares has to know.
    measured(&sandbox, &mock.url(), "b", "580.142").with(0);
    let compared = ended(&sandbox, &["compare", "a", "b", "--threshold", "90%"]);
    assert!(compared.out.contains("warning: driver: 580.95.05 in A, 580.142 in B (spark-1)"), "{compared:?}");
}

#[test]
fn of_a_run_without_a_cluster_nothing_is_said() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    // Only a file that is named counts: to measure a server is no order to log in anywhere.
    sandbox.write("sparks.toml", HERE);
    let said = crate::bench::run(&sandbox, &mock.url(), "out", &LOAD).with(0);
    assert!(!said.out.contains("clock limit"), "{said:?}");
    assert!(!Results::of(&sandbox, "out").files().contains(&"nodes.json".to_owned()));
}

#[test]
fn a_node_out_of_reach_is_said_before_anything_is_measured() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    sandbox.write("ssh_config", "Host spark-2\n HostName 127.0.0.1\n Port 1\n");
    sandbox.write(
        "lab.toml",
        "name = \"lab\"\nengine = \"none\"\nssh_config = \"ssh_config\"\n\
         [[nodes]]\nname = \"spark-1\"\nrole = \"head\"\nssh = \"spark-2\"\n",
    );
    let arguments = [&["run", "--base-url", &mock.url(), "--cluster", "lab.toml", "--out", "out"], &LOAD[..]];
    let said = ended(&sandbox, &arguments.concat()).with(3);
    said.saying(&["spark-1", "refuses the connection"]);
    assert!(!sandbox.path("out").exists());
}

#[test]
fn a_damaged_file_of_nodes_is_named() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    sandbox.write("lab.toml", HERE);
    measured(&sandbox, &mock.url(), "a", "580.95.05").with(0);
    for (text, words) in [
        ("{", ["nodes.json", "EOF"]),
        (r#"{"format": 9}"#, ["nodes.json", "9"]),
        (r#"{"format": 1, "cluster": "lab", "before": 3, "after": null}"#, ["nodes.json", "invalid type"]),
    ] {
        sandbox.write("a/nodes.json", text);
        ended(&sandbox, &["report", "a"]).with(2).saying(&words);
    }
}
