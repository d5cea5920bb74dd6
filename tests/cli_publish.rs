//! What `publish` copies, what it keeps, and the page it makes.

mod support;

use serde_json::{Value, json};

use support::{GLM_STEM, Sandbox, file_of, sound_entry, stderr};

fn published(role: &str, end: &str) -> String {
    format!("tuned-configs/triton_3_5_0/{GLM_STEM}{role}.{end}")
}

/// The manifest with every entry, or one, raised to `rung`.
fn raise(sandbox: &Sandbox, path: &str, key: Option<&str>, rung: &str) {
    let mut manifest: Value = serde_json::from_str(&sandbox.read(path)).unwrap();
    for (of, entry) in manifest["entries"].as_object_mut().unwrap() {
        if key.is_none_or(|key| key == of) {
            entry["evidence"] = json!(rung);
        }
    }
    sandbox.write(path, format!("{manifest:#}"));
}

#[test]
fn a_run_is_copied_with_its_manifests_and_listed() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let said = sandbox.json(&["publish", "run", "--json"]);
    assert_eq!(said["files"].as_array().unwrap().len(), 2);
    for role in ["", "_down"] {
        for end in ["json", "manifest.json"] {
            let run = format!("run/triton_3_5_0/{GLM_STEM}{role}.{end}");
            assert_eq!(sandbox.read(published(role, end)), sandbox.read(run));
        }
    }
    sandbox.succeeds(&["check", "tuned-configs"]);
    let page = sandbox.read("tuned-configs/README.md");
    for words in
        ["zai-org/GLM-4.7-FP8", "NVIDIA GB10", "SGLang 0.5.4.post2", "Triton 3.5.0", "predicted", GLM_STEM]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn the_page_is_the_same_whatever_the_order() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let other = ["moe", "--model", "Qwen/Qwen3-30B-A3B-FP8", "--evidence", "predicted", "--out", "other"];
    sandbox.succeeds(&other);
    for (into, runs) in [("a", ["run", "other"]), ("b", ["other", "run"])] {
        for run in runs {
            sandbox.succeeds(&["publish", run, "--into", into]);
        }
    }
    let page = sandbox.read("a/README.md");
    assert_eq!(page, sandbox.read("b/README.md"));
    assert!(page.contains("Qwen3-30B-A3B-FP8") && page.contains("GLM-4.7-FP8"), "{page}");
    sandbox.succeeds(&["publish", "run", "--into", "a"]);
    assert_eq!(page, sandbox.read("a/README.md"), "publishing twice changes nothing");
}

#[test]
fn higher_evidence_is_never_overwritten_by_lower() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    sandbox.succeeds(&["publish", "run"]);
    let manifest = published("_down", "manifest.json");
    for (key, rung) in [(None, "measured"), (Some("64"), "compiled"), (Some("1"), "confirmed")] {
        raise(&sandbox, &manifest, None, "predicted");
        raise(&sandbox, &manifest, key, rung);
        let which = format!("{GLM_STEM}_down.json");
        // A check said no: nothing is wrong with the arguments. The up file is not copied either.
        sandbox.fails(1, &["publish", "run"], &[&which, "stays as it is", rung, "predicted"]);
    }
    // The same rung may be written again.
    raise(&sandbox, &manifest, None, "predicted");
    sandbox.succeeds(&["publish", "run"]);
}

#[test]
fn entries_are_not_lost() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    sandbox.succeeds(&["publish", "run"]);
    let some = ["moe", "--model", "GLM-4.7-FP8", "--evidence", "predicted", "--batch-sizes", "1,2"];
    sandbox.succeeds(&[&some[..], &["--out", "some"]].concat());
    sandbox.fails(1, &["publish", "some"], &[GLM_STEM, "batch size 4", "lost"]);
}

#[test]
fn another_layer_under_the_same_name() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    sandbox.succeeds(&["publish", "run"]);
    let hand = ["moe", "--experts", "160", "--intermediate", "384", "--hidden", "2048", "--top-k", "8"];
    let more = ["--dtype", "fp8_w8a8", "--per-channel", "--evidence", "predicted", "--out", "hand"];
    sandbox.succeeds(&[&hand[..], &more].concat());
    sandbox.fails(1, &["publish", "hand"], &[GLM_STEM, "another layer", "K=5120", "K=2048"]);
}

#[test]
fn a_file_without_a_manifest() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let lone = "run/triton_3_5_0/E=8,N=1024,device_name=NVIDIA_GB10.json";
    sandbox.write(lone, file_of(&[("1", sound_entry())]));
    sandbox.refused(&["publish", "run"], &[lone, "manifest"]);
}

#[test]
fn a_manifest_that_is_not_the_files() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let path = format!("run/triton_3_5_0/{GLM_STEM}.json");
    let sound = sandbox.read(&path);
    // The same entries in other bytes, and other entries.
    let mut entries: Value = serde_json::from_str(&sound).unwrap();
    sandbox.write(&path, entries.to_string());
    sandbox.fails(1, &["publish", "run"], &[&path, "manifest"]);
    entries["1"]["num_stages"] = json!(2);
    entries["1"]["GROUP_SIZE_M"] = json!(7);
    sandbox.write(&path, entries.to_string());
    sandbox.fails(1, &["publish", "run"], &[&path, "manifest"]);
    sandbox.write(&path, sound);
    sandbox.write(path.replace(".json", ".manifest.json"), "{");
    sandbox.refused(&["publish", "run"], &["manifest.json"]);
}

#[test]
fn a_file_that_would_crash() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let path = format!("run/triton_3_5_0/{GLM_STEM}.json");
    let text = sandbox.read(&path).replacen("\"num_warps\": 4", "\"num_warps\": 3", 1);
    sandbox.write(&path, text.replacen("\"num_warps\": 8", "\"num_warps\": 3", 1));
    sandbox.fails(1, &["publish", "run"], &[&path, "num_warps"]);
}

#[test]
fn nothing_to_publish() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.refused(&["publish", "empty"], &["`empty`", "no config files"]);
    sandbox.refused(&["publish", "nowhere"], &["nowhere"]);
    sandbox.predicted_run();
    sandbox.write("file", "");
    let assert = sandbox.sparktune(&["publish", "run", "--into", "file"]).assert();
    assert!(matches!(assert.get_output().status.code(), Some(2 | 3)));
    assert!(stderr(&assert).contains("file"), "{}", stderr(&assert));
    assert_eq!(sandbox.read("file"), "");
}

#[test]
fn a_page_of_somebody_elses_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let foreign = "was not made by `sparktune publish` and would be overwritten";
    // Latin-1 is no UTF-8; only the beginning of a page is looked at.
    for page in [&b"# Our notes\n"[..], b"", b"# Caf\xe9 configs\n", &vec![b' '; 1 << 20]] {
        sandbox.write("tuned-configs/README.md", page);
        sandbox.fails(2, &["publish", "run"], &["tuned-configs/README.md", foreign]);
    }
}
