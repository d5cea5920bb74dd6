//! Waiting, being turned away, and a server that is slow at first.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::mock::truth::StreamTruth;

/// Ask for so many tokens and wait until the server has taken notice.
fn ask(mock: &RunningMock, tokens: u32, present: usize) -> std::net::TcpStream {
    let mut socket = connect(mock);
    socket.write_all(&request("POST", "/v1/chat/completions", CLOSE, &chat(tokens))).unwrap();
    while present_now(mock) != present {
        std::thread::sleep(Duration::from_millis(1));
    }
    socket
}

fn present_now(mock: &RunningMock) -> usize {
    let metrics = get(mock, "/metrics").1;
    let count = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    count("sglang:num_running_reqs") + count("sglang:num_queue_reqs")
}

fn rest(mut socket: std::net::TcpStream) -> String {
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    answer
}

fn first_and_last(truth: &StreamTruth) -> [std::time::Instant; 2] {
    [truth.event_us.first(), truth.event_us.last()]
        .map(|us| truth.received + Duration::from_micros((*us.unwrap()).into()))
}

#[test]
fn those_without_a_slot_wait_in_turn_and_those_beyond_are_turned_away() {
    let scenario = Scenario { max_running: Some(1), turn_away: Some((3, 503)), ..Default::default() };
    let mock = mock(scenario);
    let waiting = [ask(&mock, 600, 1), ask(&mock, 3, 2), ask(&mock, 2, 3)];
    let (status, body) = answer(&mock, "POST", "/v1/chat/completions", &chat(1));
    assert!(status == 503 && body.contains("overloaded"), "{status} {body}");
    assert!(waiting.map(rest).iter().all(|stream| stream.contains("[DONE]")));
    let truths = mock.truth().streams();
    assert_eq!(truths.iter().map(|t| t.event_us.len()).collect::<Vec<_>>(), [600, 3, 2]);
    for pair in truths.windows(2) {
        let [_, end] = first_and_last(&pair[0]);
        let [begin, _] = first_and_last(&pair[1]);
        assert!(begin > end, "one began before the one ahead of it had ended");
        // The wait is in the time to the first token, and no lateness.
        assert!(pair[1].event_us[0] > pair[1].late_us[0] + 100_000);
    }
}

#[test]
fn a_client_that_leaves_the_queue_leaves_no_gap_in_it() {
    let mock = mock(Scenario { max_running: Some(1), ..Default::default() });
    let first = ask(&mock, 600, 1);
    drop(ask(&mock, 100, 2));
    while present_now(&mock) != 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(rest(ask(&mock, 2, 2)).contains("[DONE]"));
    assert!(rest(first).contains("[DONE]"));
    let truths = mock.truth().streams();
    let counts: Vec<_> = truths.iter().map(|t| (t.event_us.len(), t.whole)).collect();
    assert_eq!(counts, [(0, false), (600, true), (2, true)]);
}

#[test]
fn a_loading_server_says_so_and_the_first_requests_are_slow() {
    let loading = mock(Scenario { slow_start: Duration::from_secs(60), ..Default::default() });
    let refused = take_apart(&raw(&loading, &request("GET", "/health", CLOSE, &Value::Null)));
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("retry-after: 1"));
    let slow = Scenario { slow_first: 2, slow_by: Duration::from_millis(150), ..Default::default() };
    let slow = mock(slow);
    for _ in 0..3 {
        answer(&slow, "POST", "/v1/chat/completions", &chat(1));
    }
    let scheduled = |t: &StreamTruth| t.event_us[0] - t.late_us[0];
    let scheduled: Vec<_> = slow.truth().streams().iter().map(|t| scheduled(t).div_ceil(1000)).collect();
    assert_eq!(scheduled, [152, 152, 2]);
}
