//! Every behaviour, seen on the wire through a socket of the test's own.

mod bytes;
mod faults;
mod http;
mod shapes;
mod slots;
mod told;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;

fn quick(scenario: Scenario) -> Scenario {
    Scenario { ttft: Duration::from_millis(2), itl: Duration::from_millis(1), ..scenario }
}

fn mock(scenario: Scenario) -> RunningMock {
    exactly(quick(scenario))
}

fn exactly(scenario: Scenario) -> RunningMock {
    spawn(scenario, "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn connect(mock: &RunningMock) -> TcpStream {
    let socket = TcpStream::connect(mock.address()).unwrap();
    // A test that hangs says where.
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// Send bytes and read everything until the server closes.
fn raw(mock: &RunningMock, request: &[u8]) -> Vec<u8> {
    let mut socket = connect(mock);
    // A server that refuses what it has seen so far may have closed already.
    let _ = socket.write_all(request);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer
}

/// A request's bytes, with these lines in its head.
fn request(method: &str, path: &str, head: &str, body: &Value) -> Vec<u8> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    format!("{method} {path} HTTP/1.1\r\nHost: mock\r\nContent-Length: {}\r\n{head}\r\n{body}", body.len())
        .into_bytes()
}

const CLOSE: &str = "Connection: close\r\n";

/// One answer, taken apart.
#[derive(Debug)]
struct Answered {
    status: u16,
    head: String,
    /// Chunks joined.
    body: Vec<u8>,
    /// HTTP chunks, where it had some.
    chunks: Vec<Vec<u8>>,
    /// It had a well-formed end.
    ended: bool,
    /// Bytes behind it.
    rest: Vec<u8>,
}

fn take_apart(bytes: &[u8]) -> Answered {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &bytes[at..];
    let (mut chunks, mut ended) = (Vec::new(), false);
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        let length: usize = length.parse().unwrap();
        ended = rest.len() >= length;
        let (body, rest) = rest.split_at(length.min(rest.len()));
        return Answered { status, head, body: body.into(), chunks, ended, rest: rest.into() };
    }
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        let end = start + size as usize;
        assert_eq!(&rest[end..end + 2], b"\r\n");
        chunks.push(rest[start..end].to_vec());
        rest = &rest[end + 2..];
        if size == 0 {
            chunks.pop();
            ended = true;
            break;
        }
    }
    Answered { status, head, body: chunks.concat(), chunks, ended, rest: rest.into() }
}

/// The status and the body, over a connection of its own.
fn answer(mock: &RunningMock, method: &str, path: &str, body: &Value) -> (u16, String) {
    let read = take_apart(&raw(mock, &request(method, path, CLOSE, body)));
    (read.status, String::from_utf8(read.body).unwrap())
}

fn get(mock: &RunningMock, path: &str) -> (u16, String) {
    answer(mock, "GET", path, &Value::Null)
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

/// The events of a chat.
fn chat_events(mock: &RunningMock, tokens: u32) -> Vec<Value> {
    events(&answer(mock, "POST", "/v1/chat/completions", &chat(tokens)).1)
}
