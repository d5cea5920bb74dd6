//! `sparkbench` as a whole program, as far as it needs no server: lists, dry runs, and everything wrong.

#[path = "support/bench.rs"]
mod bench;
mod support;

use assert_cmd::assert::Assert;
use serde_json::{Value, json};

use bench::{KEY, sparkbench};
use support::{Sandbox, stderr, stdout};

#[track_caller]
fn succeeds(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let before = sandbox.snapshot();
    let text = stdout(&sparkbench(sandbox, arguments).assert().success().stderr(""));
    assert!(sandbox.snapshot() == before, "{arguments:?} wrote something");
    text
}

#[track_caller]
fn json_of(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let text = succeeds(sandbox, arguments);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// Wrong arguments: exit code 2, each of `words` in one message, nothing on stdout, nothing written. Whether
/// a run is dry makes no difference.
#[track_caller]
fn refused(sandbox: &Sandbox, arguments: &[&str], words: &[&str]) -> String {
    let before = sandbox.snapshot();
    let mut dry = arguments.to_vec();
    dry.push("--dry-run");
    let mut all = vec![arguments.to_vec()];
    if matches!(arguments[0], "run" | "sweep") {
        all.push(dry);
    }
    let mut message = String::new();
    for arguments in all {
        let assert = sparkbench(sandbox, &arguments).env("SPARKBENCH_API_KEY", KEY).assert();
        message = stderr(&assert);
        assert_eq!(assert.get_output().status.code(), Some(2), "{arguments:?}: {message}");
        assert_eq!(stdout(&assert), "", "{arguments:?}");
        assert!(message.starts_with("error: ") && message.matches("error:").count() == 1, "{message}");
        for word in words {
            assert!(message.contains(word), "{arguments:?}: `{word}` is not in: {message}");
        }
        assert!(!message.contains("panicked") && !message.contains(KEY), "{message}");
    }
    assert!(sandbox.snapshot() == before, "{arguments:?} left something behind");
    message
}

#[test]
fn the_list_of_profiles() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(succeeds(&sandbox, &["profiles"]));
    let list = json_of(&sandbox, &["profiles", "--json"]);
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["quick", "latency", "short", "medium", "throughput", "long", "stress"]);
    assert_eq!(list[1]["plan"]["arrival"], json!({ "kind": "poisson", "rate": 2.0 }));
    // Whatever is listed is what a run of it would do.
    for profile in list.as_array().unwrap() {
        let name = profile["name"].as_str().unwrap();
        let dry = json_of(&sandbox, &["run", "--profile", name, "--dry-run", "--json"]);
        assert_eq!(dry["runs"][0]["plan"], profile["plan"], "{name}");
    }
}

#[test]
fn profiles_of_ones_own() {
    let sandbox = Sandbox::new();
    sandbox.write("own/bench/quick.toml", "about = \"mine\"\nrequests = 3");
    // What a listed profile reads is not asked for.
    sandbox.write(
        "own/bench/data.toml",
        "[workload]\nkind = \"sharegpt\"\nfile = \"missing.json\"\n[arrival]\nkind = \"trace\"\nfile = \"t\"",
    );
    let text = succeeds(&sandbox, &["profiles", "--profiles", "own"]);
    assert!(text.contains("mine") && text.contains("missing.json") && text.contains("stress"), "{text}");
    let list = json_of(&sandbox, &["profiles", "--profiles", "own", "--json"]);
    let data = list.as_array().unwrap().iter().find(|it| it["name"] == "data").unwrap();
    assert_eq!(data["plan"]["workload"]["file"], "own/bench/missing.json");
    let dry = json_of(&sandbox, &["run", "--profiles", "own", "--profile", "quick", "--dry-run", "--json"]);
    assert_eq!(dry["runs"][0]["plan"]["requests"], 3);
    refused(&sandbox, &["run", "--profiles", "own", "--profile", "data"], &["profile data", "missing.json"]);
}

#[test]
fn a_dry_run_for_people() {
    let sandbox = Sandbox::new();
    let arguments = [
        "run",
        "--profile",
        "throughput",
        "--rate",
        "4",
        "-n",
        "41",
        "--slo",
        "tpot=none,e2e=20s",
        "--model",
        "org/model",
        "--protocol",
        "completions",
        "--extra-body",
        r#"{"top_k": 1}"#,
        "--out",
        "run-1",
        "--dry-run",
    ];
    insta::assert_snapshot!(succeeds(&sandbox, &arguments));
}

