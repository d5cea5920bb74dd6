//! Timing against workers whose GPU hangs, dies, or gets lost with its node.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::super::look_alike::{self, Behaviour, Reaction};
use super::super::protocol::{LaunchShape, TimedRouting};
use super::*;
use crate::host::Ending;
use crate::host::look_alike::{HostFault, HostFaultKind, LookAlike};
use crate::shape::{Dtype, MoeShape, Quantization, Tile};

const RUN_TIMEOUT: Duration = Duration::from_secs(20);

async fn timer(behaviour: Behaviour, faults: Vec<Option<HostFault>>) -> (Arc<LookAlike>, GpuTimer) {
    let (host, starter) = look_alike::host("spark-1", behaviour);
    host.expect(faults);
    let preparation = Preparation {
        sglang_root: "/sglang".into(),
        runtime: "sglang-0.5.4.post2".into(),
        shape: LaunchShape::new(&MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0), 1),
        fused_shared_experts: 0,
        max_tokens: 64,
        seed: 0,
        cache_dir: None,
    };
    let timer = GpuTimer::start(Arc::new(starter), preparation, RUN_TIMEOUT).await.unwrap();
    (host, timer)
}

fn request() -> TimingRequest {
    let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    let config = tile.with_group(1);
    TimingRequest {
        batch_size: 8,
        routing: TimedRouting { kind: "skewed", seed: 3 },
        arms: vec![TimedArm::Up { config }, TimedArm::Down { config }],
        order: vec![0, 1, 1, 0],
        warm_up: 1,
        abort_above_us: None,
    }
}

