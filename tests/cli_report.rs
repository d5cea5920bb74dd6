//! `sparktune report`: what each node did for a run and when, of one that goes on, ended or was killed.

#[path = "support/bench.rs"]
mod bench;
mod support;

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use bench::until;
use support::{Sandbox, stderr};

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stand_in_worker.py");

/// A run of two batch sizes with the stand-in worker, which compiles nothing while there is a file `hold`.
fn begun(sandbox: &Sandbox) -> Child {
    sandbox.write("hold", "");
    let model = ["moe", "--model", "GLM-4.7-FP8", "--batch-sizes", "1,4096", "--evidence", "compiled"];
    let rest = ["--python", STAND_IN, "--sglang-root", ".", "--jobs", "1", "--out", "run"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
    command.args(model).args(rest).current_dir(sandbox.work()).envs(sandbox.environment());
    let run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("a node", || {
        let path = sandbox.path("run/journal.jsonl");
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"joined\"")).then_some(())
    });
    run
}

fn told(sandbox: &Sandbox) -> Value {
    sandbox.json(&["report", "run", "--json"])
}

#[test]
fn a_run_is_reported_while_it_goes_on_and_leaves_its_page_when_it_ends() {
    let sandbox = Sandbox::new();
    let mut run = begun(&sandbox);
    let before = sandbox.read("run/journal.jsonl");
    let now = told(&sandbox);
    assert_eq!((&now["running"], &now["process"]), (&true.into(), &run.id().into()), "{now}");
    assert_eq!((&now["nodes"][0]["node"], &now["nodes"][0]["sessions"]), (&"localhost".into(), &1.into()));
    let shown = sandbox.succeeds(&["report", "run"]);
    assert!(shown.contains(&format!("process {} goes on with it", run.id())), "{shown}");
    assert!(shown.contains("nothing was measured"), "{shown}");
    assert_eq!(sandbox.read("run/journal.jsonl"), before, "it was read and no more");
    assert!(!sandbox.path("run/report.html").exists());

    std::fs::remove_file(sandbox.path("hold")).unwrap();
    assert!(run.wait().unwrap().success());
    let ended = told(&sandbox);
    assert_eq!((&ended["running"], &ended["process"]), (&false.into(), &Value::Null));
    let node = &ended["nodes"][0];
    let seconds = |what: &str| node[what].as_f64().unwrap();
    assert!(node["kernels"]["proven"].as_u64().unwrap() > 0 && seconds("compiling_s") > 0.0, "{node}");
    assert_eq!((seconds("measuring_s"), seconds("away_s")), (0.0, 0.0));
    let all = seconds("compiling_s") + seconds("idle_s");
    assert!((all - ended["seconds"].as_f64().unwrap()).abs() < 1e-6, "{ended}");
    let page = sandbox.read("run/report.html");
    sandbox.succeeds(&["report", "run", "--html", "page.html"]);
    assert_eq!(sandbox.read("page.html"), page, "the same page at any time");
    assert!(page.contains("Nothing was measured") && page.contains("localhost"));
}

#[test]
fn a_killed_run_is_reported_as_far_as_it_came() {
    let sandbox = Sandbox::new();
    let mut run = begun(&sandbox);
    run.kill().unwrap();
    run.wait().unwrap();
    let killed = told(&sandbox);
    assert_eq!((&killed["running"], &killed["nodes"][0]["kernels"]["proven"]), (&false.into(), &0.into()));
    // What goes on is a session of its own.
    std::fs::remove_file(sandbox.path("hold")).unwrap();
    let goes_on = ["moe", "--resume", "run", "--python", STAND_IN, "--sglang-root", ".", "--jobs", "1"];
    sandbox.succeeds(&goes_on);
    let ended = told(&sandbox);
    assert_eq!(ended["sessions"].as_array().unwrap().len(), 2, "{ended}");
    assert_eq!(ended["nodes"][0]["sessions"], 2);
    assert!(sandbox.succeeds(&["report", "run"]).contains("1 node, 2 sessions"));
}

#[test]
fn what_is_no_run_or_damaged_is_refused_in_one_line() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    for run in ["empty", "nowhere"] {
        let said = stderr(&sandbox.sparktune(&["report", run]).assert().code(2));
        assert!(said.contains(&format!("`{run}` holds no run: it has no journal.jsonl")), "{said}");
    }
    std::fs::create_dir(sandbox.path("damaged")).unwrap();
    sandbox.write("damaged/journal.jsonl", "{\"format\":3}\n");
    let said = stderr(&sandbox.sparktune(&["report", "damaged"]).assert().code(2));
    assert!(said.contains("journal.jsonl` line 1: missing field `plan_sha256`"), "{said}");
    sandbox.sparktune(&["report"]).assert().code(2);
}
