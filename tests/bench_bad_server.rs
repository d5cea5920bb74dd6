//! `sparkbench` and servers that are none, are another, or want something else: each is told apart, and
//! nothing is left behind.

#[path = "support/bench.rs"]
mod bench;
#[path = "support/canned.rs"]
mod canned;
mod support;

use serde_json::json;
use spark::mock::Scenario;

use bench::{Ended, KEY, Results, ended, mock, quick, run, sparkbench};
use canned::{Answer, Canned};
use support::Sandbox;

const FEW: [&str; 8] = ["-n", "3", "-i", "16", "-o", "3", "--warmup", "0"];

/// Exit code and words of a run, of a sweep and of repeats; one message, and nothing written.
#[track_caller]
fn refused(code: i32, url: &str, arguments: &[&str], words: &[&str]) -> Vec<Ended> {
    refused_load(code, url, &[&FEW[..], arguments].concat(), words)
}

/// The same for another load.
#[track_caller]
fn refused_load(code: i32, url: &str, load: &[&str], words: &[&str]) -> Vec<Ended> {
    let sandbox = Sandbox::new();
    let all = [
        &["run", "--base-url", url][..],
        &["run", "--base-url", url, "--out", "deep/out", "--json"],
        &["run", "--base-url", url, "--repeat", "2"],
        &["sweep", "--base-url", url, "-c", "1,2"],
    ];
    let mut said = Vec::new();
    for command in all {
        let ended = ended(&sandbox, &[command, load].concat()).with(code).saying(words);
        assert_eq!(ended.out, "", "{ended:?}");
        assert_eq!(ended.err.matches("error:").count(), 1, "{ended:?}");
        assert_eq!(bench::names(&sandbox.work()), Vec::<String>::new(), "{command:?} left something behind");
        said.push(ended);
    }
    said
}

#[test]
fn nobody_listens() {
    // Bound and let go: the port is free.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    refused(3, &url, &[], &["/v1/models", "connection refused", "hint:", &port.to_string()]);
}

#[test]
fn a_name_without_an_address() {
    // RFC 6761 keeps `.invalid` from ever having one.
    refused(3, "http://no-such-head.invalid:30000", &[], &["no-such-head.invalid", "hint:"]);
}

#[test]
fn https_where_plain_http_is_spoken() {
    let mock = mock(quick());
    let url = mock.url().replace("http://", "https://");
    refused(3, &url, &[], &["TLS", "http://", "--ca-cert"]);
}

#[test]
fn a_model_that_is_not_served() {
    let mock = mock(Scenario { model: "zai-org/GLM-4.7-FP8".into(), ..quick() });
    let url = mock.url();
    refused(2, &url, &["--model", "GLM-4.6"], &["--model", "`GLM-4.6`", "`zai-org/GLM-4.7-FP8`", "hint:"]);
}

#[test]
fn a_short_name_is_taken_and_said() {
    let mock = mock(Scenario { model: "zai-org/GLM-4.7-FP8".into(), ..quick() });
    let sandbox = Sandbox::new();
    let said = run(&sandbox, &mock.url(), "out", &[&FEW[..], &["--model", "glm-4.7-fp8"]].concat()).with(0);
    said.saying(&["warning", "`glm-4.7-fp8`", "`zai-org/GLM-4.7-FP8`"]);
    assert_eq!(Results::of(&sandbox, "out").run()["plan"]["model"], "zai-org/GLM-4.7-FP8");
    let said = run(&sandbox, &mock.url(), "own", &[&FEW[..], &["--model", "zai-org/GLM-4.7-FP8"]].concat());
    assert!(!said.with(0).err.contains("warning"), "the right name needs no word");
}

#[test]
fn a_server_with_several_models_or_none() {
    let list = |names: &[&str]| {
        let data: Vec<_> = names.iter().map(|name| json!({"id": name, "object": "model"})).collect();
        Answer::ok(json!({"object": "list", "data": data}).to_string())
    };
    let two = list(&["a/one", "b/two"]);
    let server = Canned::answering(move |_| two.clone());
    refused(2, &server.url(), &[], &["--model", "`a/one`, `b/two`"]);
    refused(2, &server.url(), &["--model", "three"], &["--model", "`three`", "`a/one`, `b/two`"]);
    let none = list(&[]);
    let server = Canned::answering(move |_| none.clone());
    refused(3, &server.url(), &[], &["no model", "/v1/models"]);
}

