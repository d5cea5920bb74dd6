//! HTTP as clients get it right and wrong.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::mock::scenario::Refusals;

#[test]
fn bad_requests_are_told_what_is_wrong_with_them() {
    let mock = mock(Scenario { max_model_len: 50, ..Default::default() });
    for (path, body, status, words) in [
        ("/v1/chat/completions", json!({"messages": []}), 400, "`messages`"),
        ("/v1/chat/completions", json!({"model": "other", "messages": [{"role": "user"}]}), 400, "`other`"),
        ("/v1/completions", json!({"prompt": 5}), 400, "`prompt`"),
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 0}), 400, "positive"),
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 60}), 400, "maximum context length is 50"),
        ("/v1/completions", json!({"prompt": "a", "n": 2}), 400, "`n`"),
        ("/v1/completions", json!({"prompt": ["a", "b"]}), 400, "one alone"),
        ("/v1/completions", json!({"prompt": "a", "max_tokens": -1}), 400, "positive"),
        ("/generate", json!({}), 400, "`text`"),
        ("/nowhere", json!({}), 404, "Not Found"),
        ("/v1/models", json!({}), 405, "Not Allowed"),
    ] {
        let (got, answer) = answer(&mock, "POST", path, &body);
        assert!(got == status && answer.contains(words), "{path} {body}: {got} {answer}");
    }
    let (status, refused) = answer(&mock, "POST", "/v1/completions", &json!("not an object"));
    assert_eq!(status, 400, "{refused}");
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused["error"]["type"], "invalid_request_error");
    assert_eq!(answer(&mock, "GET", "/v1/completions", &Value::Null).0, 405);
}

#[test]
fn refusals_can_have_sglangs_shape() {
    let mock = mock(Scenario { refusals: Refusals::Flat, ..Default::default() });
    let (_, refused) = answer(&mock, "POST", "/v1/completions", &json!({}));
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!((&refused["object"], &refused["code"]), (&json!("error"), &json!(400)));
    assert!(refused["message"].as_str().unwrap().contains("`prompt`"));
}

#[test]
fn what_is_no_http_is_refused_and_the_connection_closed() {
    let mock = mock(Scenario::default());
    let chunked = b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (bytes, status) in [
        (b"nonsense\r\n\r\n".to_vec(), "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), "400"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n".to_vec(), "400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_vec(), "413"),
        ([b"GET / HTTP/1.1\r\nx: ".as_slice(), &[b'x'; 70_000]].concat(), "431"),
        ([b"GET / HTTP/1.1\r\n".as_slice(), &b"x: y\r\n".repeat(65), b"\r\n"].concat(), "431"),
        ([chunked.as_slice(), b"many\r\n"].concat(), "400"),
        ([chunked.as_slice(), b"ffffffffffffffff\r\n"].concat(), "413"),
        ([chunked.as_slice(), b"5;", &[b'x'; 5000]].concat(), "400"),
    ] {
        let answer = raw(&mock, &bytes);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text} for {}", bytes.escape_ascii());
    }
    // And nobody else notices.
    assert_eq!(get(&mock, "/health").0, 200);
}

#[test]
fn garbage_behind_a_request_does_not_harm_its_answer() {
    let mock = mock(Scenario::default());
    let bytes =
        [request("POST", "/v1/chat/completions", "", &chat(3)), b"\0\0 what?\r\n\r\n".to_vec()].concat();
    let first = take_apart(&raw(&mock, &bytes));
    assert_eq!((first.status, first.ended, first.chunks.len()), (200, true, 7));
    assert_eq!(take_apart(&first.rest).status, 400);
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
    let stream = request("POST", "/v1/chat/completions", "", &chat(2));
    let last = request("GET", "/v1/models", CLOSE, &Value::Null);
    let first = take_apart(&raw(&mock, &[chunked.as_bytes(), &stream, &last].concat()));
    let second = take_apart(&first.rest);
    let third = take_apart(&second.rest);
    assert_eq!([first.status, second.status, third.status], [200; 3]);
    assert_eq!((second.chunks.len(), third.rest.len()), (6, 0));
    // And one after the other, without asking ahead.
    let mut socket = connect(&mock);
    for _ in 0..3 {
        socket.write_all(&stream).unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            let mut some = [0; 1000];
            let size = socket.read(&mut some).unwrap();
            assert!(size > 0);
            bytes.extend_from_slice(&some[..size]);
        }
    }
}

#[test]
fn a_body_that_is_waited_for_is_asked_for() {
    let mock = mock(Scenario::default());
    let bytes =
        request("POST", "/v1/chat/completions", "Expect: 100-continue\r\nConnection: close\r\n", &chat(1));
    let body_at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let mut socket = connect(&mock);
    socket.write_all(&bytes[..body_at]).unwrap();
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(&bytes[body_at..]).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(take_apart(&answer).status, 200);
}

#[test]
fn a_key_is_wanted_where_there_is_one() {
    let locked = mock(Scenario { api_key: Some("k".into()), ..Default::default() });
    let status =
        |head: &str| take_apart(&raw(&locked, &request("GET", "/v1/models", head, &Value::Null))).status;
    assert_eq!(status("Connection: close\r\n"), 401);
    assert_eq!(status("Connection: close\r\nAuthorization: Bearer wrong\r\n"), 401);
    assert_eq!(status("Connection: close\r\nAuthorization: Bearer k\r\n"), 200);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = mock(Scenario::default());
    let address = first.address();
    let error = spawn(Scenario::default(), address).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_dropped_mock_breaks_its_streams_off() {
    let mock = exactly(Scenario { ttft: Duration::from_secs(60), ..Default::default() });
    let mut socket = connect(&mock);
    socket.write_all(&request("POST", "/v1/chat/completions", "", &chat(6))).unwrap();
    // The role: the request has come.
    socket.read_exact(&mut [0; 10]).unwrap();
    let truth = mock.truth().clone();
    drop(mock);
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    assert_eq!(truth.report().broken, 1);
}
