//! A run's log: what it holds, and that no run depends on it.

#[path = "support/bench.rs"]
mod bench;
mod support;

use std::process::Stdio;

use serde_json::Value;

use bench::{ended, mock, quick, until};
use support::{GLM_STEM, Sandbox, stderr};

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stand_in_worker.py");
const TOKEN: &str = "hf_notforanylog";

/// A run of two batch sizes with the stand-in worker.
fn compiled(out: &str) -> Vec<&str> {
    let model = ["moe", "--model", "GLM-4.7-FP8", "--batch-sizes", "1,4096", "--evidence", "compiled"];
    [&model[..], &["--python", STAND_IN, "--sglang-root", ".", "--jobs", "1", "--out", out]].concat()
}

/// The whole lines of a log, each of which is one JSON object without colours.
#[track_caller]
fn lines(text: &str) -> Vec<Value> {
    assert!(!text.contains('\u{1b}') && !text.contains(TOKEN), "{text}");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// What the worker wrote to stderr.
fn worker(lines: &[Value]) -> Vec<String> {
    let of_worker = lines.iter().filter(|line| line["target"] == "worker");
    of_worker
        .inspect(|line| assert_eq!(line["host"], "localhost", "{line}"))
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

fn events<'a>(lines: &'a [Value], about: &str, event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["about"] == about && line["event"] == event).collect()
}

#[test]
fn a_run_logs_what_the_worker_says_and_every_event() {
    let sandbox = Sandbox::new();
    sandbox.sparktune(&compiled("run")).env("HF_TOKEN", TOKEN).assert().success();
    let text = sandbox.read("run/log.jsonl");
    assert!(text.ends_with('\n'), "{text}");
    let lines = lines(&text);
    let said = worker(&lines);
    assert_eq!(said[0], "\u{1b}[31mred\u{1b}[0m words, and a token: (hidden)", "said before there was a log");
    let ended = events(&lines, "compile", "ended");
    assert!(!ended.is_empty());
    for unit in &ended {
        let tile = &unit["tile"];
        let number = |name: &str| tile[name].as_u64().unwrap();
        let name = format!(
            "compiling {} {}x{}x{} w{} s{}",
            unit["role"].as_str().unwrap(),
            number("BLOCK_SIZE_M"),
            number("BLOCK_SIZE_N"),
            number("BLOCK_SIZE_K"),
            number("num_warps"),
            number("num_stages")
        );
        assert!(said.contains(&name), "{name} is not in {said:?}");
    }
    assert_eq!(said.len(), 1 + ended.len());
    let nodes = ["joined", "left"].map(|event| events(&lines, "node", event).len());
    assert_eq!(nodes, [1, 1]);
    assert_eq!(events(&lines, "file", "written").len(), 2);
}

#[test]
fn a_killed_run_leaves_whole_lines_and_a_resumed_one_adds_to_them() {
    let sandbox = Sandbox::new();
    sandbox.write("hold", "");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_sparktune"))
        .args(compiled("run"))
        .current_dir(sandbox.work())
        .envs(sandbox.environment())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let log = sandbox.path("run/log.jsonl");
    until("a compilation in the log", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("compiling "))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(sandbox.path("hold")).unwrap();
    let before = sandbox.read("run/log.jsonl");
    assert!(!worker(&lines(&before)).is_empty());
    // As if it had been killed while it wrote a line.
    sandbox.write("run/log.jsonl", format!("{before}{{\"v\":1,\"at\":\"20"));
    let resume = ["moe", "--resume", "run", "--python", STAND_IN, "--sglang-root", "."];
    sandbox.sparktune(&resume).assert().success();
    let after = sandbox.read("run/log.jsonl");
    assert!(after.starts_with(&before) && after.ends_with('\n'), "{after}");
    let began = lines(&after).into_iter().filter(|line| line["event"] == "began");
    assert_eq!(began.map(|line| line["resumed"].clone()).collect::<Vec<_>>(), [false, true]);
}

/// One warning, and the run is what it would have been.
#[test]
fn a_log_that_cannot_be_written_costs_a_warning() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("unwritable/log.jsonl")).unwrap();
    std::fs::create_dir_all(sandbox.path("full")).unwrap();
    std::os::unix::fs::symlink("/dev/full", sandbox.path("full/log.jsonl")).unwrap();
    for (out, why) in [("unwritable", "Is a directory"), ("full", "No space left")] {
        let said = stderr(&sandbox.sparktune(&compiled(out)).assert().success());
        let warnings: Vec<_> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
        let words = [format!("`{out}/log.jsonl`"), why.to_owned(), "goes on without".to_owned()];
        assert!(matches!(warnings[..], [one] if words.iter().all(|word| one.contains(word))), "{said}");
        assert!(sandbox.path(format!("{out}/triton_3_5_0/{GLM_STEM}.json")).exists());
    }
}

/// A directory that is given up again is left without a log.
#[test]
fn a_run_that_cannot_begin_leaves_no_log() {
    let sandbox = Sandbox::new();
    let python = ["--python", "/bin/false", "--sglang-root", "."];
    let moe = ["moe", "--model", "GLM-4.7-FP8", "--evidence", "compiled", "--out", "run"];
    sandbox.sparktune(&[&moe[..], &python].concat()).assert().code(3);
    assert!(!sandbox.path("run").exists());
}

#[test]
fn each_run_of_a_sweep_has_its_log() {
    let (sandbox, server) = (Sandbox::new(), mock(quick()));
    let url = server.url();
    let sweep = ["sweep", "--concurrency", "1,2", "--base-url", &url, "--out", "sweep"];
    let load = ["-n", "4", "-i", "16", "-o", "3", "--warmup", "1"];
    ended(&sandbox, &[&sweep[..], &load].concat()).with(0);
    for (number, dir) in (1..).zip(["concurrency-1", "concurrency-2"]) {
        let lines = lines(&sandbox.read(format!("sweep/{dir}/log.jsonl")));
        assert_eq!(events(&lines, "run", "began").len(), 1, "{dir}");
        let loads = events(&lines, "load", "ended");
        let last = loads.last().unwrap();
        assert_eq!((&last["part"]["kind"], &last["part"]["number"]), (&"step".into(), &number.into()));
    }
}
