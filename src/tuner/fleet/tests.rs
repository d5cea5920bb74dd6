//! Whole runs on look-alike nodes: one alone, and sixty-four that die and get lost while the harness is killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::executor::{Executor, OnMoved, OnResult, Trouble};
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
use crate::tuner::open_run::{OpenRun, records};
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

mod environments;
mod late;
mod lost_races;
mod second;
mod travel;
mod trouble;

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

/// A node of this name that is in `trouble` in so many of the things it does.
fn unreliable(
    name: &str,
    seed: u64,
    trouble: f64,
    killers: &Arc<BTreeSet<String>>,
    gpu: LookAlikeGpu,
) -> Node {
    Node {
        name: name.parse().unwrap(),
        able: Able { jobs: 4, times: true },
        compiler: look_alike().identity,
        gpu: Some(report()),
        kept: None,
        lasting: true,
        waits: None,
        store: None,
        executor: Box::new(Unreliable {
            rng: ChaCha8Rng::seed_from_u64(seed),
            compiler: Arc::new(Mutex::new(look_alike())),
            gpu,
            killers: killers.clone(),
            trouble,
        }),
    }
}

/// Sixty-four nodes, every fourth of which only compiles.
fn sixty_four(plan: &Plan, seed: u64, trouble: f64, killers: &Arc<BTreeSet<String>>) -> Vec<Node> {
    let node = |at: u64| {
        let name = format!("spark-{at}");
        let node = unreliable(&name, seed * 64 + at, trouble, killers, LookAlikeGpu::new(plan));
        let times = at % 4 != 3;
        Node { able: Able { times, ..node.able }, gpu: node.gpu.filter(|_| times), ..node }
    };
    (0..64).map(node).collect()
}

/// Four nodes in `trouble`: the second is slower by a third, the third gets slower, the fourth warmer.
pub(crate) fn four(plan: &Plan, seed: u64, trouble: f64) -> Vec<Node> {
    let well = || LookAlikeGpu { warming: 0.05, ..LookAlikeGpu::new(plan) };
    let gpus = [
        well(),
        LookAlikeGpu { clock: 1.3, ..well() },
        LookAlikeGpu { slowing: 0.0005, ..well() },
        LookAlikeGpu { warming: 10.0, ..well() },
    ];
    let node =
        |(at, gpu)| unreliable(&format!("spark-{}", at + 1), seed * 4 + at, trouble, &Arc::default(), gpu);
    (0..4).zip(gpus).map(node).collect()
}

pub(crate) async fn carry_out(
    plan: &Plan,
    open: &mut OpenRun,
    nodes: Vec<Node>,
) -> Result<Finished, RunError> {
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
        let records = records(dir.path());
        let (mut proofs, mut binaries) = (BTreeSet::new(), BTreeSet::new());
        for record in &records {
            match record {
                Record::Proof { role, tile, .. } => {
                    assert!(proofs.insert((*role, *tile)), "{role} {tile} is recorded twice");
                }
                Record::Binary { on, unit, .. } => {
                    assert!(binaries.insert((on, unit)), "{unit} was compiled twice on {on}");
                }
                _ => {}
            }
        }
        answers_fit(dir.path());
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
            waits: None,
            store: None,
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

/// The units that `request` launches, by name; of those that large batches launch, the kernel that is proven.
fn launched(request: &TimingRequest) -> BTreeSet<String> {
    let mut units = BTreeSet::new();
    for arm in &request.arms {
        let (up, down) = match *arm {
            TimedArm::Up { config } => (Some(config), None),
            TimedArm::Down { config } => (None, Some(config)),
            TimedArm::Path { up, down } => (Some(up), Some(down)),
        };
        units.extend(up.map(|config| Unit::of(Role::Up, &config.tile()).unit));
        units.extend(down.map(|config| Unit::of(Role::Down, &config.tile()).unit));
    }
    units
}

/// Every journalled round has its own answer, and none stands twice for a node.
fn answers_fit(dir: &Path) {
    let records = records(dir);
    let mut seen: Vec<(&HostName, &Round)> = Vec::new();
    for record in &records {
        if let Record::Round { on, round, timings, .. } = record {
            assert_eq!(timings.times_us.len(), round.order.len(), "{round:?}");
            assert!(!seen.contains(&(on, round)), "asked twice on {on}: {round:?}");
            seen.push((on, round));
        }
    }
    assert!(!seen.is_empty());
}
