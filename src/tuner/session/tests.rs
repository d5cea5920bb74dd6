//! A fleet of one node with a real executor, whose workers die and get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::gpu::TimingHalf;
use super::worker_executor::WorkerExecutor;
use super::*;
use crate::events::{NodeEvent, Silent, What};
use crate::host::look_alike::{HostFault, HostFaultKind, LookAlike};
use crate::host::{Ending, HostPath};
use crate::host_name::HostName;
use crate::shape::{Dtype, MoeShape, Quantization, Role, Tile};
use crate::tuner::fleet::executor::{Executor as _, Trouble};
use crate::tuner::schedule::Able;
use crate::worker::look_alike::{self, Reaction};
use crate::worker::protocol::{
    CompileTarget, FailureReason, Preparation, TimedArm, TimedRouting, TimingRequest,
};
use crate::worker::timing::GpuTimer;
use crate::worker::{CompileJob, CompileWorker, WorkerError};

mod travel;

fn units(names: &[&str]) -> Vec<Unit> {
    let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    names.iter().map(|name| Unit { unit: (*name).to_owned(), ..Unit::of(Role::Up, &tile) }).collect()
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

/// More bytes than a worker says from its hello to the end of a batch of two.
const A_BATCH: u64 = 900;

/// Units end after a second; the `killer` takes its worker along.
fn behaving(name: &str) -> Reaction {
    match name {
        "killer" => Reaction::Kills(Ending::Signal(11)),
        _ => Reaction::Ends(Duration::from_secs(1)),
    }
}

/// A worker that probed its kernel and ended since: the next batch starts the first of those that `faults` befall.
async fn worker(faults: impl IntoIterator<Item = HostFault>) -> (Arc<LookAlike>, CompileWorker) {
    let (host, starter) = look_alike::host("spark-1", Arc::new(behaving));
    let worker = CompileWorker::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
    host.kill_all();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(host.running(), 0);
    host.expect(faults.into_iter().map(Some));
    (host, worker)
}

/// What the fleet of that one node makes of units with these names.
async fn compile(
    worker: CompileWorker,
    names: &[&str],
) -> Result<BTreeMap<String, CompileOutcome>, RunError> {
    let node = Node {
        name: worker.on().clone(),
        able: Able { jobs: 1, times: false },
        compiler: worker.identity().clone(),
        gpu: None,
        kept: None,
        lasting: true,
        waits: None,
        store: None,
        executor: Box::new(WorkerExecutor::new(worker, TimingHalf::None, job(), None)),
    };
    let mut fleet = Fleet::assemble(vec![node], "sm_121a", CancellationToken::new());
    let mut ledger = Ledger { run: None, observer: &mut Silent };
    let outcomes = fleet.outcomes(units(names), &mut ledger).await;
    fleet.close(ledger).await;
    outcomes
}

fn names_of(outcomes: &BTreeMap<String, CompileOutcome>) -> Vec<&str> {
    outcomes.keys().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_killer_is_given_up() {
    let (_, worker) = worker([]).await;
    let outcomes = compile(worker, &["a", "killer", "b", "c"]).await.unwrap();
    assert_eq!(names_of(&outcomes), ["a", "b", "c", "killer"]);
    for (name, outcome) in outcomes {
        match outcome {
            CompileOutcome::Compiled(_) => assert_ne!(name, "killer"),
            CompileOutcome::Failed(failure) => {
                assert_eq!((name.as_str(), failure.reason), ("killer", FailureReason::WorkerLost));
                // Once with two others, of whom one was to blame; then twice alone.
                assert!(failure.message.starts_with("3 workers died on it, last: "), "{failure:?}");
                assert!(failure.message.contains("signal: 11"), "{failure:?}");
            }
        }
    }
}

/// As many as may be before the node itself looks like the reason.
#[tokio::test(start_paused = true)]
async fn five_killers_are_told_from_a_node_where_no_worker_lives() {
    let kills = |name: &str| match name.starts_with("killer") {
        true => Reaction::Kills(Ending::Signal(11)),
        false => Reaction::Ends(Duration::from_secs(1)),
    };
    let (_, starter) = look_alike::host("spark-1", Arc::new(kills));
    let worker = CompileWorker::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
    let names = ["killer 1", "a", "killer 2", "b", "killer 3", "c", "killer 4", "d", "killer 5"];
    let outcomes = compile(worker, &names).await.unwrap();
    assert_eq!(outcomes.len(), names.len());
    for (name, outcome) in outcomes {
        assert_eq!(matches!(outcome, CompileOutcome::Failed(_)), name.starts_with("killer"), "{name}");
    }
}

/// A thousand kernels would go through two thousand workers. The one that is given up names how the last of them ended.
#[tokio::test(start_paused = true)]
async fn a_node_whose_workers_always_die_is_given_up() {
    let deaths = Arc::new(AtomicU32::new(0));
    let counted = deaths.clone();
    let kills = move |_: &str| {
        counted.fetch_add(1, Ordering::Relaxed);
        Reaction::Kills(Ending::Signal(9))
    };
    let (host, starter) = look_alike::host("spark-1", Arc::new(kills));
    let worker = CompileWorker::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
    let names: Vec<String> = (0..1000).map(|at| format!("unit {at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = compile(worker, &names).await.unwrap_err();
    assert!(
        matches!(&error, RunError::Worker(WorkerError::AlwaysDies { on, deaths: 16, .. }) if on.as_str() == "spark-1"),
        "{error:?}"
    );
    assert_eq!(error.kind().exit_code(), 3);
    let said = error.to_string();
    assert!(said.starts_with("16 workers in a row ended on spark-1 before they had any result"), "{said}");
    assert!(said.contains("signal: 9"), "{said}");
    assert!(error.hint().unwrap().contains("--jobs"));
    assert_eq!((deaths.load(Ordering::Relaxed), host.running()), (16, 0));
}

/// They end before they say hello: no kernel can be the reason.
#[tokio::test(start_paused = true)]
async fn a_node_where_no_worker_starts_again_is_given_up() {
    let dies = HostFault { after: 0, what: HostFaultKind::Ends(Ending::Exit(1)) };
    let (_, worker) = worker(vec![dies; 99]).await;
    let began = tokio::time::Instant::now();
    let error = compile(worker, &["a", "b"]).await.unwrap_err();
    assert!(matches!(error, RunError::Worker(WorkerError::NoHello { .. })), "{error:?}");
    assert_eq!(error.kind().exit_code(), 3);
    // Pauses of one, two and four seconds.
    assert_eq!(began.elapsed().as_secs(), 7);
}

/// Wherever the link breaks, and however, every unit is compiled and none is blamed.
#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_costs_no_unit_its_name() {
    for what in [HostFaultKind::Lost, HostFaultKind::Silent] {
        for after in (0..A_BATCH).step_by(25) {
            // As many deaths, of both and then of one alone twice, would be held against it.
            let breaks = HostFault { after, what: what.clone() };
            let (host, worker) = worker([breaks.clone(), breaks.clone(), breaks]).await;
            let outcomes = compile(worker, &["a", "b"]).await.unwrap();
            assert_eq!(names_of(&outcomes), ["a", "b"]);
            assert!(outcomes.values().all(|outcome| matches!(outcome, CompileOutcome::Compiled(_))));
            // Every worker beyond a broken link ends by itself.
            tokio::time::sleep(Duration::from_secs(31)).await;
            assert_eq!(host.running(), 0, "{what:?} after {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_always_breaks_is_an_error_and_no_loop() {
    // Far enough for a hello, and not for a unit.
    let (_, worker) = worker(vec![HostFault { after: 200, what: HostFaultKind::Lost }; 9]).await;
    let error = compile(worker, &["a"]).await.unwrap_err();
    assert!(matches!(error, RunError::Worker(WorkerError::Lost { .. })), "{error}");
}

/// The link is lost between the last result and the end of the batch: nothing is missing, so nothing is the matter.
#[tokio::test(start_paused = true)]
async fn a_link_lost_after_the_last_result_is_no_trouble() {
    for what in [HostFaultKind::Lost, HostFaultKind::Silent] {
        for after in (0..A_BATCH).step_by(5) {
            let (_, worker) = worker([HostFault { after, what: what.clone() }]).await;
            let mut executor = WorkerExecutor::new(worker, TimingHalf::None, job(), None);
            let mut heard = 0;
            let ended = executor.compile(&units(&["a", "b"]), &mut |_, _| heard += 1).await;
            assert_eq!(ended.is_ok(), heard == 2, "{what:?} after {after}: {ended:?}");
            Box::new(executor).close().await;
        }
    }
}

/// A worker that talks nonsense died, as far as the run goes; one that does not start again is nobody's fault.
#[tokio::test(start_paused = true)]
async fn the_next_worker_may_time_what_the_last_one_could_not() {
    let says = |_: &str| Reaction::Says(serde_json::json!({"event": "timed", "arm": 7, "time_us": 1.0}));
    let (host, starter) = look_alike::host("spark-1", Arc::new(says));
    let starter = Arc::new(starter);
    let worker = CompileWorker::start(starter.clone(), HostPath::new("/sglang")).await.unwrap();
    let preparation = Preparation {
        sglang_root: "/sglang".into(),
        runtime: "sglang-0.5.4.post2".into(),
        shape: job().shape,
        fused_shared_experts: 0,
        max_tokens: 64,
        seed: 0,
        cache_dir: None,
    };
    let timer = GpuTimer::start(starter, preparation, Duration::from_secs(20)).await.unwrap();
    let mut executor = WorkerExecutor::new(worker, TimingHalf::Ready(timer), job(), None);
    let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    let request = TimingRequest {
        batch_size: 8,
        routing: TimedRouting { kind: "skewed", seed: 3 },
        arms: vec![TimedArm::Up { config: tile.with_group(1) }],
        order: vec![0],
        warm_up: 1,
        abort_above_us: None,
    };
    let trouble = executor.time(&request).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Died(WorkerError::Garbled { .. })), "{trouble:?}");
    host.expect([Some(HostFault { after: 0, what: HostFaultKind::Ends(Ending::Exit(1)) })]);
    let trouble = executor.time(&request).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Lost(WorkerError::NoHello { .. })), "{trouble:?}");
    Box::new(executor).close().await;
}

/// Make a node ready of each host, whose GPU others use for the first so many looks. The nodes, or the error, and what was
/// told.
async fn open_on(looks: &[u32], wait: Option<Duration>) -> (Result<Vec<Node>, String>, Vec<String>) {
    let environment = |(at, busy): (usize, &u32)| {
        let left = AtomicU32::new(*busy);
        let behaviour = move |name: &str| match name {
            "device"
                if left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1))
                    .is_ok() =>
            {
                Reaction::Says(
                    serde_json::json!({"event": "device", "name": "NVIDIA GB10", "capability": 121,
                    "shared_memory_per_block": 101_376, "other_processes": [7, 4711]}),
                )
            }
            _ => Reaction::Ends(Duration::ZERO),
        };
        let (_, starter) = look_alike::host(&format!("spark-{at}"), Arc::new(behaviour));
        let (package_root, cache) = (HostPath::new("/sglang"), HostPath::new("/cache"));
        Environment { starter, package_root, cache, lasting: true }
    };
    let environments: Vec<Environment> = looks.iter().enumerate().map(environment).collect();
    let own = environment::EnvironmentSettings {
        cache: "/cache".into(),
        python: None,
        sglang_root: None,
        offline: true,
    };
    let compiler = CompilerSettings { environment: own, jobs: None, timeout_s: 300 };
    let (limits, run_timeout) = (Limits::default(), Duration::from_secs(60));
    let settings = MeasuringSettings { limits, run_timeout, wait };
    let device = Device::find("gb10").unwrap();
    let job = SessionJob {
        compiler: &compiler,
        environments: &environments,
        target: Target::of(crate::runtime::Runtime::Sglang054),
        device: &device,
        shape: LaunchShape::new(&MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0), 1),
        timing: Some(Timing { settings: &settings, fused_shared_experts: 0, max_tokens: 64 }),
    };
    let mut events: Vec<crate::events::Event> = Vec::new();
    let opened = Session::open(&job, &CancellationToken::new(), &mut events).await;
    let told = events.into_iter().filter_map(|event| match event.what {
        What::Note { text } => Some(text),
        What::Node(NodeEvent::Waiting { why }) => Some(format!("{:?} waits: {why}", event.from)),
        _ => None,
    });
    let opened = opened.map(|session| session.nodes);
    (opened.map_err(|error| format!("{error}; {}", error.hint().unwrap_or_default())), told.collect())
}

