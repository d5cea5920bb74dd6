//! Every behaviour, seen on the wire through a socket of the test's own.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::request::{Dialect, Wanted};
use super::scenario::{ReasoningField, Usage, Wire};
use super::stream::steps;
use super::*;

fn mock(scenario: Scenario) -> RunningMock {
    let quick = Scenario { ttft: Duration::from_millis(2), itl: Duration::from_millis(1), ..scenario };
    spawn(quick, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Send bytes, close our side, read everything.
fn raw(mock: &RunningMock, request: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(mock.url().trim_start_matches("http://")).unwrap();
    socket.write_all(request).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer
}

fn request(method: &str, path: &str, body: &Value) -> Vec<u8> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    format!("{method} {path} HTTP/1.1\r\nHost: mock\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// The status and the body, chunks joined.
fn answer(mock: &RunningMock, method: &str, path: &str, body: &Value) -> (u16, String) {
    let bytes = raw(mock, &request(method, path, body));
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &bytes[at..];
    if !head.contains("chunked") {
        return (status, String::from_utf8(rest.to_vec()).unwrap());
    }
    let mut joined = Vec::new();
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        joined.extend_from_slice(&rest[start..start + size as usize]);
        rest = &rest[start + size as usize + 2..];
        if size == 0 {
            break;
        }
    }
    (status, String::from_utf8(joined).unwrap())
}

fn chat(tokens: u32) -> Value {
    json!({"model": "mock", "stream": true, "max_tokens": tokens, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "a b c"}]})
}

/// The events of a stream: JSON, or the text where it is none.
fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or(json!(data))).collect()
}

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
        let events = events(&answer(&mock, "POST", "/v1/chat/completions", &chat(3)).1);
        assert_eq!(events[1]["choices"][0]["delta"], json!({name: " the"}));
        let call = &events[3]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
        assert_eq!(
            (call, &events[4]["choices"][0]["finish_reason"]),
            (&json!(" says"), &json!("tool_calls"))
        );
    }
}

#[test]
fn steps_come_on_time_in_groups_and_bursts() {
    let wanted = |tokens| Wanted {
        dialect: Dialect::Chat,
        prompt_tokens: 10,
        tokens,
        stream: true,
        final_usage: true,
        running_usage: false,
    };
    let ms = Duration::from_millis;
    let scenario = Scenario {
        ttft: ms(50),
        ttft_per_input_token: ms(1),
        itl: ms(20),
        accept: vec![1, 2],
        coalesce: 2,
        ..Default::default()
    };
    let planned: Vec<_> = steps(&scenario, &wanted(7), 0).map(|s| (s.at, s.from..s.to, s.steps)).collect();
    assert_eq!(planned, [(ms(60), 0..1, 1), (ms(100), 1..4, 2), (ms(140), 4..7, 2)]);
    let jittery = Scenario { jitter: 0.5, ..Default::default() };
    let twice =
        [0, 0, 1].map(|number| steps(&jittery, &wanted(40), number).map(|s| s.at).collect::<Vec<_>>());
    assert_eq!(twice[0], twice[1]);
    assert_ne!(twice[0], twice[2]);
    for (k, at) in twice[0].iter().enumerate() {
        let off = at.as_secs_f64() - (0.05 + 0.02 * k as f64);
        assert!(off.abs() <= 0.01 + 1e-9, "{k}: {off}");
    }
}

#[test]
fn each_fault_is_seen() {
    let body_of = |fault: &str| {
        let mock = mock(Scenario { fault: Some(fault.parse().unwrap()), ..Default::default() });
        answer(&mock, "POST", "/v1/chat/completions", &chat(6))
    };
    let (_, errored) = body_of("error-after=2");
    assert!(errored.contains("out of memory") && errored.ends_with("data: [DONE]\n\n"), "{errored}");
    let (_, cut) = body_of("cut-after=2");
    assert!(!cut.contains("finish_reason\":\"") && cut.matches("content").count() == 3, "{cut}");
    assert!(!body_of("no-done").1.contains("[DONE]"));
    assert!(!body_of("no-finish").1.contains("\"length\""));
    let (_, endless) = body_of("no-end");
    assert!(!endless.contains("[DONE]") && !endless.contains("\"length\""));
    let (_, nothing) = body_of("zero-tokens");
    assert!(nothing.contains("\"length\"") && nothing.contains("\"completion_tokens\":0"), "{nothing}");
    assert_eq!(body_of("status=429").0, 429);
    assert!(body_of("html").1.starts_with("<!doctype html>"));
    assert!(body_of("huge-event=100000").1.len() > 100_000);
    assert!(body_of("garbage").1.contains("{\"choices\":[{\"delta\":\n"));
    assert_eq!(events(&body_of("stall=2:30ms").1).len(), 10);
}

