//! Everything the mock answers that is no generation.

use std::fmt::Write;

use serde_json::{Value, json};

use super::load::Counters;
use super::request;
use super::scenario::Scenario;
use super::tokens;
use super::truth::ServedTruth;

/// An answer.
pub(super) enum Reply {
    Json(u16, Value),
    Text(String),
    Refused(u16, &'static str),
}

/// Answer a request that is not for a generation.
pub(super) fn answer(
    method: &str,
    path: &str,
    body: &[u8],
    scenario: &Scenario,
    counters: Counters,
    truth: &ServedTruth,
) -> Reply {
    let json = |value| Reply::Json(200, value);
    match (method, path) {
        ("GET", "/health" | "/health_generate") => Reply::Text(String::new()),
        ("GET", "/v1/models") => json(json!({"object": "list", "data": [{
            "id": scenario.model, "object": "model", "owned_by": "sparkbench-mock",
            "root": scenario.model, "max_model_len": scenario.max_model_len,
        }]})),
        ("GET", "/version") => json(json!({"version": env!("CARGO_PKG_VERSION"), "name": "sparkbench-mock"})),
        ("GET", "/get_server_info" | "/server_info") => json(server_info(scenario, counters)),
        ("GET", "/get_model_info" | "/model_info") => json(
            json!({"model_path": scenario.model, "tokenizer_path": scenario.model, "is_generation": true}),
        ),
        ("GET", "/metrics") => Reply::Text(metrics(scenario, counters)),
        ("POST", "/tokenize") => tokenize(body, scenario),
        ("GET", "/mock/truth") => match serde_json::to_value(truth.report()) {
            Ok(report) => json(report),
            Err(_) => Reply::Refused(500, "the truth cannot be told"),
        },
        ("POST", "/mock/reset") => {
            truth.clear();
            Reply::Text(String::new())
        }
        (_, "/health" | "/v1/models" | "/version" | "/metrics" | "/get_server_info" | "/server_info")
        | (_, "/tokenize" | "/mock/truth" | "/mock/reset" | "/get_model_info" | "/model_info") => {
            Reply::Refused(405, "Method Not Allowed")
        }
        _ => Reply::Refused(404, "Not Found"),
    }
}

/// As far as SGLang's `/server_info` interests a benchmark; it speaks of acceptance only where it speculates.
fn server_info(scenario: &Scenario, counters: Counters) -> Value {
    let mut state = json!({"last_gen_throughput": counters.tokens_per_s});
    if scenario.speculates() {
        state["avg_spec_accept_length"] = scenario.mean_accepted().into();
    }
    json!({
        "model_path": scenario.model,
        "served_model_name": scenario.model,
        "version": env!("CARGO_PKG_VERSION"),
        "server": "sparkbench-mock",
        "max_running_requests": scenario.max_running,
        "max_total_num_tokens": scenario.kv_tokens,
        "context_length": scenario.max_model_len,
        "internal_states": [state],
    })
}

/// Prometheus text under SGLang's names, with the labels of a server without parallelism
/// (0.5.23, `observability/metrics_collector.py`).
fn metrics(scenario: &Scenario, counters: Counters) -> String {
    let model = scenario.model.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n");
    let served = format!(r#"model_name="{model}",engine_type="unified""#);
    let scheduled = format!(r#"{served},tp_rank="0",pp_rank="0",moe_ep_rank="0""#);
    let mut text = String::new();
    let usage = counters.held_tokens as f64 / scenario.kv_tokens.max(1) as f64;
    for (name, kind, labels, value) in [
        ("num_running_reqs", "gauge", &scheduled, counters.running as f64),
        ("num_queue_reqs", "gauge", &scheduled, counters.waiting as f64),
        ("token_usage", "gauge", &scheduled, usage.min(1.0)),
        ("gen_throughput", "gauge", &scheduled, counters.tokens_per_s),
        ("cache_hit_rate", "gauge", &scheduled, scenario.cached),
        ("spec_accept_length", "gauge", &scheduled, scenario.mean_accepted()),
        ("num_requests_total", "counter", &served, counters.requests as f64),
        ("prompt_tokens_total", "counter", &served, counters.prompt_tokens as f64),
        ("generation_tokens_total", "counter", &served, counters.generated_tokens as f64),
    ] {
        if name == "spec_accept_length" && !scenario.speculates() {
            continue;
        }
        let _ = writeln!(text, "# TYPE sglang:{name} {kind}\nsglang:{name}{{{labels}}} {value}");
    }
    text
}

/// In vLLM's and SGLang's shape, or in llama.cpp's where `content` is given.
fn tokenize(body: &[u8], scenario: &Scenario) -> Reply {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Reply::Refused(400, "the body is no JSON");
    };
    let template = request::template(scenario);
    if let Some(content) = body["content"].as_str() {
        return Reply::Json(200, json!({"tokens": tokens::ids(content)}));
    }
    let special = body["add_special_tokens"] != Value::Bool(false);
    let ids = match (&body["prompt"], &body["messages"]) {
        (Value::String(text), _) => {
            let bos = if special { template.bos } else { 0 };
            Some((0..bos).chain(tokens::ids(text)).collect::<Vec<u32>>())
        }
        (_, messages) => tokens::count_messages(messages, template).map(|count| (0..count).collect()),
    };
    match ids {
        Some(ids) => {
            let count = ids.len();
            Reply::Json(200, json!({"tokens": ids, "count": count, "max_model_len": scenario.max_model_len}))
        }
        None => Reply::Refused(400, "`prompt` must be a text"),
    }
}
