//! Whole runs on look-alike nodes: one alone, and sixty-four that die and get lost while the harness is killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::executor::{Executor, OnResult, Trouble};
use super::*;
use crate::artifact::Manifest;
use crate::artifact::manifest::ManifestEntry;
use crate::events::{Event, Silent, What};
use crate::failure::{Failure, Kind};
use crate::host::Ending;
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::runtime::{Runtime, Target};
use crate::shape::Role;
use crate::tuner::contests::{Contests, LaunchedUnits};
use crate::tuner::open_run::OpenRun;
use crate::tuner::plan::{Plan, Policy};
use crate::tuner::proofs::Unjudged;
use crate::tuner::run::tests::measured::{LookAlikeGpu, confirmed, report};
use crate::tuner::run::tests::{LookAlikeCompiler, failed, gb10, glm, go, look_alike};
use crate::tuner::run::{Finished, RunJob, run};
use crate::tuner::search::Limits;
use crate::tuner::strategy::Round;
use crate::worker::WorkerError;
use crate::worker::protocol::{CompileOutcome, FailureReason, TimedArm, TimingRequest};
use crate::worker::timing::Timed;

mod second;

/// A fleet of one writes the bytes that the program wrote before there were fleets: `tests/fixtures/one-node` was
/// written by the version before (dates aside), on the same look-alike of a compiler.
#[tokio::test]
async fn a_fleet_of_one_writes_what_one_worker_wrote() {
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/one-node"));
    for (name, policy, runtime) in [
        ("default", Policy::RuntimeDefault, Runtime::Sglang054),
        ("best", Policy::BestPredicted, Runtime::Sglang0523),
    ] {
        let plan =
            Plan { policy, target: Target::of(runtime), batch_sizes: STANDARD_BATCH_SIZES.to_vec(), ..glm() };
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut open = OpenRun::start(dir.path(), &plan).unwrap();
        let mut compiler = look_alike();
        let crash = failed(FailureReason::CompilerCrash);
        compiler.special.insert("up 64x128x128 w4 s4".into(), crash);
        let finished = go(&plan, &mut open, &mut compiler, cache.path()).await.unwrap();
        assert_eq!(finished.files.len(), 2);
        for file in &finished.files {
            let path = fixtures.join(name).join(&file.path);
            let (now, was) = (dir.path().join(&file.path), std::fs::read(&path).unwrap());
            assert_eq!(std::fs::read(&now).unwrap(), was, "{}", path.display());
            let manifest = |file: &Path| {
                let path = crate::artifact::manifest::path_beside(file);
                Manifest { created: String::new(), ..Manifest::read(&path).unwrap().unwrap() }
            };
            assert_eq!(manifest(&now), manifest(&path), "{}", path.display());
        }
    }
}

/// Sometimes dies, sometimes gets lost, always dies on the killers. What it says is what any other node says.
struct Unreliable {
    rng: ChaCha8Rng,
    compiler: Arc<Mutex<LookAlikeCompiler>>,
    gpu: LookAlikeGpu,
    killers: Arc<BTreeSet<String>>,
    trouble: f64,
}

impl Unreliable {
    fn strikes(&mut self) -> Result<(), Trouble> {
        let fate: f64 = self.rng.random();
        if fate < self.trouble / 2.0 {
            return Err(dead());
        }
        if fate < self.trouble {
            let (on, why) = (HostName::local(), "the cable".to_owned());
            return Err(Trouble::Lost(WorkerError::Lost { on, why }));
        }
        Ok(())
    }
}

fn dead() -> Trouble {
    Trouble::Died(WorkerError::Died { ending: Ending::Signal(9), log: Default::default() })
}

