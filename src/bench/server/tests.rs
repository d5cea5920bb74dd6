use std::time::Duration;

use serde_json::{Value, json};

use super::endpoints::Timeouts;
use super::error::ServerError;
use super::identity::{models, view};
use super::metrics::scrape;
use super::tokenize::{Shape, Tokenize, UsageCounter};
use super::*;
use crate::bench::plan::{Protocol, Sampling};
use crate::bench::target::{ApiKey, ServerTarget};
use crate::bench::workload::oracle::Oracle;
use crate::canned::{Answer, Canned};
use crate::failure::{Failure, Kind};
use crate::mock::{Scenario, spawn};

fn endpoints(url: &str, key: Option<&str>) -> Endpoints {
    Endpoints::new(ServerTarget::new(url, key.map(ApiKey::new)).unwrap(), None).unwrap()
}

fn impatient(url: &str) -> Endpoints {
    let short = Duration::from_millis(200);
    let patience = Timeouts { connect: short, answer: short, generate: short };
    Endpoints::with_patience(ServerTarget::new(url, None).unwrap(), None, patience).unwrap()
}

fn sampling(extra: Value) -> Sampling {
    Sampling { temperature: 0.0, ignore_eos: true, extra_body: extra.as_object().unwrap().clone() }
}

async fn failure(answer: Answer, key: Option<&str>) -> ServerError {
    let server = Canned::paths([("/v1/models", answer)]);
    models(&endpoints(&server.url(), key)).await.unwrap_err()
}

fn says(error: &ServerError, words: &[&str], kind: Kind) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is missing: {text}");
    }
    assert_eq!(error.kind(), kind, "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let error = models(&endpoints(&format!("http://{free}"), None)).await.unwrap_err();
    assert!(matches!(error, ServerError::Refused { .. }), "{error:?}");
    says(&error, &["refused", &free.to_string()], Kind::Environment);
    assert!(error.hint().unwrap().contains("port"));

    // `.invalid` never has an address (RFC 6761).
    let error = models(&endpoints("http://head.invalid:30000", None)).await.unwrap_err();
    assert!(matches!(error, ServerError::UnknownHost { .. }), "{error:?}");
    says(&error, &["head.invalid"], Kind::Environment);
}

#[tokio::test]
async fn silence_and_slowness_end() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"] {
        let answer = Answer::raw(bytes).silent();
        let server = Canned::paths([("/v1/models", answer)]);
        let error = models(&impatient(&server.url())).await.unwrap_err();
        assert!(matches!(error, ServerError::TooSlow { .. }), "{error:?}");
        says(&error, &["0.2 s", "/v1/models"], Kind::Environment);
    }
}

