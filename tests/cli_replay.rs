//! `sparktune replay`, and what measuring commands say where there is no GPU.

mod support;

use serde_json::{Value, json};

use support::Sandbox;

/// A space of 60 configs in which one is 10 % faster than the next, with a cold first run.
fn cache_file() -> Value {
    let mut cache = serde_json::Map::new();
    for x in 0..10 {
        for y in 0..6 {
            let usual = 1.0 + 0.1 * f64::from(x) + 0.3 * f64::from(y);
            let times: Vec<f64> = (0..16)
                .map(|run| usual * if run == 0 { 1.3 } else { 1.0 + 0.002 * f64::from(run % 5) })
                .collect();
            cache.insert(format!("{x},{y}"), json!({ "x": x, "y": y, "time": usual, "times": times }));
        }
    }
    cache.insert("10,0".into(), json!({ "x": 10, "y": 0, "time": "RuntimeFailedConfig" }));
    json!({
        "device_name": "a device", "kernel_name": "a kernel",
        "tune_params_keys": ["x", "y"],
        "tune_params": { "x": (0..=10).collect::<Vec<_>>(), "y": (0..6).collect::<Vec<_>>() },
        "cache": cache,
    })
}

#[test]
fn a_replay_says_what_was_chosen_and_at_what_cost() {
    let sandbox = Sandbox::new();
    sandbox.write("table.json", cache_file().to_string());
    let report = sandbox.json(&["replay", "--table", "table.json", "--seeds", "50", "--json"]);
    assert_eq!(report["table"], "a kernel on a device");
    assert_eq!((&report["configs"], &report["failing_configs"]), (&json!(60), &json!(1)));
    for key in ["regret_median", "regret_p95", "regret_max", "cost_ratio", "exhaustive_regret_p95"] {
        assert!(report[key].is_number(), "{key}: {report:#}");
    }
    assert_eq!(report["regret_p95"], 0.0, "one config is 10 % faster than all others");
    assert!(report["table_resolution"].as_f64().is_some_and(|share| share < 0.1), "{report:#}");
    let by_median =
        sandbox.json(&["replay", "--table", "table.json", "--seeds", "1", "--truth", "median", "--json"]);
    assert_eq!(by_median["table_resolution"], Value::Null);
    assert_eq!(report["undecided"], 0);
    assert_eq!(report["stock_launches"], 60 * 151);
    assert_eq!(report["adoption_rate"], Value::Null, "there is no default to replace");
    // The same dice give the same report, but for how long deciding took.
    let mut again = sandbox.json(&["replay", "--table", "table.json", "--seeds", "50", "--json"]);
    for key in ["slowest_decision_ms", "mean_decision_ms"] {
        again[key] = report[key].clone();
    }
    assert_eq!(again, report);
}

#[test]
fn identical_configs_are_not_adopted() {
    let sandbox = Sandbox::new();
    sandbox.write("table.json", cache_file().to_string());
    for disturbed in [&[][..], &["--drift", "0.1", "--spikes", "0.05", "--noise", "0.03"]] {
        let mut arguments =
            vec!["replay", "--table", "table.json", "--identical", "--seeds", "200", "--json"];
        arguments.extend(disturbed);
        let report = sandbox.json(&arguments);
        assert!(report["adoption_rate"].as_f64().unwrap() <= 0.01, "{report:#}");
    }
}

#[test]
fn every_strategy_replays() {
    let sandbox = Sandbox::new();
    sandbox.write("table.json", cache_file().to_string());
    for strategy in ["race", "exhaustive", "random"] {
        let shown =
            sandbox.sparktune(&["replay", "--table", "table.json", "--strategy", strategy, "--seeds", "5"]);
        let shown = { shown }.assert().success();
        let text = String::from_utf8_lossy(&shown.get_output().stdout).into_owned();
        assert!(
            text.contains(strategy) && text.contains("kernel launches against the stock tuner's"),
            "{text}"
        );
    }
}

#[test]
fn bad_tables_are_named_with_what_is_wrong() {
    let sandbox = Sandbox::new();
    let mut negative = cache_file();
    negative["cache"]["3,2"]["times"][4] = json!(-0.5);
    sandbox.write("negative.json", negative.to_string());
    sandbox.write("empty.json", "{}");
    sandbox.write("no.parquet", "PAR1 and nothing else");
    for (table, words) in [
        ("negative.json", "`negative.json`: cache[\"3,2\"]: times[4] is -0.5"),
        ("empty.json", "`empty.json`: is no Kernel Tuner cache: missing field"),
        ("gone.json", "gone.json"),
        ("no.parquet", "no.manifest.json"),
    ] {
        let run = sandbox.sparktune(&["replay", "--table", table]).assert().code(2);
        let said = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
        assert!(said.contains(words), "{table}: {said}");
    }
}

#[test]
fn bad_arguments_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("table.json", cache_file().to_string());
    for (arguments, words) in [
        (
            &["replay", "--table", "table.json", "--drift", "1"][..],
            "--drift: 1 is not a share from 0 to below 1",
        ),
        (&["replay", "--table", "table.json", "--spikes=-0.1"], "--spikes: -0.1 is not"),
        (&["replay", "--table", "table.json", "--noise", "NaN"], "--noise: NaN is not"),
        (&["replay", "--table", "table.json", "--seeds", "0"], "0 is not in 1..=1000000"),
        (&["replay"], "--table"),
        (&["replay", "--look-alike", "no-such-model"], "no-such-model"),
        (&["moe", "--model", "GLM-4.7-FP8", "--budget", "soon"], "--budget: `soon` is no time"),
        (&["moe", "--model", "GLM-4.7-FP8", "--budget=-5m"], "--budget: `-5m` is no time"),
        (&["moe", "--model", "GLM-4.7-FP8", "--wait", "soon"], "--wait: `soon` is no time"),
        (&["moe", "--model", "GLM-4.7-FP8", "--wait=-5m"], "--wait: `-5m` is no time"),
        (&["moe", "--model", "GLM-4.7-FP8", "--incumbent", "gone.json"], "gone.json"),
        (&["record", "--model", "GLM-4.7-FP8", "--repeats", "0"], "0 is not in 1..=1000"),
        (&["record", "--model", "GLM-4.7-FP8", "--mask", "gb99"], "gb99"),
    ] {
        let run = sandbox.sparktune(arguments).assert().code(2);
        let said = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
