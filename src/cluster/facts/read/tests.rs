//! Nodes that answer, and nodes that answer anything else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::super::tests::document;
use super::*;
use crate::host::look_alike::{HostFault, HostFaultKind, LookAlike};
use crate::host::{Ending, Here};

const LIMIT: Duration = Duration::from_secs(20);

/// A node on which python3 listens to the reader's end and then says this.
fn node(name: &str, said: impl Into<Vec<u8>>, log: &'static str, ending: Ending) -> LookAlike {
    let said = said.into();
    LookAlike::new(name.parse().unwrap(), move |program, mut streams| {
        assert_eq!(program.argv, ["python3", "-I", "-c", READER]);
        let (said, ending) = (said.clone(), ending.clone());
        let run = async move {
            streams.input.read_to_end(&mut Vec::new()).await.unwrap();
            // Whoever asked may have heard enough.
            let _ = streams.log.write_all(log.as_bytes()).await;
            let _ = streams.output.write_all(&said).await;
            ending
        };
        Some(run.boxed())
    })
}

fn answering(name: &str) -> LookAlike {
    node(name, document("spark-twins"), "", Ending::Exit(0))
}

async fn fails(host: &dyn Host) -> NodeReadError {
    read(host, LIMIT).await.unwrap_err()
}

#[tokio::test]
async fn this_machine_is_read() {
    let hosts: [Arc<dyn Host>; 1] = [Arc::new(Here::new())];
    let answer = read_all(&hosts, Duration::from_secs(60)).await.remove(0).unwrap();
    let facts = NodeFacts::of(&answer.reading);
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(facts.host_name, name.trim());
    assert!(facts.memory.total.is_some_and(|bytes| bytes > 1 << 20), "{:?}", facts.memory);
    assert!(facts.interfaces.iter().any(|it| it.name == "lo"), "{:?}", facts.interfaces);
    assert!(facts.disks.iter().any(|disk| disk.path == "/" && disk.free <= disk.total));
    // One clock: it was read while the answer was waited for.
    assert!((answer.asked_s..=answer.answered_s).contains(&facts.time_s));
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_delays_nobody_beyond_its_limit() {
    let dead = answering("spark-2");
    dead.expect([Some(HostFault { after: 100, what: HostFaultKind::Silent })]);
    let gone = answering("spark-3");
    gone.expect([Some(HostFault { after: 0, what: HostFaultKind::Unreachable })]);
    let hosts: [Arc<dyn Host>; 4] =
        [Arc::new(answering("spark-1")), Arc::new(dead), Arc::new(gone), Arc::new(answering("spark-4"))];
    let begun = Instant::now();
    let answers = read_all(&hosts, LIMIT).await;
    assert_eq!(begun.elapsed().as_secs(), LIMIT.as_secs());
    let said: Vec<_> = answers.iter().map(|it| it.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(said[0], None);
    assert_eq!(said[1].as_deref(), Some("spark-2: did not answer within 20 s"));
    assert_eq!(said[2].as_deref(), Some("spark-3: cannot be reached: told to be"));
    assert_eq!(said[3], None);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_is_an_error_that_names_the_node() {
    let line = serde_json::from_str::<serde_json::Value>(&document("thor")).unwrap().to_string();
    let greeting = fails(&node("spark-2", format!("Last login: today\n{line}"), "", Ending::Exit(0))).await;
    assert_eq!(greeting.to_string(), "spark-2: the node's answer comes with other text: `Last login: today`");
    assert!(greeting.hint().unwrap().contains("start-up file"));
    let garbage = fails(&node("spark-2", "?", "", Ending::Exit(0))).await;
    assert!(garbage.to_string().starts_with("spark-2: the node answered `?`"), "{garbage}");
    let nothing = fails(&node("spark-2", "", "", Ending::Exit(0))).await;
    assert_eq!(nothing.to_string(), "spark-2: the node answered nothing");
    for error in [greeting, garbage, nothing] {
        assert_eq!(error.kind(), Kind::Environment);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_is_not_waited_for() {
    let endless = LookAlike::new("spark-2".parse().unwrap(), |_, mut streams| {
        let run = async move {
            while streams.output.write_all(&[b'x'; 4096]).await.is_ok() {}
            std::future::pending().await
        };
        Some(run.boxed())
    });
    let begun = Instant::now();
    let error = fails(&endless).await;
    assert!(error.to_string().contains("spark-2: the node answered more than 4194304 bytes"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_fails_says_how() {
    let traceback = "Traceback (most recent call last):\nPermissionError: no\n";
    let error = fails(&node("spark-2", "", traceback, Ending::Exit(1))).await;
    assert_eq!(
        error.to_string(),
        "spark-2: python3 ended there (exit status: 1) and said `PermissionError: no`"
    );
    assert_eq!(error.hint(), None);
    let no_python = fails(&node("spark-2", "", "sh: 1: python3: not found\n", Ending::Exit(127))).await;
    assert!(no_python.hint().unwrap().contains("install python3"));
    let nothing = LookAlike::new("spark-2".parse().unwrap(), |_, _| None);
    let error = fails(&nothing).await;
    assert!(error.to_string().starts_with("spark-2: cannot start `python3`"), "{error}");
    assert!(error.hint().unwrap().contains("install python3"));
    let lost = answering("spark-2");
    lost.expect([Some(HostFault { after: 100, what: HostFaultKind::Lost })]);
    let error = fails(&lost).await;
    assert!(error.to_string().contains("spark-2: python3 ended there (link lost"), "{error}");
}
