//! One load after another.

use serde_json::json;
use spark::mock::Scenario;

use crate::bench::{Results, ended, mock, names, quick};
use crate::recorder::Recorder;
use crate::support::Sandbox;

const FEW: [&str; 10] = ["-n", "6", "-i", "16", "-o", "3", "--warmup", "0", "--out", "out"];

#[test]
fn a_run_a_step_a_page_and_a_knee() {
    let (sandbox, mock) = (Sandbox::new(), mock(Scenario { max_running: Some(2), ..quick() }));
    let recorder = Recorder::before(&mock.url());
    let url = recorder.url();
    let arguments = [&["sweep", "--base-url", &url, "-c", "1,2,4"][..], &FEW].concat();
    let said = ended(&sandbox, &arguments).with(0);
    let made = names(&sandbox.path("out"));
    assert_eq!(made, ["concurrency-1", "concurrency-2", "concurrency-4", "report.html"]);
    for (dir, limit) in made.iter().zip([1, 2, 4]) {
        let results = Results::of(&sandbox, &format!("out/{dir}"));
        assert_eq!(results.run()["plan"]["concurrency"], limit);
        assert_eq!(results.summary()["completed"], 6);
        assert!(results.summary()["max_concurrent_requests"].as_u64().unwrap() <= limit, "{dir}");
        assert!(said.out.contains(&format!("concurrency {limit}")), "{said:?}");
    }
    assert!(said.out.to_lowercase().contains("knee") && said.out.contains("wrote out"), "{said:?}");
    assert!(sandbox.read("out/report.html").contains("<svg"));
    let mut prompts: Vec<_> = recorder.streams().iter().map(|it| it.body["messages"].to_string()).collect();
    prompts.sort();
    prompts.dedup();
    assert_eq!(prompts.len(), 18, "no step finds its prompts in a cache");
}

#[test]
fn rates_as_json() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let url = mock.url();
    let arguments = ["sweep", "--base-url", &url, "--rate", "50,200", "--json", "--no-html"];
    let said = ended(&sandbox, &[&arguments[..], &FEW].concat()).with(0);
    assert_eq!(names(&sandbox.path("out")), ["rate-200", "rate-50"]);
    let json = said.json();
    let loads: Vec<_> = json["points"].as_array().unwrap().iter().map(|it| it["load"].clone()).collect();
    assert_eq!(loads, [json!({"kind": "rate", "per_s": 50.0}), json!({"kind": "rate", "per_s": 200.0})]);
    assert_eq!(json["knee"]["kind"], "too-few-points");
}
