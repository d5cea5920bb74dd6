//! How a stream's bytes are written.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::*;
use crate::mock::scenario::{RoleChunk, Wire};

fn written(wire: Wire) -> Answered {
    let mock = mock(Scenario { wire, ..Default::default() });
    take_apart(&raw(&mock, &request("POST", "/v1/chat/completions", CLOSE, &chat(4))))
}

/// The stream without what the moment and the request's number put into it.
fn plain(answered: &Answered) -> String {
    let body = String::from_utf8(answered.body.clone()).unwrap();
    let at = body.find(r#""created":"#).unwrap() + 10;
    body.replace(&body[at..at + 10], "0")
}

#[test]
fn an_event_is_one_chunk() {
    let written = written(Wire::default());
    // Role, four tokens, finish, usage, [DONE].
    assert_eq!((written.chunks.len(), written.ended), (8, true));
    for chunk in &written.chunks {
        assert!(chunk.starts_with(b"data: ") && chunk.ends_with(b"\n\n"));
    }
    assert!(written.head.contains("content-type: text/event-stream"));
    assert_eq!(written.chunks[7], b"data: [DONE]\n\n");
}

#[test]
fn line_ends_blanks_comments_and_lines_are_as_told() {
    let lf = plain(&written(Wire::default()));
    let crlf = plain(&written(Wire { crlf: true, ..Wire::default() }));
    assert_eq!(crlf, lf.replace('\n', "\r\n"));
    let tight = plain(&written(Wire { tight: true, ..Wire::default() }));
    assert_eq!(tight, lf.replace("data: ", "data:"));
    let commented = plain(&written(Wire { comments: true, ..Wire::default() }));
    assert_eq!(commented, lf.replace("\n\n", "\n\n: mock\n\n"));
    let multi = plain(&written(Wire { multi_line: true, ..Wire::default() }));
    assert_eq!(multi, lf.replace("data: {", "data: {\ndata: "));
    let all = Wire { crlf: true, comments: true, multi_line: true, tight: true, ..Wire::default() };
    assert!(!plain(&written(all)).replace("\r\n", "").contains(['\r', '\n']));
}

#[test]
fn a_split_write_is_the_same_in_small_pieces() {
    let whole = plain(&written(Wire::default()));
    let mock = mock(Scenario { wire: Wire { split: Some(3), ..Wire::default() }, ..Default::default() });
    let mut socket = connect(&mock);
    socket.write_all(&request("POST", "/v1/chat/completions", CLOSE, &chat(4))).unwrap();
    let (mut bytes, mut piece, mut pieces) = (Vec::new(), [0; 4096], Vec::new());
    loop {
        match socket.read(&mut piece).unwrap() {
            0 => break,
            size => {
                bytes.extend_from_slice(&piece[..size]);
                pieces.push(size);
            }
        }
    }
    assert_eq!(plain(&take_apart(&bytes)), whole);
    // A reader that is slow sees several at once, but not all of them.
    assert!(pieces.len() > 20 && pieces.contains(&3), "{pieces:?}");
}

#[test]
fn comments_break_the_silence() {
    let wire = Wire { keep_alive: Some(Duration::from_millis(5)), ..Wire::default() };
    let quiet = Scenario {
        wire,
        role_chunk: RoleChunk::Never,
        ttft: Duration::from_millis(60),
        ..Default::default()
    };
    let (_, body) = answer(&exactly(quiet), "POST", "/v1/chat/completions", &chat(1));
    assert!(body.starts_with(": keep-alive\n\n: keep-alive\n\n"), "{body}");
    assert!(body.trim_end_matches("data: [DONE]\n\n").contains("data: {"));
}

#[test]
fn a_head_comes_early_or_with_the_first_event() {
    for early_head in [true, false] {
        let scenario = Scenario {
            early_head,
            role_chunk: RoleChunk::Never,
            ttft: Duration::from_millis(300),
            itl: Duration::ZERO,
            ..Default::default()
        };
        let mock = exactly(scenario);
        let mut socket = connect(&mock);
        let sent = Instant::now();
        socket.write_all(&request("POST", "/v1/chat/completions", CLOSE, &chat(1))).unwrap();
        let mut first = [0; 4096];
        let size = socket.read(&mut first).unwrap();
        let with_event = String::from_utf8_lossy(&first[..size]).contains("data: ");
        assert_eq!(with_event, !early_head);
        assert_eq!(early_head, sent.elapsed() < Duration::from_millis(300));
    }
}