#[test]
fn an_endless_body_does_not_end_and_a_cut_one_has_no_last_chunk() {
    let endless = mock(Scenario { fault: Some(Fault::Endless), ..Default::default() });
    let mut socket = TcpStream::connect(endless.url().trim_start_matches("http://")).unwrap();
    socket.write_all(&request("POST", "/v1/chat/completions", &chat(6))).unwrap();
    let mut seen = vec![0; 4 << 20];
    socket.read_exact(&mut seen).unwrap();
    let cut = mock(Scenario { fault: Some(Fault::CutAfter(2)), ..Default::default() });
    let bytes = raw(&cut, &request("POST", "/v1/chat/completions", &chat(6)));
    assert!(!bytes.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_fault_can_be_rare() {
    let mock = mock(Scenario { fault: Some(Fault::Status(500)), fault_every: 3, ..Default::default() });
    let statuses: Vec<_> =
        (0..6).map(|_| answer(&mock, "POST", "/v1/chat/completions", &chat(1)).0).collect();
    assert_eq!(statuses, [200, 200, 500, 200, 200, 500]);
}

#[test]
fn events_are_written_as_told() {
    let wire = Wire { crlf: true, split: Some(3), comments: true, keep_alive: None };
    let mock = mock(Scenario { wire, ..Default::default() });
    let (_, body) = answer(&mock, "POST", "/v1/chat/completions", &chat(4));
    assert_eq!(body.matches("\r\n\r\n: mock\r\n\r\n").count(), 8, "{body}");
    assert!(!body.replace("\r\n", "").contains('\n'));
    let wire = Wire { keep_alive: Some(Duration::from_millis(5)), ..Default::default() };
    let quiet = Scenario { wire, ttft: Duration::from_millis(40), role_chunk: false, ..Default::default() };
    let quiet = spawn(quiet, "127.0.0.1:0".parse().unwrap()).unwrap();
    let (_, body) = answer(&quiet, "POST", "/v1/chat/completions", &chat(1));
    assert!(body.starts_with(":xxx"), "{body}");
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
    let mock = mock(Scenario { empty_text: true, role_chunk: false, ..Default::default() });
    let events = events(&answer(&mock, "POST", "/v1/chat/completions", &chat(4)).1);
    let texts: Vec<_> = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(texts, [" the", "", " says", " 火"]);
}

#[test]
fn those_without_a_slot_wait_and_those_beyond_are_turned_away() {
    let mock = mock(Scenario { max_running: Some(1), turn_away: Some((2, 503)), ..Default::default() });
    let mut sockets: Vec<_> = (0..3)
        .map(|_| {
            let mut socket = TcpStream::connect(mock.url().trim_start_matches("http://")).unwrap();
            socket.write_all(&request("POST", "/v1/chat/completions", &chat(60))).unwrap();
            // So that they arrive in this order.
            std::thread::sleep(Duration::from_millis(5));
            socket.shutdown(Shutdown::Write).unwrap();
            socket
        })
        .collect();
    let mut last = String::new();
    let _ = sockets[2].read_to_string(&mut last);
    assert!(last.starts_with("HTTP/1.1 503") && last.contains("Retry-After: 1"), "{last}");
    for socket in &mut sockets[..2] {
        let mut stream = String::new();
        let _ = socket.read_to_string(&mut stream);
        assert!(stream.contains("[DONE]"));
    }
    let streams = mock.truth().streams();
    let end = |s: &truth::StreamTruth| {
        s.received + Duration::from_micros(s.event_us.last().copied().unwrap().into())
    };
    let first_of_second = streams[1].received + Duration::from_micros(streams[1].event_us[0].into());
    assert!(first_of_second > end(&streams[0]), "the second began before the first had ended");
}

#[test]
fn bad_requests_are_told_what_is_wrong_with_them() {
    let mock = mock(Scenario { max_model_len: 50, ..Default::default() });
    for (path, body, status, words) in [
        ("/v1/chat/completions", json!({"messages": []}), 400, "`messages`"),
        ("/v1/chat/completions", json!({"model": "other", "messages": [{"role": "user"}]}), 400, "`other`"),
        ("/v1/completions", json!({"prompt": 5}), 400, "`prompt`"),
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 0}), 400, "positive"),
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 60}), 400, "maximum context length is 50"),
        ("/generate", json!({}), 400, "`text`"),
        ("/nowhere", json!({}), 404, "Not Found"),
        ("/v1/models", json!({}), 405, "Not Allowed"),
    ] {
        let (got, answer) = answer(&mock, "POST", path, &body);
        assert!(got == status && answer.contains(words), "{path} {body}: {got} {answer}");
    }
    let (status, refused) = answer(&mock, "POST", "/v1/completions", &json!("not an object"));
    assert_eq!(status, 400, "{refused}");
    for (bytes, status) in [
        (b"nonsense\r\n\r\n".to_vec(), "400"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n".to_vec(), "400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_vec(), "413"),
        ([b"GET / HTTP/1.1\r\nx: ".as_slice(), &[b'x'; 70_000]].concat(), "431"),
    ] {
        let answer = raw(&mock, &bytes);
        assert!(
            answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[test]
fn a_key_is_wanted_where_there_is_one_and_a_loading_server_says_so() {
    let locked = mock(Scenario { api_key: Some("k".into()), ..Default::default() });
    assert_eq!(answer(&locked, "GET", "/v1/models", &Value::Null).0, 401);
    let with_key = b"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer k\r\n\r\n";
    assert!(raw(&locked, with_key).starts_with(b"HTTP/1.1 200"));
    let loading = mock(Scenario { slow_start: Duration::from_secs(60), ..Default::default() });
    assert_eq!(answer(&loading, "GET", "/health", &Value::Null).0, 503);
}

#[test]
fn a_connection_serves_many_requests_and_chunked_bodies() {
    let mock = mock(Scenario::default());
    let ask = r#"{"prompt":"a","max_tokens":1}"#;
    let chunked = format!(
        "POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &ask[..5],
        ask.len() - 5,
        &ask[5..]
    );
    let both = [chunked.as_bytes(), &request("GET", "/v1/models", &Value::Null)].concat();
    let answers = String::from_utf8(raw(&mock, &both)).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
}

#[test]
fn what_it_says_of_itself_is_what_runtimes_say() {
    let mock = mock(Scenario { accept: vec![2, 4], ..Default::default() });
    answer(&mock, "POST", "/v1/chat/completions", &chat(5));
    let (_, metrics) = answer(&mock, "GET", "/metrics", &Value::Null);
    assert!(metrics.contains("sglang:generation_tokens_total{model_name=\"mock\"} 5"), "{metrics}");
    let (_, info) = answer(&mock, "GET", "/get_server_info", &Value::Null);
    assert!(info.contains("\"avg_spec_accept_length\":3.0"), "{info}");
    let (_, counted) = answer(&mock, "POST", "/tokenize", &json!({"model": "mock", "prompt": "a b"}));
    assert!(counted.contains("\"count\":3"), "{counted}");
    assert_eq!(answer(&mock, "POST", "/tokenize", &json!({"content": "a b"})).1, r#"{"tokens":[0,1]}"#);
}

#[test]
fn the_truth_is_kept_and_told() {
    let mock = mock(Scenario::default());
    let before = Instant::now();
    let mut bytes = request("POST", "/v1/chat/completions", &chat(5));
    let at = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
    bytes.splice(at..at, b"\r\nX-Request-Id: r-1".iter().copied());
    raw(&mock, &bytes);
    let streams = mock.truth().streams();
    assert_eq!(streams[0].request_id.as_deref(), Some("r-1"));
    assert_eq!(streams[0].event_tokens, [1; 5]);
    assert!(streams[0].received > before && streams[0].event_us[0] >= 2_000);
    assert!(streams[0].event_us.is_sorted());
    let told: TruthReport =
        serde_json::from_str(&answer(&mock, "GET", "/mock/truth", &Value::Null).1).unwrap();
    assert_eq!((told.requests, told.tokens), (1, 5));
    answer(&mock, "POST", "/mock/reset", &Value::Null);
    assert_eq!(mock.truth().report(), TruthReport::default());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = mock(Scenario::default());
    let address = first.url().trim_start_matches("http://").parse().unwrap();
    let error = spawn(Scenario::default(), address).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