#[tokio::test]
async fn tls_with_a_server_that_speaks_none_is_named() {
    let server = Canned::paths([("/v1/models", Answer::ok("{}"))]);
    let error = models(&impatient(&server.url().replace("http", "https"))).await.unwrap_err();
    // The canned server waits for the end of a head it never gets, or closes: either is no TLS.
    assert!(matches!(error, ServerError::Tls { .. } | ServerError::TooSlow { .. }), "{error:?}");
    let plain = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, plain).await;
        }
    });
    let error = models(&endpoints(&format!("https://{address}"), None)).await.unwrap_err();
    assert!(matches!(error, ServerError::Tls { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("http://"));
}

#[tokio::test]
async fn a_key_that_is_missing_or_wrong_is_the_users_to_mend() {
    for status in [401, 403] {
        let error = failure(Answer::status(status).body("no"), None).await;
        says(&error, &["wants an API key", &status.to_string()], Kind::Input);
        assert!(error.hint().unwrap().contains("SPARKBENCH_API_KEY"));
        let error = failure(Answer::status(status).body("no"), Some("sesame")).await;
        says(&error, &["does not accept"], Kind::Input);
        assert!(!format!("{error:?}{error}").contains("sesame"));
    }
    let bad = Endpoints::new(ServerTarget::new("h", Some(ApiKey::new("a\nb"))).unwrap(), None).unwrap_err();
    says(&bad, &["API key", "HTTP header"], Kind::Input);
}

#[tokio::test]
async fn what_is_no_list_of_models_is_shown() {
    let html = failure(Answer::ok("  <!DOCTYPE html><title>Login</title>"), None).await;
    assert!(matches!(html, ServerError::Html { .. }), "{html:?}");
    says(&html, &["web page", "Login"], Kind::Environment);
    says(&failure(Answer::ok("{\"data\": [{\"id\": 5}]}"), None).await, &["data[0].id"], Kind::Environment);
    says(&failure(Answer::ok("hello"), None).await, &["hello"], Kind::Environment);
    says(&failure(Answer::ok("{\"data\": []} trailing"), None).await, &["trailing"], Kind::Environment);
    says(
        &failure(Answer::status(404).body("{\"detail\":\"nope\"}"), None).await,
        &["404", "nope"],
        Kind::Environment,
    );
    let loading = failure(Answer::status(503).body("busy with sesame"), Some("sesame")).await;
    says(&loading, &["503", "busy with (hidden)"], Kind::Environment);
    let away =
        Answer::raw(b"HTTP/1.1 301 X\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n");
    says(&failure(away, None).await, &["301", "elsewhere.invalid"], Kind::Environment);
    let nonsense = Answer::raw(b"SSH-2.0-OpenSSH\r\n");
    assert!(matches!(failure(nonsense, None).await, ServerError::Broken { .. }));
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let error = failure(Answer::raw(b"HTTP/1.1 200 OK\r\n\r\n{").endless(), None).await;
    assert!(matches!(error, ServerError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_within_the_server_is_followed_with_the_key() {
    let moved = Answer::status(307).header("Location", "/metrics/");
    let server = Canned::paths([("/metrics", moved), ("/metrics/", Answer::ok("a 1\n"))]);
    let scraped = scrape(&endpoints(&server.url(), Some("sesame"))).await.unwrap().unwrap();
    assert_eq!(scraped.metrics.values["a"], 1.0);
    let asked = server.asked();
    assert!(asked.iter().all(|request| request.header("authorization") == Some("Bearer sesame")));
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_server_without_metrics_has_none() {
    let server = Canned::paths([]);
    assert_eq!(scrape(&endpoints(&server.url(), None)).await.unwrap(), None);
}

#[tokio::test]
async fn runtimes_are_told_apart() {
    let info = r#"{"model_path":"m","version":"0.5.4.post2","internal_states":[],"api_key":"S"}"#;
    let old = Canned::paths([("/get_server_info", Answer::ok(info))]);
    let new = Canned::paths([("/server_info", Answer::ok(info))]);
    for server in [old, new] {
        let seen = view(&endpoints(&server.url(), None), &[]).await;
        assert_eq!((seen.runtime.as_str(), seen.version.as_deref()), ("sglang", Some("0.5.4.post2")));
        assert_eq!(seen.info.unwrap()["api_key"], "(hidden)");
    }
    let props = Answer::ok(r#"{"default_generation_settings":{"n_ctx":512},"build_info":"b7000-abc"}"#);
    let server = Canned::paths([("/props", props)]);
    let seen = view(&endpoints(&server.url(), None), &[]).await;
    assert_eq!((seen.runtime.as_str(), seen.version.as_deref()), ("llama.cpp", Some("b7000-abc")));

    let list = r#"{"data":[{"id":"m","owned_by":"vllm","max_model_len":4096}]}"#;
    let paths = [("/version", Answer::ok(r#"{"version":"0.11.0"}"#)), ("/v1/models", Answer::ok(list))];
    let server = Canned::paths(paths);
    let endpoints_ = endpoints(&server.url(), None);
    let listed = models(&endpoints_).await.unwrap();
    assert_eq!(listed[0].max_model_len, Some(4096));
    assert_eq!(view(&endpoints_, &listed).await.runtime, "vllm");
    assert_eq!(view(&endpoints_, &[]).await.runtime, "unknown");
    let nothing = Canned::paths([("/props", Answer::ok("[]")), ("/version", Answer::ok("<p>"))]);
    let seen = view(&endpoints(&nothing.url(), None), &[]).await;
    assert_eq!((seen.runtime.as_str(), seen.version, seen.info), ("unknown", None, None));
}

#[tokio::test]
async fn llama_cpps_tokenize_and_one_that_counts_nothing_are_told_apart() {
    let none = Canned::paths([("/tokenize", Answer::ok(r#"{"tokens":[]}"#))]);
    let plain = sampling(json!({}));
    let found = Tokenize::probe(&endpoints(&none.url(), None), "m", Protocol::Chat, &plain).await.unwrap();
    assert!(found.is_none());
    // The same count for every text is no count.
    let stuck = Canned::paths([("/tokenize", Answer::ok(r#"{"count":7}"#))]);
    let found = Tokenize::probe(&endpoints(&stuck.url(), None), "m", Protocol::Completions, &plain).await;
    assert!(found.unwrap().is_none());
    let locked = Canned::paths([("/tokenize", Answer::status(401).body(""))]);
    let found = Tokenize::probe(&endpoints(&locked.url(), None), "m", Protocol::Chat, &plain).await;
    assert_eq!(found.unwrap_err().kind(), Kind::Input);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_mock_counts_both_ways_alike() {
    let scenario = Scenario {
        ttft: Duration::ZERO,
        itl: Duration::ZERO,
        api_key: Some("k".into()),
        ..Scenario::default()
    };
    let mock = spawn(scenario, "127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoints = endpoints(&mock.url(), Some("k"));
    let listed = models(&endpoints).await.unwrap();
    assert_eq!((listed[0].id.as_str(), listed[0].max_model_len), ("mock", Some(32_768)));
    assert_eq!(view(&endpoints, &listed).await.runtime, "sparkbench-mock");
    assert!(
        scrape(&endpoints).await.unwrap().unwrap().metrics.values.contains_key("sglang:num_running_reqs")
    );
    let texts: Vec<String> = (1..40).map(|n| "remarkable day ".repeat(n)).collect();
    for (protocol, shape) in [
        (Protocol::Chat, Shape::Messages),
        (Protocol::Completions, Shape::Prompt),
        (Protocol::Generate, Shape::Prompt),
    ] {
        // Fields that only streams take must not reach a request that is none.
        let sampling = sampling(json!({"stream_options": {"include_usage": true}, "stream": true}));
        let tokenize = Tokenize::probe(&endpoints, "mock", protocol, &sampling).await.unwrap().unwrap();
        assert_eq!(tokenize.shape(), shape);
        let usage = UsageCounter::new(&endpoints, "mock", protocol, &sampling);
        let counts = tokenize.count(&texts).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            counts,
            usage.count(&texts).await.unwrap_or_else(|error| panic!("{error}")),
            "{protocol:?}"
        );
        assert_eq!(counts[1] - counts[0], 4, "each word's share, in order");
    }
}

#[tokio::test]
async fn a_usage_without_prompt_tokens_is_an_error_that_shows_it() {
    let server = Canned::paths([("/v1/completions", Answer::ok(r#"{"choices":[]}"#))]);
    let usage =
        UsageCounter::new(&endpoints(&server.url(), None), "m", Protocol::Completions, &sampling(json!({})));
    let error = usage.count(&["a".to_owned()]).await.err().unwrap().to_string();
    assert!(error.contains("no prompt tokens") && error.contains("choices"), "{error}");
    let asked = server.asked()[0].0.clone();
    assert!(asked.contains(r#""max_tokens":1"#) && asked.contains(r#""stream":false"#), "{asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn prompts_are_as_long_as_the_mock_counts_them() {
    use crate::bench::conversation::Prompt;
    use crate::bench::workload::{WorkloadSpec, oracle::settle, prepare};
    let scenario = Scenario { ttft: Duration::ZERO, itl: Duration::ZERO, ..Scenario::default() };
    let mock = spawn(scenario, "127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoints = endpoints(&mock.url(), None);
    let plan = serde_json::from_value(json!({
        "profile": "custom", "model": "mock", "protocol": "chat", "requests": 12,
        "workload": {"kind": "random", "input_tokens": 90, "output_tokens": 8, "lengths": "exact"},
        "arrival": {"kind": "closed-loop"}, "concurrency": 1, "warmup": 0, "seed": 4,
        "sampling": {"temperature": 0.0, "ignore_eos": true},
        "limits": {"connect_s": 1.0, "first_token_s": 1.0, "stall_s": 1.0, "request_s": 1.0,
                   "answer_bytes": 1, "failed_share": 0.0, "retries": 0},
        "slo": {},
    }))
    .unwrap();
    let plain = sampling(json!({}));
    let usage = UsageCounter::new(&endpoints, "mock", Protocol::Chat, &plain);
    for with_tokenize in [true, false] {
        let tokenize = Tokenize::probe(&endpoints, "mock", Protocol::Chat, &plain).await.unwrap();
        let cheap = tokenize.filter(|_| with_tokenize).map(|it| Box::new(it) as Box<dyn Oracle>);
        let settled = settle(cheap, Some(Box::new(usage.clone()))).await.ok().flatten().unwrap();
        let wanted = WorkloadSpec { plan: &plan, file: None, context: Some(32_768) };
        let prepared = prepare(&wanted, Some(&settled)).await.unwrap();
        assert_eq!(prepared.report.overhead_tokens, Some(7), "4 a message, 3 before the answer");
        assert!(prepared.report.agrees_with_usage && prepared.report.notes.is_empty());
        let texts: Vec<String> = prepared
            .conversations
            .iter()
            .map(|made| match &made.turns[0].prompt {
                Prompt::Text(text) => text.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        let counts = usage.count(&texts).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(counts, [90; 12]);
    }
}
