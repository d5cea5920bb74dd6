//! `sparktune doctor` on this machine, whatever else is wrong with it.

mod support;

use serde_json::Value;

use support::{Sandbox, stdout};

const SNAPSHOT: &str = "hf/hub/models--zai-org--GLM-4.7-FP8/snapshots/0123abcd";

/// What is said of one item. The exit code is for whatever else is wrong, too.
fn item(sandbox: &Sandbox, arguments: &[&str], item: &str) -> Value {
    let assert = sandbox.sparktune(&[&["doctor", "--json"], arguments].concat()).assert();
    let value: Value = serde_json::from_str(&stdout(&assert)).unwrap();
    let found = value["findings"].as_array().unwrap().iter().find(|it| it["item"] == item).cloned();
    found.unwrap_or_else(|| panic!("{item}: {value}"))
}

/// A file below the sandbox's home.
fn put(sandbox: &Sandbox, below: &str, bytes: &[u8]) {
    let path = sandbox.home().join(below);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    support::write(&path, bytes);
}

#[test]
fn a_model_of_this_machine_is_looked_at_where_hugging_face_has_it() {
    let sandbox = Sandbox::new();
    let model = ["--model", "glm-4.7-fp8"];
    let found = item(&sandbox, &model, "model_files");
    assert_eq!((&found["state"], &found["node"]), (&"failed".into(), &"localhost".into()), "{found}");
    let fix = found["fix"].as_str().unwrap();
    assert!(
        fix.starts_with("hf download zai-org/GLM-4.7-FP8 --cache-dir ") && fix.ends_with("hf/hub"),
        "{fix}"
    );
    put(&sandbox, "hf/hub/models--zai-org--GLM-4.7-FP8/refs/main", b"0123abcd");
    put(&sandbox, &format!("{SNAPSHOT}/config.json"), b"{}");
    put(&sandbox, &format!("{SNAPSHOT}/model.safetensors"), b"\x02\0\0\0\0\0\0\0{}");
    let found = item(&sandbox, &model, "model_files");
    assert_eq!(found["state"], "ok", "{found}");
    // 10 bytes of weights fit everywhere; how they are split is the recipe's to say, or the user's.
    let found = item(&sandbox, &model, "model_memory");
    assert_eq!(found["state"], "ok", "{found}");
    assert!(found["says"].as_str().unwrap().contains("(tp 4)"), "{found}");
    let found = item(&sandbox, &[&model[..], &["--tp", "2"]].concat(), "model_memory");
    assert!(found["says"].as_str().unwrap().contains("(tp 2)"), "{found}");
    put(&sandbox, &format!("{SNAPSHOT}/model.safetensors"), b"\x02\0\0\0\0\0\0\0{");
    let found = item(&sandbox, &model, "model_files");
    assert_eq!(found["state"], "failed", "{found}");
    // Without a model none of this is said.
    let assert = sandbox.sparktune(&["doctor", "--verbose"]).assert();
    assert!(!stdout(&assert).contains("model_"), "{}", stdout(&assert));
}

#[test]
fn a_dry_run_asks_nobody() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "sparks.toml",
        "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"far\"\nrole = \"head\"\nssh = \"me@203.0.113.77\"\n",
    );
    let before = sandbox.snapshot();
    let lines = sandbox.succeeds(&["doctor", "--dry-run", "--model", "glm-4.7-fp8", "--load"]);
    assert!(lines.starts_with("# far\nssh me@203.0.113.77 "), "{lines}");
    for words in [
        "node/facts.py",
        "node/models.py",
        "node/load.py",
        "docker image inspect a:b",
        "--gpus all",
        "rm --force",
    ] {
        assert!(lines.contains(words), "{words}: {lines}");
    }
    assert_eq!(sandbox.snapshot(), before);
}

#[test]
fn what_cannot_be_asked_for_is_bad_input() {
    let sandbox = Sandbox::new();
    for (arguments, words) in [
        (&["--tp", "2"][..], "--model <MODEL>"),
        (&["--model", "glm-4.7-fp9"], "unknown model `glm-4.7-fp9`"),
        (&["--model", "./nowhere"], "./nowhere"),
        (&["--model", "glm-4.7-fp8", "--tp", "0"], "tp=0 is no parallelism"),
        (&["--dry-run", "--json"], "cannot be used with"),
    ] {
        sandbox.refused(&[&["doctor"], arguments].concat(), &[words]);
    }
}
