//! What the mock says of itself, and the truth it keeps.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::mock::scenario::Detail;
use crate::mock::truth::Quantiles;

#[test]
fn what_it_says_of_itself_is_what_runtimes_say() {
    let speculating = mock(Scenario { accept: vec![2, 4], kv_tokens: 1000, ..Default::default() });
    answer(&speculating, "POST", "/v1/chat/completions", &chat(5));
    let (_, metrics) = get(&speculating, "/metrics");
    let served = r#"{model_name="mock",engine_type="unified""#;
    for line in [
        format!("sglang:generation_tokens_total{served}}} 5"),
        format!("sglang:prompt_tokens_total{served}}} 10"),
        format!(r#"sglang:num_running_reqs{served},tp_rank="0",pp_rank="0",moe_ep_rank="0"}} 0"#),
        format!(r#"sglang:spec_accept_length{served},tp_rank="0",pp_rank="0",moe_ep_rank="0"}} 3"#),
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line} in {metrics}");
    }
    for name in ["num_queue_reqs", "token_usage", "gen_throughput", "cache_hit_rate"] {
        assert!(metrics.contains(&format!("\nsglang:{name}{{")), "{name}");
    }
    for path in ["/get_server_info", "/server_info"] {
        let info: Value = serde_json::from_str(&get(&speculating, path).1).unwrap();
        assert_eq!(info["internal_states"][0]["avg_spec_accept_length"], 3.0);
        assert!(info["version"].is_string());
    }
    let plain = mock(Scenario { max_model_len: 77, model: "a \"b\"".into(), ..Default::default() });
    assert!(!get(&plain, "/server_info").1.contains("avg_spec_accept_length"));
    assert!(!get(&plain, "/metrics").1.contains("spec_accept_length"));
    let models: Value = serde_json::from_str(&get(&plain, "/v1/models").1).unwrap();
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][0]["max_model_len"]),
        (&json!("a \"b\""), &json!(77))
    );
    assert!(get(&plain, "/version").1.contains("\"version\""));
    assert!(get(&plain, "/get_model_info").1.contains("\"model_path\""));
}

#[test]
fn a_client_can_count_tokens_before_it_asks() {
    let mock = mock(Scenario { bos_tokens: 2, message_tokens: 5, answer_tokens: 1, ..Default::default() });
    let tokenize =
        |body: Value| serde_json::from_str::<Value>(&answer(&mock, "POST", "/tokenize", &body).1).unwrap();
    let text = "Tokenizers, of all things!";
    let counted = tokenize(json!({"model": "mock", "prompt": text}));
    assert_eq!((&counted["count"], counted["tokens"].as_array().unwrap().len()), (&json!(10), 10));
    assert_eq!(tokenize(json!({"prompt": text, "add_special_tokens": false}))["count"], 8);
    assert_eq!(
        tokenize(json!({"content": text}))["tokens"].as_array().unwrap()[..],
        counted["tokens"].as_array().unwrap()[2..]
    );
    let messages = json!([{"role": "user", "content": text}]);
    assert_eq!(tokenize(json!({"messages": messages}))["count"], 8 + 5 + 1);
    // And what it is then charged is the same.
    let usage = |path, ask| {
        let whole: Value = serde_json::from_str(&answer(&mock, "POST", path, &ask).1).unwrap();
        whole["usage"]["prompt_tokens"].as_u64()
    };
    assert_eq!(usage("/v1/completions", json!({"prompt": text})), Some(10));
    assert_eq!(usage("/v1/completions", json!({"prompt": counted["tokens"]})), Some(10));
    assert_eq!(usage("/v1/chat/completions", json!({"messages": messages})), Some(14));
    assert_eq!(answer(&mock, "POST", "/tokenize", &json!({})).0, 400);
}

#[test]
fn the_truth_is_kept_and_told() {
    let mock = mock(Scenario::default());
    let before = Instant::now();
    raw(
        &mock,
        &request("POST", "/v1/chat/completions", "X-Request-Id: r-1\r\nConnection: close\r\n", &chat(5)),
    );
    let truth = mock.truth().streams().remove(0);
    assert_eq!(truth.request_id.as_deref(), Some("r-1"));
    assert_eq!(truth.event_tokens, [1; 5]);
    assert!(truth.received > before && truth.whole && truth.streamed);
    // Never early, and what is due is as told: 2 ms and then one each.
    for (k, (at, late)) in (2..).zip(truth.event_us.iter().zip(&truth.late_us)) {
        let due = at - late;
        assert!((k * 1000 - 1..=k * 1000 + 1).contains(&due), "{k}: {due}");
    }
    assert!(truth.event_us.is_sorted());
    let told: Value = serde_json::from_str(&get(&mock, "/mock/truth").1).unwrap();
    assert_eq!((&told["requests"], &told["tokens"]), (&json!(1), &json!(5)));
    for figure in ["ttft_ms", "itl_ms", "lateness_ms"] {
        let read: Quantiles = serde_json::from_value(told[figure].clone()).unwrap();
        assert!(read.p50 <= read.p90 && read.p90 <= read.p99 && read.p99 <= read.max, "{figure}");
    }
    assert!(told["ttft_ms"]["p50"].as_f64().unwrap() >= 2.0);
    // Generous: this machine may be busy.
    assert!(told["lateness_ms"]["p50"].as_f64().unwrap() < 1000.0);
    assert_eq!(answer(&mock, "POST", "/mock/reset", &Value::Null).0, 200);
    assert_eq!(mock.truth().report(), TruthReport::default());
}

#[test]
fn schedules_do_not_drift() {
    let mock = exactly(Scenario {
        ttft: Duration::from_millis(5),
        itl: Duration::from_micros(300),
        ..Default::default()
    });
    answer(&mock, "POST", "/v1/chat/completions", &chat(1000));
    let truth = mock.truth().streams().remove(0);
    // The last is due 5 ms + 999 * 300 us after the request, however late those before it were.
    let due = truth.event_us[999] - truth.late_us[999];
    assert!((304_699..=304_701).contains(&due), "{due}");
}

#[test]
fn a_run_of_any_length_can_be_kept_in_distributions() {
    let mock = mock(Scenario { truth: Detail::Distributions, accept: vec![1, 3], ..Default::default() });
    answer(&mock, "POST", "/v1/chat/completions", &chat(8));
    let mut whole = chat(8);
    whole["stream"] = json!(false);
    answer(&mock, "POST", "/v1/chat/completions", &whole);
    let report = mock.truth().report();
    assert_eq!((report.requests, report.tokens, report.events), (2, 16, 5));
    assert!(report.ttft_ms.mean >= 2.0 && report.itl_ms.mean > 0.0);
    assert!(mock.truth().streams().is_empty());
}
