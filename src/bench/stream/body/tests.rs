use std::time::Duration;

use serde_json::{Value, json};

use super::*;

fn turn(prompt: Prompt) -> Turn {
    Turn { prompt, input_tokens: None, output_tokens: 7, pause: Duration::ZERO }
}

fn sampling(extra: Value) -> Sampling {
    let Value::Object(extra_body) = extra else { panic!("{extra}") };
    Sampling { temperature: 0.5, ignore_eos: true, extra_body }
}

fn text(text: &str) -> Prompt {
    Prompt::Text(text.into())
}

fn written(protocol: Protocol, history: &[Exchange<'_>], prompt: Prompt, extra: Value) -> Value {
    let bytes = body(protocol, "m", history, &turn(prompt), &sampling(extra)).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn refused(protocol: Protocol, history: &[Exchange<'_>], prompt: Prompt, extra: Value) -> BadBody {
    let error = body(protocol, "m", history, &turn(prompt), &sampling(extra)).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    error
}

#[test]
fn a_chat_has_its_history_as_messages() {
    let system = ChatMessage { role: "system".into(), content: "Be brief.".into() };
    let first = Prompt::Messages(vec![system, ChatMessage { role: "user".into(), content: "a\"\n".into() }]);
    let history = [Exchange { prompt: &first, answer: "b" }];
    assert_eq!(
        written(Protocol::Chat, &history, text("c"), json!({ "top_k": 1 })),
        json!({
            "model": "m",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "a\"\n" },
                { "role": "assistant", "content": "b" },
                { "role": "user", "content": "c" },
            ],
            "max_tokens": 7,
            "temperature": 0.5,
            "ignore_eos": true,
            "stream": true,
            "stream_options": { "include_usage": true, "continuous_usage_stats": true },
            "top_k": 1,
        })
    );
}

#[test]
fn completions_and_generate_take_text_or_ids() {
    let first = text("a");
    let history = [Exchange { prompt: &first, answer: "b" }];
    let body = written(Protocol::Completions, &history, text("c"), json!({}));
    assert_eq!(
        (&body["model"], &body["prompt"], &body["max_tokens"]),
        (&json!("m"), &json!("abc"), &json!(7))
    );
    let body = written(Protocol::Completions, &[], Prompt::Tokens(vec![1, 2]), json!({}));
    assert_eq!(body["prompt"], json!([1, 2]));
    assert_eq!(
        written(Protocol::Generate, &history, text("c"), json!({})),
        json!({
            "text": "abc",
            "sampling_params": { "max_new_tokens": 7, "temperature": 0.5, "ignore_eos": true },
            "stream": true,
        })
    );
    let body = written(Protocol::Generate, &[], Prompt::Tokens(vec![3]), json!({}));
    assert_eq!((&body["input_ids"], body.get("text")), (&json!([3]), None));
}

#[test]
fn extra_fields_take_the_place_of_ours_once() {
    let extra =
        json!({ "temperature": 1, "stream_options": { "include_usage": true }, "stream": true, "n": 1 });
    let bytes = body(Protocol::Chat, "m", &[], &turn(text("a")), &sampling(extra)).unwrap();
    let written = String::from_utf8(bytes).unwrap();
    assert_eq!(written.matches("\"temperature\"").count(), 1, "{written}");
    assert!(written.contains(r#""temperature":1,"stream_options":{"include_usage":true}"#), "{written}");

    let extra = json!({ "sampling_params": { "top_k": 1, "temperature": 0 }, "return_logprob": true });
    let bytes = body(Protocol::Generate, "m", &[], &turn(text("a")), &sampling(extra)).unwrap();
    let written = String::from_utf8(bytes).unwrap();
    assert_eq!(written.matches("sampling_params").count(), 1, "{written}");
    let params = r#"{"max_new_tokens":7,"temperature":0,"ignore_eos":true,"top_k":1}"#;
    assert!(written.contains(params) && written.contains(r#""return_logprob":true"#), "{written}");
}

#[test]
fn what_a_protocol_cannot_carry_is_refused() {
    let none = || json!({});
    let ids = || Prompt::Tokens(vec![1]);
    let messages = || Prompt::Messages(Vec::new());
    assert_eq!(refused(Protocol::Chat, &[], ids(), none()), BadBody::Tokens);
    for protocol in [Protocol::Completions, Protocol::Generate] {
        let error = refused(protocol, &[], messages(), none());
        assert_eq!(error, BadBody::Messages { protocol });
        assert!(error.to_string().contains(name(protocol)) && error.hint().is_some(), "{error}");
        let (asked, said) = (ids(), messages());
        let after_ids = [Exchange { prompt: &asked, answer: "b" }];
        assert_eq!(refused(protocol, &after_ids, text("c"), none()), BadBody::TokensInHistory);
        assert_eq!(refused(protocol, &after_ids, ids(), none()), BadBody::TokensInHistory);
        let after_messages = [Exchange { prompt: &said, answer: "b" }];
        assert_eq!(refused(protocol, &after_messages, text("c"), none()), BadBody::Messages { protocol });
    }
    let asked = ids();
    let history = [Exchange { prompt: &asked, answer: "b" }];
    assert_eq!(refused(Protocol::Chat, &history, text("c"), none()), BadBody::Tokens);
}

#[test]
fn extra_fields_that_make_answers_unreadable_are_refused() {
    for (protocol, extra, field) in [
        (Protocol::Chat, json!({ "stream": false }), "`stream` is false"),
        (Protocol::Chat, json!({ "stream": null }), "`stream` is null"),
        (Protocol::Completions, json!({ "n": 2 }), "`n` is 2"),
        (Protocol::Completions, json!({ "best_of": 4 }), "`best_of` is 4"),
        (Protocol::Generate, json!({ "sampling_params": [1] }), "`sampling_params` is [1]"),
        (Protocol::Generate, json!({ "sampling_params": { "n": 3 } }), "`sampling_params.n` is 3"),
    ] {
        let message = refused(protocol, &[], text("a"), extra).to_string();
        assert!(message.starts_with("extra_body: ") && message.contains(field), "{message}");
    }
}
