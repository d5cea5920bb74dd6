//! Config files that are wrong: findings to `check`, bad input to everything else.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::{GLM_STEM, Sandbox, entry_with, file_of, sound_entry, sparse_100_mb, stderr, stdout};

/// Where the files of these tests lie, as the server would look for them.
fn place() -> String {
    format!("triton_3_5_0/{GLM_STEM}.json")
}

/// What `check --json` says of one file of `text`, which must not pass.
#[track_caller]
fn findings_of(sandbox: &Sandbox, text: impl AsRef<[u8]>) -> Vec<Value> {
    sandbox.write(place(), text);
    findings(sandbox, &[])
}

#[track_caller]
fn findings(sandbox: &Sandbox, more: &[&str]) -> Vec<Value> {
    let before = sandbox.snapshot();
    let place = place();
    let arguments = [&["check", "--json", &place], more].concat();
    let assert = sandbox.sparktune(&arguments).assert().code(1);
    assert_eq!(stderr(&assert), "");
    assert!(sandbox.snapshot() == before, "a check wrote something");
    let report: Value = serde_json::from_str(&stdout(&assert)).unwrap();
    let files = report["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{report:#}");
    files[0]["findings"].as_array().unwrap().clone()
}

/// A finding with this severity, code and key, whose message holds all of `words`.
#[track_caller]
fn has(findings: &[Value], severity: &str, code: &str, key: Option<&str>, words: &[&str]) {
    let found = findings.iter().any(|finding| {
        finding["severity"] == severity
            && finding["code"] == code
            && finding["key"].as_str() == key
            && words.iter().all(|word| finding["message"].as_str().unwrap().contains(word))
    });
    assert!(found, "no {severity} {code} {key:?} {words:?} in {findings:#?}");
}

/// The same file is bad input to `merge`: exit 2, file and fault named, nothing written.
#[track_caller]
fn merge_refuses(sandbox: &Sandbox, text: impl AsRef<[u8]>, words: &[&str]) {
    let bad = sandbox.write(format!("bad/{GLM_STEM}.json"), text);
    merge_refuses_what_lies(sandbox, words);
    std::fs::remove_file(bad).unwrap();
}

#[track_caller]
fn merge_refuses_what_lies(sandbox: &Sandbox, words: &[&str]) {
    let (good, bad) = (format!("good/{GLM_STEM}.json"), format!("bad/{GLM_STEM}.json"));
    sandbox.write(&good, file_of(&[("2", sound_entry())]));
    let words = [&[bad.as_str()], words].concat();
    sandbox.refused(&["merge", &good, &bad, "--into", "merged"], &words);
    sandbox.refused(&["merge", &bad, &good, "--into", "merged", "--json"], &words);
}

#[test]
fn the_entry_the_others_are_broken_from_is_sound() {
    let sandbox = Sandbox::new();
    sandbox.write(place(), file_of(&[("1", sound_entry())]));
    sandbox.succeeds(&["check", "triton_3_5_0", "--for", "sglang-0.5.4"]);
    let (one, two) = (format!("a/{GLM_STEM}.json"), format!("b/{GLM_STEM}.json"));
    sandbox.write(&one, file_of(&[("1", sound_entry())]));
    sandbox.write(&two, file_of(&[("2", sound_entry())]));
    let merged = sandbox.json(&["merge", &one, &two, "--into", "merged", "--json"]);
    assert_eq!(merged["entries"], 2);
    let file: Value = serde_json::from_str(&sandbox.read(format!("merged/{GLM_STEM}.json"))).unwrap();
    assert_eq!(file, json!({ "1": sound_entry(), "2": sound_entry() }));
}

#[test]
fn a_key_that_is_no_number() {
    let sandbox = Sandbox::new();
    let text = file_of(&[("triton_version", json!("3.5.0")), ("1", sound_entry())]);
    let words = ["\"triton_version\"", "such as \"64\""];
    has(&findings_of(&sandbox, &text), "crash", "bad-key", Some("triton_version"), &words);
    merge_refuses(&sandbox, &text, &words);
    // vLLM writes that key itself.
    let assert = sandbox.sparktune(&["check", "--json", "--for", "vllm", &place()]).assert();
    assert!(!stdout(&assert).contains("bad-key"), "{}", stdout(&assert));
}

#[test]
fn values_no_launch_can_have() {
    let sandbox = Sandbox::new();
    for (field, value) in [
        ("BLOCK_SIZE_K", json!(0)),
        ("num_warps", json!(3)),
        ("BLOCK_SIZE_M", json!(16.0)),
        ("BLOCK_SIZE_N", json!(64.5)),
        ("num_stages", json!("2")),
        ("GROUP_SIZE_M", json!(-1)),
        ("num_warps", json!(null)),
        ("BLOCK_SIZE_N", json!([64])),
    ] {
        let text = file_of(&[("1", sound_entry()), ("64", entry_with(field, value))]);
        let words = ["\"64\"", field, "accepted is"];
        has(&findings_of(&sandbox, &text), "crash", "bad-value", Some("64"), &words);
        merge_refuses(&sandbox, &text, &words);
    }
}

