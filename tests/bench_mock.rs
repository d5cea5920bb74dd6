//! `sparkbench mock` as a whole program.

#[path = "support/bench.rs"]
mod bench;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Stdio};

use serde_json::json;

use bench::{Ended, KEY, Results, ended, process, run, signal};
use support::Sandbox;

/// A mock server as a process of its own; ended when dropped.
struct Mock {
    child: Option<Child>,
    err: BufReader<ChildStderr>,
    url: String,
}

impl Mock {
    #[track_caller]
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut child = process(sandbox, &[&["mock", "--port", "0"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        err.read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no URL in: {line}")).trim_end_matches(';').to_owned();
        assert!(line.contains("Ctrl-C") && !url.ends_with(":0"), "{line}");
        Self { child: Some(child), err, url }
    }

    /// Stop it with a signal: how it ended and what it still said.
    fn stop(mut self, name: &str) -> Ended {
        let child = self.child.take().unwrap();
        signal(&child, name);
        let mut ended = Ended::of(child.wait_with_output().unwrap());
        self.err.read_to_string(&mut ended.err).unwrap();
        ended
    }

    /// What `curl` would show: status and body.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let address = self.url.trim_start_matches("http://");
        let mut socket = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const PACE: [&str; 4] = ["--ttft", "2ms", "--itl", "1ms"];

fn chat(tokens: u32) -> String {
    json!({"model": "mock", "stream": true, "max_tokens": tokens, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "a b c"}]})
    .to_string()
}

#[test]
fn it_says_where_it_is_answers_and_tells_the_truth_at_the_end() {
    let sandbox = Sandbox::new();
    for name in ["INT", "TERM"] {
        let mock = Mock::start(&sandbox, &[&PACE[..], &["--json"]].concat());
        let (status, models) = mock.ask("GET", "/v1/models", "", "");
        assert!(status == 200 && models.contains(r#""id":"mock""#), "{models}");
        let (status, stream) = mock.ask("POST", "/v1/chat/completions", "", &chat(5));
        assert_eq!(status, 200);
        assert!(stream.contains("data: [DONE]") && stream.contains(r#""completion_tokens":5"#), "{stream}");
        let (_, truth) = mock.ask("GET", "/mock/truth", "", "");
        let truth: serde_json::Value = serde_json::from_str(&truth).unwrap();
        let ended = mock.stop(name).with(0);
        let json = ended.json();
        assert_eq!((&json["requests"], &json["tokens"]), (&json!(1), &json!(5)), "{json}");
        assert_eq!(json, truth);
    }
    let ended = Mock::start(&sandbox, &PACE).stop("INT").with(0);
    assert!(ended.out.starts_with("0 answers, 0 tokens"), "{ended:?}");
}

#[test]
fn it_behaves_as_told() {
    let sandbox = Sandbox::new();
    let told = ["--model", "org/told", "--accept", "1,3", "--fault", "cut-after=4", "--fault-every", "2"];
    let mock = Mock::start(&sandbox, &[&PACE[..], &told].concat());
    assert!(mock.ask("GET", "/v1/models", "", "").1.contains("org/told"));
    let body = chat(8).replace("\"mock\"", "\"org/told\"");
    let whole = mock.ask("POST", "/v1/chat/completions", "", &body).1;
    let cut = mock.ask("POST", "/v1/chat/completions", "", &body).1;
    assert!(whole.contains("[DONE]") && !cut.contains("[DONE]"), "{cut}");
    assert_eq!(mock.ask("POST", "/v1/chat/completions", "", &chat(8)).0, 400, "another model");
    assert_eq!(mock.ask("GET", "/nowhere", "", "").0, 404);
}

#[test]
fn it_behaves_as_a_file_says_but_for_flags() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "mine.toml",
        "model = \"org/filed\"\nttft = \"2ms\"\nitl = \"1ms\"\nfault = \"cut-after=4\"\nfault-every = 2\n\
         role-content-null = true\n\n[wire]\ncrlf = true\n",
    );
    let body = chat(8).replace("\"mock\"", "\"org/filed\"");
    let mock = Mock::start(&sandbox, &["--scenario", "mine.toml"]);
    assert!(mock.ask("GET", "/v1/models", "", "").1.contains("org/filed"));
    let whole = mock.ask("POST", "/v1/chat/completions", "", &body).1;
    assert!(whole.contains("[DONE]\r\n") && whole.contains(r#""content":null"#), "{whole}");
    assert!(!mock.ask("POST", "/v1/chat/completions", "", &body).1.contains("[DONE]"));
    // The flags win, each over its own field.
    let mock = Mock::start(&sandbox, &["--scenario", "mine.toml", "--model", "mock", "--fault-every", "9"]);
    for _ in 0..2 {
        let whole = mock.ask("POST", "/v1/chat/completions", "", &chat(8)).1;
        assert!(whole.contains("[DONE]\r\n"), "{whole}");
    }
    let help = ended(&sandbox, &["mock", "--help"]).with(0).out;
    assert!(help.contains("sparkbench mock --scenario"), "{help}");
}

#[test]
fn files_that_are_no_scenario() {
    let sandbox = Sandbox::new();
    for (text, words) in [
        ("itll = \"5ms\"", &["line 1", "`itll`", "did you mean `itl`"][..]),
        ("ttft = \"50\"", &["field `ttft`", "`50`", "50ms"]),
        ("[wire]\nsplit = 0", &["field `wire.split`", "0 is not accepted", "from 1"]),
        ("fault = \"explode\"", &["field `fault`", "`explode`", "cut-after=TOKENS"]),
        ("{\"ttft\": \"50ms\"}", &["line 1"]),
    ] {
        sandbox.write("bad.toml", text);
        // A flag for the same field makes a wrong file no better.
        for flags in [&[][..], &["--ttft", "5ms"]] {
            let arguments = [&["mock", "--scenario", "bad.toml"], flags].concat();
            let said = ended(&sandbox, &arguments).with(2).saying(words).saying(&["`bad.toml`"]);
            assert_eq!((said.out.as_str(), said.err.matches("error:").count()), ("", 1), "{said:?}");
        }
    }
    for file in ["no.toml", "."] {
        ended(&sandbox, &["mock", "--scenario", file]).with(2).saying(&["scenario", &format!("`{file}`")]);
    }
}

#[test]
fn it_wants_its_key() {
    let sandbox = Sandbox::new();
    let mut mock = Mock::start(&sandbox, &[&PACE[..], &["--api-key", KEY]].concat());
    assert_eq!(mock.ask("GET", "/v1/models", "", "").0, 401);
    assert_eq!(mock.ask("GET", "/v1/models", &format!("Authorization: Bearer {KEY}\r\n"), "").0, 200);
    let child = mock.child.as_mut().unwrap();
    child.kill().unwrap();
    let mut said = String::new();
    mock.err.read_to_string(&mut said).unwrap();
    assert!(!said.contains(KEY), "{said}");
    let help = ended(&sandbox, &["mock", "--help"]).with(0).out;
    assert!(help.contains("SPARKBENCH_MOCK_KEY") && help.contains("cut-after=TOKENS"), "{help}");
}

#[test]
fn a_client_in_another_process_measures_it() {
    let sandbox = Sandbox::new();
    let mock = Mock::start(&sandbox, &[&PACE[..], &["--json"]].concat());
    run(&sandbox, &mock.url, "out", &["-n", "5", "-i", "16", "-o", "4", "--warmup", "1", "--no-html"])
        .with(0);
    assert_eq!(Results::of(&sandbox, "out").summary()["total_output_tokens"], 20);
    let truth = mock.stop("INT").with(0).json();
    // Five requests and a warm-up of four tokens each; what counts prompts asks for one token each.
    let (requests, tokens) = (truth["requests"].as_u64().unwrap(), truth["tokens"].as_u64().unwrap());
    assert!(requests >= 6, "{truth}");
    assert_eq!(tokens, 6 * 4 + (requests - 6));
}

#[test]
fn a_port_that_is_taken() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = ended(&sandbox, &["mock", "--port", &port]).with(3);
    let said = said.saying(&["error: cannot listen on", &port]);
    assert_eq!(said.out, "");
}

#[test]
fn flags_that_cannot_be() {
    let sandbox = Sandbox::new();
    for (arguments, words) in [
        (&["--port", "99999"][..], &["--port", "99999"][..]),
        (&["--host", "head"], &["--host", "head"]),
        (&["--ttft", "50"], &["--ttft", "50", "500ms"]),
        (&["--itl=-1ms"], &["--itl", "'-1ms'", "no time is negative", "500ms"]),
        (&["--itl", "-1ms"], &["--itl", "'-1ms'", "no time is negative", "500ms"]),
        (&["--ttft", "-50ms"], &["--ttft", "'-50ms'", "no time is negative"]),
        (&["--ttft-per-input-token", "-1us"], &["--ttft-per-input-token", "'-1us'", "no time is negative"]),
        (&["--slow-start", "-1s"], &["--slow-start", "'-1s'", "no time is negative"]),
        (&["--slow-by", "-1s"], &["--slow-by", "'-1s'", "no time is negative"]),
        (&["--keep-alive", "-1s"], &["--keep-alive", "'-1s'", "no time is negative"]),
        (&["--jitter", "-5%"], &["--jitter", "'-5%'", "0% to 100%"]),
        (&["--cached", "-0.1"], &["--cached", "'-0.1'", "0% to 100%"]),
        (&["--accept", "-1,2"], &["--accept", "-1"]),
        (&["--max-running", "-1"], &["--max-running", "'-1'"]),
        (&["--turn-away", "-1"], &["--turn-away", "'-1'"]),
        (&["--split", "-1"], &["--split", "'-1'"]),
        (&["--port", "-1"], &["--port", "'-1'"]),
        (&["--seed", "-1"], &["--seed", "'-1'"]),
        (&["--jitter", "200%"], &["--jitter", "200%"]),
        (&["--accept", "1,0"], &["--accept", "0"]),
        (&["--coalesce", "0"], &["--coalesce", "0"]),
        (&["--max-running", "0"], &["--max-running", "0"]),
        (&["--split", "0"], &["--split", "0"]),
        (&["--fault", "explode"], &["--fault", "`explode`", "cut-after=TOKENS"]),
        (&["--fault", "cut-after"], &["--fault", "`cut-after`"]),
        (&["--fault", "html=3"], &["--fault", "`html=3`"]),
        (&["--fault", "status=200"], &["--fault", "`status=200`"]),
        (&["--fault", "html", "--fault-every", "0"], &["--fault-every", "0"]),
        (&["--usage", "3"], &["--usage", "`3`", "as-asked"]),
        (&["--reasoning-field", "llama"], &["--reasoning-field", "llama"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
    ] {
        let said = ended(&sandbox, &[&["mock"], arguments].concat()).with(2).saying(words);
        assert_eq!(said.out, "", "{arguments:?}");
        assert_eq!(said.err.matches("error:").count(), 1, "{said:?}");
    }
}
