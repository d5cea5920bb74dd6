//! Servers behind TLS, with a certificate of nobody that the machine knows.

use serde_json::json;

use crate::bench::{Ended, Results, ended, mock, names, quick, run, sparkbench, token_by_token};
use crate::support::Sandbox;
use crate::tls_front::TlsFront;

const FEW: [&str; 11] = ["-n", "6", "-i", "16", "-o", "5", "-c", "2", "--warmup", "1", "--no-html"];

/// What a certificate is for where its name is right.
const OURS: [&str; 2] = ["localhost", "127.0.0.1"];

/// It fails before anything is written, with this exit code and these words.
#[track_caller]
fn refused(sandbox: &Sandbox, code: i32, url: &str, arguments: &[&str], words: &[&str]) {
    let before = sandbox.snapshot();
    let said = run(sandbox, url, "out", &[&FEW[..], arguments].concat()).with(code).saying(words);
    assert_eq!((said.out.as_str(), said.err.matches("error:").count()), ("", 1), "{said:?}");
    assert!(sandbox.snapshot() == before, "{arguments:?} left something behind");
}

#[test]
fn a_trusted_authority() {
    let (sandbox, mock) = (Sandbox::new(), mock(token_by_token()));
    let front = TlsFront::before(&mock.url(), &OURS);
    sandbox.write("ca.pem", &front.ca);
    for (host, protocol) in [("localhost", "chat"), ("127.0.0.1", "completions"), ("localhost", "generate")] {
        let out = format!("{host}-{protocol}");
        let arguments = ["--ca-cert", "ca.pem", "--protocol", protocol];
        run(&sandbox, &front.url(host), &out, &[&FEW[..], &arguments].concat()).with(0);
        let results = Results::of(&sandbox, &out);
        let requests = results.requests();
        assert_eq!(requests.len(), 6, "{out}");
        for request in &requests {
            assert_eq!(request["outcome"], json!({"result": "done"}), "{out}: {request}");
            assert_eq!(request["output_tokens"], 5, "{out}: {request}");
            assert_eq!(request["chunk_us"].as_array().unwrap().len(), 5, "token by token: {out}: {request}");
        }
        let summary = results.summary();
        assert_eq!((&summary["completed"], &summary["total_output_tokens"]), (&json!(6), &json!(30)));
        // Token by token: what comes at once has no gaps of a millisecond.
        assert!(summary["median_itl_ms"].as_f64().unwrap() > 0.5, "{summary:#}");
        assert_eq!(results.run()["target"], front.url(host));
    }
    let url = front.url("localhost");
    let sweep = ["sweep", "--base-url", &url, "--ca-cert", "ca.pem", "--out", "sweep", "-c", "1,2"];
    ended(&sandbox, &[&sweep[..], &["-n", "4", "-i", "16", "-o", "3", "--no-html"]].concat()).with(0);
    assert_eq!(names(&sandbox.path("sweep")), ["concurrency-1", "concurrency-2"]);
}

#[test]
fn an_authority_that_is_not_trusted() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let front = TlsFront::before(&mock.url(), &OURS);
    let other = TlsFront::before(&mock.url(), &OURS);
    sandbox.write("other.pem", &other.ca);
    let url = front.url("localhost");
    for arguments in [&[][..], &["--ca-cert", "other.pem"]] {
        let words = [&url, "no TLS", "invalid peer certificate", "hint:", "--ca-cert"];
        refused(&sandbox, 3, &url, arguments, &words);
    }
}

#[test]
fn a_machine_without_certificates() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let front = TlsFront::before(&mock.url(), &OURS);
    sandbox.write("ca.pem", &front.ca);
    let bare = |url: &str, arguments: &[&str]| {
        let all = [&["run", "--base-url", url][..], &FEW, arguments].concat();
        let mut command = sparkbench(&sandbox, &all);
        command.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
        Ended::of(command.output().unwrap())
    };
    let (plain, tls) = (mock.url(), front.url("localhost"));
    bare(&plain, &[]).with(0);
    bare(&tls, &["--ca-cert", "ca.pem"]).with(0);
    bare(&tls, &[]).with(3).saying(&["cannot verify", &tls, "No CA certificates", "hint:", "--ca-cert"]);
}

#[test]
fn a_certificate_for_another_name() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let front = TlsFront::before(&mock.url(), &["head.example"]);
    sandbox.write("ca.pem", &front.ca);
    for host in ["localhost", "127.0.0.1"] {
        let words = [host, "no TLS", "not valid for", "head.example", "hint:", "--base-url"];
        refused(&sandbox, 3, &front.url(host), &["--ca-cert", "ca.pem"], &words);
    }
}

#[test]
fn what_is_no_certificate() {
    let (sandbox, mock) = (Sandbox::new(), mock(quick()));
    let front = TlsFront::before(&mock.url(), &OURS);
    let url = front.url("localhost");
    refused(&sandbox, 2, &url, &["--ca-cert", "no.pem"], &["--ca-cert", "`no.pem`", "No such file"]);
    refused(&sandbox, 2, &url, &["--ca-cert", "."], &["--ca-cert", "`.`"]);
    for (content, words) in [
        (String::new(), "no `BEGIN CERTIFICATE` block"),
        (front.ca.replace("CERTIFICATE", "PRIVATE KEY"), "no `BEGIN CERTIFICATE` block"),
        (front.ca[..front.ca.len() / 2].to_owned(), "does not read"),
        (front.ca.repeat(2), "2 certificates"),
        ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_owned(), "cannot be trusted"),
    ] {
        sandbox.write("bad.pem", content);
        let words = ["--ca-cert", "`bad.pem`", words, "PEM or DER"];
        refused(&sandbox, 2, &url, &["--ca-cert", "bad.pem"], &words);
    }
}