#[test]
fn fields_that_are_missing_unknown_or_twice() {
    let sandbox = Sandbox::new();
    let mut without = sound_entry();
    without.as_object_mut().unwrap().remove("BLOCK_SIZE_K");
    let text = file_of(&[("8", without)]);
    let words = ["\"8\"", "BLOCK_SIZE_K", "missing"];
    has(&findings_of(&sandbox, &text), "crash", "missing-field", Some("8"), &words);
    merge_refuses(&sandbox, &text, &words);

    let text = file_of(&[("8", entry_with("BLOCK_SIZE_Q", json!(1)))]);
    let words = ["\"8\"", "BLOCK_SIZE_Q"];
    has(&findings_of(&sandbox, &text), "crash", "unknown-field", Some("8"), &words);
    merge_refuses(&sandbox, &text, &words);

    let entry = sound_entry();
    let text = format!("{{\"8\": {entry}, \"8\": {entry}}}");
    let words = ["\"8\"", "twice"];
    has(&findings_of(&sandbox, &text), "ignored", "duplicate-key", Some("8"), &words);
    merge_refuses(&sandbox, &text, &words);
}

#[test]
fn ten_thousand_nested_lists() {
    let sandbox = Sandbox::new();
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    has(&findings_of(&sandbox, &nested), "crash", "not-json", None, &["object of entries", "line 1"]);
    merge_refuses(&sandbox, &nested, &["object of entries", "line 1"]);
    // And inside: where an entry, and where a value should be.
    let entry = format!("{{\"1\": {nested}}}");
    has(&findings_of(&sandbox, &entry), "crash", "not-an-entry", Some("1"), &["\"1\""]);
    merge_refuses(&sandbox, &entry, &["\"1\""]);
    let value = file_of(&[("1", entry_with("num_warps", json!("HERE")))]).replace("\"HERE\"", &nested);
    has(&findings_of(&sandbox, &value), "crash", "bad-value", Some("1"), &["num_warps"]);
    merge_refuses(&sandbox, &value, &["num_warps"]);
}

#[test]
fn a_hundred_megabytes_of_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write(place(), "");
    sparse_100_mb(&sandbox.path(place()));
    let began = Instant::now();
    has(&findings(&sandbox, &[]), "crash", "too-large", None, &["104857600 bytes", "larger than"]);
    assert!(began.elapsed() < Duration::from_secs(2), "took {:?}", began.elapsed());

    sandbox.write(format!("bad/{GLM_STEM}.json"), "");
    sparse_100_mb(&sandbox.path(format!("bad/{GLM_STEM}.json")));
    merge_refuses_what_lies(&sandbox, &["104857600 bytes", "larger than"]);
}

#[test]
fn a_file_that_is_empty_cut_or_another_thing() {
    let sandbox = Sandbox::new();
    for text in ["", "{", "[]", "7", "{\"1\": {\"BLOCK_SIZE_M\": 16", "\u{feff}{}"] {
        has(&findings_of(&sandbox, text), "crash", "not-json", None, &["line"]);
        merge_refuses(&sandbox, text, &["line"]);
    }
    has(&findings_of(&sandbox, "{}"), "ignored", "empty", None, &["no entries"]);
    has(&findings_of(&sandbox, "{\"1\": 7}"), "crash", "not-an-entry", Some("1"), &["\"1\"", "object"]);
}

#[test]
fn a_file_in_the_folder_of_another_triton() {
    let sandbox = Sandbox::new();
    let path = sandbox.write(format!("triton_3_8_0/{GLM_STEM}.json"), file_of(&[("1", sound_entry())]));
    let assert =
        sandbox.sparktune(&["check", "--json", "--for", "sglang-0.5.4", "triton_3_8_0"]).assert().code(1);
    let report: Value = serde_json::from_str(&stdout(&assert)).unwrap();
    let found = report["files"][0]["findings"].as_array().unwrap();
    let named = found.iter().any(|finding| {
        let message = finding["message"].as_str().unwrap();
        ["fallback", "ignored"].contains(&finding["severity"].as_str().unwrap())
            && message.contains("triton_3_8_0")
            && message.contains("3_5_0")
    });
    assert!(named, "{found:#?}");
    // For the Triton that it lies under, it is fine.
    let path = path.to_str().unwrap();
    sandbox.succeeds(&["check", "--for", "sglang-0.5.4", "--triton", "3.8.0", path]);
}

