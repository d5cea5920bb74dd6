//! Batches on a worker that dies, hangs and gets lost.

use std::sync::Mutex;

use super::super::look_alike::{self, Reaction};
use super::super::protocol::{CompileTarget, LaunchShape};
use super::*;
use crate::host::look_alike::{HostFault, HostFaultKind, LookAlike};
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
fn behaving(name: &str) -> Reaction {
    match name {
        "killer" => Reaction::Kills(Ending::Signal(11)),
        "stuck" => Reaction::Hangs,
        _ => Reaction::Ends(Duration::from_secs(1)),
    }
}

async fn worker() -> (Arc<LookAlike>, CompileWorker) {
    let (host, starter) = look_alike::host("spark-1", Arc::new(behaving));
    let worker = CompileWorker::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
    (host, worker)
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_with_an_account() {
    let (host, mut worker) = worker().await;
    assert_eq!(worker.on().to_string(), "spark-1");
    let told = Mutex::new(Vec::new());
    let tell = |unit: &Unit, _| told.lock().unwrap().push(unit.unit.clone());
    assert!(matches!(worker.compile_batch(&job(), &units(&["a", "b"]), tell).await, BatchEnd::Done));
    let end = worker.compile_batch(&job(), &units(&["c", "killer", "d"]), tell).await;
    let BatchEnd::Died { suspects, ending: Ending::Signal(11), .. } = end else { panic!("{end:?}") };
    assert_eq!(suspects, ["killer", "d"]);
    let end = worker.compile_batch(&job(), &units(&["e", "stuck"]), tell).await;
    let BatchEnd::Lost { left, why: WorkerError::Stalled { .. } } = end else { panic!("{end:?}") };
    assert_eq!(left, ["stuck"]);
    host.expect([Some(HostFault { after: 0, what: HostFaultKind::Unreachable })]);
    let end = worker.compile_batch(&job(), &units(&["f"]), tell).await;
    let BatchEnd::Lost { left, why: WorkerError::Host(_) } = end else { panic!("{end:?}") };
    assert_eq!(left, ["f"]);
    assert!(matches!(worker.compile_batch(&job(), &[], tell).await, BatchEnd::Done));
    host.kill_all();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Nobody had asked the worker for anything when it died.
    assert!(matches!(worker.compile_batch(&job(), &[unit("g")], tell).await, BatchEnd::Done));
    assert_eq!(*told.lock().unwrap(), ["a", "b", "c", "e", "g"]);
}

/// What it says of units nobody asked about harms nobody, nor does a second word; one that is never spoken of is no
/// result, and the worker is no use.
#[tokio::test(start_paused = true)]
async fn answers_for_other_units_twice_or_never_give_no_unit_a_result_that_is_not_its_own() {
    let says = |name: &str| {
        let of = |unit: &str| {
            let mut line = serde_json::json!({"event": "compiled", "unit": unit});
            let outcome = serde_json::to_value(look_alike::compiled()).unwrap();
            line.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
            Reaction::Says(line)
        };
        match name {
            "twin" => of("a"),
            "stranger" => of("nobody"),
            _ => behaving(name),
        }
    };
    for liar in ["twin", "stranger"] {
        let (_, starter) = look_alike::host("spark-1", Arc::new(says));
        let mut worker = CompileWorker::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
        let mut told = Vec::new();
        let tell = |unit: &Unit, _| told.push(unit.unit.clone());
        let end = worker.compile_batch(&job(), &units(&["a", liar, "b"]), tell).await;
        let BatchEnd::Refused(WorkerError::Garbled { line }) = &end else { panic!("{liar}: {end:?}") };
        assert!(line.contains("before every unit ended"), "{line}");
        assert_eq!(told, ["a", "b"], "{liar}");
        // The next batch gets another worker.
        let end = worker.compile_batch(&job(), &units(&["c"]), |_, _| {}).await;
        assert!(matches!(end, BatchEnd::Done), "{end:?}");
    }
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
        });
        matches!(end.await, BatchEnd::Done)
    });
    assert_eq!((told.recv().await.unwrap(), told.recv().await.unwrap()), ("a".to_owned(), "b".to_owned()));
    assert!(task.await.unwrap());
}
