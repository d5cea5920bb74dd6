//! Runs that end well: every profile over every protocol, the files, and what is printed.

use serde_json::{Value, json};
use spark::mock::Scenario;

use crate::bench::{Results, ended, mock, names, quick, run, token_by_token};
use crate::recorder::Recorder;
use crate::support::Sandbox;

/// The keys of sglang.bench_serving's result line (SGLang 0.5.4.post2, bench_serving.py, lines 2038-2078).
const SGLANG_KEYS: [&str; 36] = [
    "tag",
    "backend",
    "dataset_name",
    "request_rate",
    "max_concurrency",
    "sharegpt_output_len",
    "random_input_len",
    "random_output_len",
    "random_range_ratio",
    "server_info",
    "duration",
    "completed",
    "total_input_tokens",
    "total_input_text_tokens",
    "total_input_vision_tokens",
    "total_output_tokens",
    "total_output_tokens_retokenized",
    "request_throughput",
    "input_throughput",
    "output_throughput",
    "mean_e2e_latency_ms",
    "median_e2e_latency_ms",
    "std_e2e_latency_ms",
    "p99_e2e_latency_ms",
    "mean_ttft_ms",
    "median_ttft_ms",
    "std_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "median_tpot_ms",
    "std_tpot_ms",
    "p99_tpot_ms",
    "mean_itl_ms",
    "p99_itl_ms",
    "concurrency",
    "accept_length",
];

