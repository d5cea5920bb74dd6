//! `sparktune nodes` on this machine, whatever it is.

mod support;

use serde_json::Value;

use support::Sandbox;

#[test]
fn this_machine_is_a_node() {
    let sandbox = Sandbox::new();
    let value = sandbox.json(&["nodes", "--json"]);
    let [node] = &value["nodes"].as_array().unwrap()[..] else { panic!("{value}") };
    assert_eq!(node["node"], "localhost");
    let facts = &node["facts"];
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(facts["host_name"], name.trim());
    assert!(facts["memory"]["total"].as_u64().unwrap() > 0);
    assert!(facts["interfaces"].as_array().unwrap().iter().any(|it| it["name"] == "lo"));
    assert!(node["clock_ahead_s"]["most"].as_f64().unwrap() >= 0.0);
    assert!(node["clock_ahead_s"]["least"].as_f64().unwrap() <= 0.0);
    assert_eq!(value["topology"]["kind"], "alone");

    let table = sandbox.succeeds(&["nodes"]);
    assert!(table.starts_with("node") && table.contains("localhost"), "{table}");
    let lines = sandbox.succeeds(&["nodes", "--env"]);
    assert!(lines.starts_with("# localhost\n"), "{lines}");
}

#[test]
fn a_value_that_is_given_is_shown_in_its_place() {
    let sandbox = Sandbox::new();
    let value = sandbox.json(&["nodes", "--json", "--set", "NCCL_IB_GID_INDEX=5"]);
    let node = &value["nodes"][0];
    let variables = node["environment"].as_array().unwrap();
    if node["data"] == Value::Null {
        // Without any address there is nothing to set variables for, and that is said.
        assert!(variables.is_empty(), "{node}");
        let lines = sandbox.succeeds(&["nodes", "--env", "--set", "NCCL_IB_GID_INDEX=5"]);
        assert!(lines.contains("nothing can be derived"), "{lines}");
        return;
    }
    let variable = variables.iter().find(|it| it["name"] == "NCCL_IB_GID_INDEX").unwrap();
    assert_eq!((&variable["value"], &variable["origin"]), (&"5".into(), &"given".into()));
}

#[test]
fn what_cannot_be_given_is_bad_input() {
    let sandbox = Sandbox::new();
    for (arguments, words) in [
        (&["--set", "NCCL_IB_HCA"][..], "--set: `NCCL_IB_HCA` is not NAME=VALUE"),
        (
            &["--set", "NCCL_IB_HCAS=x"],
            "--set: `NCCL_IB_HCAS` is no variable that is derived; these are: NCCL_",
        ),
        (&["--set", "HF_TOKEN=x"], "`HF_TOKEN` is no variable"),
        (&["--set", "NCCL_IB_HCA=a\nb"], "the value of NCCL_IB_HCA holds a control character"),
        (&["--control", "127.0.0.1"], "control address of localhost: 127.0.0.1 is loopback"),
        (&["--data", "203.0.113.77"], "data address of localhost: it has no 203.0.113.77; give one of"),
        (&["--data", "head"], "invalid value 'head' for '--data <ADDRESS>'"),
        (&["--env", "--json"], "cannot be used with"),
    ] {
        let arguments = [&["nodes"][..], arguments].concat();
        let output = sandbox.sparktune(&arguments).assert().code(2).get_output().clone();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(words), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_machine_without_python_says_so() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.sparktune(&["nodes", "--json"]);
    let assert = command.env("PATH", sandbox.work()).assert().code(3);
    let output = assert.get_output();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("cannot start `python3`") && message.contains("install python3"), "{message}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(value["nodes"][0]["error"].as_str().unwrap().contains("python3"), "{value}");
}
