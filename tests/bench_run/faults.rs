//! Servers that fail in every way the mock knows: each is seen, named and counted.

use serde_json::{Value, json};
use spark::mock::{Fault, Scenario};

use crate::bench::{Ended, Results, mock, quick, run};
use crate::recorder::Recorder;
use crate::support::Sandbox;

/// Eight requests from a file, one after another: nothing is asked of the server but these, so that the mock's
/// second, fourth, sixth and eighth are ours.
const LOAD: [&str; 9] =
    ["-n", "8", "-c", "1", "--warmup", "0", "--dataset", "jsonl:lines.jsonl", "--no-html"];

fn prompts(sandbox: &Sandbox) {
    let line = |n: u32| format!("{}\n", json!({"prompt": format!("question {n}"), "output_tokens": 6}));
    sandbox.write("lines.jsonl", (0..8).map(line).collect::<String>());
}

fn every_second(fault: Fault) -> Scenario {
    Scenario { fault: Some(fault), fault_every: 2, ..quick() }
}

/// A run against it, and what was written.
#[track_caller]
fn against(scenario: Scenario, arguments: &[&str]) -> (Sandbox, Ended, Results) {
    let (sandbox, mock) = (Sandbox::new(), mock(scenario));
    prompts(&sandbox);
    let ended = run(&sandbox, &mock.url(), "out", &[&LOAD[..], arguments].concat());
    let results = Results::of(&sandbox, "out");
    (sandbox, ended, results)
}

/// Every second request fails as `class`, and the run says no.
#[track_caller]
fn fails_as(fault: Fault, class: &str, words: &str, arguments: &[&str]) {
    for protocol in ["chat", "completions", "generate"] {
        let all = [&["--protocol", protocol][..], arguments].concat();
        let (_sandbox, said, results) = against(every_second(fault), &all);
        let said = said.with(1);
        let requests = results.requests();
        assert_eq!(requests.len(), 8, "{fault:?} over {protocol}: {said:#?}");
        for request in &requests {
            let outcome = &request["outcome"];
            if request["conversation"].as_u64().unwrap() % 2 == 0 {
                assert_eq!(*outcome, json!({"result": "done"}), "{fault:?} over {protocol}");
                continue;
            }
            assert_eq!(outcome["result"], "failed", "{fault:?} over {protocol}: {request}");
            assert_eq!(outcome["class"], class, "{fault:?} over {protocol}: {request}");
            let message = outcome["message"].as_str().unwrap();
            assert!(message.contains(words), "{fault:?} over {protocol}: {message}");
        }
        let summary = results.summary();
        assert_eq!((&summary["completed"], &summary["failed"]), (&json!(4), &json!(4)));
        assert_eq!(summary["spark"]["counts"]["failures"], json!({class: 4}));
        assert_eq!(summary["total_output_tokens"], 4 * 6, "tokens of the failed count for nothing");
        assert!(said.out.contains(&format!("4 {class}")), "{said:#?}");
        let ended = &results.run()["ended"];
        assert_eq!(ended["result"], "failed");
        assert_eq!(ended["reason"], "4 of 8 requests failed");
    }
}

#[test]
fn an_error_in_the_stream() {
    fails_as(Fault::ErrorAfter(2), "server-error", "", &[]);
}

#[test]
fn a_connection_that_breaks() {
    fails_as(Fault::CutAfter(2), "cut-off", "", &[]);
}

#[test]
fn a_connection_that_is_reset() {
    fails_as(Fault::ResetAfter(2), "cut-off", "", &[]);
}

#[test]
fn a_stream_without_its_end() {
    fails_as(Fault::NoEnd, "cut-off", "", &[]);
}

#[test]
fn a_stream_without_a_token() {
    fails_as(Fault::ZeroTokens, "no-tokens", "", &[]);
}

#[test]
fn a_web_page() {
    fails_as(Fault::Html, "not-a-stream", "text/html", &[]);
}

#[test]
fn bytes_that_are_no_json() {
    fails_as(Fault::Garbage, "malformed", "", &[]);
}

#[test]
fn a_refusal() {
    fails_as(Fault::Status(429), "http-status", "429", &[]);
    fails_as(Fault::Status(503), "http-status", "503", &[]);
}

#[test]
fn a_stall() {
    let fault = Fault::Stall(2, None);
    fails_as(fault, "stalled", "no byte for 0.4 s", &["--stall-timeout", "400ms"]);
}

#[test]
fn a_first_token_that_does_not_come() {
    let fault = Fault::Stall(0, None);
    fails_as(fault, "first-token-timeout", "0.4 s", &["--first-token-timeout", "400ms"]);
}