/// A profile with few and short requests, over one protocol.
fn scaled_down(profile: &str, protocol: &str) {
    let (sandbox, mock) = (Sandbox::new(), mock(token_by_token()));
    let recorder = Recorder::before(&mock.url());
    let mut arguments = vec!["--profile", profile, "--protocol", protocol, "-n", "8", "-i", "24", "-o", "4"];
    if profile == "latency" {
        // Two a second, as the profile has it, would take four seconds.
        arguments.extend(["--rate", "50"]);
    }
    let said = run(&sandbox, &recorder.url(), "out", &arguments).with(0);
    assert!(said.out.contains("wrote out"), "{said:?}");
    let results = Results::of(&sandbox, "out");
    assert_eq!(
        results.files(),
        ["log.jsonl", "report.html", "requests.jsonl", "run.json", "summary.csv", "summary.json"],
        "{profile} over {protocol}"
    );
    let (file, summary, requests) = (results.run(), results.summary(), results.requests());
    assert_eq!((&file["plan"]["profile"], &file["plan"]["protocol"]), (&json!(profile), &json!(protocol)));
    assert_eq!((&file["ended"]["result"], &file["repeat"]), (&json!("finished"), &json!(0)));
    assert_eq!(file["target"], recorder.url());
    assert_eq!(file["server"]["runtime"], "sparkbench-mock");
    let counted = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!((counted("completed"), counted("failed")), (8, 0), "{summary:#}");
    assert_eq!((counted("total_output_tokens"), counted("total_input_tokens")), (8 * 4, 8 * 24));
    // By the mock's own tokenizer, every prompt is exactly as long as asked.
    assert_eq!(summary["spark"]["input_length_error"], json!({"mean": 0.0, "max": 0.0, "off": 0}));
    assert_eq!(summary["spark"]["exact_token_share"], 1.0);
    for key in SGLANG_KEYS {
        assert!(summary.get(key).is_some(), "{key} is missing");
    }
    for key in ["mean_ttft_ms", "mean_tpot_ms", "mean_itl_ms", "mean_e2e_latency_ms", "duration"] {
        assert!(summary[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!(requests.len(), 8);
    for request in &requests {
        assert_eq!(request["outcome"], json!({"result": "done"}));
        assert_eq!((&request["input_tokens"], &request["output_tokens"]), (&json!(24), &json!(4)));
        assert_eq!(request["chunk_us"].as_array().unwrap().len(), 4, "{request}");
        assert_eq!(request["token_source"], "cumulative");
        assert!(request.get("text").is_none(), "{request}");
    }
    let mut conversations: Vec<_> = requests.iter().map(|it| it["conversation"].as_u64().unwrap()).collect();
    conversations.sort_unstable();
    assert_eq!(conversations, (0..8).collect::<Vec<_>>());
    // These were sent and the warm-up, and no more.
    let warmup = file["plan"]["warmup"].as_u64().unwrap();
    assert_eq!(recorder.streams().len() as u64, 8 + warmup);
}

fn over_every_protocol(profile: &str) {
    for protocol in ["chat", "completions", "generate"] {
        scaled_down(profile, protocol);
    }
}

#[test]
fn quick_over_every_protocol() {
    over_every_protocol("quick");
}

#[test]
fn latency_over_every_protocol() {
    over_every_protocol("latency");
}

#[test]
fn short_over_every_protocol() {
    over_every_protocol("short");
}

#[test]
fn medium_over_every_protocol() {
    over_every_protocol("medium");
}

#[test]
fn throughput_over_every_protocol() {
    over_every_protocol("throughput");
}

#[test]
fn long_over_every_protocol() {
    over_every_protocol("long");
}

#[test]
fn stress_over_every_protocol() {
    over_every_protocol("stress");
}

const FEW: [&str; 8] = ["-n", "4", "-i", "16", "-o", "3", "--warmup", "0"];

#[test]
fn files_are_written_as_asked() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let bare = [&FEW[..], &["--no-html"]].concat();
    run(&sandbox, &mock.url(), "bare", &bare).with(0);
    let plain = ["log.jsonl", "requests.jsonl", "run.json", "summary.csv", "summary.json"];
    assert_eq!(Results::of(&sandbox, "bare").files(), plain);
    let all = [&FEW[..], &["--parquet", "--keep-text"]].concat();
    run(&sandbox, &mock.url(), "all", &all).with(0);
    let results = Results::of(&sandbox, "all");
    let every = [
        "log.jsonl",
        "report.html",
        "requests.jsonl",
        "requests.parquet",
        "run.json",
        "summary.csv",
        "summary.json",
    ];
    assert_eq!(results.files(), every);
    let parquet = std::fs::read(sandbox.path("all/requests.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    for request in results.requests() {
        assert_eq!(request["text"], " the model says", "{request}");
    }
    let csv = sandbox.read("all/summary.csv");
    let (header, row) = csv.split_once('\n').unwrap();
    assert_eq!(header.split(',').count(), row.trim().split(',').count(), "{csv}");
    assert!(header.starts_with("started,profile,model,") && row.contains(",custom,mock,"), "{csv}");
}

#[test]
fn without_a_place_a_run_goes_below_results() {
    let (sandbox, mock) = (Sandbox::new(), mock(Scenario { model: "org/A model".into(), ..quick() }));
    let url = mock.url();
    let arguments = [&["run", "--base-url", &url, "--no-html"][..], &FEW].concat();
    let said = ended(&sandbox, &arguments).with(0);
    ended(&sandbox, &[&arguments[..], &["--results", "elsewhere"]].concat()).with(0);
    let made = names(&sandbox.path("results"));
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(made[0].starts_with("20") && made[0].ends_with("-a-model-custom"), "{made:?}");
    assert!(said.out.contains(&format!("wrote results/{}", made[0])), "{said:?}");
    assert_eq!(names(&sandbox.path("elsewhere")).len(), 1);
}

#[test]
fn json_is_one_object_and_nothing_else() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let said = run(&sandbox, &mock.url(), "out", &[&FEW[..], &["--json"]].concat()).with(0);
    assert!(said.out.ends_with("}\n"), "{said:?}");
    assert_eq!(said.json(), Results::of(&sandbox, "out").summary());
}

#[test]
fn repeats_are_runs_of_one_plan_with_other_prompts() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let recorder = Recorder::before(&mock.url());
    let arguments = [&FEW[..], &["--repeat", "2", "--json"]].concat();
    let said = run(&sandbox, &recorder.url(), "out", &arguments).with(0);
    assert_eq!(names(&sandbox.path("out")), ["report.html", "run-1", "run-2"]);
    let runs = ["out/run-1", "out/run-2"].map(|dir| Results::of(&sandbox, dir));
    assert_eq!(said.json(), Value::from(runs.each_ref().map(Results::summary).to_vec()));
    let files = runs.each_ref().map(Results::run);
    assert_eq!(files[0]["plan"], files[1]["plan"]);
    assert_eq!(files[0]["plan_sha256"], files[1]["plan_sha256"]);
    assert_eq!([&files[0]["repeat"], &files[1]["repeat"]], [&json!(0), &json!(1)]);
    // No prompt is sent twice: it would be answered from a cache.
    let mut prompts: Vec<String> =
        recorder.streams().iter().map(|sent| sent.body["messages"].to_string()).collect();
    assert_eq!(prompts.len(), 8);
    prompts.sort();
    prompts.dedup();
    assert_eq!(prompts.len(), 8, "{prompts:#?}");
}

#[test]
fn the_same_seed_sends_the_same() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let prompts = |seed: &str| {
        let recorder = Recorder::before(&mock.url());
        run(
            &sandbox,
            &recorder.url(),
            &format!("out-{}", names(&sandbox.work()).len()),
            &[&FEW[..], &["--seed", seed]].concat(),
        )
        .with(0);
        let mut sent: Vec<_> = recorder.streams().iter().map(|it| it.body["messages"].to_string()).collect();
        sent.sort();
        sent
    };
    let first = prompts("7");
    assert_eq!(first, prompts("7"));
    assert_ne!(first, prompts("8"));
}

#[test]
fn a_place_that_holds_a_run_is_left_alone() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    run(&sandbox, &mock.url(), "out", &FEW).with(0);
    let before = sandbox.snapshot();
    let sent = mock.truth().report().requests;
    run(&sandbox, &mock.url(), "out", &FEW).with(2).saying(&["`out`", "already holds results", "--out"]);
    assert!(sandbox.snapshot() == before);
    assert_eq!(mock.truth().report().requests, sent, "nothing is measured that cannot be written");
    sandbox.write("file", "mine");
    run(&sandbox, &mock.url(), "file/run", &FEW).with(3).saying(&["file/run"]);
}