#[test]
fn a_dry_run_as_json() {
    let sandbox = Sandbox::new();
    let arguments =
        ["run", "-n", "8", "-i", "32", "-o", "16", "-c", "2", "--turns", "4", "--dry-run", "--json"];
    insta::assert_snapshot!(format!("{:#}", json_of(&sandbox, &arguments)));
}

#[test]
fn a_sweep_is_a_run_a_step() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(succeeds(
        &sandbox,
        &["sweep", "--profile", "short", "-c", "1,8,64", "--dry-run"]
    ));
    let sweep = json_of(&sandbox, &["sweep", "-n", "20", "--rate", "0.5, 2", "--dry-run", "--json"]);
    for (step, rate) in sweep["runs"].as_array().unwrap().iter().zip(["0.5", "2"]) {
        let run = json_of(&sandbox, &["run", "-n", "20", "--rate", rate, "--dry-run", "--json"]);
        assert_eq!(step["plan"], run["runs"][0]["plan"]);
        assert_eq!(step["at"]["rate"], rate.parse::<f64>().unwrap());
    }
    assert_eq!(sweep["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn the_flags_of_other_benchmarks_mean_the_same() {
    let sandbox = Sandbox::new();
    let plan = |arguments: &[&str]| {
        let all = [&["run", "--dry-run", "--json"], arguments].concat();
        json_of(&sandbox, &all)["runs"][0]["plan"].clone()
    };
    let theirs = [
        "--num-prompts",
        "9",
        "--random-input-len",
        "8",
        "--random-output-len",
        "7",
        "--max-concurrency",
        "6",
        "--request-rate",
        "5",
        "--backend",
        "sglang",
        "--random-range-ratio",
        "0",
        "--warmup-requests",
        "4",
        "--extra-request-body",
        "{\"a\":1}",
        "--disable-ignore-eos",
    ];
    let ours = [
        "-n",
        "9",
        "-i",
        "8",
        "-o",
        "7",
        "-c",
        "6",
        "--rate",
        "5",
        "--protocol",
        "generate",
        "--lengths",
        "uniform",
        "--warmup",
        "4",
        "--extra-body",
        "{\"a\":1}",
        "--no-ignore-eos",
    ];
    assert_eq!(plan(&theirs), plan(&ours));
    assert_eq!(plan(&["--backend", "vllm-chat"])["protocol"], "chat");
    assert_eq!(plan(&["--backend", "sglang-oai"])["protocol"], "completions");
    assert_eq!(plan(&["--request-rate", "inf"])["arrival"]["kind"], "all-at-once");
}

#[test]
fn the_environment_stands_below_the_flags() {
    let sandbox = Sandbox::new();
    let dry = |arguments: &[&str], variables: &[(&str, &str)]| -> Value {
        let all = [&["run", "--dry-run", "--json"], arguments].concat();
        let assert = sparkbench(&sandbox, &all).envs(variables.iter().copied()).assert().success();
        serde_json::from_str(&stdout(&assert)).unwrap()
    };
    let set = [("SPARKBENCH_BASE_URL", "http://head:8000/v1"), ("SPARKBENCH_PROFILE", "long")];
    let found = dry(&[], &set);
    assert_eq!(found["target"]["base_url"], "http://head:8000");
    assert_eq!(found["target"]["origin"], "environment SPARKBENCH_BASE_URL");
    assert_eq!(found["runs"][0]["plan"]["profile"], "long");
    assert_eq!(found["runs"][0]["origins"]["profile"], "environment SPARKBENCH_PROFILE");
    let found = dry(&["--base-url", "other:1", "--profile", "quick"], &set);
    assert_eq!(found["target"], json!({ "base_url": "http://other:1", "origin": "flag --base-url" }));
    assert_eq!(found["runs"][0]["plan"]["profile"], "quick");
    assert_eq!(dry(&[], &[])["target"]["base_url"], "http://localhost:30000");

    let assert =
        sparkbench(&sandbox, &["run", "--dry-run"]).env("SPARKBENCH_PROFILE", "quik").assert().code(2);
    assert!(stderr(&assert).contains("`quik`"), "{}", stderr(&assert));
}

#[test]
fn a_key_shows_nowhere() {
    let sandbox = Sandbox::new();
    let everything = |assert: Assert| format!("{}{}", stdout(&assert), stderr(&assert));
    for name in ["SPARKBENCH_API_KEY", "OPENAI_API_KEY"] {
        for arguments in [
            &["run", "--dry-run"][..],
            &["run", "--dry-run", "--json"],
            &["sweep", "-c", "1,2", "--dry-run"],
            &["sweep", "-c", "1,2", "--dry-run", "--json"],
            &["profiles"],
            &["run", "--help"],
            &["--help"],
            &["run", "-n", "0"],
            &["run", "--base-url", "ftp://head"],
            &["run", "--no-such-flag"],
        ] {
            let shown = everything(sparkbench(&sandbox, arguments).env(name, KEY).assert());
            assert!(!shown.contains(KEY), "{arguments:?}: {shown}");
            if arguments.contains(&"--dry-run") {
                assert!(shown.contains("Bearer $SPARKBENCH_API_KEY"), "{shown}");
            }
        }
        let bad = format!("{KEY} and more");
        let assert = sparkbench(&sandbox, &["run", "--dry-run"]).env(name, &bad).assert().code(2);
        assert!(stderr(&assert).contains(name) && !stderr(&assert).contains(KEY), "{}", stderr(&assert));
    }
    assert!(!succeeds(&sandbox, &["run", "--dry-run"]).contains("Authorization"));
}

#[test]
fn values_that_cannot_be() {
    let sandbox = Sandbox::new();
    sandbox.write("lab.toml", "nmae = \"lab\"\n");
    for (arguments, words) in [
        (&["-n", "0"][..], &["--requests", "0 is not accepted", "from 1 to"][..]),
        (&["-n", "-5"], &["--requests", "-5", "whole number"]),
        (&["-n", "1.5"], &["--requests", "1.5", "whole number"]),
        (&["-n", ""], &["--requests"]),
        (&["-i", "0"], &["--input", "0 is not accepted"]),
        (&["-o", "0"], &["--output", "0 is not accepted"]),
        (&["-o", "99999999"], &["--output", "99999999"]),
        (&["-c", "0"], &["--concurrency", "0 is not accepted", "65535"]),
        (&["-c", "-1"], &["--concurrency", "-1", "none"]),
        (&["-c", "many"], &["--concurrency", "many", "none"]),
        (&["--rate", "-1"], &["--rate", "-1 is not accepted", "above 0"]),
        (&["--rate", "0"], &["--rate", "0 is not accepted"]),
        (&["--rate", "nan"], &["--rate", "NaN is not accepted"]),
        (&["--rate=-inf"], &["--rate", "-inf is not accepted"]),
        (&["--rate", "1e300"], &["--rate", "1000000"]),
        (&["--rate", "fast"], &["--rate", "fast", "inf"]),
        (&["--burstiness", "0", "--rate", "1"], &["--burstiness", "above 0"]),
        (&["--ramp", "1"], &["--ramp", "FROM:TO"]),
        (&["--ramp", "0:5"], &["--ramp", "0 is not accepted"]),
        (&["--range-ratio", "1.5"], &["--range-ratio", "1.5", "0 to 1"]),
        (&["--range-ratio", "-0.1"], &["--range-ratio", "-0.1"]),
        (&["--lengths", "normal"], &["--lengths", "normal", "uniform"]),
        (&["--arrival", "poison"], &["--arrival", "poison", "poisson"]),
        (&["--shared-prefix", "8"], &["--shared-prefix", "8x1024"]),
        (&["--shared-prefix", "0x8"], &["--shared-prefix", "0 is not accepted"]),
        (&["--turns", "0"], &["--turns", "0 is not accepted"]),
        (&["--turns", "101"], &["--turns", "at most the 100"]),
        (&["--turns", "2", "--think", "5"], &["--think", "500ms"]),
        (&["--turns", "2", "--think", "48h"], &["--think", "172800000", "86400000"]),
        (&["--temperature", "-1"], &["--temperature", "-1"]),
        (&["--extra-body", "[]"], &["--extra-body", "JSON object"]),
        (&["--extra-body", "{"], &["--extra-body", "JSON object"]),
        (&["--extra-body", r#"{"stream":false}"#], &["--extra-body", "`stream`", "streamed"]),
        (&["--slo", "ttft=5"], &["--slo", "ttft", "500ms"]),
        (&["--slo", "itl=5ms"], &["--slo", "itl", "tpot"]),
        (&["--slo", "ttft=0s"], &["--slo", "above 0"]),
        (&["--max-failed", "5"], &["--max-failed", "5%"]),
        (&["--retries", "1000"], &["--retries", "100"]),
        (&["--connect-timeout", "0s"], &["--connect-timeout", "above 0"]),
        (&["--request-timeout", "soon"], &["--request-timeout", "soon"]),
        (&["--server-metrics-interval", "0s"], &["--server-metrics-interval", "100ms"]),
        (&["--protocol", "grpc"], &["--protocol", "grpc", "generate"]),
        (&["--model", ""], &["--model", "/v1/models"]),
        (&["--base-url", "ftp://head"], &["--base-url", "ftp"]),
        (&["--repeat", "0"], &["--repeat"]),
        (&["--seed", "-1"], &["--seed"]),
        (&["--rate", "-inf"], &["--rate", "-inf is not accepted", "above 0"]),
        (&["--ramp", "-1:5"], &["--ramp", "-1 is not accepted"]),
        (&["--shared-prefix", "-8x1"], &["--shared-prefix", "'-8x1'", "8x1024"]),
        (&["--turns", "2", "--think", "-1s"], &["--think", "'-1s'", "no time is negative", "500ms"]),
        (&["--connect-timeout", "-1s"], &["--connect-timeout", "'-1s'", "no time is negative", "500ms"]),
        (&["--first-token-timeout", "-1m"], &["--first-token-timeout", "'-1m'", "no time is negative"]),
        (&["--stall-timeout", "-0.5s"], &["--stall-timeout", "'-0.5s'", "no time is negative"]),
        (&["--request-timeout", "-1h"], &["--request-timeout", "'-1h'", "no time is negative"]),
        (&["--request-timeout", "-5"], &["--request-timeout", "'-5'", "500ms"]),
        (&["--server-metrics-interval", "-5s"], &["--server-metrics-interval", "'-5s'", "at least 100ms"]),
        (&["--slo", "ttft=-5ms"], &["--slo", "ttft=-5ms", "no time is negative"]),
        (&["--slo", "-5ms"], &["--slo", "'-5ms'", "ttft=500ms"]),
        (&["--max-failed", "-5%"], &["--max-failed", "'-5%'", "0% to 100%"]),
        (&["--repeat", "-1"], &["--repeat", "'-1'", "1..=1000"]),
        (&["--cluster", "missing.toml"], &["missing.toml", "No such file"]),
        (&["--cluster", "lab.toml"], &["lab.toml", "line 1", "`nmae`"]),
        // A value that was forgotten is told by what stands in its place.
        (&["--think", "--json"], &["--think", "'--json'", "500ms"]),
    ] {
        refused(&sandbox, &[&["run"], arguments].concat(), words);
    }
}

#[test]
fn flags_that_contradict_each_other() {
    let sandbox = Sandbox::new();
    sandbox.write("data.jsonl", "{\"prompt\":\"hello\"}\n");
    sandbox.write("mine.toml", "[workload]\nkind = \"jsonl\"\nfile = \"data.jsonl\"");
    for (arguments, words) in [
        (&["--rate", "2", "--ramp", "1:2"][..], &["--rate", "--ramp"][..]),
        (&["--rate", "2", "--trace", "t"], &["--rate", "--trace"]),
        (&["--arrival", "closed-loop", "--rate", "2"], &["--arrival closed-loop", "--rate"]),
        (&["--arrival", "closed-loop"], &["closed loop", "--concurrency"]),
        (&["--arrival", "poisson"], &["poisson", "--rate"]),
        (&["--profile", "stress", "-c", "none"], &["closed loop", "--concurrency"]),
        (&["--dataset", "jsonl:data.jsonl", "-i", "5"], &["--dataset", "--input"]),
        (&["--dataset", "jsonl:data.jsonl", "--turns", "2"], &["--dataset", "--turns"]),
        (&["--profile", "./mine.toml", "-i", "5"], &["--input", "--profile mine"]),
        (&["--turns", "2", "--shared-prefix", "1x1"], &["--turns", "--shared-prefix"]),
        (&["--lengths", "exact", "--range-ratio", "0.5"], &["--lengths exact", "--range-ratio"]),
        (&["--think", "5s"], &["--turns"]),
        (&["--trace-scale", "2"], &["--trace"]),
        (&["--protocol", "chat", "--backend", "vllm"], &["--protocol", "--backend"]),
        (&["--out", "a", "--results", "b"], &["--out", "--results"]),
    ] {
        refused(&sandbox, &[&["run"], arguments].concat(), words);
    }
    let plan = json_of(&sandbox, &["run", "--profile", "./mine.toml", "-o", "5", "--dry-run", "--json"]);
    assert_eq!(plan["runs"][0]["plan"]["workload"]["output_tokens"], 5);
    assert_eq!(plan["runs"][0]["plan"]["workload"]["file"]["name"], "data.jsonl");
    assert_eq!(plan["runs"][0]["files"]["workload"], "./data.jsonl");
}

#[test]
fn profiles_and_files_that_do_not_read() {
    let sandbox = Sandbox::new();
    refused(
        &sandbox,
        &["run", "--profile", "quikc"],
        &["`quikc`", "did you mean `quick`", "stress", "hint:"],
    );
    refused(&sandbox, &["run", "--profile", "./no.toml"], &["./no.toml", "No such file"]);
    refused(&sandbox, &["run", "--profile", "quick", "--profiles", "nowhere"], &["nowhere"]);
    refused(&sandbox, &["profiles", "--profiles", "nowhere"], &["nowhere"]);
    sandbox.write("own/bench/bad.toml", "requests = 5\nconcurency = 4");
    let words = ["bad.toml", "`concurency`", "did you mean `concurrency`", "line 2"];
    refused(&sandbox, &["profiles", "--profiles", "own"], &words);
    refused(&sandbox, &["run", "--profile", "own/bench/bad.toml"], &words);

    sandbox.write("empty.jsonl", "");
    for (file, words) in [("missing.jsonl", "No such file"), ("empty.jsonl", "empty"), ("own", "folder")] {
        let dataset = format!("jsonl:{file}");
        refused(&sandbox, &["run", "--dataset", &dataset], &["--dataset", file, words]);
        refused(&sandbox, &["run", "--trace", file], &["--trace", file, words]);
    }
    refused(&sandbox, &["run", "--dataset", "data.jsonl"], &["--dataset", "sharegpt:FILE"]);
}

#[test]
fn sweeps_and_comparisons_that_cannot_be() {
    let sandbox = Sandbox::new();
    for (arguments, words) in [
        (&["sweep"][..], &["--concurrency", "--rate"][..]),
        (&["sweep", "-c", "1", "--rate", "1"], &["--concurrency", "--rate"]),
        (&["sweep", "-c", "1,1"], &["--concurrency", "`1,1`", "once"]),
        (&["sweep", "-c", "1,,2"], &["--concurrency", "`1,,2`", "1,2,4,8"]),
        (&["sweep", "-c", "-1,2"], &["--concurrency", "`-1,2`"]),
        (&["sweep", "-c", "1,0"], &["--concurrency", "0 is not accepted"]),
        (&["sweep", "--rate", "1,-2"], &["--rate", "-2 is not accepted"]),
        (&["sweep", "--rate", "1,inf"], &["--rate", "`1,inf`"]),
        (&["sweep", "--rate", "1,nan"], &["--rate", "`1,nan`"]),
        (&["compare", "a"], &["CANDIDATE"]),
        (&["compare", "a", "b", "--threshold", "-5%"], &["--threshold", "5%"]),
        (&["report"], &["RUN_DIR"]),
        (&["swep"], &["swep", "sweep"]),
    ] {
        refused(&sandbox, arguments, words);
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let sandbox = Sandbox::new();
    for command in ["run", "sweep", "compare", "report", "calibrate", "profiles"] {
        let text = succeeds(&sandbox, &[command, "--help"]);
        assert!(text.contains(&format!("Examples:\n  sparkbench {command}")), "{command}: {text}");
        assert!(
            text.contains("Exit codes: 0 done") || text.contains("Exit codes: 0 no"),
            "{command}: {text}"
        );
    }
    let all = succeeds(&sandbox, &["--help"]);
    assert!(all.contains("Exit codes:") && all.contains("OPENAI_API_KEY"), "{all}");
    assert!(succeeds(&sandbox, &["--version"]).starts_with("sparkbench "));
}