fn after(seconds: u64) -> Reaction {
    Reaction::Ends(Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn an_arm_that_hangs_falls_out_and_the_others_are_timed() {
    let hangs = |name: &str| if name == "arm 1" { Reaction::Hangs } else { after(1) };
    let (_, mut timer) = timer(Arc::new(hangs), Vec::new()).await;
    let timed = timer.time(&request()).await.unwrap();
    assert_eq!(timed.times_us, [Some(10.0), None, None, Some(10.0)]);
    assert_eq!(timed.failures, [(1, ArmOutcome::TimedOut, "no answer within 20 s".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn an_arm_that_kills_two_workers_falls_out() {
    let kills = |name: &str| if name == "arm 1" { Reaction::Kills(Ending::Exit(3)) } else { after(1) };
    let (_, mut timer) = timer(Arc::new(kills), Vec::new()).await;
    let timed = timer.time(&request()).await.unwrap();
    assert_eq!(timed.times_us, [Some(10.0), None, None, Some(10.0)]);
    assert_eq!(timed.failures[0].1, ArmOutcome::WorkerLost);
}

/// Where workers die on whatever they do, it is none of the arms': whoever asked hears of a death, and no arm is known
/// for it on the next worker.
#[tokio::test(start_paused = true)]
async fn a_node_whose_workers_die_on_every_arm_costs_no_arm_its_name() {
    let sick = Arc::new(AtomicBool::new(true));
    let is_sick = sick.clone();
    let dies = move |_: &str| match is_sick.load(Ordering::Relaxed) {
        true => Reaction::Kills(Ending::Signal(9)),
        false => after(1),
    };
    let (_, mut timer) = timer(Arc::new(dies), Vec::new()).await;
    let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    let many = TimingRequest {
        arms: [1, 16, 32, 64, 8, 4].map(|group| TimedArm::Up { config: tile.with_group(group) }).into(),
        order: (0..6).collect(),
        ..request()
    };
    for request in [&request(), &many] {
        let error = timer.time(request).await.unwrap_err();
        assert!(matches!(error, WorkerError::Died { ending: Ending::Signal(9), .. }), "{error}");
    }
    sick.store(false, Ordering::Relaxed);
    for request in [&request(), &many] {
        let timed = timer.time(request).await.unwrap();
        assert_eq!((timed.times_us, timed.failures), (vec![Some(10.0); request.order.len()], Vec::new()));
    }
}

/// Whoever kills its worker is found, as long as others are timed: how many they are says nothing.
#[tokio::test(start_paused = true)]
async fn killers_that_stand_together_fall_out_together() {
    let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    for (killers, of) in [(3, 4), (7, 16), (15, 32)] {
        let kills = move |name: &str| match name["arm ".len()..].parse::<usize>() {
            Ok(arm) if arm < killers => Reaction::Kills(Ending::Exit(3)),
            _ => after(1),
        };
        let (_, mut timer) = timer(Arc::new(kills), Vec::new()).await;
        let arms = (0..of).map(|group| TimedArm::Up { config: tile.with_group(1 + group) }).collect();
        let order = (0..of as u16).collect();
        let timed = timer.time(&TimingRequest { arms, order, ..request() }).await.unwrap();
        let expected: Vec<_> = (0..of as usize).map(|arm| (arm >= killers).then_some(10.0)).collect();
        assert_eq!(timed.times_us, expected);
        assert!(timed.failures.iter().all(|(_, outcome, _)| *outcome == ArmOutcome::WorkerLost));
        assert_eq!(timed.failures.len(), killers);
    }
}

/// Twice lost or silent in the middle of the same arm: as often as kills it where a worker dies.
#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_costs_no_arm_its_name() {
    for what in [HostFaultKind::Lost, HostFaultKind::Silent] {
        let breaks = Some(HostFault { after: 250, what });
        let (host, mut timer) = timer(Arc::new(|_: &str| after(15)), vec![breaks.clone(), breaks]).await;
        let timed = timer.time(&request()).await.unwrap();
        assert_eq!(timed.times_us, [Some(10.0); 4]);
        assert_eq!((timed.failures, timed.replaced), (Vec::new(), 2));
        assert_eq!(timer.time(&request()).await.unwrap().replaced, 0);
        timer.stop().await;
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(host.running(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_always_breaks_is_an_error_and_no_loop() {
    let breaks = Some(HostFault { after: 250, what: HostFaultKind::Lost });
    let (_, mut timer) = timer(Arc::new(|_: &str| after(1)), vec![breaks; 9]).await;
    let error = timer.time(&request()).await.unwrap_err();
    assert!(matches!(error, WorkerError::Lost { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_measurement_given_up_is_not_what_the_next_one_waits_for() {
    let (host, mut timer) = timer(Arc::new(|_: &str| after(15)), Vec::new()).await;
    tokio::time::timeout(Duration::from_secs(5), timer.time(&request())).await.unwrap_err();
    assert_eq!(timer.time(&request()).await.unwrap().times_us, [Some(10.0); 4]);
    assert_eq!(host.running(), 1);
}

/// Nobody asked for the arm, so nobody's name suffers: it is the worker that is no use.
#[tokio::test(start_paused = true)]
async fn a_word_about_an_arm_that_was_not_asked_for_is_an_error() {
    for said in [
        json!({"event": "starting", "arm": 2}),
        json!({"event": "timed", "arm": 2, "time_us": 1.0}),
        json!({"event": "arm_failed", "arm": u16::MAX, "outcome": "wrong_result", "message": "off"}),
    ] {
        let line = said.clone();
        let says = move |name: &str| if name == "arm 1" { Reaction::Says(line.clone()) } else { after(1) };
        let (_, mut timer) = timer(Arc::new(says), Vec::new()).await;
        let error = timer.time(&request()).await.unwrap_err();
        assert!(
            matches!(&error, WorkerError::Garbled { line } if line.contains("of a request with 2 arms")),
            "{said}: {error}"
        );
    }
}

/// Order 0, 1, 1, 0. A time that is none, one too many, one of another arm, or `done` with runs missing: the worker is no
/// use, and nothing it said counts.
#[tokio::test(start_paused = true)]
async fn times_that_are_none_and_runs_out_of_turn_are_errors() {
    let timed = |arm: u16, time_us: f64| json!({"event": "timed", "arm": arm, "time_us": time_us});
    for (of, said, complaint) in [
        ("arm 1", timed(1, 0.0), "0 microseconds as a time of arm 1"),
        ("arm 1", timed(1, -4.5), "-4.5 microseconds as a time of arm 1"),
        ("arm 1", timed(0, 10.0), "a time of arm 0, where arm 1 was to be timed"),
        ("arm 0", json!({"event": "done", "ok": true}), "`done` before a run of arm 0 was timed"),
        ("arm 1", json!({"event": "done", "ok": true}), "`done` before a run of arm 1 was timed"),
    ] {
        let line = said.clone();
        let says = move |name: &str| if name == of { Reaction::Says(line.clone()) } else { after(1) };
        let (_, mut timer) = timer(Arc::new(says), Vec::new()).await;
        let error = timer.time(&request()).await.unwrap_err();
        assert!(matches!(&error, WorkerError::Garbled { line } if line == complaint), "{said}: {error}");
    }
    // JSON has no number for NaN or infinity: what is written instead is no message, as one of that arm's doing.
    for none in [json!("NaN"), json!(null)] {
        let line = json!({"event": "timed", "arm": 1, "time_us": none});
        let says = move |name: &str| if name == "arm 1" { Reaction::Says(line.clone()) } else { after(1) };
        let (_, mut timer) = timer(Arc::new(says), Vec::new()).await;
        let timed = timer.time(&request()).await.unwrap();
        assert_eq!(timed.times_us, [Some(10.0), None, None, Some(10.0)]);
        let [(1, ArmOutcome::WorkerLost, why)] = &timed.failures[..] else { panic!("{:?}", timed.failures) };
        assert!(why.contains("no message"), "{why}");
    }
}

/// An arm that fell out is not waited for, and a run too slow is the last of its arm.
#[tokio::test(start_paused = true)]
async fn runs_of_arms_that_fell_out_are_not_missed() {
    let failed = json!({"event": "arm_failed", "arm": 1, "outcome": "wrong_result", "message": "off"});
    let says = move |name: &str| if name == "arm 1" { Reaction::Says(failed.clone()) } else { after(1) };
    let (_, mut one_off) = timer(Arc::new(says), Vec::new()).await;
    // Both runs of it are answered by its failure here; a worker says so once.
    let timed = one_off.time(&TimingRequest { order: vec![0, 1, 0], ..request() }).await.unwrap();
    assert_eq!(timed.times_us, [Some(10.0), None, Some(10.0)]);
    assert_eq!(timed.failures, [(1, ArmOutcome::WrongResult, "off".to_owned())]);
    let (_, mut slow) = timer(Arc::new(|_: &str| after(1)), Vec::new()).await;
    let limited = TimingRequest { order: vec![0, 1, 1, 0], abort_above_us: Some(9.0), ..request() };
    assert_eq!(slow.time(&limited).await.unwrap().times_us, [Some(10.0), Some(10.0), None, None]);
    // Rounded, a time says nothing of what the worker held against the limit: it was a little above.
    let (_, mut rounded) = timer(Arc::new(|_: &str| after(1)), Vec::new()).await;
    let limited = TimingRequest { abort_above_us: Some(10.0), ..limited };
    assert_eq!(rounded.time(&limited).await.unwrap().times_us, [Some(10.0), Some(10.0), None, None]);
}

/// Its answer says that another worker took its place, which nobody else hears of.
#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_between_two_requests_is_replaced_and_told_of() {
    let (host, mut timer) = timer(Arc::new(|_: &str| after(1)), Vec::new()).await;
    assert_eq!(timer.time(&request()).await.unwrap().replaced, 0);
    host.kill_all();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let timed = timer.time(&request()).await.unwrap();
    assert_eq!((timed.times_us, timed.replaced), (vec![Some(10.0); 4], 1));
}

/// It dies while it is made ready: no arm is blamed, whoever asked hears of it at once, and may ask again.
#[tokio::test(start_paused = true)]
async fn a_death_that_is_no_arms_doing_is_told_at_once_and_the_next_worker_times() {
    let (host, mut timer) = timer(Arc::new(|_: &str| after(1)), Vec::new()).await;
    host.kill_all();
    tokio::time::sleep(Duration::from_secs(1)).await;
    host.expect([Some(HostFault { after: 120, what: HostFaultKind::Ends(Ending::Signal(9)) })]);
    let error = timer.time(&request()).await.unwrap_err();
    assert!(matches!(error, WorkerError::Died { ending: Ending::Signal(9), .. }), "{error}");
    let timed = timer.time(&request()).await.unwrap();
    assert_eq!((timed.times_us, timed.failures), (vec![Some(10.0); 4], Vec::new()));
}
