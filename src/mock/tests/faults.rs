//! What goes wrong, seen from outside.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::*;
use crate::mock::scenario::RoleChunk;

fn broken(fault: &str) -> RunningMock {
    mock(Scenario { fault: Some(fault.parse().unwrap()), ..Default::default() })
}

/// What a chat of six tokens gets.
fn seen(fault: &str) -> Answered {
    take_apart(&raw(&broken(fault), &request("POST", "/v1/chat/completions", CLOSE, &chat(6))))
}

fn text(answered: &Answered) -> &str {
    std::str::from_utf8(&answered.body).unwrap()
}

/// Events with text in them.
fn tokens(answered: &Answered) -> usize {
    let has_text =
        |e: &Value| e["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty());
    events(text(answered)).iter().filter(|e| has_text(e)).count()
}

#[test]
fn an_error_comes_after_its_tokens_and_ends_the_stream_well() {
    for count in [0, 2, 6] {
        let errored = seen(&format!("error-after={count}"));
        let events = events(text(&errored));
        assert_eq!(tokens(&errored), count);
        assert_eq!(
            (&events[count + 1]["error"]["code"], &events[count + 2]),
            (&json!(500), &json!("[DONE]"))
        );
        assert_eq!((events.len(), errored.ended), (count + 3, true));
    }
}

#[test]
fn a_cut_stream_has_its_tokens_and_no_end() {
    for count in [0, 2, 6] {
        let cut = seen(&format!("cut-after={count}"));
        assert_eq!((tokens(&cut), cut.ended, cut.rest.len()), (count, false, 0), "{cut:?}");
        assert!(!text(&cut).contains(r#""finish_reason":""#) && !text(&cut).contains("[DONE]"));
    }
    let reset = broken("reset-after=1");
    let mut socket = connect(&reset);
    socket.write_all(&request("POST", "/v1/chat/completions", "", &chat(6))).unwrap();
    let error = socket.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn ends_are_left_out_as_told() {
    for (fault, done, finish) in
        [("no-done", false, true), ("no-finish", true, false), ("no-end", false, false)]
    {
        let answered = seen(fault);
        assert_eq!((tokens(&answered), answered.ended), (6, true), "{fault}");
        assert_eq!(text(&answered).contains("[DONE]"), done, "{fault}");
        assert_eq!(text(&answered).contains(r#""finish_reason":"length""#), finish, "{fault}");
    }
    let nothing = seen("zero-tokens");
    assert_eq!((tokens(&nothing), nothing.ended), (0, true));
    assert!(text(&nothing).contains(r#""length""#) && text(&nothing).contains(r#""completion_tokens":0"#));
}

#[test]
fn other_answers_than_a_stream() {
    let refused = seen("status=429");
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    let page = seen("html");
    assert!(page.head.contains("content-type: text/html") && text(&page).starts_with("<!doctype html>"));
    assert_eq!(page.status, 200);
}

#[test]
fn a_huge_event_and_one_that_is_no_json_come_once() {
    let huge = seen("huge-event=2000000");
    let big: Vec<_> = text(&huge).lines().filter(|line| line.len() > 10_000).collect();
    assert_eq!((big.len(), big[0].len()), (1, "data: ".len() + 2_000_000));
    assert!(serde_json::from_str::<Value>(&big[0][6..]).unwrap()["padding"].is_string());
    assert_eq!((tokens(&huge), huge.ended), (6, true));
    let garbage = seen("garbage");
    assert_eq!(text(&garbage).matches("data: {\"choices\":[{\"delta\":\n").count(), 1);
    assert_eq!((tokens(&garbage), garbage.ended), (6, true));
}

#[test]
fn a_stall_comes_after_its_tokens_and_delays_the_rest() {
    for (count, longest) in [(0, 0), (2, 2), (6, 6)] {
        let stalled = broken(&format!("stall={count}:60ms"));
        let read = take_apart(&raw(&stalled, &request("POST", "/v1/chat/completions", CLOSE, &chat(6))));
        assert_eq!((tokens(&read), read.ended), (6, true));
        let truth = stalled.truth().streams().remove(0);
        let times: Vec<_> = std::iter::once(0).chain(truth.event_us).collect();
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        match gaps.get(longest) {
            Some(gap) => assert!(*gap >= 55_000, "{gaps:?}"),
            // Behind the last token: no gap between tokens holds it.
            None => assert!(times[6] >= 7_000 && count == 6, "{times:?}"),
        }
    }
}

#[test]
fn a_stall_for_ever_lasts_until_the_client_leaves_and_frees_its_slot() {
    let scenario = Scenario { max_running: Some(1), fault_every: 2, ..Default::default() };
    let mock = mock(Scenario { fault: Some("stall=1:forever".parse().unwrap()), ..scenario });
    answer(&mock, "POST", "/v1/chat/completions", &chat(2));
    let mut socket = connect(&mock);
    socket.write_all(&request("POST", "/v1/chat/completions", "", &chat(6))).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(" the") {
        let mut some = [0; 1000];
        let size = socket.read(&mut some).unwrap();
        assert!(size > 0);
        seen.extend_from_slice(&some[..size]);
    }
    drop(socket);
    let (status, body) = answer(&mock, "POST", "/v1/chat/completions", &chat(2));
    assert!(status == 200 && body.contains("[DONE]"));
    let truth = mock.truth().streams();
    assert_eq!(
        truth.iter().map(|t| (t.event_us.len(), t.whole)).collect::<Vec<_>>(),
        [(2, true), (1, false), (2, true)]
    );
    assert_eq!(mock.truth().report().broken, 1);
}

#[test]
fn an_endless_body_does_not_end() {
    let endless = broken("endless");
    let mut socket = connect(&endless);
    socket.write_all(&request("POST", "/v1/chat/completions", "", &chat(6))).unwrap();
    let mut seen = vec![0; 4 << 20];
    socket.read_exact(&mut seen).unwrap();
    let comments = seen.windows(4).filter(|four| four == b"\n: x").count();
    assert!(comments >= 60, "{comments}");
}

#[test]
fn answers_without_a_stream_break_likewise() {
    let seen = |fault| {
        let mut ask = chat(6);
        ask["stream"] = json!(false);
        take_apart(&raw(&broken(fault), &request("POST", "/v1/chat/completions", CLOSE, &ask)))
    };
    assert_eq!(seen("error-after=2").status, 500);
    let cut = seen("cut-after=2");
    assert!(!cut.ended && !cut.body.is_empty());
    assert!(serde_json::from_slice::<Value>(&seen("garbage").body).is_err());
    assert!(text(&seen("no-finish")).contains(r#""finish_reason":null"#));
    assert!(text(&seen("zero-tokens")).contains(r#""completion_tokens":0"#));
}

#[test]
fn faults_spare_no_protocol() {
    let cases = [
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 4, "stream": true})),
        ("/generate", json!({"text": "a", "stream": true, "sampling_params": {"max_new_tokens": 4}})),
    ];
    for (path, ask) in cases {
        let seen = |fault| take_apart(&raw(&broken(fault), &request("POST", path, CLOSE, &ask)));
        let errored = seen("error-after=2");
        assert_eq!(events(text(&errored))[2]["error"]["code"], 500, "{path}");
        assert_eq!(events(text(&seen("cut-after=2"))).len(), 2, "{path}");
        assert_eq!(events(text(&seen("no-done"))).len(), 4, "{path}");
        assert!(!text(&seen("no-finish")).contains(r#""length""#), "{path}");
        assert!(events(text(&seen("huge-event=5000")))[1]["padding"].is_string(), "{path}");
    }
    let mock = mock(Scenario {
        role_chunk: RoleChunk::Never,
        fault: Some(Fault::CutAfter(0)),
        ..Default::default()
    });
    let cut = take_apart(&raw(&mock, &request("POST", "/v1/chat/completions", CLOSE, &chat(6))));
    assert_eq!((cut.status, cut.chunks.len(), cut.ended), (200, 0, false));
}

#[test]
fn a_fault_can_be_rare() {
    let mock = mock(Scenario { fault: Some(Fault::Status(500)), fault_every: 3, ..Default::default() });
    let statuses: Vec<_> =
        (0..6).map(|_| answer(&mock, "POST", "/v1/chat/completions", &chat(1)).0).collect();
    assert_eq!(statuses, [200, 200, 500, 200, 200, 500]);
}
