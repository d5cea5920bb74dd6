//! What answers look like in each protocol.

use serde_json::{Value, json};

use super::*;
use crate::mock::scenario::{ReasoningField, RoleChunk, Usage};

#[test]
fn a_chat_stream_has_the_shape_of_sglangs() {
    let mock = mock(Scenario::default());
    let (status, body) = answer(&mock, "POST", "/v1/chat/completions", &chat(3));
    let events = events(&body);
    assert_eq!((status, events.len()), (200, 7), "{body}");
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let text: String =
        events[1..4].iter().map(|e| e["choices"][0]["delta"]["content"].as_str().unwrap()).collect();
    assert_eq!(text, " the model says");
    assert_eq!(events[4]["choices"][0]["finish_reason"], "length");
    assert_eq!(events[5]["choices"], json!([]));
    assert_eq!(
        (&events[5]["usage"]["prompt_tokens"], &events[5]["usage"]["completion_tokens"]),
        (&json!(10), &json!(3))
    );
    assert_eq!(events[6], "[DONE]");
}

#[test]
fn a_native_stream_repeats_its_text_and_counts_as_it_goes() {
    let mock = mock(Scenario { accept: vec![1, 3], ..Default::default() });
    let body = json!({"text": "a b", "stream": true, "sampling_params": {"max_new_tokens": 6}});
    let events = events(&answer(&mock, "POST", "/generate", &body).1);
    let counts: Vec<_> = events.iter().filter_map(|e| e["meta_info"]["completion_tokens"].as_u64()).collect();
    assert_eq!(counts, [1, 4, 5, 6]);
    assert_eq!(events[3]["meta_info"]["finish_reason"], json!({"type": "length", "length": 6}));
    assert_eq!(events[3]["meta_info"]["spec_verify_ct"], 4);
    let texts: Vec<_> = events.iter().filter_map(|e| e["text"].as_str()).collect();
    assert!(texts.windows(2).all(|pair| pair[1].starts_with(pair[0])), "{texts:?}");
}

#[test]
fn completions_say_why_they_end_with_their_last_token() {
    let mock = mock(Scenario::default());
    let body = json!({"model": "mock", "prompt": [1, 2, 3], "stream": true, "max_tokens": 2,
        "stream_options": {"include_usage": true, "continuous_usage_stats": true}});
    let events = events(&answer(&mock, "POST", "/v1/completions", &body).1);
    assert_eq!(events[0]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(events[1]["choices"][0]["finish_reason"], "length");
    let counts: Vec<_> = events.iter().filter_map(|e| e["usage"]["completion_tokens"].as_u64()).collect();
    assert_eq!((counts, &events[2]["usage"]["prompt_tokens"]), (vec![1, 2, 2], &json!(3)));
}

#[test]
fn an_answer_can_be_had_without_a_stream() {
    let mock = mock(Scenario::default());
    for (path, ask, text) in [
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 2}),
            "/choices/0/message/content",
        ),
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 2}), "/choices/0/text"),
        ("/generate", json!({"text": "a", "sampling_params": {"max_new_tokens": 2}}), "/text"),
    ] {
        let (status, body) = answer(&mock, "POST", path, &ask);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body.pointer(text)), (200, Some(&json!(" the model"))), "{path}");
    }
}

#[test]
fn reasoning_and_tool_calls_stand_where_each_runtime_puts_them() {
    for (field, name) in
        [(ReasoningField::ReasoningContent, "reasoning_content"), (ReasoningField::Reasoning, "reasoning")]
    {
        let mock =
            mock(Scenario { reasoning: 2, reasoning_field: field, tool_call: true, ..Default::default() });
        let events = events(&answer(&mock, "POST", "/v1/chat/completions", &chat(4)).1);
        assert_eq!(events[1]["choices"][0]["delta"], json!({name: " the"}));
        let calls = [3, 4].map(|at| &events[at]["choices"][0]["delta"]["tool_calls"][0]);
        assert_eq!(calls[0]["function"], json!({"name": "mock_tool", "arguments": " says"}));
        assert_eq!((&calls[0]["id"], &calls[0]["type"]), (&json!("call_0"), &json!("function")));
        assert_eq!(calls[1], &json!({"index": 0, "function": {"arguments": " 火"}}));
        assert_eq!(events[5]["choices"][0]["finish_reason"], "tool_calls");
    }
}