/// Those that work at once, and those that wait.
fn working_and_waiting(nodes: &[Node]) -> (usize, usize) {
    let waiting = nodes.iter().filter(|node| node.waits.is_some()).count();
    (nodes.len() - waiting, waiting)
}

const OTHERS: &str = "other processes compute on its GPU (process ids [7, 4711])";

#[tokio::test(start_paused = true)]
async fn a_gpu_that_others_use_is_refused_and_named() {
    let refused = format!("{OTHERS}; --wait waits until it is free");
    let (opened, told) = open_on(&[1], None).await;
    assert_eq!((opened.err(), told), (Some(refused.clone()), Vec::new()));
    let (opened, told) = open_on(&[0, 1], None).await;
    assert_eq!(working_and_waiting(&opened.unwrap()), (1, 0));
    assert_eq!(told, [format!("spark-1 takes no part in this run: {refused}")]);
}

fn waits(node: &str) -> String {
    format!("Host({:?}) waits: {OTHERS}", node.parse::<HostName>().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_gpu_others_use_waits_for_itself_alone() {
    let began = Instant::now();
    let (opened, told) = open_on(&[3, 0], Some(Duration::from_secs(60))).await;
    let mut nodes = opened.unwrap();
    assert_eq!((working_and_waiting(&nodes), told), ((1, 1), Vec::new()), "who begins tells who waits");
    assert_eq!(began.elapsed().as_secs(), 0, "the other works already");
    let waiting = nodes.iter_mut().find(|node| node.waits.is_some()).unwrap();
    assert_eq!((waiting.name.as_str(), waiting.waits.as_deref()), ("spark-0", Some(OTHERS)));
    assert!(waiting.able.times && waiting.gpu.as_ref().unwrap().other_processes.is_empty());
    let mut heard = Vec::new();
    waiting.executor.ready(&mut |why| heard.push(why)).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 15, "three looks, five seconds apart");
    assert_eq!(heard, [""; 0], "nothing new");
}

#[tokio::test(start_paused = true)]
async fn where_all_nodes_wait_the_first_that_is_free_begins() {
    let began = Instant::now();
    let (opened, told) = open_on(&[3, 1, 2], Some(Duration::from_secs(60))).await;
    let nodes = opened.unwrap();
    assert_eq!((working_and_waiting(&nodes), began.elapsed().as_secs()), ((1, 2), 5));
    assert!(nodes.iter().all(|node| node.waits.is_none() == (node.name.as_str() == "spark-1")));
    assert_eq!(told, ["spark-0", "spark-1", "spark-2"].map(waits));
}

#[tokio::test(start_paused = true)]
async fn a_gpu_is_waited_for_no_longer_than_was_said() {
    let began = Instant::now();
    let (opened, told) = open_on(&[1000, 1000], Some(Duration::from_secs(12))).await;
    assert_eq!(opened.err(), Some(format!("{OTHERS}; --wait waits until it is free")));
    assert_eq!(told, ["spark-0", "spark-1"].map(waits));
    assert_eq!(began.elapsed().as_secs(), 12);
    // The same of one that waits while another works.
    let (opened, _) = open_on(&[1000, 0], Some(Duration::from_secs(12))).await;
    let mut nodes = opened.unwrap();
    let waiting = nodes.iter_mut().find(|node| node.waits.is_some()).unwrap();
    let trouble = waiting.executor.ready(&mut |_| {}).await.unwrap_err();
    let error = trouble.into_error();
    assert_eq!((error.to_string().as_str(), error.kind().exit_code()), (OTHERS, 3));
    assert_eq!(began.elapsed().as_secs(), 24);
}
