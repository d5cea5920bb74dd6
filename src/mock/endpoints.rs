//! Everything the mock answers that is no generation.

use std::fmt::Write;

use serde_json::{Value, json};

use super::scenario::Scenario;
use super::tokens;
use super::truth::Truth;

/// What the server has done so far, for `/metrics`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) running: u64,
    pub(super) waiting: u64,
    pub(super) requests: u64,
    pub(super) prompt_tokens: u64,
    pub(super) generated_tokens: u64,
}

/// An answer.
pub(super) enum Answer {
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
    truth: &Truth,
) -> Answer {
    let json = |value| Answer::Json(200, value);
    match (method, path) {
        ("GET", "/health" | "/health_generate") => Answer::Text(String::new()),
        ("GET", "/v1/models") => json(json!({"object": "list", "data": [{
            "id": scenario.model, "object": "model", "owned_by": "sparkbench-mock",
            "root": scenario.model, "max_model_len": scenario.max_model_len,
        }]})),
        ("GET", "/version") => json(json!({"version": env!("CARGO_PKG_VERSION"), "name": "sparkbench-mock"})),
        ("GET", "/get_server_info" | "/server_info") => json(server_info(scenario)),
        ("GET", "/get_model_info" | "/model_info") => json(
            json!({"model_path": scenario.model, "tokenizer_path": scenario.model, "is_generation": true}),
        ),
        ("GET", "/metrics") => Answer::Text(metrics(scenario, counters)),
        ("POST", "/tokenize") => tokenize(body, scenario),
        ("GET", "/mock/truth") => match serde_json::to_value(truth.report()) {
            Ok(report) => json(report),
            Err(_) => Answer::Refused(500, "the truth cannot be told"),
        },
        ("POST", "/mock/reset") => {
            truth.clear();
            Answer::Text(String::new())
        }
        (_, "/health" | "/v1/models" | "/version" | "/metrics" | "/get_server_info" | "/server_info")
        | (_, "/tokenize" | "/mock/truth" | "/mock/reset" | "/get_model_info" | "/model_info") => {
            Answer::Refused(405, "Method Not Allowed")
        }
        _ => Answer::Refused(404, "Not Found"),
    }
}

fn mean_accepted(scenario: &Scenario) -> f64 {
    let steps = scenario.accept.len().max(1) as f64;
    f64::from(scenario.accept.iter().sum::<u32>()) / steps
}

fn server_info(scenario: &Scenario) -> Value {
    json!({
        "model_path": scenario.model,
        "version": env!("CARGO_PKG_VERSION"),
        "server": "sparkbench-mock",
        "max_running_requests": scenario.max_running,
        "context_length": scenario.max_model_len,
        "internal_states": [{"avg_spec_accept_length": mean_accepted(scenario)}],
    })
}

/// Prometheus text under SGLang's names.
fn metrics(scenario: &Scenario, counters: Counters) -> String {
    let label = format!(r#"{{model_name="{}"}}"#, scenario.model.replace(['\\', '"', '\n'], "_"));
    let mut text = String::new();
    for (name, kind, value) in [
        ("num_running_reqs", "gauge", counters.running as f64),
        ("num_queue_reqs", "gauge", counters.waiting as f64),
        ("cache_hit_rate", "gauge", scenario.cached),
        ("spec_accept_length", "gauge", mean_accepted(scenario)),
        ("num_requests_total", "counter", counters.requests as f64),
        ("prompt_tokens_total", "counter", counters.prompt_tokens as f64),
        ("generation_tokens_total", "counter", counters.generated_tokens as f64),
    ] {
        let _ = writeln!(text, "# TYPE sglang:{name} {kind}\nsglang:{name}{label} {value}");
    }
    text
}

/// In vLLM's and SGLang's shape, or in llama.cpp's where `content` is given.
fn tokenize(body: &[u8], scenario: &Scenario) -> Answer {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Answer::Refused(400, "the body is no JSON");
    };
    if let Some(content) = body["content"].as_str() {
        let ids: Vec<u32> = (0..tokens::count(content)).collect();
        return Answer::Json(200, json!({"tokens": ids}));
    }
    let count = match body["messages"].is_null() {
        true => tokens::count_prompt(&body["prompt"]),
        false => tokens::count_messages(&body["messages"]),
    };
    match count {
        Some(count) => {
            let ids: Vec<u32> = (0..count).collect();
            Answer::Json(200, json!({"tokens": ids, "count": count, "max_model_len": scenario.max_model_len}))
        }
        None => Answer::Refused(400, "`prompt` must be a text"),
    }
}
