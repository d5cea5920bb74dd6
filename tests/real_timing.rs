//! The harness's timer against the worker's measuring half: SGLang's real kernel in Triton's interpreter, on
//! a look-alike of a GPU that can hang, die and lie.
//!
//! Ignored by default: it needs a Python with torch, Triton 3.5.0 and numpy in SPARK_TORCH_PYTHON.

#[path = "support/layer.rs"]
mod layer;
#[path = "support/real.rs"]
mod real;

use std::sync::Arc;
use std::time::Duration;

use spark::host::{Here, HostPath, Variable};
use spark::runtime::{Runtime, Target};
use spark::shape::Tile;
use spark::worker::protocol::LaunchShape;
use spark::worker::protocol::{ArmOutcome, Preparation, TimedArm, TimedRouting, TimingRequest};
use spark::worker::timing::{GpuTimer, Timed, Timer};
use spark::worker::{OnHost, WorkerError};

const TILE: Tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
const WIDE: Tile = Tile { block_size_n: 64, ..TILE };

async fn start(trick: &str) -> Result<GpuTimer, WorkerError> {
    let python = std::env::var("SPARK_TORCH_PYTHON").expect("SPARK_TORCH_PYTHON names a Python with torch");
    let environment = real::environment(Target::of(Runtime::Sglang054)).await;
    let package_dir = HostPath::new(concat!(env!("CARGO_MANIFEST_DIR"), "/worker"));
    let starter =
        OnHost::module(Arc::new(Here::new()), HostPath::new(python), package_dir, "tests.lookalike")
            .with("TRITON_INTERPRET", Variable::Set("1".into()))
            .with("SPARK_LOOKALIKE_TRICK", Variable::Set(trick.into()));
    let preparation = Preparation {
        sglang_root: environment.package_root.to_string(),
        runtime: Runtime::Sglang054.name().to_owned(),
        shape: LaunchShape::new(&layer::tiny(), 1),
        fused_shared_experts: 0,
        max_tokens: 64,
        seed: 0,
        cache_dir: None,
    };
    GpuTimer::start(Arc::new(starter), preparation, Duration::from_secs(20)).await
}

fn request(order: &[u16]) -> TimingRequest {
    TimingRequest {
        batch_size: 8,
        routing: TimedRouting { kind: "skewed", seed: 3 },
        arms: vec![
            TimedArm::Up { config: TILE.with_group(1) },
            TimedArm::Down { config: WIDE.with_group(16) },
            TimedArm::Path { up: TILE.with_group(1), down: WIDE.with_group(1) },
        ],
        order: order.to_vec(),
        warm_up: 1,
        abort_above_us: None,
    }
}

async fn time(trick: &str, order: &[u16]) -> Result<Timed, WorkerError> {
    let mut timer = start(trick).await?;
    let timed = timer.time(&request(order)).await;
    timer.stop().await;
    timed
}

#[tokio::test]
#[ignore = "needs a Python with torch"]
async fn every_run_has_its_time_in_order() {
    let timed = time("none", &[0, 1, 2, 2, 1, 0]).await.unwrap();
    assert_eq!(timed.times_us.len(), 6);
    assert!(timed.times_us.iter().all(|time| time.is_some_and(|us| us > 0.0)), "{timed:?}");
    assert!(timed.failures.is_empty());
}

#[tokio::test]
#[ignore = "needs a Python with torch"]
async fn wrong_results_have_no_time() {
    let timed = time("perturb", &[0, 1]).await.unwrap();
    assert_eq!(timed.times_us, [None, None]);
    assert!(timed.failures.iter().all(|it| it.1 == ArmOutcome::WrongResult), "{timed:?}");
    assert_eq!(timed.failures.len(), 2);
}

/// The look-alike hangs on whatever it is asked: both arms fall out, each alone.
#[tokio::test]
#[ignore = "needs a Python with torch"]
async fn what_hangs_is_killed_and_left_out() {
    let timed = time("hang", &[0, 1]).await.unwrap();
    assert_eq!(timed.times_us, [None, None]);
    let mut outcomes: Vec<_> = timed.failures.iter().map(|it| (it.0, it.1)).collect();
    outcomes.sort_by_key(|it| it.0);
    assert_eq!(outcomes, [(0, ArmOutcome::TimedOut), (1, ArmOutcome::TimedOut)]);
}

#[tokio::test]
#[ignore = "needs a Python with torch"]
async fn what_kills_two_workers_is_given_up() {
    let timed = time("illegal", &[0, 0, 1]).await.unwrap();
    assert_eq!(timed.times_us, [None, None, None]);
    assert!(timed.failures.iter().all(|it| it.1 == ArmOutcome::WorkerLost), "{timed:?}");
    assert!(timed.failures[0].2.contains("illegal memory access"), "{}", timed.failures[0].2);
}

#[tokio::test]
#[ignore = "needs a Python with torch"]
async fn too_little_memory_says_how_much_was_wanted() {
    let error = start("crowded").await.unwrap_err().to_string();
    assert!(error.contains("bytes wanted, 1000 free"), "{error}");
}

#[tokio::test]
#[ignore = "needs a Python with torch"]
async fn a_time_that_is_none_is_an_error() {
    for trick in ["nan", "zero"] {
        let error = time(trick, &[0]).await.unwrap_err().to_string();
        assert!(error.contains("which is no time"), "{error}");
    }
}
