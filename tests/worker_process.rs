//! The worker's Python as a process of this machine, behind a link: its compiler is a look-alike that sleeps, all else
//! is what runs beside a GPU. Needs `python3` alone.

#[path = "support/layer.rs"]
mod layer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use spark::host::{Ending, Here, HostPath, Variable};
use spark::shape::{Role, Tile};
use spark::worker::protocol::{CompileOutcome, CompileTarget, LaunchShape, Unit};
use spark::worker::{BatchEnd, CompileJob, CompileWorker, Keepalive, OnHost, WorkerError};

/// Set for a worker, and so for all it starts.
const MARK: &str = "SPARK_TEST_MARK";

/// The interpreter itself: what `python3` names may be a script that runs others first.
fn python() -> HostPath {
    let asked =
        std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    HostPath::new(String::from_utf8(asked.unwrap().stdout).unwrap().trim())
}

/// A worker's processes, found by what they have in their environment.
struct Mark(String);

impl Mark {
    fn new() -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        Self(format!("{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed)))
    }

    async fn start(&self, keepalive: Keepalive) -> CompileWorker {
        let package = HostPath::new(concat!(env!("CARGO_MANIFEST_DIR"), "/worker"));
        let host = Arc::new(Here::new());
        let mut starter = OnHost::module(host, python(), package, "tests.sleeping_compiler")
            .with(MARK, Variable::Set(self.0.clone()));
        starter.keepalive = keepalive;
        CompileWorker::start(Arc::new(starter), HostPath::new("/none")).await.unwrap()
    }

    /// The worker and what it started, by process id.
    fn processes(&self) -> Vec<u32> {
        let wanted = format!("{MARK}={}", self.0);
        let ids = std::fs::read_dir("/proc").unwrap();
        let ids = ids.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
        let marked = |id: &u32| {
            let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        };
        ids.filter(marked).collect()
    }

    /// The worker itself: the one that is a child of ours.
    fn worker(&self) -> u32 {
        let child = |id: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            parent == Some(&std::process::id().to_string())
        };
        self.processes().into_iter().find(child).expect("a worker")
    }

