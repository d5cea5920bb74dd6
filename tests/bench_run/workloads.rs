//! What is asked and when, seen by the server.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use spark::mock::Scenario;
use spark::mock::tokens::{Template, count_messages};

use crate::bench::{Results, mock, quick, run};
use crate::recorder::Recorder;
use crate::support::Sandbox;

/// The question a chat request ends with.
fn question(body: &Value) -> String {
    body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
}

/// Run with `arguments`, without a warm-up: what was written, and every streamed request's body.
#[track_caller]
fn sent(sandbox: &Sandbox, arguments: &[&str]) -> (Results, Vec<Value>) {
    let mock = mock(quick());
    let recorder = Recorder::before(&mock.url());
    let common = ["--warmup", "0", "--no-html"];
    run(sandbox, &recorder.url(), "out", &[&common[..], arguments].concat()).with(0);
    (Results::of(sandbox, "out"), recorder.streams().into_iter().map(|sent| sent.body).collect())
}

#[test]
fn a_request_is_what_the_plan_says() {
    let sandbox = Sandbox::new();
    let (_, bodies) = sent(
        &sandbox,
        &["-n", "3", "-i", "20", "-o", "5", "--temperature", "0.5", "--extra-body", r#"{"top_k": 7}"#],
    );
    assert_eq!(bodies.len(), 3);
    let it = Scenario::default();
    let template = Template { bos: it.bos_tokens, message: it.message_tokens, answer: it.answer_tokens };
    for body in &bodies {
        assert_eq!(count_messages(&body["messages"], template), Some(20), "{body}");
        assert_eq!((&body["model"], &body["top_k"]), (&json!("mock"), &json!(7)));
        assert_eq!((&body["temperature"], &body["ignore_eos"]), (&json!(0.5), &json!(true)));
        assert!(body["max_tokens"] == 5 || body["max_completion_tokens"] == 5, "{body}");
        assert_eq!(body["stream_options"]["include_usage"], true);
    }
}

#[test]
fn every_protocol_has_its_own_path_and_form() {
    for (protocol, path, prompt) in [
        ("chat", "/v1/chat/completions", "messages"),
        ("completions", "/v1/completions", "prompt"),
        ("generate", "/generate", "text"),
    ] {
        let (sandbox, mock) = (Sandbox::new(), mock(quick()));
        let recorder = Recorder::before(&mock.url());
        let load = ["--protocol", protocol, "-n", "2", "-i", "16", "-o", "2", "--warmup", "0", "--no-html"];
        run(&sandbox, &recorder.url(), "out", &load).with(0);
        let sent = recorder.streams();
        assert_eq!(sent.len(), 2);
        for sent in sent {
            assert_eq!(sent.path, path);
            assert!(sent.body.get(prompt).is_some(), "{sent:?}");
        }
        let asked: BTreeSet<_> = recorder.sent().into_iter().map(|sent| sent.path).collect();
        assert!(asked.contains("/v1/models") && asked.contains("/metrics"), "{asked:?}");
    }
}

#[test]
fn prompts_that_share_prefixes() {
    let sandbox = Sandbox::new();
    let (results, bodies) = sent(&sandbox, &["-n", "8", "--shared-prefix", "2x40", "-i", "16", "-o", "3"]);
    let begins: BTreeSet<String> = bodies.iter().map(|body| question(body)[..80].to_owned()).collect();
    assert_eq!(begins.len(), 2, "two prefixes: {begins:#?}");
    let whole: BTreeSet<String> = bodies.iter().map(question).collect();
    assert_eq!(whole.len(), 8, "and eight prompts");
    for request in results.requests() {
        assert_eq!(request["input_tokens"], 56, "prefix and prompt: {request}");
    }
    assert_eq!(results.summary()["dataset_name"], "generated-shared-prefix");
    assert_eq!(results.summary()["spark"]["input_length_error"]["off"], 0);
}

#[test]
fn later_turns_hold_what_was_said_before() {
    let sandbox = Sandbox::new();
    let arguments = ["-n", "6", "--turns", "3", "-i", "16", "-o", "5", "-c", "2", "--think", "1ms"];
    let (results, bodies) = sent(&sandbox, &arguments);
    assert_eq!(bodies.len(), 6);
    let mut longest = BTreeSet::new();
    for body in &bodies {
        let messages = body["messages"].as_array().unwrap();
        let roles: Vec<_> = messages.iter().map(|it| it["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["user", "assistant", "user", "assistant", "user"][..roles.len()]);
        for answer in messages.iter().filter(|it| it["role"] == "assistant") {
            // What the mock said, word for word.
            assert_eq!(answer["content"], " the model says 火 that", "{body:#}");
        }
        longest.insert(messages.len());
    }
    assert_eq!(longest, BTreeSet::from([1, 3, 5]));
    for conversation in 0..2 {
        let mut turns: Vec<_> =
            results.requests().into_iter().filter(|it| it["conversation"] == conversation).collect();
        turns.sort_by_key(|it| it["turn"].as_u64());
        let counts: Vec<_> = turns.iter().map(|it| it["input_tokens"].as_u64().unwrap()).collect();
        assert_eq!(counts.len(), 3);
        assert_eq!(counts[0], 16);
        assert!(counts.is_sorted_by(|a, b| a + 5 < *b), "questions and answers add up: {counts:?}");
        for pair in turns.windows(2) {
            assert!(pair[1]["sent_us"].as_u64() > pair[0]["ended_us"].as_u64(), "one after another");
        }
        assert!(turns.iter().all(|it| it.get("text").is_none()), "texts are not kept unasked");
    }
}

#[test]
fn questions_from_a_sharegpt_file() {
    let sandbox = Sandbox::new();
    let entry = |n: u32| {
        json!({"id": n.to_string(), "conversations": [
            {"from": "human", "value": format!("Question {n}?")},
            {"from": "gpt", "value": "An answer of some words."},
        ]})
    };
    let unusable = json!({"conversations": [{"from": "human", "value": "Alone."}]});
    let all: Vec<_> = (0..6).map(entry).chain([unusable]).collect();
    sandbox.write("share.json", Value::from(all).to_string());
    let (results, bodies) = sent(&sandbox, &["--dataset", "sharegpt:share.json", "-n", "5", "-o", "4"]);
    let asked: BTreeSet<_> = bodies.iter().map(question).collect();
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert!(asked.iter().all(|it| it.starts_with("Question ")), "{asked:?}");
    let (file, summary) = (results.run(), results.summary());
    assert_eq!(file["plan"]["workload"]["file"]["name"], "share.json");
    assert_eq!(file["plan"]["workload"]["file"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!((&summary["dataset_name"], &summary["sharegpt_output_len"]), (&json!("sharegpt"), &json!(4)));
    assert_eq!(summary["total_output_tokens"], 20);
}

#[test]
fn lines_of_a_file() {
    let sandbox = Sandbox::new();
    let lines = [
        json!({"prompt": "one two", "output_tokens": 3}),
        json!({"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello?"}]}),
        json!({"body": {"prompt": "a batch line", "max_tokens": 2}}),
    ];
    sandbox.write("lines.jsonl", lines.each_ref().map(Value::to_string).join("\n"));
    let (results, bodies) = sent(&sandbox, &["--dataset", "jsonl:lines.jsonl", "-n", "3", "-o", "6"]);
    let mut requests = results.requests();
    requests.sort_by_key(|it| it["conversation"].as_u64());
    let tokens: Vec<_> = requests.iter().map(|it| it["output_tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens, [3, 6, 2], "where a line says, it wins");
    let systems: Vec<_> = bodies.iter().filter(|it| it["messages"][0]["role"] == "system").collect();
    assert_eq!(systems.len(), 1);
    assert_eq!(systems[0]["messages"], lines[1]["messages"]);
    // A line that does not read is found before anything is sent.
    let mock = mock(quick());
    sandbox.write("bad.jsonl", "{\"prompt\": \"fine\", \"output_tokens\": 1}\n{\"promt\": \"typo\"}\n");
    let arguments = ["--dataset", "jsonl:bad.jsonl", "-n", "1"];
    run(&sandbox, &mock.url(), "bad", &arguments).with(2).saying(&["bad.jsonl", "2", "prompt"]);
    assert_eq!(mock.truth().report().requests, 0);
    assert!(!sandbox.path("bad").exists(), "no run, no directory");
}

#[test]
fn lengths_that_vary() {
    let sandbox = Sandbox::new();
    let arguments = [
        "-n",
        "12",
        "-i",
        "60",
        "-o",
        "9",
        "--lengths",
        "uniform",
        "--range-ratio",
        "0.5",
        "--protocol",
        "completions",
    ];
    let (results, bodies) = sent(&sandbox, &arguments);
    let requests = results.requests();
    let of = |key: &str| requests.iter().map(|it| it[key].as_u64().unwrap()).collect::<Vec<_>>();
    let (input, output) = (of("input_tokens"), of("output_tokens"));
    assert!(input.iter().all(|tokens| (30..=60).contains(tokens)), "{input:?}");
    assert!(output.iter().all(|tokens| (4..=9).contains(tokens)), "{output:?}");
    assert!(input.iter().collect::<BTreeSet<_>>().len() > 3, "they vary: {input:?}");
    assert_eq!(input, of("planned_input_tokens"));
    assert_eq!(output, of("planned_output_tokens"));
    assert!(bodies.iter().all(|body| body["prompt"].is_string()));
    assert_eq!(results.summary()["random_range_ratio"], 0.5);
}

/// When each conversation was due, microseconds, by its number.
fn due(results: &Results) -> Vec<u64> {
    let mut requests = results.requests();
    requests.sort_by_key(|it| it["conversation"].as_u64());
    for request in &requests {
        assert!(request["sent_us"].as_u64() >= request["scheduled_us"].as_u64(), "{request}");
    }
    requests.iter().map(|it| it["scheduled_us"].as_u64().unwrap()).collect()
}

#[test]
fn times_of_a_trace() {
    let sandbox = Sandbox::new();
    sandbox.write("trace.txt", "5\n5.1\n5.15\n5.4\n");
    let arguments = ["--trace", "trace.txt", "--trace-scale", "0.5", "-n", "4", "-i", "16", "-o", "2"];
    let (results, _) = sent(&sandbox, &arguments);
    assert_eq!(due(&results), [0, 50_000, 75_000, 200_000]);
    assert_eq!(results.run()["plan"]["arrival"]["file"]["name"], "trace.txt");
    let latency = &results.summary()["spark"]["latency_ms"];
    assert!(latency["ttft_from_schedule"].is_object() && latency["queued"].is_object(), "{latency:#}");
    let mock = mock(quick());
    let more = ["--trace", "trace.txt", "-n", "5", "-i", "16", "-o", "2"];
    run(&sandbox, &mock.url(), "more", &more).with(2).saying(&["4", "5"]);
}

#[test]
fn a_rate_is_a_schedule_and_a_closed_loop_has_none() {
    let sandbox = Sandbox::new();
    let (results, _) = sent(&sandbox, &["--rate", "100", "-n", "10", "-i", "16", "-o", "2"]);
    let times = due(&results);
    assert!(times.is_sorted() && times.iter().collect::<BTreeSet<_>>().len() == 10, "{times:?}");
    assert_eq!(results.summary()["request_rate"], 100.0);
    let sandbox = Sandbox::new();
    let arguments = ["--rate", "100", "--arrival", "constant", "-n", "4", "-i", "16", "-o", "2"];
    let (results, _) = sent(&sandbox, &arguments);
    let times = due(&results);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 10_000), "{times:?}");
    let sandbox = Sandbox::new();
    let (results, _) = sent(&sandbox, &["-c", "2", "-n", "4", "-i", "16", "-o", "2"]);
    assert!(results.requests().iter().all(|it| it["scheduled_us"].is_null()));
    assert!(results.summary()["spark"]["latency_ms"]["ttft_from_schedule"].is_null());
    assert_eq!(results.summary()["request_rate"], "inf");
}
