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

/// An inventory of this machine, whose programs run in a virtual environment that has what `packages` says.
fn with_packages(packages: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    let python = sandbox.virtualenv(packages);
    let venv = python.ancestors().nth(2).unwrap();
    let inventory = format!(
        "name = \"lab\"\nengine = \"none\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nlocal = true\nbare = {{ virtualenv = \"{}\" }}\n",
        venv.display()
    );
    sandbox.write("sparks.toml", inventory);
    sandbox
}

const SERVED: [(&str, &str); 4] = [
    ("sglang-0.5.23.dist-info/METADATA", "Metadata-Version: 2.1\nName: sglang\nVersion: 0.5.23\n"),
    ("triton-3.8.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: triton\nVersion: 3.8.0\n"),
    ("triton/__init__.py", ""),
    ("sglang/srt/layers/moe/moe_runner/triton_utils/configs/triton_3_8_0/E=1.json", "{}"),
];

#[test]
fn what_serves_on_a_node_is_shown_with_where_it_looks() {
    let sandbox = with_packages(&SERVED);
    let table = sandbox.succeeds(&["nodes"]);
    assert!(
        table.contains("SGLang 0.5.23") && table.contains("config files") && table.contains("(1 there)"),
        "{table}"
    );
    let value = sandbox.json(&["nodes", "--json"]);
    let runtime = &value["nodes"][0]["runtime"];
    assert_eq!(runtime["family"], "sglang");
    assert_eq!(runtime["installed"]["packages"]["triton"]["version"], "3.8.0");
    assert_eq!(runtime["config_files"]["files"], serde_json::json!(["E=1.json"]));
    assert_eq!(runtime["image"], Value::Null);
    assert_eq!(runtime["options"], Value::Null, "they were not asked for");
}

#[test]
fn a_command_line_is_held_against_what_the_server_takes() {
    let server = "import argparse, sys\np = argparse.ArgumentParser()\np.add_argument('--weights')\n\
                  p.add_argument('--kind', choices=['a', 'b'])\np.parse_args()\n";
    let sandbox = with_packages(&[&SERVED[..], &[("sglang/launch_server.py", server)]].concat());
    let list = sandbox.succeeds(&["nodes", "--options"]);
    assert!(
        list.starts_with("n1: SGLang 0.5.23: 3 options, by its help\n") && list.contains("--weights"),
        "{list}"
    );
    let good =
        sandbox.succeeds(&["nodes", "--options", "--", "sglang", "serve", "--weights", "/w", "--kind=a"]);
    assert!(good.ends_with("  it takes this command line\n"), "{good}");
    let arguments = ["nodes", "--options", "--", "--weihgts", "/w", "--kind", "c"];
    let output = sandbox.sparktune(&arguments).assert().code(1).get_output().clone();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("`--weihgts` is no option (did you mean `--weights`?)"), "{said}");
    assert!(said.contains("`--kind` does not take `c`") && said.contains("accepted: a, b"), "{said}");
    let arguments = ["nodes", "--options", "--json", "--", "--kind", "c"];
    let output = sandbox.sparktune(&arguments).assert().code(1).get_output().clone();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = &value["runtimes"][0];
    assert_eq!((&of["nodes"][0], &of["options"]["from"]), (&"n1".into(), &"help".into()));
    assert_eq!(of["complaints"][0]["trouble"], "no_choice");
}

#[test]
fn a_server_whose_help_does_not_run_is_read() {
    let source = "def add_cli_args(parser):\n    parser.add_argument('--weights', type=str)\n";
    let broken = ("sglang/launch_server.py", "raise RuntimeError('no GPU here')");
    let sandbox = with_packages(&[&SERVED[..], &[broken, ("sglang/srt/server_args.py", source)]].concat());
    let list = sandbox.succeeds(&["nodes", "--options"]);
    assert!(list.contains("2 options, by its source, which may leave some out"), "{list}");
    assert!(list.contains("RuntimeError: no GPU here") && list.contains("--weights"), "{list}");
    let none = with_packages(&[&SERVED[..], &[broken]].concat());
    none.fails(
        3,
        &["nodes", "--options"],
        &["n1: what its server takes is not known: RuntimeError: no GPU here"],
    );
}

#[test]
fn a_node_without_a_runtime_is_as_it_is_and_has_no_options() {
    let sandbox = with_packages(&[]);
    let table = sandbox.succeeds(&["nodes"]);
    assert!(
        table.contains("has neither SGLang nor vLLM") && table.contains("note: n1: name its virtual"),
        "{table}"
    );
    sandbox.fails(3, &["nodes", "--options"], &["n1: ", "has neither SGLang nor vLLM", "virtualenv"]);
}

#[test]
fn what_would_be_asked_is_shown_and_not_done() {
    let sandbox = Sandbox::new();
    // Nobody answers there.
    let inventory = "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nssh = \"nobody.invalid\"\n\
                     [[nodes]]\nname = \"n2\"\nrole = \"worker\"\nengine_url = \"unix:///nowhere/docker.sock\"\n";
    sandbox.write("sparks.toml", inventory);
    let lines = sandbox.succeeds(&["nodes", "--dry-run"]);
    assert!(lines.starts_with("# n1\nssh "), "{lines}");
    assert!(lines.contains("'python3 -I -c node/facts.py'"), "{lines}");
    assert!(
        lines.contains("'docker run --detach --name sparktune-lab-probe-n1-")
            && lines.contains("--network none"),
        "{lines}"
    );
    let second = lines.split("# n2\n").nth(1).unwrap();
    assert!(second.contains("\nDOCKER_HOST=unix:///nowhere/docker.sock docker run "), "{second}");
    assert!(!second.contains("ssh"), "{second}");
    for arguments in [&["--dry-run", "--json"][..], &["--options", "--env"], &["--", "--tp"]] {
        let arguments = [&["nodes"][..], arguments].concat();
        sandbox.sparktune(&arguments).assert().code(2);
    }
}
