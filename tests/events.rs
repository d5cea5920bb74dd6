//! `--events json`: what programs read of a run while it works.

#[path = "support/bench.rs"]
mod bench;
mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use bench::{Ended, mock, process, quick};
use support::{GLM_STEM, Sandbox, stderr, stdout};

const PREDICTED: [&str; 5] = ["moe", "--model", "GLM-4.7-FP8", "--evidence", "predicted"];

/// Every line of `text` as the event it is.
#[track_caller]
fn events(text: &str) -> Vec<Value> {
    assert!(!text.contains('\u{1b}'), "no colours, no cursor: {text}");
    let event = |line: &str| -> Value {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(event["v"], 1, "{line}");
        let at = event["at"].as_str().unwrap();
        assert!(at.parse::<jiff::Timestamp>().is_ok() && at.ends_with('Z'), "{line}");
        event
    };
    text.lines().map(event).collect()
}

fn about<'a>(events: &'a [Value], about: &str, event: &str) -> Vec<&'a Value> {
    events.iter().filter(|it| it["about"] == about && it["event"] == event).collect()
}

fn sha256(path: &Path) -> String {
    spark::fs::sha256_hex(&std::fs::read(path).unwrap())
}

#[test]
fn a_run_tells_where_it_is_and_what_it_wrote() {
    let sandbox = Sandbox::new();
    let plain = sandbox.sparktune(&[&PREDICTED[..], &["--out", "plain"]].concat()).assert().success();
    let assert = sandbox
        .sparktune(&[&PREDICTED[..], &["--out", "run", "--events", "json"]].concat())
        .assert()
        .success();
    assert_eq!(
        stdout(&assert),
        stdout(&plain).replace("plain", "run"),
        "stdout is data whoever reads stderr"
    );
    let told = events(&stderr(&assert));
    let began = about(&told, "run", "began");
    assert_eq!(began.len(), 1);
    assert_eq!((&began[0]["directory"], &began[0]["resumed"]), (&json!("run"), &json!(false)));
    let written = about(&told, "file", "written");
    let names: Vec<_> = written.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["", "_down"].map(|end| format!("triton_3_5_0/{GLM_STEM}{end}.json")));
    for file in &written {
        let path = sandbox.path("run").join(file["path"].as_str().unwrap());
        assert_eq!(file["sha256"], sha256(&path), "{file}");
    }
    // The flag may stand before the subcommand, too.
    let again = ["--events", "json", "moe", "--resume", "run"];
    let told = events(&stderr(&sandbox.sparktune(&again).assert().success()));
    assert_eq!(about(&told, "run", "began")[0]["resumed"], true);
}

#[test]
fn a_failure_is_an_event_and_says_what_the_sentence_says() {
    let sandbox = Sandbox::new();
    let wrong = ["plan", "--model", "GLM-4.7-FP9"];
    let sentence = stderr(&sandbox.sparktune(&wrong).assert().code(2));
    let assert = sandbox.sparktune(&[&wrong[..], &["--events", "json"]].concat()).assert().code(2);
    assert_eq!(stdout(&assert), "");
    let told = events(&stderr(&assert));
    let [ref failed] = told[..] else { panic!("{told:?}") };
    assert_eq!((&failed["about"], &failed["event"]), (&json!("command"), &json!("failed")));
    assert_eq!(failed["exit_code"], 2);
    let (message, hint) = (failed["message"].as_str().unwrap(), failed["hint"].as_str().unwrap());
    assert_eq!(sentence, format!("error: {message}\nhint: {hint}\n"));
}

#[test]
fn a_load_tells_how_far_it_is() {
    let (sandbox, server) = (Sandbox::new(), mock(quick()));
    let url = server.url();
    let arguments = ["run", "--base-url", &url, "-n", "20", "-c", "2", "-i", "16", "-o", "8", "--out", "run"];
    let arguments = [&arguments[..], &["--json", "--warmup", "2", "--events", "json"]].concat();
    let ended = Ended::of(process(&sandbox, &arguments).output().unwrap()).with(0);
    assert!(ended.json().is_object(), "stdout is data");
    let told = events(&ended.err);
    assert_eq!(about(&told, "run", "began")[0]["directory"], "run");
    assert_eq!(about(&told, "load", "prepared")[0]["requests"], 20);
    let kinds = |event: &str| -> Vec<_> {
        about(&told, "load", event).iter().map(|it| it["part"]["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds("queued"), ["warm_up", "run"]);
    assert_eq!(kinds("ended"), ["warm_up", "run"]);
    assert!(kinds("sending").contains(&"run".to_owned()));
    let end = about(&told, "load", "ended")[1];
    assert_eq!(end["work"], json!({ "done": 20, "of": 20 }));
    assert_eq!((&end["live"]["sent"], &end["live"]["failed"]), (&json!(20), &json!(0)));
    assert!(end["seconds"].as_f64().unwrap() > 0.0 && end["live"]["mean_ttft_ms"].as_f64().unwrap() > 0.0);
}

/// Whoever read stderr may go: neither what the run is for nor its exit code depends on it.
#[test]
fn a_reader_that_went_away_ends_no_run() {
    let sandbox = Sandbox::new();
    let code = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
        command.args(arguments).current_dir(sandbox.work()).envs(sandbox.environment());
        command.stdout(Stdio::null()).stderr(writer).status().unwrap().code()
    };
    assert_eq!(code(&[&PREDICTED[..], &["--out", "run", "--events", "json"]].concat()), Some(0));
    assert!(sandbox.path(format!("run/triton_3_5_0/{GLM_STEM}.json")).exists());
    for form in ["text", "json"] {
        assert_eq!(code(&["plan", "--model", "GLM-4.7-FP9", "--events", form]), Some(2), "{form}");
    }
}

#[test]
fn another_form_is_refused_with_those_there_are() {
    let sandbox = Sandbox::new();
    sandbox.refused(&["models", "--events", "xml"], &["--events", "xml", "text", "json"]);
}
