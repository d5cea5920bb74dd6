//! `sparktune moe --resume`: what a run goes on with, and journals that nothing can go on with.

mod support;

use serde_json::Value;

use support::{GLM_STEM, Sandbox};

#[test]
fn a_finished_run_can_be_resumed() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let before: Vec<String> =
        ["", "_down"].map(|role| sandbox.read(format!("run/triton_3_5_0/{GLM_STEM}{role}.json"))).into();
    sandbox.succeeds(&["moe", "--resume", "run"]);
    sandbox.succeeds(&["moe", "--resume", "run", "--model", "GLM-4.7-FP8", "--tp", "4", "--device", "gb10"]);
    let after: Vec<String> =
        ["", "_down"].map(|role| sandbox.read(format!("run/triton_3_5_0/{GLM_STEM}{role}.json"))).into();
    assert_eq!(before, after);
}

#[test]
fn a_journal_of_another_plan() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    for (flag, value, field, was) in [
        ("--policy", "best-predicted", "policy", "runtime-default"),
        ("--tp", "2", "model.tp", "4"),
        ("--ep", "2", "model.ep", "1"),
        ("--model", "Qwen/Qwen3-30B-A3B-FP8", "model.name", "zai-org/GLM-4.7-FP8"),
        ("--device", "rtx-5090", "device.id", "gb10"),
        ("--sglang", "0.5.23", "target.runtime", "0.5.4.post2"),
        ("--triton", "3.8.0", "target.triton", "3.5.0"),
        ("--evidence", "compiled", "evidence", "predicted"),
        ("--batch-sizes", "1,2", "batch_sizes", "[1, 2, 4"),
    ] {
        let field = format!("`{field}` was");
        sandbox.refused(&["moe", "--resume", "run", flag, value], &["run/journal.jsonl", &field, was]);
    }
}

/// A recorded plan has its shape: figures given beside it would have to be ignored.
#[test]
fn a_shape_given_by_hand_to_a_run_of_another() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    for (flag, value) in [
        ("--experts", "8"),
        ("--intermediate", "64"),
        ("--hidden", "128"),
        ("--top-k", "2"),
        ("--dtype", "bfloat16"),
        ("--block-shape", "128,128"),
        ("--shared-experts-fusion", "off"),
    ] {
        sandbox.refused(&["moe", "--resume", "run", flag, value], &["--resume", flag]);
    }
    sandbox.refused(&["moe", "--resume", "run", "--per-channel"], &["--resume", "--per-channel"]);
}

#[test]
fn a_journal_with_a_broken_line() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let journal = sandbox.read("run/journal.jsonl");
    let lines: Vec<&str> = journal.lines().collect();
    assert_eq!(lines.len(), 3, "a header and two files");
    for (broken, line) in [
        (format!("{}\n{{\"rec\n{}\n", lines[0], lines[2]), "line 2"),
        (format!("{}\n\n{}\n", lines[0], lines[2]), "line 2"),
        (format!("{}\n{{\"record\":\"nobody\"}}\n", lines[0]), "line 2"),
        (format!("{}\n{}\nnull\n", lines[0], lines[1]), "line 3"),
        (format!("{{\n{}\n", lines[1]), "line 1"),
        (String::new(), "line 1"),
        (format!("{}\n", lines[0].replace("\"format\":3", "\"format\":99")), "line 1"),
        (format!("{}\n", lines[0].replace("\"tp\":4", "\"tp\":-4")), "line 1"),
    ] {
        sandbox.write("run/journal.jsonl", &broken);
        sandbox.refused(&["moe", "--resume", "run"], &["run/journal.jsonl", line]);
    }
}

#[test]
fn a_journal_of_an_older_version() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let journal = sandbox.read("run/journal.jsonl");
    sandbox.write("run/journal.jsonl", journal.replacen("\"format\":3", "\"format\":2", 1));
    let words = ["run/journal.jsonl", "journal format 2", "an older version wrote it", "start a new run"];
    sandbox.refused(&["moe", "--resume", "run"], &words);
}

#[test]
fn a_journal_changed_by_hand() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let journal = sandbox.read("run/journal.jsonl");
    // The plan no longer is what its hash says.
    sandbox.write("run/journal.jsonl", journal.replace("\"top_k\":8", "\"top_k\":6"));
    sandbox.refused(&["moe", "--resume", "run"], &["run/journal.jsonl"]);
}

#[test]
fn a_torn_last_line_is_forgiven() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    let journal = sandbox.read("run/journal.jsonl");
    for torn in ["{\"record\":\"proof\",\"ro", "{", &journal[..40]] {
        sandbox.write("run/journal.jsonl", format!("{journal}{torn}"));
        sandbox.succeeds(&["moe", "--resume", "run"]);
        let mended = sandbox.read("run/journal.jsonl");
        assert!(mended.starts_with(&journal) && mended.ends_with('\n'), "{mended}");
        for line in mended.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    }
}

#[test]
fn no_run_to_resume() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.write("file", "");
    for place in ["empty", "nowhere", "file"] {
        sandbox.refused(&["moe", "--resume", place], &[place, "holds no run", "journal.jsonl"]);
    }
}
