//! Runs held against each other.

use std::time::Duration;

use spark::mock::Scenario;

use crate::bench::{ended, mock, run};
use crate::support::Sandbox;

/// Slow enough that what the machine adds is small beside it, and jitter makes no two requests alike.
fn paced(share: f64) -> Scenario {
    let ms = |ms: f64| Duration::from_secs_f64(ms * share / 1e3);
    Scenario { ttft: ms(60.0), itl: ms(20.0), jitter: 0.2, ..Scenario::default() }
}

const LOAD: [&str; 9] = ["-n", "24", "-i", "16", "-o", "12", "-c", "8", "--no-html"];

#[test]
fn a_server_slower_by_a_third_is_a_regression_and_the_same_is_none() {
    let sandbox = Sandbox::new();
    for (out, share) in [("a", 1.0), ("same", 1.0), ("slow", 1.3)] {
        run(&sandbox, &mock(paced(share)).url(), out, &LOAD).with(0);
    }
    // Three times the threshold of a regression, so that a busy machine is none.
    let same = ended(&sandbox, &["compare", "a", "same", "--threshold", "15%"]).with(0);
    assert!(!same.out.contains("REGRESSION") && same.out.contains("TPOT mean"), "{same:?}");
    let slow = ended(&sandbox, &["compare", "a", "slow", "--html", "page.html"]).with(1);
    let last = slow.out.lines().last().unwrap();
    assert!(last.starts_with("REGRESSION") && last.contains("TPOT mean"), "{slow:?}");
    assert_eq!(slow.err, "");
    assert!(sandbox.read("page.html").contains("<svg"));
    let json = ended(&sandbox, &["compare", "a", "slow", "--json"]).with(1).json();
    let metrics = json["pairs"][0]["metrics"].as_array().unwrap();
    let tpot = metrics.iter().find(|it| it["metric"] == "TPOT mean").unwrap();
    assert_eq!(tpot["verdict"], "worse");
    // The other way round it is better, which is nothing to say no to.
    let better = ended(&sandbox, &["compare", "slow", "a", "--threshold", "15%"]).with(0);
    assert!(better.out.lines().last().unwrap().starts_with("Better"), "{better:?}");
}

#[test]
fn plans_that_differ_are_not_compared() {
    let (sandbox, mock) = (Sandbox::new(), mock(crate::bench::quick()));
    for (out, tokens) in [("a", "3"), ("b", "4")] {
        let load = ["-n", "6", "-i", "16", "-o", tokens, "--no-html"];
        run(&sandbox, &mock.url(), out, &load).with(0);
    }
    let said = ended(&sandbox, &["compare", "a", "b"]).with(2);
    assert_eq!(said.out, "");
    said.saying(&["workload.output_tokens", "3 in `a`", "4 in `b`", "--ignore-plan"]);
    let said = ended(&sandbox, &["compare", "a", "b", "--ignore-plan", "--json"]);
    assert!(matches!(said.code, Some(0 | 1)), "{said:?}");
    assert!(said.json()["pairs"][0]["notes"].to_string().contains("output_tokens"), "{said:?}");
    ended(&sandbox, &["compare", "a", "nowhere"]).with(2).saying(&["`nowhere`"]);
}