    async fn until(&self, count: usize) {
        let begun = Instant::now();
        while self.processes().len() != count {
            assert!(begun.elapsed() < Duration::from_secs(30), "{:?}, not {count}", self.processes());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn compile(worker: &mut CompileWorker, names: &[&str]) -> (BatchEnd, Vec<CompileOutcome>) {
    let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    let unit = |name: &&str| Unit { unit: (*name).to_owned(), ..Unit::of(Role::Up, &tile) };
    let units: Vec<Unit> = names.iter().map(unit).collect();
    let mut outcomes = Vec::new();
    let keep = |_: &Unit, outcome| outcomes.push(outcome);
    let end = worker.compile_batch(&job(), &units, keep).await;
    (end, outcomes)
}

fn job() -> CompileJob {
    CompileJob {
        target: CompileTarget { arch: "sm_121a".into(), capability: 121 },
        shape: LaunchShape::new(&layer::tiny(), 1),
        jobs: 2,
        timeout_s: 600,
        kernel_cache: None,
    }
}

fn signal(id: u32, name: &str) {
    assert!(std::process::Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

/// Two units under way: the worker, its guardian, two children and what these wait for.
const COMPILING: usize = 6;

#[tokio::test]
async fn a_batch_given_up_is_cancelled_and_a_stopped_worker_leaves_nothing() {
    let mark = Mark::new();
    let mut worker = mark.start(Keepalive::default()).await;
    tokio::select! {
        (end, _) = compile(&mut worker, &["a", "b", "c"]) => panic!("{end:?}"),
        () = mark.until(COMPILING) => {}
    }
    let process = mark.worker();
    let (end, outcomes) = compile(&mut worker, &["quick"]).await;
    assert!(
        matches!((&end, outcomes.as_slice()), (BatchEnd::Done, [CompileOutcome::Compiled(_)])),
        "{end:?}"
    );
    mark.until(2).await;
    assert_eq!(mark.worker(), process, "the worker was replaced");
    tokio::select! {
        (end, _) = compile(&mut worker, &["a", "b"]) => panic!("{end:?}"),
        () = mark.until(COMPILING) => {}
    }
    let begun = Instant::now();
    worker.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(9), "it was killed and not asked");
    mark.until(0).await;
}

/// It sends no pings, as a harness does that is gone behind a connection that stays open.
#[tokio::test]
async fn a_worker_whose_harness_is_gone_ends_and_leaves_no_process() {
    let mark = Mark::new();
    let seconds = Duration::from_secs;
    let mut worker =
        mark.start(Keepalive { leash: seconds(5), ping: seconds(3600), silence: seconds(3600) }).await;
    let begun = Instant::now();
    let (end, _) = compile(&mut worker, &["a", "b"]).await;
    // The worker is not to blame and neither is a unit.
    assert!(matches!(&end, BatchEnd::Lost { why: WorkerError::Lost { .. }, .. }), "{end:?}");
    let took = begun.elapsed();
    assert!(took > seconds(4) && took < seconds(15), "{took:?}");
    mark.until(0).await;
}

/// The pings keep it alive through a leash that is over many times.
#[tokio::test]
async fn a_worker_that_is_waited_for_lives() {
    let mark = Mark::new();
    let seconds = Duration::from_secs;
    let keepalive = Keepalive { leash: seconds(3), ping: Duration::from_millis(300), silence: seconds(60) };
    let mut worker = mark.start(keepalive).await;
    tokio::select! {
        (end, _) = compile(&mut worker, &["a", "b"]) => panic!("{end:?}"),
        () = tokio::time::sleep(seconds(10)) => {}
    }
    assert!(matches!(compile(&mut worker, &["quick"]).await.0, BatchEnd::Done));
    worker.stop().await;
    mark.until(0).await;
}

#[tokio::test]
async fn a_worker_that_stands_still_is_silent_and_one_that_is_killed_is_dead() {
    let mark = Mark::new();
    let seconds = Duration::from_secs;
    let keepalive = Keepalive { leash: seconds(600), ping: Duration::from_millis(300), silence: seconds(3) };
    let mut worker = mark.start(keepalive).await;
    for (name, silent) in [("-STOP", true), ("-KILL", false)] {
        let harm = async {
            mark.until(COMPILING).await;
            signal(mark.worker(), name);
        };
        let ((end, _), ()) = tokio::join!(compile(&mut worker, &["a", "b"]), harm);
        match end {
            BatchEnd::Lost { why: WorkerError::Silent { .. }, .. } => assert!(silent),
            BatchEnd::Died { suspects, ending: Ending::Signal(9), .. } => {
                assert!(!silent);
                assert_eq!(suspects, ["a", "b"]);
            }
            end => panic!("{name}: {end:?}"),
        }
        // What it ran is ended by its guardian, whether it died or was killed for its silence.
        mark.until(0).await;
    }
}

#[tokio::test]
async fn long_lines_are_read_and_endless_requests_refused() {
    let mark = Mark::new();
    let mut worker = mark.start(Keepalive::default()).await;
    let (end, outcomes) = compile(&mut worker, &["long", "quick"]).await;
    assert!(matches!(end, BatchEnd::Done), "{end:?}");
    let long = outcomes.iter().filter_map(CompileOutcome::failed).map(|said| said.len()).max();
    assert!(long > Some(1 << 20));
    let endless = "x".repeat(5 << 20);
    let (end, _) = compile(&mut worker, &[&endless]).await;
    assert!(matches!(end, BatchEnd::Refused(WorkerError::RequestTooLong { .. })), "{end:?}");
    assert!(matches!(compile(&mut worker, &["quick"]).await.0, BatchEnd::Done));
    worker.stop().await;
    mark.until(0).await;
}
