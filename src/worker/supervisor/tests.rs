//! Batches against workers that die, hang and get lost.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::super::look_alike::{self, Fate};
use super::super::protocol::{CompileTarget, LaunchShape};
use super::*;
use crate::host::Ending;
use crate::host::look_alike::{LookAlike, Trouble, TroubleKind};
use crate::shape::{Dtype, MoeShape, Quantization, Role, Tile};

fn unit(name: &str) -> Unit {
    let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    Unit { unit: name.to_owned(), ..Unit::of(Role::Up, &tile) }
}

fn units(names: &[&str]) -> Vec<Unit> {
    names.iter().map(|name| unit(name)).collect()
}

fn job() -> CompileJob {
    CompileJob {
        target: CompileTarget { arch: "sm_121a".into(), capability: 121 },
        shape: LaunchShape::new(&MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0), 1),
        jobs: 1,
        timeout_s: 300,
        kernel_cache: None,
    }
}

/// Units end after a second; the `killer` takes its worker along, `stuck` never ends.
fn behaving(name: &str) -> Fate {
    match name {
        "killer" => Fate::Kills(Ending::Signal(11)),
        "stuck" => Fate::Hangs,
        _ => Fate::Ends(Duration::from_secs(1)),
    }
}

async fn worker() -> (Arc<LookAlike>, CompileWorker) {
    let (host, starter) = look_alike::host("spark-1", Arc::new(behaving));
    let worker = CompileWorker::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
    (host, worker)
}

async fn supervised() -> (Arc<LookAlike>, Supervised) {
    let (host, worker) = worker().await;
    (host, Supervised { worker })
}

async fn compile(
    compiler: &mut Supervised,
    names: &[&str],
) -> Result<BTreeMap<String, CompileOutcome>, WorkerError> {
    let mut outcomes = BTreeMap::new();
    let mut keep = |unit: &Unit, outcome| {
        assert!(outcomes.insert(unit.unit.clone(), outcome).is_none(), "{} came twice", unit.unit);
        Ok(())
    };
    compiler.compile(&job(), &units(names), &mut keep).await?;
    Ok(outcomes)
}

fn names_of(outcomes: &BTreeMap<String, CompileOutcome>) -> Vec<&str> {
    outcomes.keys().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_killer_is_given_up() {
    let (_, mut compiler) = supervised().await;
    let outcomes = compile(&mut compiler, &["a", "killer", "b", "c"]).await.unwrap();
    assert_eq!(names_of(&outcomes), ["a", "b", "c", "killer"]);
    for (name, outcome) in outcomes {
        match outcome {
            CompileOutcome::Compiled(_) => assert_ne!(name, "killer"),
            CompileOutcome::Failed(failure) => {
                assert_eq!((name.as_str(), failure.reason), ("killer", FailureReason::WorkerLost));
                // Twice with the others, of whom one was to blame; then alone.
                assert!(failure.message.starts_with("3 workers died on it, last signal: 11"), "{failure:?}");
            }
        }
    }
}

/// Wherever the link breaks, and however, every unit is compiled once and none is blamed.
#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_costs_no_unit_its_name() {
    for what in [TroubleKind::Lost, TroubleKind::Silent] {
        for after in (0..900).step_by(25) {
            let (host, starter) = look_alike::host("spark-1", Arc::new(behaving));
            let breaks = Some(Trouble { after, what: what.clone() });
            // The first worker is for the probe; then it breaks as often as a death would be held against a unit.
            host.expect([None, breaks.clone(), breaks]);
            let mut compiler = Supervised::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
            compiler.worker.stop_link().await;
            let outcomes = compile(&mut compiler, &["a", "b", "c", "d"]).await.unwrap();
            assert_eq!(names_of(&outcomes), ["a", "b", "c", "d"]);
            assert!(outcomes.values().all(|outcome| matches!(outcome, CompileOutcome::Compiled(_))));
            // Every worker beyond a broken link ends by itself.
            compiler.stop().await;
            tokio::time::sleep(Duration::from_secs(31)).await;
            assert_eq!(host.running(), 0, "{what:?} after {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_always_breaks_is_an_error_and_no_loop() {
    let (host, mut compiler) = supervised().await;
    compiler.worker.stop_link().await;
    host.expect((0..9).map(|_| Some(Trouble { after: 200, what: TroubleKind::Lost })));
    let error = compile(&mut compiler, &["a"]).await.unwrap_err();
    assert!(matches!(error, WorkerError::Lost { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_with_an_account() {
    let (host, mut worker) = worker().await;
    let told = Mutex::new(Vec::new());
    let tell = |unit: &Unit, _| {
        told.lock().unwrap().push(unit.unit.clone());
        Ok(())
    };
    assert!(matches!(worker.compile_batch(&job(), &units(&["a", "b"]), tell).await, BatchEnd::Done));
    let end = worker.compile_batch(&job(), &units(&["c", "killer", "d"]), tell).await;
    let BatchEnd::Died { suspects, ending: Ending::Signal(11), .. } = end else { panic!("{end:?}") };
    assert_eq!(suspects, ["killer", "d"]);
    let end = worker.compile_batch(&job(), &units(&["e", "stuck"]), tell).await;
    assert!(matches!(end, BatchEnd::Lost { why: WorkerError::Stalled { .. } }), "{end:?}");
    host.expect([Some(Trouble { after: 0, what: TroubleKind::Unreachable })]);
    let end = worker.compile_batch(&job(), &units(&["f"]), tell).await;
    assert!(matches!(end, BatchEnd::Lost { why: WorkerError::Host(_) }), "{end:?}");
    let refuse = |_: &Unit, _| Err(WorkerError::OtherProtocol { found: 9 }.into());
    let end = worker.compile_batch(&job(), &units(&["g"]), refuse).await;
    assert!(matches!(end, BatchEnd::Refused(WorkerError::Reader(_))), "{end:?}");
    assert!(matches!(worker.compile_batch(&job(), &[], tell).await, BatchEnd::Done));
    host.kill_all();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Nobody had asked the worker for anything when it died.
    assert!(matches!(worker.compile_batch(&job(), &[unit("h")], tell).await, BatchEnd::Done));
    assert_eq!(*told.lock().unwrap(), ["a", "b", "c", "e", "h"]);
}

/// A node's task owns its worker and is moved between threads.
#[tokio::test(start_paused = true)]
async fn a_batch_can_be_compiled_in_a_task() {
    let (_, mut worker) = worker().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let (job, units) = (job(), units(&["a", "b"]));
        let end = worker.compile_batch(&job, &units, |unit, _| {
            let _ = tell.send(unit.unit.clone());
            Ok(())
        });
        matches!(end.await, BatchEnd::Done)
    });
    assert_eq!((told.recv().await.unwrap(), told.recv().await.unwrap()), ("a".to_owned(), "b".to_owned()));
    assert!(task.await.unwrap());
}