impl Executor for Unreliable {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            for unit in batch {
                tokio::time::sleep(Duration::from_millis(self.rng.random_range(5..50))).await;
                if self.killers.contains(&unit.unit) {
                    return Err(dead());
                }
                // Who dies alone twice is a killer, as far as one can tell.
                if batch.len() > 1 {
                    self.strikes()?;
                }
                let outcome = self.compiler.lock().unwrap().compile(unit);
                on_result(&unit.unit, outcome.unwrap());
            }
            Ok(())
        }
        .boxed()
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        async move {
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(10..200))).await;
            self.strikes()?;
            Ok(self.gpu.time(request).unwrap())
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// Sixty-four nodes, every fourth of which only compiles.
fn sixty_four(plan: &Plan, seed: u64, trouble: f64, killers: &Arc<BTreeSet<String>>) -> Vec<Node> {
    let node = |at: u64| Node {
        name: format!("spark-{at}").parse().unwrap(),
        able: Able { jobs: 4, times: at % 4 != 3 },
        compiler: look_alike().identity,
        gpu: (at % 4 != 3).then(report),
        kept: None,
        lasting: true,
        executor: Box::new(Unreliable {
            rng: ChaCha8Rng::seed_from_u64(seed * 64 + at),
            compiler: Arc::new(Mutex::new(look_alike())),
            gpu: LookAlikeGpu::new(plan),
            killers: killers.clone(),
            trouble,
        }),
    };
    (0..64).map(node).collect()
}

async fn carry_out(plan: &Plan, open: &mut OpenRun, nodes: Vec<Node>) -> Result<Finished, RunError> {
    let (device, cancel) = (gb10(), CancellationToken::new());
    let limits = Limits::default();
    run(RunJob { plan, device: &device, dir: open, nodes, limits, cancel, observer: &mut Silent }).await
}

/// Files and manifests, dates aside.
fn written(dir: &Path, finished: &Finished) -> Vec<(Vec<u8>, Manifest)> {
    let read = |file: &crate::tuner::write::Written| {
        let path = dir.join(&file.path);
        let manifest = Manifest::read(&crate::artifact::manifest::path_beside(&path)).unwrap().unwrap();
        (std::fs::read(&path).unwrap(), Manifest { created: String::new(), ..manifest })
    };
    finished.files.iter().map(read).collect()
}

/// Have confirmed entries say that one node confirmed them, as a run on one does. How many did.
fn confirmed_on_one(written: &mut [(Vec<u8>, Manifest)]) -> Vec<u32> {
    let entries = written.iter_mut().flat_map(|(_, manifest)| manifest.entries.values_mut());
    let count = |entry: &mut ManifestEntry| {
        let nodes = entry.measured.as_mut()?.confirmed_on.as_mut()?;
        Some(std::mem::replace(nodes, 1))
    };
    entries.filter_map(count).collect()
}

