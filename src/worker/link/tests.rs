//! Links to workers that are not there, and to programs that are no workers.

use std::sync::Arc;

use futures_util::future::FutureExt;
use tokio::io::AsyncWriteExt;

use super::super::look_alike::{self, Reaction};
use super::super::start::{OnHost, Starter};
use super::*;
use crate::host::look_alike::{HostFault, HostFaultKind, LookAlike, Streams};
use crate::host::{Ending, HostPath};
use crate::shape::{Dtype, MoeShape, Quantization, Role, Tile};
use crate::worker::protocol::{Batch, CompileTarget, LaunchShape, Unit};

/// A host whose every program says `said`, logs `logged` and then does nothing until its input ends.
fn speaking(said: Vec<u8>, logged: &'static str) -> OnHost {
    let host = LookAlike::new("spark-1".parse().unwrap(), move |_, streams| {
        let said = said.clone();
        Some(
            async move {
                let Streams { mut input, mut output, mut log } = streams;
                let _ = log.write_all(logged.as_bytes()).await;
                let _ = output.write_all(&said).await;
                let _ = tokio::io::copy(&mut input, &mut tokio::io::sink()).await;
                Ending::Exit(0)
            }
            .boxed(),
        )
    });
    OnHost::embedded(Arc::new(host), HostPath::new("/opt/python"), &HostPath::new("/cache"))
}

const HELLO: &str =
    r#"{"event":"hello","protocol":3,"python":"3.12.3","triton":null,"torch":null,"sglang":null}"#;

async fn refused(said: impl Into<Vec<u8>>) -> String {
    let error = speaking(said.into(), "the log\n").start().await.unwrap_err();
    error.to_string()
}

fn compile(names: &[&str]) -> Op {
    let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    let shape = MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0);
    let unit = |name: &&str| Unit { unit: (*name).to_owned(), ..Unit::of(Role::Up, &tile) };
    Op::Compile(Batch {
        sglang_root: "/sglang".into(),
        target: CompileTarget { arch: "sm_121a".into(), capability: 121 },
        shape: LaunchShape::new(&shape, 1),
        units: names.iter().map(unit).collect(),
        jobs: 1,
        timeout_s: 300,
        cache_dir: None,
    })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Units end after a second, but for `slow` (an hour) and `stuck` (never).
fn behaving(name: &str) -> Reaction {
    match name {
        "slow" => Reaction::Ends(seconds(3600)),
        "stuck" => Reaction::Hangs,
        _ => Reaction::Ends(seconds(1)),
    }
}