#[test]
fn usage_says_what_it_is_told_to() {
    let counts = |usage| {
        let mock = mock(Scenario { usage, cached: 0.5, ..Default::default() });
        let mut ask = chat(3);
        ask["stream_options"]["continuous_usage_stats"] = json!(true);
        let events = events(&answer(&mock, "POST", "/v1/chat/completions", &ask).1);
        events.iter().filter_map(|e| e["usage"]["completion_tokens"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(counts(Usage::AsAsked), [0, 1, 2, 3, 3, 3]);
    assert_eq!(counts(Usage::AtTheEnd), [3]);
    assert_eq!(counts(Usage::Never), [] as [u64; 0]);
    assert_eq!(counts(Usage::Wrong(2)), [5]);
}

#[test]
fn an_incomplete_character_counts_without_text() {
    let mock = mock(Scenario { empty_text: true, role_chunk: RoleChunk::Never, ..Default::default() });
    let events = events(&answer(&mock, "POST", "/v1/chat/completions", &chat(4)).1);
    let texts: Vec<_> = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(texts, [" the", "", " says", " 火"]);
}

#[test]
fn an_answer_without_a_stream_says_what_a_stream_says() {
    let scenario =
        Scenario { reasoning: 2, tool_call: true, cached: 0.5, usage: Usage::Wrong(3), ..Default::default() };
    let mock = mock(scenario);
    let ask = json!({"messages": [{"role": "user", "content": "a b c"}], "max_tokens": 3});
    let whole: Value = serde_json::from_str(&answer(&mock, "POST", "/v1/chat/completions", &ask).1).unwrap();
    let message = &whole["choices"][0]["message"];
    assert_eq!((&message["reasoning_content"], &message["content"]), (&json!(" the model"), &Value::Null));
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "mock_tool", "arguments": " says"}));
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(whole["usage"], json!({"prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16}));
    let ask = json!({"text": "a b c", "sampling_params": {"max_new_tokens": 3}});
    let whole: Value = serde_json::from_str(&answer(&mock, "POST", "/generate", &ask).1).unwrap();
    let meta = &whole["meta_info"];
    assert_eq!(meta["finish_reason"], json!({"type": "length", "length": 3}));
    assert_eq!((&meta["prompt_tokens"], &meta["cached_tokens"]), (&json!(4), &json!(2)));
}

#[test]
fn an_answer_stops_by_itself_where_the_scenario_says_so_and_eos_is_not_ignored() {
    let mock = mock(Scenario { stop_after: Some(2), ..Default::default() });
    let ends = |ask: &Value| {
        let events = events(&answer(&mock, "POST", "/v1/chat/completions", ask).1);
        let finish = events.iter().find_map(|e| e["choices"][0]["finish_reason"].as_str().map(str::to_owned));
        let usage = events.iter().find_map(|e| e["usage"]["completion_tokens"].as_u64());
        (finish.unwrap(), usage.unwrap())
    };
    assert_eq!(ends(&chat(4)), ("stop".into(), 2));
    assert_eq!(ends(&chat(2)), ("length".into(), 2));
    let mut ignoring = chat(4);
    ignoring["ignore_eos"] = json!(true);
    assert_eq!(ends(&ignoring), ("length".into(), 4));
    let native = json!({"text": "a", "stream": true, "sampling_params": {"max_new_tokens": 5}});
    let events = events(&answer(&mock, "POST", "/generate", &native).1);
    assert_eq!(events[1]["meta_info"]["finish_reason"], json!({"type": "stop", "matched": 2}));
}

#[test]
fn the_role_comes_when_and_how_it_is_told_to() {
    let first_delta = |role_chunk, role_content_null| {
        let mock = mock(Scenario { role_chunk, role_content_null, ..Default::default() });
        chat_events(&mock, 1)[0]["choices"][0]["delta"].clone()
    };
    assert_eq!(first_delta(RoleChunk::AtOnce, true), json!({"role": "assistant", "content": null}));
    assert_eq!(first_delta(RoleChunk::WithFirst, false), json!({"role": "assistant", "content": ""}));
    assert_eq!(first_delta(RoleChunk::Never, false), json!({"content": " the"}));
}

#[test]
fn groups_of_steps_come_in_one_event() {
    let deltas = |scenario| {
        let events = chat_events(&mock(scenario), 6);
        let text = |e: &Value| e["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        events.iter().filter_map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>()
    };
    let coalesced = deltas(Scenario { coalesce: 3, ..Default::default() });
    assert_eq!(coalesced, [" the", " model says 火", " that naïve"]);
    let bursts = deltas(Scenario { accept: vec![1, 3, 2], ..Default::default() });
    assert_eq!(bursts, [" the", " model says 火", " that naïve"]);
    let seeded = deltas(Scenario { seed: 5, ..Default::default() });
    assert_eq!(seeded[..3], [" naïve", " it", " 🔥"]);
}
