//! Runs that do not come to their end: Ctrl-C, kill, a disk that is full.

use std::process::{Child, Stdio};
use std::time::Duration;

use spark::mock::{Fault, Scenario};

use crate::bench::{Ended, PATIENCE, Results, ended, mock, names, process, quick, run, signal, until};
use crate::disk::SmallDisk;
use crate::recorder::Recorder;
use crate::support::Sandbox;

/// Would take minutes with a server that is in no hurry: whoever waits for its end waits in vain. Few prompts, since
/// they are all made first.
const LONG: [&str; 12] =
    ["-n", "1000", "-c", "2", "-i", "16", "-o", "3", "--warmup", "0", "--server-metrics-interval", "none"];

/// Start it, and wait until some requests are done.
fn started(sandbox: &Sandbox, arguments: &[&str], requests: &str) -> Child {
    let child = spawned(sandbox, arguments);
    until("five requests", || {
        let text = std::fs::read_to_string(sandbox.path(requests)).unwrap_or_default();
        (text.lines().count() >= 5).then_some(())
    });
    child
}

fn spawned(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    process(sandbox, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn unhurried() -> Scenario {
    Scenario { ttft: Duration::from_millis(300), ..quick() }
}

#[test]
fn ctrl_c_keeps_what_is_done() {
    for name in ["INT", "TERM"] {
        let (sandbox, mock) = (Sandbox::new(), mock(unhurried()));
        let url = mock.url();
        let arguments = [&["run", "--base-url", &url, "--out", "out"][..], &LONG].concat();
        let child = started(&sandbox, &arguments, "out/requests.jsonl");
        signal(&child, name);
        let said = Ended::of(child.wait_with_output().unwrap()).with(130);
        let said = said.saying(&["stopping", "error: stopped", "`out`"]);
        assert!(said.out.contains("did not come to its end"), "{said:#?}");
        let results = Results::of(&sandbox, "out");
        let requests = results.requests();
        let done = requests.iter().filter(|it| it["outcome"]["result"] == "done").count();
        let interrupted = requests.iter().filter(|it| it["outcome"]["result"] == "interrupted").count();
        assert!(done >= 5 && done + interrupted == requests.len() && interrupted <= 2, "{requests:#?}");
        assert_eq!(results.run()["ended"]["result"], "interrupted");
        let summary = results.summary();
        let counts = &summary["spark"]["counts"];
        assert_eq!(counts["completed"], done);
        assert_eq!(counts["interrupted"], interrupted);
        assert_eq!(counts["unsent"], 1000 - requests.len());
        assert_eq!(
            results.files(),
            ["log.jsonl", "report.html", "requests.jsonl", "run.json", "summary.csv", "summary.json"],
            "{name}"
        );
        let json = ended(&sandbox, &["report", "out", "--json"]).with(0).json();
        assert_eq!(json, summary);
    }
}

#[test]
fn ctrl_c_before_the_load() {
    // Counting the tokens of prompts asks for a token, which takes the mock longer than a test waits.
    let slow = Scenario { ttft: PATIENCE * 5, ..Scenario::default() };
    let (sandbox, mock) = (Sandbox::new(), mock(slow));
    // Nor does this one say which models it has.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    for command in [&["run"][..], &["run", "--repeat", "2"], &["sweep"]] {
        let mut load = LONG.to_vec();
        if command[0] == "sweep" {
            load[3] = "1,2";
        }
        let recorder = Recorder::before(&mock.url());
        let url = recorder.url();
        let arguments = [command, &["--base-url", &url], &load].concat();
        let child = spawned(&sandbox, &arguments);
        until("a prompt to be counted", || {
            recorder.sent().iter().any(|it| it.path == "/v1/chat/completions").then_some(())
        });
        signal(&child, "INT");
        let said = Ended::of(child.wait_with_output().unwrap()).with(130);
        said.saying(&["stopped before anything was measured"]);
        assert_eq!(names(&sandbox.path("results")), Vec::<String>::new());

        let arguments = [command, &["--base-url", &silent_url], &load].concat();
        let child = spawned(&sandbox, &arguments);
        let _asks = silent.accept().unwrap();
        signal(&child, "INT");
        Ended::of(child.wait_with_output().unwrap()).with(130).saying(&["stopped before"]);
    }
}

/// Prompts from a file: nothing is asked for a token but by the warm-up and the load.
fn from_a_file(sandbox: &Sandbox) -> [&'static str; 8] {
    let line = |n: u32| format!("{{\"prompt\": \"question {n}\", \"output_tokens\": 3}}\n");
    sandbox.write("lines.jsonl", (0..8).map(line).collect::<String>());
    ["-n", "2", "--warmup", "1", "--dataset", "jsonl:lines.jsonl", "--server-metrics-interval", "none"]
}

#[test]
fn ctrl_c_while_it_warms_up() {
    // The warm-up's request is the first, and takes longer than a test waits.
    let slow = Scenario { ttft: PATIENCE * 5, ..Scenario::default() };
    let mock = mock(slow);
    for command in
        [&["run"][..], &["run", "--out", "deep/out"], &["run", "--repeat", "2"], &["sweep", "-c", "1,2"]]
    {
        let sandbox = Sandbox::new();
        let recorder = Recorder::before(&mock.url());
        let url = recorder.url();
        let arguments = [command, &["--base-url", &url], &from_a_file(&sandbox)].concat();
        let child = spawned(&sandbox, &arguments);
        until("a warm-up", || (!recorder.streams().is_empty()).then_some(()));
        signal(&child, "INT");
        let said = Ended::of(child.wait_with_output().unwrap()).with(130);
        let said = said.saying(&["stopping", "error: stopped before anything was measured"]);
        assert_eq!(said.out, "", "{command:?}");
        assert_eq!(recorder.streams().len(), 1, "{command:?} went on after the warm-up");
        assert_eq!(names(&sandbox.work()), ["lines.jsonl"], "{command:?} left something behind");
    }
}

#[test]
fn ctrl_c_while_a_later_run_warms_up() {
    // A warm-up and two requests, then the warm-up that stalls.
    let stalls = Scenario { fault: Some(Fault::Stall(0, None)), fault_every: 4, ..quick() };
    for (command, first) in
        [(&["run", "--repeat", "2"][..], "run-1"), (&["sweep", "-c", "1,2"], "concurrency-1")]
    {
        let (sandbox, mock) = (Sandbox::new(), mock(stalls.clone()));
        let recorder = Recorder::before(&mock.url());
        let url = recorder.url();
        let arguments =
            [command, &["--base-url", &url, "--out", "out", "--no-html"], &from_a_file(&sandbox)].concat();
        let child = spawned(&sandbox, &arguments);
        until("the second warm-up", || (recorder.streams().len() == 4).then_some(()));
        signal(&child, "INT");
        let said = Ended::of(child.wait_with_output().unwrap()).with(130);
        said.saying(&["error: stopped; what was measured is in `out`"]);
        assert_eq!(names(&sandbox.path("out")), [first]);
        let json = ended(&sandbox, &["report", "out", "--json"]).with(0).json();
        assert_eq!(json["completed"], 2);
    }
}

#[test]
fn ctrl_c_ends_a_sweep_and_keeps_its_steps() {
    let (sandbox, mock) = (Sandbox::new(), mock(unhurried()));
    let url = mock.url();
    let mut load = LONG.to_vec();
    load.drain(2..4);
    let arguments = [&["sweep", "--base-url", &url, "--out", "out", "-c", "1,2,4"][..], &load].concat();
    let child = started(&sandbox, &arguments, "out/concurrency-1/requests.jsonl");
    signal(&child, "INT");
    Ended::of(child.wait_with_output().unwrap()).with(130).saying(&["error: stopped", "out/concurrency-1"]);
    assert_eq!(names(&sandbox.path("out")), ["concurrency-1", "report.html"]);
    let json = ended(&sandbox, &["report", "out", "--json"]).with(0).json();
    assert!(json["completed"].as_u64().unwrap() >= 5, "{json}");
}

#[test]
fn a_killed_run_can_be_read() {
    let (sandbox, mock) = (Sandbox::new(), mock(unhurried()));
    let url = mock.url();
    let arguments = [&["run", "--base-url", &url, "--out", "out"][..], &LONG].concat();
    let mut child = started(&sandbox, &arguments, "out/requests.jsonl");
    child.kill().unwrap();
    child.wait().unwrap();
    let results = Results::of(&sandbox, "out");
    assert_eq!(results.files(), ["log.jsonl", "requests.jsonl", "run.json"], "nothing half-written");
    assert!(results.run()["ended"].is_null());
    let requests = results.requests();
    assert!(requests.len() >= 5 && requests.iter().all(|it| it["outcome"]["result"] == "done"));
    let said = ended(&sandbox, &["report", "out", "--html", "page.html"]).with(0);
    assert!(said.out.contains("killed"), "{said:#?}");
    let json = ended(&sandbox, &["report", "out", "--json"]).with(0).json();
    assert_eq!(json["completed"], requests.len());
    // The place is taken.
    run(&sandbox, &url, "out", &LONG).with(2).saying(&["`out`"]);
}

#[test]
fn a_server_that_dies_fails_what_it_was_asked() {
    let (sandbox, mock) = (Sandbox::new(), mock(unhurried()));
    let url = mock.url();
    let mut load = LONG.to_vec();
    load[1] = "400";
    let arguments = [&["run", "--base-url", &url, "--out", "out"][..], &load].concat();
    let child = started(&sandbox, &arguments, "out/requests.jsonl");
    drop(mock);
    Ended::of(child.wait_with_output().unwrap()).with(1);
    let summary = Results::of(&sandbox, "out").summary();
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert!(count("completed") >= 5, "{summary:#}");
    assert_eq!(count("completed") + count("failed"), 400);
    let failures = summary["spark"]["counts"]["failures"].as_object().unwrap();
    assert!(failures["connect"].as_u64().unwrap() > 300, "{failures:?}");
}

#[test]
fn a_disk_that_fills_up() {
    let (sandbox, mock) = (Sandbox::new(), mock(Scenario { itl: Duration::from_micros(1), ..quick() }));
    let path = sandbox.path("disk");
    let Some(disk) = SmallDisk::mount(&path, "96k") else { return };
    // About two kilobytes a request.
    let load = ["-n", "300", "-c", "4", "-i", "16", "-o", "200", "--warmup", "0"];
    let said = run(&sandbox, &mock.url(), "disk/out", &load).with(3);
    said.saying(&["error: ", "`disk/out/requests.jsonl`", "No space left"]);
    let results = Results::of(&sandbox, "disk/out");
    let requests = results.requests();
    assert!((5..300).contains(&requests.len()), "{}", requests.len());
    assert!(!results.files().iter().any(|name| name.contains("tmp")), "{:?}", results.files());
    let json = ended(&sandbox, &["report", "disk/out", "--json"]).with(0).json();
    assert_eq!(json["completed"], requests.len());
    drop(disk);
}

#[test]
fn a_disk_that_is_full() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let path = sandbox.path("disk");
    let Some(disk) = SmallDisk::mount(&path, "4k") else { return };
    crate::support::write(&path.join("filler"), [0; 4096]);
    let load = ["-n", "4", "-i", "16", "-o", "3", "--warmup", "0"];
    let recorder = Recorder::before(&mock.url());
    run(&sandbox, &recorder.url(), "disk/out", &load).with(3).saying(&["disk/out/run.json", "No space left"]);
    assert_eq!(names(&path), ["filler"], "no empty directory stays behind");
    assert_eq!(recorder.streams().len(), 0, "nothing is measured that cannot be written");
    drop(disk);
}
