//! What is shown of nodes that answer and of one that does not.

use std::time::Duration;

use futures_util::future::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use serde_json::{Value, json};

use super::*;
use crate::commands::shown::Shown;
use crate::host::Ending;
use crate::host::look_alike::{HostFault, HostFaultKind, LookAlike};

/// A node that answers with a document of `tests/fixtures/nodes`.
fn node(name: &str, document: &str) -> LookAlike {
    let path = format!("{}/tests/fixtures/nodes/{document}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(path).unwrap();
    LookAlike::new(name.parse().unwrap(), move |_, mut streams| {
        let text = text.clone();
        let run = async move {
            streams.input.read_to_end(&mut Vec::new()).await.unwrap();
            streams.output.write_all(&text).await.unwrap();
            Ending::Exit(0)
        };
        Some(run.boxed())
    })
}

fn two_and_a_dead_one() -> [Arc<dyn Host>; 3] {
    let dead = node("spark-3", "spark-twins");
    dead.expect([Some(HostFault { after: 10, what: HostFaultKind::Silent })]);
    [Arc::new(node("spark-1", "spark-twins")), Arc::new(node("thor-1", "thor")), Arc::new(dead)]
}

fn settings(env: bool, json: bool) -> NodesSettings {
    NodesSettings {
        cluster: None,
        nodes: Vec::new(),
        control: None,
        data: None,
        set: Vec::new(),
        env,
        options: None,
        fresh: false,
        cache: "none".into(),
        dry_run: false,
        json,
    }
}

fn ways(hosts: &[Arc<dyn Host>]) -> Vec<Way> {
    hosts.iter().map(|host| (host.name().clone(), Ok(Arc::clone(host)))).collect()
}

async fn show(hosts: &[Arc<dyn Host>], env: bool, json: bool) -> (String, CommandResult) {
    let mut shown = Shown::default();
    let settings = settings(env, json);
    let cancel = CancellationToken::new();
    let serving = async { Vec::new() };
    let result = read_and_show(ways(hosts), serving, &BTreeMap::new(), &settings, &cancel, &mut shown).await;
    (shown.0, result)
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_read_is_a_row_and_the_exit_code() {
    let (shown, result) = show(&two_and_a_dead_one(), false, false).await;
    insta::assert_snapshot!(shown);
    let error = result.unwrap_err();
    assert_eq!(error.kind().exit_code(), 3);
    assert_eq!(error.to_string(), "1 of 3 nodes could not be read: spark-3: did not answer within 20 s");
}

#[tokio::test(start_paused = true)]
async fn variables_are_lines_with_their_reasons() {
    let (shown, result) = show(&two_and_a_dead_one(), true, false).await;
    insta::assert_snapshot!(shown);
    assert!(result.is_err());
    for line in shown.lines().filter(|line| !line.starts_with('#')) {
        assert!(
            line.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.is_empty()),
            "{line}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn json_has_what_each_node_is_or_its_error() {
    let (shown, _) = show(&two_and_a_dead_one(), false, true).await;
    let value: Value = serde_json::from_str(&shown).unwrap();
    let nodes = value["nodes"].as_array().unwrap();
    assert_eq!(nodes[0]["node"], "spark-1");
    assert_eq!(nodes[0]["facts"]["gpus"][0]["compute_capability"], "12.1");
    assert_eq!(nodes[0]["data"]["address"], "10.0.0.25");
    assert!(nodes[0]["clock_ahead_s"]["least"].is_f64());
    let variable = &nodes[1]["environment"][0];
    assert_eq!(variable["name"], "NCCL_SOCKET_IFNAME");
    assert_eq!((&variable["value"], &variable["origin"]), (&json!("enP2p1s0"), &json!("derived")));
    assert_eq!(nodes[2]["error"], "spark-3: did not answer within 20 s");
    assert_eq!(value["topology"]["kind"], "unknown");
    assert_eq!(value["notes"], json!(["spark-3 was not read: the rest is worked out without it"]));
    assert_eq!(value["netplan"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_a_text_for_a_person() {
    let hosts: [Arc<dyn Host>; 1] = [Arc::new(node("spark-1", "spark-one-cable"))];
    let (shown, result) = show(&hosts, false, false).await;
    insta::assert_snapshot!(shown);
    assert_eq!(result.unwrap(), Verdict::Done);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_not_waited_for() {
    let settings = settings(false, false);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let dead = node("spark-3", "spark-twins");
    dead.expect([Some(HostFault { after: 10, what: HostFaultKind::Silent })]);
    let begun = tokio::time::Instant::now();
    let error = read_and_show(
        ways(&[Arc::new(dead)]),
        async { Vec::new() },
        &BTreeMap::new(),
        &settings,
        &cancel,
        &mut Shown::default(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn nodes_that_fail_alike_are_told_of_together() {
    let unread = |node: &str, login: bool| {
        let on: HostName = node.parse().unwrap();
        let error = match login {
            true => ConnectError::NoEngine { on: on.clone() },
            false => ConnectError::NoLogin { on: on.clone() },
        };
        (on, Unread::Connect(error))
    };
    let names = ["a", "b", "c", "d", "e"];
    let alike: Vec<_> = names.iter().map(|node| unread(node, false)).collect();
    assert_eq!(said(&alike), "a, b, c and 2 more: its inventory names no login");
    assert_eq!(said(&alike[..2]), "a, b: its inventory names no login");
    let mixed = [unread("a", false), unread("b", true), unread("c", false)];
    let one = ConnectError::NoEngine { on: "b".parse().unwrap() };
    assert_eq!(said(&mixed), format!("a, c: its inventory names no login; {one}"));
}