#[test]
fn a_key_that_is_wanted() {
    let mock = mock(Scenario { api_key: Some(KEY.into()), ..quick() });
    refused(2, &mock.url(), &[], &["401", "wants an API key", "SPARKBENCH_API_KEY"]);

    let sandbox = Sandbox::new();
    let url = mock.url();
    let arguments = ["run", "--base-url", &url, "--out", "out", "--parquet", "--keep-text"];
    let arguments = [&arguments[..], &FEW].concat();
    let with = |key: &str| {
        let output = sparkbench(&sandbox, &arguments).env("SPARKBENCH_API_KEY", key).output().unwrap();
        Ended::of(output)
    };
    let wrong = with("sk-wrong-0123456789").with(2).saying(&["401", "does not accept", "SPARKBENCH_API_KEY"]);
    assert!(!format!("{wrong:?}").contains("sk-wrong"), "{wrong:?}");
    assert!(!sandbox.path("out").exists());
    let right = with(KEY).with(0);
    assert!(!format!("{right:?}").contains(KEY), "{right:?}");
    assert_eq!(Results::of(&sandbox, "out").summary()["completed"], 3);
    let files = sandbox.snapshot();
    assert!(files.keys().any(|path| path.ends_with("requests.parquet")));
    for (path, bytes) in files {
        let bytes = bytes.unwrap_or_default();
        let shows = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!shows, "the key is in {}", path.display());
    }
}

#[test]
fn a_key_that_the_server_repeats_is_hidden() {
    let server = Canned::answering(|request| {
        let key = request.header("authorization").and_then(|it| it.strip_prefix("Bearer ")).unwrap_or("none");
        Answer::status("500 Oh no").body(format!("no upstream for {key}"))
    });
    let sandbox = Sandbox::new();
    let url = server.url();
    let arguments = [&["run", "--base-url", &url][..], &FEW].concat();
    let output = sparkbench(&sandbox, &arguments).env("OPENAI_API_KEY", KEY).output().unwrap();
    let said = Ended::of(output).with(3).saying(&["500", "no upstream for (hidden)"]);
    assert!(!format!("{said:?}").contains(KEY), "{said:?}");
}

#[test]
fn a_web_page_instead_of_models() {
    let page = "<!doctype html><title>Sign in</title>";
    let server = Canned::answering(move |_| Answer::ok(page).header("Content-Type", "text/html"));
    refused(3, &server.url(), &[], &["/v1/models", "web page", "--base-url"]);
}

#[test]
fn answers_that_are_no_list_of_models() {
    for (body, words) in [
        (&b"{\"data\": [{\"id\": 5}]}"[..], &["/v1/models", "data[0].id"][..]),
        (b"[1, 2", &["/v1/models"]),
        (b"", &["/v1/models"]),
        (b"\xff\xfe\x00\x1b[31m", &["/v1/models"]),
    ] {
        let server = Canned::answering(move |_| Answer::ok(body));
        for said in refused(3, &server.url(), &[], words) {
            assert!(!said.err.contains('\u{1b}'), "nothing a terminal obeys: {said:?}");
        }
    }
}

#[test]
fn bytes_that_are_no_http() {
    for answer in
        [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"data\""]
    {
        let server = Canned::answering(move |_| Answer::raw(answer));
        refused(3, &server.url(), &[], &["/v1/models"]);
    }
}

#[test]
fn statuses_that_are_no_success() {
    for (status, words) in [
        ("404 Not Found", &["404", "--base-url"][..]),
        ("503 Service Unavailable", &["503", "loading"]),
        ("302 Found\r\nLocation: https://elsewhere.invalid/", &["302", "elsewhere.invalid"]),
    ] {
        let server = Canned::answering(move |_| Answer::status(status));
        refused(3, &server.url(), &[], words);
    }
}

#[test]
fn a_list_of_models_without_end() {
    let server = Canned::answering(|_| {
        let begin = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"data\": [";
        Answer::raw(begin).endless()
    });
    let sandbox = Sandbox::new();
    let url = server.url();
    let said = ended(&sandbox, &[&["run", "--base-url", &url][..], &FEW].concat()).with(3);
    said.saying(&["/v1/models", "longer than"]);
    assert_eq!(bench::names(&sandbox.work()), Vec::<String>::new());
}

#[test]
fn more_tokens_than_the_server_takes() {
    let mock = mock(Scenario { max_model_len: 64, ..quick() });
    refused_load(2, &mock.url(), &["-n", "2", "-i", "60", "-o", "5"], &["65", "64"]);
    let sandbox = Sandbox::new();
    run(&sandbox, &mock.url(), "out", &["-n", "2", "-i", "60", "-o", "4", "--no-html"]).with(0);
}