#[tokio::test(start_paused = true)]
async fn sixty_four_nodes_in_trouble_write_what_one_in_peace_writes() {
    let plan = Plan { batch_sizes: vec![16, 64, 96, 4096], ..confirmed() };
    let killers: Arc<BTreeSet<String>> = Arc::default();
    let peace = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(peace.path(), &plan).unwrap();
    let one = sixty_four(&plan, 0, 0.0, &killers).into_iter().take(1).collect();
    let expected = carry_out(&plan, &mut open, one).await.unwrap();
    let expected = written(peace.path(), &expected);

    for seed in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        drop(OpenRun::start(dir.path(), &plan).unwrap());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut lives = 0;
        let finished = loop {
            lives += 1;
            assert!(lives < 200, "no end");
            let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
            let nodes = sixty_four(&plan, seed * 1000 + lives, 0.01, &killers);
            // Dropped in the middle of whatever it is at: nothing of it runs on.
            let life = Duration::from_millis(rng.random_range(500..20_000));
            match tokio::time::timeout(life, carry_out(&plan, &mut open, nodes)).await {
                Ok(finished) => break finished.unwrap(),
                Err(_) => continue,
            }
        };
        assert!(lives > 2, "it was never killed");
        // Each on two nodes, whatever happened to those.
        let mut written = written(dir.path(), &finished);
        assert_eq!(confirmed_on_one(&mut written), [2; 6], "seed {seed}");
        assert_eq!(written, expected, "seed {seed}, {lives} lives");
        let (records, journal) = Journal::<Record>::resume(dir.path(), &plan).unwrap();
        drop(journal);
        let (mut proofs, mut binaries) = (BTreeSet::new(), BTreeSet::new());
        for record in &records {
            match record {
                Record::Proof { role, tile, .. } => {
                    assert!(proofs.insert((*role, *tile)), "{role} {tile} is recorded twice");
                }
                Record::Binary { on, unit } => {
                    assert!(binaries.insert((on, unit)), "{unit} was compiled twice on {on}");
                }
                _ => {}
            }
        }
        answers_fit(dir.path(), &plan);
        assert!(records.iter().any(|it| matches!(it, Record::Left { how: Left::Died { .. }, .. })));
        assert!(records.iter().any(|it| matches!(it, Record::Left { how: Left::Lost { .. }, .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_takes_every_worker_along_is_given_up_and_all_others_are_judged() {
    let plan = confirmed();
    let killers: Arc<BTreeSet<String>> = Arc::new(["down 256x256x64 w8 s2".to_owned()].into());
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let error = carry_out(&plan, &mut open, sixty_four(&plan, 7, 0.0, &killers)).await.unwrap_err();
    assert!(matches!(error, RunError::Unjudged(Unjudged { count: 1, .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains("down 256x256x64 w8 s2") && text.contains("workers died on it"), "{text}");
}

/// Answers by a list: each entry is what the next order ends in.
struct Scripted {
    ends: std::vec::IntoIter<fn() -> Result<(), Trouble>>,
    compiler: LookAlikeCompiler,
    gpu: LookAlikeGpu,
}

impl Scripted {
    fn node(plan: &Plan, name: &str, ends: Vec<fn() -> Result<(), Trouble>>) -> Node {
        let (compiler, gpu) = (look_alike(), LookAlikeGpu::new(plan));
        Node {
            name: name.parse().unwrap(),
            able: Able { jobs: 1, times: true },
            compiler: compiler.identity.clone(),
            gpu: Some(report()),
            kept: None,
            lasting: true,
            executor: Box::new(Scripted { ends: ends.into_iter(), compiler, gpu }),
        }
    }
}

impl Executor for Scripted {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            self.ends.next().unwrap_or(well)()?;
            for unit in batch {
                on_result(&unit.unit, self.compiler.compile(unit).unwrap());
            }
            Ok(())
        }
        .boxed()
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        async move {
            self.ends.next().unwrap_or(well)()?;
            Ok(self.gpu.time(request).unwrap())
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

fn well() -> Result<(), Trouble> {
    Ok(())
}

fn lost() -> Result<(), Trouble> {
    let (on, why) = (HostName::local(), "the cable".to_owned());
    Err(Trouble::Lost(WorkerError::Lost { on, why }))
}

fn died() -> Result<(), Trouble> {
    Err(dead())
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_link_is_lost_again_and_again_is_given_up_and_the_last_says_why() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let began = tokio::time::Instant::now();
    let nodes = ["spark-1", "spark-2"].map(|name| Scripted::node(&plan, name, vec![lost; 100]));
    let error = carry_out(&plan, &mut open, nodes.into()).await.unwrap_err();
    assert!(matches!(error, RunError::Worker(WorkerError::Lost { .. })), "{error}");
    // Pauses of one, two and four seconds, on both at once.
    assert_eq!(began.elapsed().as_secs(), 7);
    drop(open);
    let (records, journal) = Journal::<Record>::resume(dir.path(), &plan).unwrap();
    drop(journal);
    let left = |name: &str| {
        let is = |it: &&Record| matches!(it, Record::Left { node, .. } if node.as_str() == name);
        records.iter().filter(is).count()
    };
    assert_eq!((left("spark-1"), left("spark-2")), (4, 4));
    // What was done is kept, and others can go on.
    let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
    carry_out(&plan, &mut open, sixty_four(&plan, 1, 0.0, &Arc::default())).await.unwrap();
}

/// The choice is four kernels, which end unjudged; the whole space is too much to go through with. Either way
/// the run ends, and goes on where workers live.
#[tokio::test(start_paused = true)]
async fn a_run_whose_every_worker_dies_ends_and_can_go_on_elsewhere() {
    let plan = confirmed();
    let peace = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(peace.path(), &plan).unwrap();
    let node = Scripted::node(&plan, "spark-2", Vec::new());
    let expected = written(peace.path(), &carry_out(&plan, &mut open, vec![node]).await.unwrap());

    for (alive, kind, left) in [(0, Kind::Incomplete, 11), (1, Kind::Environment, 16)] {
        let dir = tempfile::tempdir().unwrap();
        let mut open = OpenRun::start(dir.path(), &plan).unwrap();
        let ends = [vec![well as fn() -> _; alive], vec![died; 1000]].concat();
        let node = Scripted::node(&plan, "spark-1", ends);
        let error = carry_out(&plan, &mut open, vec![node]).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let says_it = match alive {
            0 => matches!(error, RunError::Unjudged(Unjudged { count: 4, .. })),
            _ => matches!(error, RunError::Worker(WorkerError::AlwaysDies { deaths: 16, .. })),
        };
        assert!(says_it, "{error}");
        drop(open);
        let (records, journal) = Journal::<Record>::resume(dir.path(), &plan).unwrap();
        drop(journal);
        let troubles: Vec<&Left> = records
            .iter()
            .filter_map(|it| match it {
                Record::Left { how: Left::Drained, .. } => None,
                Record::Left { how, .. } => Some(how),
                _ => None,
            })
            .collect();
        assert_eq!(troubles.len(), left);
        assert!(matches!(troubles[0], Left::Died { .. }), "{troubles:?}");
        assert_eq!(matches!(troubles[left - 1], Left::Unfit { .. }), alive == 1, "{troubles:?}");

        let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
        let node = Scripted::node(&plan, "spark-2", Vec::new());
        let finished = carry_out(&plan, &mut open, vec![node]).await.unwrap();
        assert_eq!(written(dir.path(), &finished), expected);
    }
}

/// Workers of one node die whatever they do, beside one that is well: nothing is held against any kernel, and the node
/// is taken out by name. Sick from the beginning, after a while, or once it is to time something.
#[tokio::test(start_paused = true)]
async fn a_node_where_every_worker_dies_convicts_no_kernel_beside_one_that_is_well() {
    let plan = confirmed();
    let peace = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(peace.path(), &plan).unwrap();
    let node = Scripted::node(&plan, "spark-2", Vec::new());
    let expected = written(peace.path(), &carry_out(&plan, &mut open, vec![node]).await.unwrap());

    for well_for in [0, 1, 3, 9, 60] {
        let dir = tempfile::tempdir().unwrap();
        let mut open = OpenRun::start(dir.path(), &plan).unwrap();
        let ends = [vec![well as fn() -> _; well_for], vec![died; 1000]].concat();
        // The sick one comes first by its name, and is asked first.
        let nodes =
            vec![Scripted::node(&plan, "spark-1", ends), Scripted::node(&plan, "spark-2", Vec::new())];
        let mut events: Vec<Event> = Vec::new();
        let (device, cancel, limits) = (gb10(), CancellationToken::new(), Limits::default());
        let job = RunJob {
            plan: &plan,
            device: &device,
            dir: &mut open,
            nodes,
            limits,
            cancel,
            observer: &mut events,
        };
        let finished = run(job).await.unwrap();
        assert_eq!(finished.rejected, 0, "well for {well_for}");
        let mut written = written(dir.path(), &finished);
        confirmed_on_one(&mut written);
        assert_eq!(written, expected, "well for {well_for}");
        // One that is left nothing to die on is not taken out; what it could not do is named.
        let words = match well_for {
            60 => "begins anew on another node: workers died on spark-1 again and again",
            _ => "spark-1 works no more for this run: ",
        };
        let named = |event: &Event| matches!(&event.what, What::Note { text } if text.contains(words));
        assert!(events.iter().any(named), "well for {well_for}");
        drop(open);
        let (records, _journal) = Journal::<Record>::resume(dir.path(), &plan).unwrap();
        let convicted = |it: &Record| match it {
            Record::Proof { result: CompileOutcome::Failed(failure), .. } => {
                failure.reason == FailureReason::WorkerLost
            }
            Record::Round { timings, .. } => !timings.failures.is_empty(),
            _ => false,
        };
        assert!(!records.iter().any(convicted), "well for {well_for}");
    }
}

/// A phase may end while a node is away; what it is told in the next one it is told once.
#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_in_the_next_phase_answers_what_it_was_asked() {
    // 0.5.23 compiles variants for large batches: a phase whose units nobody has to judge.
    let plan = Plan { target: Target::of(Runtime::Sglang0523), batch_sizes: vec![96], ..confirmed() };
    let peace = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(peace.path(), &plan).unwrap();
    let node = Scripted::node(&plan, "spark-1", Vec::new());
    let expected = written(peace.path(), &carry_out(&plan, &mut open, vec![node]).await.unwrap());

    for at in [0, 1, 2, 3, 4, 7, 30] {
        for trouble in [died as fn() -> _, lost] {
            let dir = tempfile::tempdir().unwrap();
            let mut open = OpenRun::start(dir.path(), &plan).unwrap();
            let ends = [vec![well as fn() -> _; at], vec![trouble]].concat();
            let node = Scripted::node(&plan, "spark-1", ends);
            let finished = carry_out(&plan, &mut open, vec![node]).await.unwrap();
            assert_eq!(written(dir.path(), &finished), expected, "trouble at order {at}");
            drop(open);
            answers_fit(dir.path(), &plan);
        }
    }
}

/// The second death on a variant alone gives it up and ends its phase, with the node still away.
#[tokio::test(start_paused = true)]
async fn a_variant_that_kills_its_worker_twice_leaves_the_race_as_it_is() {
    let plan = Plan { target: Target::of(Runtime::Sglang0523), batch_sizes: vec![96], ..confirmed() };
    let device = gb10();
    let contests = Contests::new(&plan, &device, &Default::default(), &[]);
    let variants = LaunchedUnits::new(&contests, &plan, &device).variants();
    let killer = variants.last().unwrap().unit.clone();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let nodes = sixty_four(&plan, 3, 0.0, &Arc::new([killer].into())).into_iter().take(1).collect();
    carry_out(&plan, &mut open, nodes).await.unwrap();
    drop(open);
    answers_fit(dir.path(), &plan);
}

/// Every journalled round has its own answer, and none stands twice for a node.
fn answers_fit(dir: &Path, plan: &Plan) {
    let (records, _journal) = Journal::<Record>::resume(dir, plan).unwrap();
    let mut seen: Vec<(&HostName, &Round)> = Vec::new();
    for record in &records {
        if let Record::Round { on, round, timings } = record {
            assert_eq!(timings.times_us.len(), round.order.len(), "{round:?}");
            assert!(!seen.contains(&(on, round)), "asked twice on {on}: {round:?}");
            seen.push((on, round));
        }
    }
    assert!(!seen.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nodes_that_only_compile_do_not_wait_for_one_that_times() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let mut nodes = sixty_four(&plan, 0, 0.0, &Arc::default());
    nodes.retain(|node| !node.able.times);
    let error = carry_out(&plan, &mut open, nodes).await.unwrap_err();
    assert!(matches!(error, RunError::NobodyLeft), "{error}");
}

/// Panics in the middle of an order.
struct Broken;

impl Executor for Broken {
    fn compile<'a>(&'a mut self, _: &'a [Unit], _: OnResult<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
        async { panic!("a fault of this program") }.boxed()
    }

    fn time<'a>(&'a mut self, _: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        async { panic!("a fault of this program") }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_task_panics_is_not_waited_for() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let broken = Node { executor: Box::new(Broken), ..Scripted::node(&plan, "spark-1", Vec::new()) };
    let error = carry_out(&plan, &mut open, vec![broken]).await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
}

/// What one compiles proves nothing of the other, and both have a name.
#[tokio::test]
async fn nodes_that_do_not_compile_alike_are_named() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let mut nodes: Vec<Node> =
        ["spark-1", "spark-2"].map(|name| Scripted::node(&plan, name, Vec::new())).into();
    nodes[1].compiler.ptxas = Some("13.0.88".into());
    let was = nodes[0].compiler.ptxas.clone().unwrap_or_else(|| "none".into());
    let error = carry_out(&plan, &mut open, nodes).await.unwrap_err();
    assert_eq!(error.to_string(), format!("spark-2 has another ptxas than spark-1: 13.0.88, there {was}"));
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.hint().unwrap().contains("image sync"));
}

/// Remembers what it has another compile, and stops the run when that is to time something. Nothing is timed that it has
/// no binary of: the worker would compile meanwhile.
struct Watched {
    inner: Box<dyn Executor>,
    /// What is there now, and how much was compiled in this session.
    binaries: Arc<Mutex<BTreeSet<String>>>,
    compiled: Arc<Mutex<usize>>,
    stop: Option<CancellationToken>,
}

impl Executor for Watched {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        *self.compiled.lock().unwrap() += batch.len();
        self.binaries.lock().unwrap().extend(batch.iter().map(|unit| unit.unit.clone()));
        self.inner.compile(batch, on_result)
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        for arm in &request.arms {
            let (up, down) = match *arm {
                TimedArm::Up { config } => (Some(config), None),
                TimedArm::Down { config } => (None, Some(config)),
                TimedArm::Path { up, down } => (Some(up), Some(down)),
            };
            let up = up.map(|config| Unit::of(Role::Up, &config.tile()));
            let down = down.map(|config| Unit::of(Role::Down, &config.tile()));
            for unit in [up, down].into_iter().flatten() {
                assert!(self.binaries.lock().unwrap().contains(&unit.unit), "{} is not there", unit.unit);
            }
        }
        self.stop.iter().for_each(CancellationToken::cancel);
        self.inner.time(request)
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.inner.close()
    }
}

/// What went with a container is compiled again before it is launched, and what is still there is not.
#[tokio::test(start_paused = true)]
async fn binaries_of_an_environment_that_is_gone_are_made_anew() {
    let plan = confirmed();
    for (lasting, again) in [(true, false), (false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let (binaries, compiled) = (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::new(Mutex::new(0)));
        let node = |stop: Option<CancellationToken>| {
            let node = Scripted::node(&plan, "spark-1", Vec::new());
            let (binaries, compiled) = (binaries.clone(), compiled.clone());
            let executor = Box::new(Watched { inner: node.executor, binaries, compiled, stop });
            vec![Node { lasting, executor, ..node }]
        };
        let mut open = OpenRun::start(dir.path(), &plan).unwrap();
        let (device, cancel) = (gb10(), CancellationToken::new());
        let nodes = node(Some(cancel.clone()));
        let limits = Limits::default();
        let job = RunJob {
            plan: &plan,
            device: &device,
            dir: &mut open,
            nodes,
            limits,
            cancel,
            observer: &mut Silent,
        };
        assert!(matches!(run(job).await.unwrap_err(), RunError::Interrupted));
        assert!(std::mem::take(&mut *compiled.lock().unwrap()) > 0);
        drop(open);
        if !lasting {
            binaries.lock().unwrap().clear();
        }
        let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
        carry_out(&plan, &mut open, node(None)).await.unwrap();
        assert_eq!(*compiled.lock().unwrap() > 0, again, "lasting: {lasting}");
    }
}
