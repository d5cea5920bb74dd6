//! Results shown again, whatever became of the run.

use serde_json::{Value, json};

use crate::bench::{Results, ended, mock, names, quick, run};
use crate::support::{Sandbox, write};

const FEW: [&str; 9] = ["-n", "5", "-i", "16", "-o", "3", "--warmup", "0", "--no-html"];

fn measured() -> Sandbox {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    run(&sandbox, &mock.url(), "out", &FEW).with(0);
    sandbox
}

#[test]
fn a_finished_run() {
    let sandbox = measured();
    let said = ended(&sandbox, &["report", "out", "--html", "page.html", "--plots", "plots"]).with(0);
    assert!(said.out.contains("TTFT") && said.err.is_empty(), "{said:?}");
    assert!(sandbox.read("page.html").contains("<svg"));
    let plots = names(&sandbox.path("plots"));
    assert!(!plots.is_empty() && plots.iter().all(|name| name.ends_with(".svg")), "{plots:?}");
    let json = ended(&sandbox, &["report", "out", "--json"]).with(0).json();
    assert_eq!(json, Results::of(&sandbox, "out").summary());
}

#[test]
fn a_run_that_was_killed() {
    let sandbox = measured();
    let (requests, run) = (sandbox.path("out/requests.jsonl"), sandbox.path("out/run.json"));
    std::fs::remove_file(sandbox.path("out/summary.json")).unwrap();
    let mut file: Value = serde_json::from_str(&sandbox.read("out/run.json")).unwrap();
    (file["ended"], file["client"]) = (Value::Null, Value::Null);
    write(&run, file.to_string());
    let text = sandbox.read("out/requests.jsonl");
    let lines: Vec<_> = text.lines().collect();
    write(&requests, format!("{}\n{}\n{}", lines[0], lines[1], &lines[2][..lines[2].len() / 2]));
    let said = ended(&sandbox, &["report", "out"]).with(0);
    assert!(said.out.contains("killed"), "{said:?}");
    let json = ended(&sandbox, &["report", "out", "--json"]).with(0).json();
    assert_eq!((&json["completed"], &json["spark"]["counts"]["unsent"]), (&json!(2), &json!(3)));
    let whole = Results::of(&sandbox, "out");
    assert!(!whole.files().contains(&"summary.json".to_owned()), "{:?}", whole.files());
    // In the middle, half a line is damage.
    write(&requests, format!("{}\n{}\n{}\n", lines[0], &lines[1][..20], lines[2]));
    ended(&sandbox, &["report", "out"]).with(2).saying(&["out/requests.jsonl", "line 2"]);
}

#[test]
fn the_runs_of_a_sweep_and_of_repeats() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let url = mock.url();
    let sweep = ["sweep", "--base-url", &url, "--out", "sweep", "-c", "1,2,4"];
    let swept = ended(&sandbox, &[&sweep[..], &FEW, &["--json"]].concat()).with(0).json();
    run(&sandbox, &url, "repeats", &[&FEW[..], &["--repeat", "2"]].concat()).with(0);
    let said = ended(&sandbox, &["report", "sweep", "--html", "page.html"]).with(0);
    assert!(said.out.contains("concurrency 4") && said.out.to_lowercase().contains("knee"), "{said:?}");
    assert!(sandbox.read("page.html").contains("<svg"));
    let json = ended(&sandbox, &["report", "sweep", "--json"]).with(0).json();
    assert_eq!(json["points"].as_array().unwrap().len(), 3);
    assert_eq!(json, swept);
    let json = ended(&sandbox, &["report", "repeats", "--json"]).with(0).json();
    let each = ["repeats/run-1", "repeats/run-2"].map(|dir| Results::of(&sandbox, dir).summary());
    assert_eq!(json, Value::from(each.to_vec()));
    // Told apart by their plans, not by the names of their folders.
    std::fs::rename(sandbox.path("repeats/run-1"), sandbox.path("repeats/concurrency-1")).unwrap();
    let said = ended(&sandbox, &["report", "repeats", "--html", "repeats.html", "--plots", "plots"]).with(0);
    for text in [said.out, sandbox.read("repeats.html")] {
        assert!(text.contains("2 runs of one plan") && text.contains("TTFT median"), "{text}");
        assert!(text.contains("no interval") && !text.contains("knee"), "{text}");
    }
    // One step of a sweep is a run like any other.
    let json = ended(&sandbox, &["report", "sweep/concurrency-2", "--json"]).with(0).json();
    assert_eq!(json, Results::of(&sandbox, "sweep/concurrency-2").summary());
}

#[test]
fn what_is_no_run_or_another_versions() {
    let sandbox = measured();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    ended(&sandbox, &["report", "empty"]).with(2).saying(&["`empty`", "no results", "run.json"]);
    ended(&sandbox, &["report", "nowhere"]).with(2).saying(&["`nowhere`"]);
    for (file, format) in [("run.json", json!(99)), ("summary.json", json!("1"))] {
        let path = sandbox.path(format!("out/{file}"));
        let before = std::fs::read_to_string(&path).unwrap();
        let mut other: Value = serde_json::from_str(&before).unwrap();
        other["format"] = format.clone();
        write(&path, other.to_string());
        let named = format!("out/{file}");
        ended(&sandbox, &["report", "out"]).with(2).saying(&[&named, &format.to_string(), "sparkbench"]);
        write(&path, before);
    }
    let path = sandbox.path("out/run.json");
    write(&path, sandbox.read("out/run.json").replace("\"requests\": 5", "\"requests\": 6"));
    ended(&sandbox, &["report", "out"]).with(2).saying(&["out/run.json", "plan_sha256"]);
    write(&path, "{");
    ended(&sandbox, &["report", "out"]).with(2).saying(&["out/run.json"]);
}
