//! `sparktune watch`: what a run does, seen from beside it, by a log that is there whatever became of the run.

#[path = "support/bench.rs"]
mod bench;
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use bench::{signal, until};
use support::{Sandbox, stderr};

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stand_in_worker.py");

/// A run of two batch sizes with the stand-in worker, which compiles nothing while there is a file `hold`.
fn begun(sandbox: &Sandbox) -> Child {
    sandbox.write("hold", "");
    let model = ["moe", "--model", "GLM-4.7-FP8", "--batch-sizes", "1,4096", "--evidence", "compiled"];
    let rest = ["--python", STAND_IN, "--sglang-root", ".", "--jobs", "1", "--out", "run"];
    let run = spawned(sandbox, &[&model[..], &rest].concat());
    until("the run's log", || sandbox.path("run/log.jsonl").exists().then_some(()));
    until("kernels that wait", || (state(sandbox)["compiling"]["done"] == 0).then_some(()));
    run
}

fn spawned(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
    command.args(arguments).current_dir(sandbox.work()).envs(sandbox.environment());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn state(sandbox: &Sandbox) -> Value {
    sandbox.json(&["watch", "run", "--once", "--json"])
}

fn goes_on(sandbox: &Sandbox) {
    std::fs::remove_file(sandbox.path("hold")).unwrap();
}

fn text(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

#[test]
fn a_run_is_watched_from_beside_it_until_it_ends() {
    let sandbox = Sandbox::new();
    let mut run = begun(&sandbox);
    let seen = state(&sandbox);
    assert_eq!((&seen["state"], &seen["process"]), (&"running".into(), &run.id().into()), "{seen}");
    assert_eq!((&seen["nodes"][0]["works"], &seen["nodes"][0]["node"]), (&true.into(), &"localhost".into()));
    let before = sandbox.read("run/log.jsonl");
    let watching = spawned(&sandbox, &["watch", "run"]);
    let mut shown = spawned(&sandbox, &["watch", "run", "--events", "json"]);
    let mut lines = BufReader::new(shown.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    goes_on(&sandbox);
    assert!(run.wait().unwrap().success());
    let lines: String = std::iter::once(first).chain(lines).map(|line| line + "\n").collect();
    assert!(shown.wait().unwrap().success());
    let watching = watching.wait_with_output().unwrap();
    let [out, said] = text(&watching);
    assert!(watching.status.success(), "{said}");
    assert!(out.starts_with("run: ended, for ") && out.contains("wrote triton_3_5_0/"), "{out}");
    // To programs the events are told as the run told them.
    let after = sandbox.read("run/log.jsonl");
    let ended = |text: &str| {
        text.lines().filter(|line| line.contains(r#""event":"ended""#)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ended(&lines), ended(&after));
    assert!(!ended(&lines).is_empty() && after.starts_with(&before), "the log is the run's alone");
    assert_eq!(after.matches(r#""event":"began""#).count(), 1, "{after}");
    assert_eq!(state(&sandbox)["state"], "ended");
}

#[test]
fn what_became_of_a_run_is_said_afterwards() {
    let sandbox = Sandbox::new();
    let mut run = begun(&sandbox);
    run.kill().unwrap();
    run.wait().unwrap();
    let text = sandbox.succeeds(&["watch", "run"]);
    assert!(text.starts_with("run: killed, for ") && text.contains("--resume 'run'"), "{text}");
    assert_eq!(state(&sandbox)["process"], Value::Null);
    // It goes on, and its user has had enough of it.
    let resume = ["moe", "--resume", "run", "--python", STAND_IN, "--sglang-root", "."];
    let mut run = spawned(&sandbox, &resume);
    until("the run's second session", || (state(&sandbox)["resumed"] == true).then_some(()));
    signal(&run, "INT");
    until("its stopping", || sandbox.read("run/log.jsonl").contains("stopping").then_some(()));
    goes_on(&sandbox);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let stopped = state(&sandbox);
    assert_eq!((&stopped["state"], &stopped["failed"]["exit_code"]), (&"stopped".into(), &130.into()));
    assert!(
        sandbox.succeeds(&["watch", "run", "--once"]).contains("go on with: sparktune moe --resume 'run'")
    );
}

/// The lock of a run goes with the last word about it, and not before.
#[test]
fn whoever_watches_a_run_that_is_stopped_hears_that_it_was() {
    let sandbox = Sandbox::new();
    let mut run = begun(&sandbox);
    let mut watch = spawned(&sandbox, &["watch", "run", "--json", "--events", "json"]);
    let mut told = BufReader::new(watch.stderr.take().unwrap()).lines();
    told.next().unwrap().unwrap();
    signal(&run, "INT");
    until("its stopping", || sandbox.read("run/log.jsonl").contains("stopping").then_some(()));
    goes_on(&sandbox);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    told.for_each(drop);
    let seen = watch.wait_with_output().unwrap();
    let last: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!((&last["state"], &last["failed"]["exit_code"]), (&"stopped".into(), &130.into()), "{last}");
}

#[test]
fn who_stops_watching_stops_nothing_else_and_who_meddles_is_told_by_whom_it_is_written() {
    let sandbox = Sandbox::new();
    let mut run = begun(&sandbox);
    let watch = spawned(&sandbox, &["watch", "run"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    signal(&watch, "INT");
    let watch = watch.wait_with_output().unwrap();
    assert_eq!(watch.status.code(), Some(130));
    assert!(text(&watch)[1].contains("the run goes on"), "{:?}", text(&watch));
    let resume = ["moe", "--resume", "run", "--python", STAND_IN, "--sglang-root", "."];
    let said = stderr(&sandbox.sparktune(&resume).assert().code(3));
    assert!(said.contains(&format!("is being written by another process ({})", run.id())), "{said}");
    assert!(said.contains("hint: see what it does: sparktune watch 'run'"), "{said}");
    goes_on(&sandbox);
    assert!(run.wait().unwrap().success());
}

#[test]
fn what_is_no_run_or_has_no_log_cannot_be_watched() {
    let sandbox = Sandbox::new();
    for run in ["nowhere", "."] {
        let said = stderr(&sandbox.sparktune(&["watch", run]).assert().code(2));
        assert!(said.contains("holds no run: it has no journal.jsonl"), "{said}");
    }
    let predicted = ["moe", "--model", "GLM-4.7-FP8", "--evidence", "predicted", "--out", "run"];
    sandbox.succeeds(&predicted);
    assert_eq!(state(&sandbox)["state"], "ended");
    std::fs::remove_file(sandbox.path("run/log.jsonl")).unwrap();
    let said = stderr(&sandbox.sparktune(&["watch", "run"]).assert().code(2));
    assert!(said.contains("`run` has no log.jsonl: nobody can say what that run did"), "{said}");
}