/// A config no device holds.
fn large_entry() -> Value {
    let mut large = sound_entry();
    for (field, value) in [("BLOCK_SIZE_M", 256), ("BLOCK_SIZE_N", 256), ("BLOCK_SIZE_K", 256)] {
        large[field] = json!(value);
    }
    large["num_stages"] = json!(5);
    large
}

#[test]
fn keys_that_only_python_reads_as_numbers() {
    let sandbox = Sandbox::new();
    for key in ["0", "064", "+64", " 64", "6_4"] {
        let quoted = format!("\"{key}\"");
        merge_refuses(&sandbox, file_of(&[(key, sound_entry())]), &[&quoted, "from 1"]);
        // SGLang uses such an entry, so it must fit as any other.
        let found = findings_of(&sandbox, file_of(&[("1", sound_entry()), (key, large_entry())]));
        has(&found, "warning", "bad-key", Some(key), &[&quoted]);
        assert!(found.iter().any(|finding| finding["code"] == "out-of-resources"), "{key:?}: {found:#?}");
    }
}

#[test]
fn an_entry_the_device_does_not_hold() {
    let sandbox = Sandbox::new();
    let large = large_entry();
    let text = file_of(&[("1", sound_entry()), ("4096", large)]);
    let found = findings_of(&sandbox, &text);
    let named = found.iter().any(|finding| {
        finding["severity"] == "crash"
            && finding["key"] == "4096"
            && finding["message"].as_str().unwrap().contains("101376")
    });
    assert!(named, "{found:#?}");
    assert!(found.iter().all(|finding| finding["key"] != "1" || finding["severity"] != "crash"));
}

#[test]
fn one_bad_file_among_good_ones() {
    let sandbox = Sandbox::new();
    sandbox.predicted_run();
    sandbox.succeeds(&["check", "run"]);
    let bad = "run/triton_3_5_0/E=8,N=1024,device_name=NVIDIA_GB10.json";
    sandbox.write(bad, file_of(&[("1", entry_with("num_warps", json!(3)))]));
    let assert = sandbox.sparktune(&["check", "run"]).assert().code(1);
    let text = stdout(&assert);
    assert!(text.contains("num_warps") && text.contains("E=8,N=1024"), "{text}");
}

#[test]
fn a_folder_without_config_files() {
    let sandbox = Sandbox::new();
    sandbox.write("docs/notes.txt", "nothing to see");
    let assert = sandbox.sparktune(&["check", "docs"]).assert();
    let code = assert.get_output().status.code();
    assert!(matches!(code, Some(0 | 2)), "{code:?}");
}

#[test]
fn files_that_are_no_parts_of_one() {
    let sandbox = Sandbox::new();
    let one = format!("a/{GLM_STEM}.json");
    let two = format!("b/{GLM_STEM}.json");
    let other = format!("b/{GLM_STEM}_down.json");
    sandbox.write(&one, file_of(&[("1", sound_entry())]));
    sandbox.write(&two, file_of(&[("1", entry_with("num_stages", json!(3)))]));
    sandbox.write(&other, file_of(&[("1", sound_entry())]));
    sandbox.refused(&["merge", &one, &other, "--into", "m"], &[&one, &other, "names differ"]);
    sandbox.refused(&["merge", &one, &two, "--into", "m"], &["\"1\"", &one, &two, "--prefer"]);
    sandbox.refused(&["merge", &one, &two, "--into", "m", "--prefer", "c.json"], &["c.json"]);
    sandbox.refused(&["merge", &one, "nowhere/x.json", "--into", "m"], &["nowhere/x.json"]);
    sandbox.refused(&["merge", &one, &two, "--into", "a", "--prefer", &one], &["is there already"]);
    sandbox.refused(&["merge", &one, "--into", "m"], &["FILE"]);
    let merged = sandbox.json(&["merge", &one, &two, "--into", "m", "--prefer", &two, "--json"]);
    assert_eq!(merged["overruled"], json!([1]));
    let file: Value = serde_json::from_str(&sandbox.read(format!("m/{GLM_STEM}.json"))).unwrap();
    assert_eq!(file["1"]["num_stages"], 3);
}

/// A file without a manifest cannot be compiled: nobody says for which K. That is no yes.
#[test]
fn compile_is_not_content_with_a_file_it_could_not_compile() {
    let sandbox = Sandbox::new();
    sandbox.write(format!("triton_3_5_0/{GLM_STEM}.json"), file_of(&[("1", sound_entry())]));
    sandbox.succeeds(&["check", "triton_3_5_0"]);
    let assert = sandbox.sparktune(&["check", "triton_3_5_0", "--compile", "--offline"]).assert().code(4);
    let message = support::stderr(&assert);
    assert!(message.contains("no say") && message.contains("manifest"), "{message}");
}