#[tokio::test(start_paused = true)]
async fn a_shells_greeting_is_no_worker_and_no_harm() {
    let greeting = "Welcome to spark-1!\n\n".repeat(45);
    let link = speaking(format!("{greeting}{HELLO}\n").into_bytes(), "").start().await.unwrap();
    assert_eq!(link.hello().python, "3.12.3");
    let error = refused(format!("{greeting}{greeting}{HELLO}\n")).await;
    assert!(error.contains("`/opt/python` did not answer as a worker"), "{error}");
    assert!(error.contains("the first 100 lines") && error.contains("| Welcome to spark-1!"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_worker_is_told_with_what_it_did_instead() {
    let error = refused("").await;
    assert!(error.contains("no hello within 60 s") && error.contains("| the log"), "{error}");
    let error = refused("usage: python\n").await;
    assert!(error.contains("no hello within 60 s") && error.contains("| usage: python"), "{error}");
    let error = refused(format!("{}\n", HELLO.replace("\"protocol\":3", "\"protocol\":1"))).await;
    assert_eq!(error, "the worker speaks protocol 1, this program 3");
    let error = refused("{\"event\":\"done\",\"id\":1}\n").await;
    assert!(error.contains("no hello but"), "{error}");
    let host =
        LookAlike::new("spark-1".parse().unwrap(), |_, _| Some(std::future::ready(Ending::Exit(3)).boxed()));
    let starter = OnHost::embedded(Arc::new(host), HostPath::new("py"), &HostPath::new(""));
    let error = starter.start().await.unwrap_err().to_string();
    assert!(error.contains("`py` did not answer as a worker: it ended at once (exit status: 3)"), "{error}");
}

/// Bounded in memory because the reader stops: it never holds more than one line.
#[tokio::test(start_paused = true)]
async fn a_line_without_end_is_refused() {
    let endless = vec![b'x'; 3 * LONGEST_LINE];
    let error = refused(endless.clone()).await;
    assert!(error.contains("a line of more than 4194304 bytes: xxx"), "{error}");
    assert!(error.len() < 1000);
    let after = [HELLO.as_bytes(), b"\n", &endless].concat();
    let mut link = speaking(after, "").start().await.unwrap();
    let error = link.device().await.unwrap_err();
    assert!(matches!(error, WorkerError::LineTooLong { .. }), "{error}");
    let mut link = speaking([HELLO, "\n{\"event\":"].concat().into_bytes(), "").start().await.unwrap();
    let line = "x".repeat(LONGEST_LINE);
    let error = link.probe(&HostPath::new(line)).await.unwrap_err();
    assert!(matches!(error, WorkerError::RequestTooLong { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn words_that_are_none_are_an_error_after_the_hello() {
    let said = [HELLO, "\nnonsense\n"].concat();
    let error = speaking(said.into_bytes(), "").start().await.unwrap().device().await.unwrap_err();
    assert_eq!(error.to_string(), "the worker sent a line that is no message: nonsense");
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_is_kept_alive_for_hours() {
    let (host, starter) = look_alike::host("spark-1", Arc::new(behaving));
    let mut link = starter.start().await.unwrap();
    tokio::time::sleep(seconds(6 * 3600)).await;
    assert_eq!(link.probe(&HostPath::new("/sglang")).await.unwrap().cpus, 2);
    link.stop().await;
    assert_eq!(host.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_request_is_waited_for_while_the_worker_answers_pings() {
    let (_, starter) = look_alike::host("spark-1", Arc::new(behaving));
    let mut link = starter.start().await.unwrap();
    let id = link.ask(compile(&["slow"])).await.unwrap();
    let message = link.answer(id, seconds(4000)).await.unwrap();
    assert!(matches!(message, Some(Message::Compiled { .. })), "{message:?}");
    assert_eq!(link.answer(id, seconds(1)).await.unwrap(), None);
    assert!(!link.is_busy());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_stands_still_is_cancelled() {
    let (_, starter) = look_alike::host("spark-1", Arc::new(behaving));
    let mut link = starter.start().await.unwrap();
    let begun = Instant::now();
    let id = link.ask(compile(&["stuck", "next"])).await.unwrap();
    let error = link.answer(id, seconds(100)).await.unwrap_err();
    assert!(matches!(error, WorkerError::Stalled { after, .. } if after == seconds(100)), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 100);
    // The worker is free again.
    let id = link.ask(compile(&["next"])).await.unwrap();
    assert!(link.answer(id, seconds(100)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_request_nobody_waits_for_is_cancelled_by_the_next() {
    let (_, starter) = look_alike::host("spark-1", Arc::new(behaving));
    let mut link = starter.start().await.unwrap();
    let id = link.ask(compile(&["slow"])).await.unwrap();
    tokio::time::timeout(seconds(1), link.answer(id, seconds(4000))).await.unwrap_err();
    assert!(link.is_busy());
    let begun = Instant::now();
    let id = link.ask(compile(&["quick"])).await.unwrap();
    assert!(link.answer(id, seconds(4000)).await.unwrap().is_some());
    assert_eq!(begun.elapsed().as_secs(), 1);
}

/// A link that goes silent at any byte of a worker's words is given up within its limit.
#[tokio::test(start_paused = true)]
async fn a_silent_link_ends_within_its_limit() {
    for after in [300, 400, 500] {
        let (host, starter) = look_alike::host("spark-1", Arc::new(behaving));
        host.expect([Some(HostFault { after, what: HostFaultKind::Silent })]);
        let mut link = starter.start().await.unwrap();
        let id = link.ask(compile(&["a", "b", "c", "slow"])).await.unwrap();
        let mut last = Instant::now();
        let error = loop {
            match link.answer(id, seconds(4000)).await {
                Ok(Some(_)) => last = Instant::now(),
                Ok(None) => panic!("it was silent"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, WorkerError::Silent { .. }) && error.is_loss(), "{error}");
        assert!(error.to_string().starts_with("the worker on spark-1 was not heard for 60 s"), "{error}");
        assert!(last.elapsed() <= seconds(60), "{after}: {:?}", last.elapsed());
        // The worker did not hear of us either, and is gone before its work is given to another.
        assert_eq!(host.running(), 0);
        drop(link);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_no_death() {
    let (host, starter) = look_alike::host("spark-1", Arc::new(behaving));
    host.expect([
        Some(HostFault { after: 300, what: HostFaultKind::Lost }),
        Some(HostFault { after: 50, what: HostFaultKind::Lost }),
        Some(HostFault { after: 300, what: HostFaultKind::Ends(Ending::Signal(9)) }),
    ]);
    let mut link = starter.start().await.unwrap();
    let id = link.ask(compile(&["a", "b", "slow"])).await.unwrap();
    let error = loop {
        if let Err(error) = link.answer(id, seconds(4000)).await {
            break error;
        }
    };
    assert_eq!(error.to_string(), "the link to the worker on spark-1 is lost: connection reset");
    // In the middle of the hello, too.
    assert!(matches!(starter.start().await.unwrap_err(), WorkerError::Lost { .. }));
    let mut link = starter.start().await.unwrap();
    let id = link.ask(compile(&["a", "b", "slow"])).await.unwrap();
    let error = loop {
        if let Err(error) = link.answer(id, seconds(4000)).await {
            break error;
        }
    };
    assert!(
        matches!(error, WorkerError::Died { ending: Ending::Signal(9), .. }) && !error.is_loss(),
        "{error}"
    );
    // Asked again, and told to stop, it still is dead and nothing else.
    assert!(link.is_gone());
    let error = link.device().await.unwrap_err();
    assert!(matches!(error, WorkerError::Died { .. }), "{error}");
    link.stop().await;
}

/// A harness that was stopped for longer than the leash finds its worker gone, and blames nothing it was at.
#[tokio::test(start_paused = true)]
async fn a_worker_that_ended_by_its_leash_is_lost_and_not_dead() {
    let said = [HELLO, "\n"].concat();
    let host = LookAlike::new("spark-1".parse().unwrap(), move |_, streams| {
        let said = said.clone();
        Some(
            async move {
                let Streams { input: _input, mut output, .. } = streams;
                let _ = output.write_all(said.as_bytes()).await;
                tokio::time::sleep(seconds(1)).await;
                Ending::Exit(LEASH_STATUS)
            }
            .boxed(),
        )
    });
    let starter = OnHost::embedded(Arc::new(host), HostPath::new("py"), &HostPath::new(""));
    let error = starter.start().await.unwrap().device().await.unwrap_err();
    assert!(matches!(error, WorkerError::Lost { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_error_shows_the_last_of_the_log() {
    let starter = speaking(Vec::new(), "first\nsecond\nthird, cut off");
    let error = starter.start().await.unwrap_err().to_string();
    assert!(error.contains("| first\n  | second"), "{error}");
}

/// A worker that does not read its input is killed when it is told to stop, not waited for.
#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_stop_is_killed() {
    let host = Arc::new(LookAlike::new("spark-1".parse().unwrap(), |_, streams| {
        Some(
            async move {
                let Streams { input: _input, mut output, .. } = streams;
                let _ = output.write_all(format!("{HELLO}\n").as_bytes()).await;
                std::future::pending().await
            }
            .boxed(),
        )
    }));
    let starter = OnHost::embedded(host.clone(), HostPath::new("py"), &HostPath::new(""));
    let link = starter.start().await.unwrap();
    let begun = Instant::now();
    link.stop().await;
    assert_eq!(begun.elapsed(), STOP_LIMIT + LOG_LIMIT.min(begun.elapsed() - STOP_LIMIT));
    tokio::task::yield_now().await;
    assert_eq!(host.running(), 0);
    // Where nobody waits for what it holds, it is not waited for either.
    let link = starter.start().await.unwrap();
    let begun = Instant::now();
    link.leave().await;
    assert!(begun.elapsed() < LEAVE_LIMIT + 2 * LOG_LIMIT);
    tokio::task::yield_now().await;
    assert_eq!(host.running(), 0);
}

/// One that says more than is read stands in its write until it is, and hears nothing meanwhile.
#[tokio::test(start_paused = true)]
async fn a_worker_that_waits_for_its_reader_hears_of_its_end() {
    let host = Arc::new(LookAlike::new("spark-1".parse().unwrap(), |_, streams| {
        Some(
            async move {
                let Streams { mut input, mut output, .. } = streams;
                let said = "{\"event\":\"timed\",\"id\":2,\"arm\":0,\"time_us\":1.0}\n".repeat(100_000);
                let _ = output.write_all(format!("{HELLO}\n{said}").as_bytes()).await;
                let _ = tokio::io::copy(&mut input, &mut tokio::io::sink()).await;
                Ending::Exit(0)
            }
            .boxed(),
        )
    }));
    let starter = OnHost::embedded(host.clone(), HostPath::new("py"), &HostPath::new(""));
    let link = starter.start().await.unwrap();
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(host.running(), 1, "it has more to say");
    let begun = Instant::now();
    link.leave().await;
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
    assert_eq!(host.running(), 0);
}