#[test]
fn an_answer_without_end() {
    fails_as(Fault::Endless, "too-large", "", &["--max-answer-bytes", "300000"]);
}

#[test]
fn an_answer_that_takes_too_long() {
    let fault = Fault::Stall(2, None);
    fails_as(fault, "request-timeout", "0.4 s", &["--request-timeout", "400ms"]);
}

#[test]
fn odd_streams_that_are_whole() {
    // `[DONE]` or the finish reason says that it is; a huge event says nothing.
    for fault in [Fault::NoDone, Fault::NoFinish, Fault::HugeEvent(1 << 20)] {
        let (_sandbox, said, results) = against(every_second(fault), &[]);
        let said = said.with(0);
        assert_eq!(results.summary()["completed"], 8, "{fault:?}: {said:#?}");
        assert_eq!(results.summary()["total_output_tokens"], 48, "{fault:?}");
    }
}

#[test]
fn how_many_may_fail_is_the_users_choice() {
    let half = || every_second(Fault::Status(503));
    for (allowed, code) in [("100%", 0), ("50%", 0), ("49%", 1), ("0%", 1)] {
        let (_sandbox, said, results) = against(half(), &["--max-failed", allowed]);
        let said = said.with(code);
        assert_eq!(results.summary()["failed"], 4, "{allowed}: {said:#?}");
        let ended = if code == 0 { "finished" } else { "failed" };
        assert_eq!(results.run()["ended"]["result"], ended, "{allowed}");
    }
    // Where nothing succeeded, nothing was measured.
    let none = Scenario { fault: Some(Fault::Status(503)), ..quick() };
    let (_sandbox, said, results) = against(none, &["--max-failed", "100%"]);
    let said = said.with(1);
    assert!(said.out.contains("no request succeeded"), "{said:#?}");
    assert_eq!(results.summary()["completed"], 0);
    assert_eq!(results.summary()["mean_ttft_ms"], Value::Null);
    assert_eq!(results.run()["ended"]["result"], "failed");
}

#[test]
fn what_failed_before_its_first_token_may_be_sent_again() {
    let (_sandbox, said, results) = against(every_second(Fault::Status(503)), &["--retries", "1"]);
    let said = said.with(0);
    assert!(said.out.contains("sent again"), "{said:#?}");
    let attempts: u64 = results.requests().iter().map(|it| it["attempts"].as_u64().unwrap()).sum();
    // One after another: every request's first attempt after the first one meets the fault.
    assert_eq!((attempts, &results.summary()["failed"]), (15, &json!(0)));
    // What has begun is not sent again: its tokens were seen.
    let (_sandbox, said, results) = against(every_second(Fault::CutAfter(2)), &["--retries", "3"]);
    said.with(1);
    assert!(results.requests().iter().all(|it| it["attempts"] == 1));
}

#[test]
fn a_failed_turn_ends_its_conversation() {
    let load = ["-n", "8", "--turns", "4", "-c", "1", "-i", "16", "-o", "3", "--warmup", "0", "--no-html"];
    let (sandbox, sound) = (Sandbox::new(), mock(quick()));
    let recorder = Recorder::before(&sound.url());
    run(&sandbox, &recorder.url(), "sound", &load).with(0);
    // What counts prompts asks the mock, too, always alike.
    let counts = recorder.sent().iter().filter(|it| it.path.ends_with("/completions")).count() as u32 - 8;
    let third = Scenario { fault: Some(Fault::CutAfter(1)), fault_every: counts + 3, ..quick() };
    run(&sandbox, &mock(third).url(), "out", &load).with(1);
    let results = Results::of(&sandbox, "out");
    let counts = &results.summary()["spark"]["counts"];
    assert_eq!(
        (&counts["completed"], &counts["failed"], &counts["unsent"]),
        (&json!(6), &json!(1), &json!(1))
    );
    let turns: Vec<_> = results
        .requests()
        .iter()
        .map(|it| (it["conversation"].as_u64().unwrap(), it["turn"].as_u64().unwrap()))
        .collect();
    assert_eq!(turns, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)], "and the next is held whole");
}

#[test]
fn a_warm_up_that_fails_is_said_and_goes_no_further() {
    let (sandbox, mock) = (Sandbox::new(), mock(every_second(Fault::CutAfter(1))));
    prompts(&sandbox);
    let load = ["-n", "3", "--warmup", "2", "--max-failed", "50%", "--dataset", "jsonl:lines.jsonl"];
    let said = run(&sandbox, &mock.url(), "out", &load).with(0);
    said.saying(&["warning: a warm-up request failed: cut-off"]);
    assert_eq!(Results::of(&sandbox, "out").requests().len(), 3);
}
