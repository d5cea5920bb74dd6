//! Whole runs against a look-alike compiler that obeys the shared-memory rule.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, FutureExt};

use super::*;
use crate::artifact::ConfigFile;
use crate::failure::{Failure, Kind};
use crate::kernel::shared_memory;
use crate::runtime::{Runtime, Target};
use crate::shape::{Dtype, MoeShape, Quantization};
use crate::tuner::fleet::executor::{Executor, OnResult, Trouble};
use crate::tuner::plan::{PlannedDevice, PlannedModel, Policy};
use crate::tuner::schedule::Able;
use crate::worker::protocol::{
    CompileFailure, CompileOutcome, CompileTarget, Compiled, FailureReason, LaunchShape, TimingRequest,
};
use crate::worker::timing::Timed;
use crate::worker::{CompileJob, ResultCache};

use self::measured::LookAlikeGpu;

pub(crate) mod measured;

/// Allocates by the rule, except for the units it was told otherwise about.
#[derive(Debug, Clone)]
pub(crate) struct LookAlikeCompiler {
    pub(crate) identity: CompilerIdentity,
    quantization: Quantization,
    /// Units that end otherwise, by name.
    pub(crate) special: HashMap<String, CompileOutcome>,
    /// Every unit compiled, in order.
    compiled: Vec<String>,
    /// Pulled after this many results.
    cancel_after: Option<(usize, CancellationToken)>,
}

impl LookAlikeCompiler {
    /// None where the user stops it here.
    pub(crate) fn compile(&mut self, unit: &Unit) -> Option<CompileOutcome> {
        if let Some((after, token)) = &self.cancel_after
            && self.compiled.len() >= *after
        {
            token.cancel();
            return None;
        }
        self.compiled.push(unit.unit.clone());
        Some(self.special.get(&unit.unit).cloned().unwrap_or_else(|| {
            compiled(shared_memory::required_bytes(&unit.config.tile(), &self.quantization), 0)
        }))
    }
}

/// A node whose workers are look-alikes.
struct LookAlikeNode {
    compiler: Arc<Mutex<LookAlikeCompiler>>,
    gpu: Option<Arc<Mutex<LookAlikeGpu>>>,
}

impl Executor for LookAlikeNode {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            for unit in batch {
                let outcome = self.compiler.lock().unwrap().compile(unit);
                match outcome {
                    Some(outcome) => on_result(&unit.unit, outcome),
                    None => std::future::pending().await,
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        async move {
            let timed = self.gpu.as_ref().unwrap().lock().unwrap().time(request);
            match timed {
                Some(timed) => Ok(timed),
                None => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// A look-alike node of this name with `gpu`, which its holder may look into.
pub(crate) fn node(name: &str, gpu: &Arc<Mutex<LookAlikeGpu>>) -> Node {
    let compiler = look_alike();
    Node {
        name: name.parse().unwrap(),
        able: Able { jobs: 1, times: true },
        compiler: compiler.identity.clone(),
        gpu: Some(measured::report()),
        kept: None,
        lasting: true,
        waits: None,
        store: None,
        executor: Box::new(LookAlikeNode {
            compiler: Arc::new(Mutex::new(compiler)),
            gpu: Some(gpu.clone()),
        }),
    }
}

/// What the units of `plan` are compiled for.
pub(crate) fn compile_job(plan: &Plan) -> CompileJob {
    CompileJob {
        target: CompileTarget { arch: "sm_121a".into(), capability: 121 },
        shape: LaunchShape::new(&plan.shape, 1),
        jobs: 1,
        timeout_s: 1,
        kernel_cache: None,
    }
}

/// Carry out `plan` on one look-alike node, which keeps what it went through.
async fn on_one_node(
    plan: &Plan,
    dir: &mut OpenRun,
    (compiler, gpu): (&mut LookAlikeCompiler, Option<&mut LookAlikeGpu>),
    limits: Limits,
    cache: &Path,
    observer: &mut dyn Observer,
) -> Result<Finished, RunError> {
    let stopped_by = compiler.cancel_after.as_ref().map(|it| it.1.clone());
    let cancel = stopped_by.or(gpu.as_ref().and_then(|gpu| gpu.stopped_by())).unwrap_or_default();
    let job = compile_job(plan);
    let shared_compiler = Arc::new(Mutex::new(compiler.clone()));
    let shared_gpu = gpu.as_ref().map(|gpu| Arc::new(Mutex::new((**gpu).clone())));
    let node = Node {
        name: HostName::local(),
        able: Able { jobs: 1, times: gpu.is_some() },
        compiler: compiler.identity.clone(),
        gpu: gpu.as_ref().map(|_| measured::report()),
        kept: Some(ResultCache::new(cache, &compiler.identity, &job)),
        lasting: true,
        waits: None,
        store: None,
        executor: Box::new(LookAlikeNode { compiler: shared_compiler.clone(), gpu: shared_gpu.clone() }),
    };
    let device = gb10();
    let finished =
        run(RunJob { plan, device: &device, dir, nodes: vec![node], limits, cancel, observer }).await;
    *compiler = shared_compiler.lock().unwrap().clone();
    if let (Some(gpu), Some(shared)) = (gpu, shared_gpu) {
        *gpu = shared.lock().unwrap().clone();
    }
    finished
}

fn compiled(shared_bytes: u32, spill_bytes: u32) -> CompileOutcome {
    CompileOutcome::Compiled(Compiled {
        shared_bytes,
        registers: Some(128),
        spill_bytes: Some(spill_bytes),
        seconds: 1.0,
        binary_sha256: "0".repeat(64),
    })
}

pub(crate) fn failed(reason: FailureReason) -> CompileOutcome {
    CompileOutcome::Failed(CompileFailure { reason, message: "PassManager::run failed".into(), seconds: 1.0 })
}

pub(crate) fn look_alike() -> LookAlikeCompiler {
    LookAlikeCompiler {
        identity: CompilerIdentity {
            kernel_digest: "k".into(),
            sglang_version: Some("0.5.4.post2".into()),
            triton: "3.5.0".into(),
            ptxas: Some("13.0".into()),
        },
        quantization: glm().shape.quantization,
        special: HashMap::new(),
        compiled: Vec::new(),
        cancel_after: None,
    }
}

pub(crate) fn gb10() -> Device {
    Device::find("gb10").unwrap()
}

pub(crate) fn glm() -> Plan {
    let device = gb10();
    Plan {
        model: PlannedModel { name: "org/GLM".into(), architecture: None, tp: 4, ep: 1 },
        shape: MoeShape::glm(Quantization { per_channel: true, ..Quantization::none(Dtype::Fp8W8a8) }, 0),
        device: PlannedDevice {
            id: device.id,
            name: device.name,
            shared_memory_per_block: device.shared_memory_per_block,
        },
        target: Target::of(Runtime::Sglang054),
        batch_sizes: vec![1, 160, 161, 4096],
        policy: Policy::RuntimeDefault,
        evidence: Evidence::Compiled,
        strategy: None,
        incumbents: Vec::new(),
        image: None,
    }
}

/// Run `plan` in `dir` with results kept in a folder of this run's own.
pub(crate) async fn go(
    plan: &Plan,
    dir: &mut OpenRun,
    compiler: &mut LookAlikeCompiler,
    cache: &Path,
) -> Result<Finished, RunError> {
    let none = Limits::default();
    on_one_node(plan, dir, (compiler, None), none, cache, &mut crate::events::Silent).await
}

#[tokio::test]
async fn only_what_would_crash_is_replaced_and_everything_is_proven() {
    let (plan, dir, cache) = (glm(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let mut compiler = look_alike();
    let finished = go(&plan, &mut run_dir, &mut compiler, cache.path()).await.unwrap();
    for entry in &finished.selected {
        let kept = entry.batch_size <= 160;
        assert_eq!(entry.up.default_replaced.is_none(), kept, "M={}", entry.batch_size);
        assert_eq!(entry.up.config.block_size_m, entry.down.config.block_size_m);
    }
    assert_eq!(finished.proven, compiler.compiled.len());
    let mut once = compiler.compiled.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), compiler.compiled.len(), "a kernel was compiled twice");
    for file in &finished.files {
        let file = ConfigFile::read(&dir.path().join(&file.path)).unwrap();
        assert_eq!(file.entries().len(), 4);
    }
}

#[tokio::test]
async fn a_second_run_compiles_nothing() {
    let (plan, cache) = (glm(), tempfile::tempdir().unwrap());
    let mut files = Vec::new();
    for compilations in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut compiler = look_alike();
        let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
        let finished = go(&plan, &mut run_dir, &mut compiler, cache.path()).await.unwrap();
        assert_eq!(!compiler.compiled.is_empty(), compilations);
        files.push(finished.files);
    }
    assert_eq!(files[0], files[1]);
}

#[tokio::test]
async fn a_crash_of_the_compiler_and_spills_move_the_choice_elsewhere() {
    let plan = glm();
    let first = {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
        go(&plan, &mut run_dir, &mut look_alike(), cache.path()).await.unwrap()
    };
    let tile = |entry: &Selected| entry.up.config.tile();
    let chosen = tile(first.selected.last().unwrap());
    let name = format!("up {chosen}");
    for outcome in [failed(FailureReason::CompilerCrash), compiled(200_000, 0), compiled(90_000, 64)] {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
        let mut compiler = look_alike();
        compiler.special.insert(name.clone(), outcome);
        let finished = go(&plan, &mut run_dir, &mut compiler, cache.path()).await.unwrap();
        assert_ne!(tile(finished.selected.last().unwrap()), chosen);
    }
}

#[tokio::test]
async fn a_default_that_does_not_compile_is_replaced_with_the_reason() {
    let (plan, dir, cache) = (glm(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let mut compiler = look_alike();
    compiler.special.insert("up 64x128x128 w4 s4".into(), failed(FailureReason::CompilerCrash));
    let finished = go(&plan, &mut run_dir, &mut compiler, cache.path()).await.unwrap();
    let first = &finished.selected[0];
    let reason = first.up.default_replaced.as_deref().unwrap();
    assert!(reason.contains("compiler_crash"), "{reason}");
    assert_eq!(first.down.default_replaced, None, "the other projection keeps its default");
    assert_eq!(first.up.config.block_size_m, first.down.config.block_size_m);
}

#[tokio::test]
async fn an_interrupted_run_goes_on_where_it_stopped() {
    let (plan, dir, cache) = (glm(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut compiler = look_alike();
    compiler.cancel_after = Some((3, CancellationToken::new()));
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let error = go(&plan, &mut run_dir, &mut compiler, cache.path()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert_eq!(compiler.compiled.len(), 3);
    drop(run_dir);

    // Another cache: what is known comes from the journal alone.
    let other = tempfile::tempdir().unwrap();
    let mut rest = look_alike();
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    let finished = go(&plan, &mut run_dir, &mut rest, other.path()).await.unwrap();
    assert!(rest.compiled.iter().all(|unit| !compiler.compiled.contains(unit)), "compiled twice");
    assert_eq!(finished.proven, rest.compiled.len() + 3);
}

/// Slowness of a machine must not steer what is chosen.
#[tokio::test]
async fn what_timed_out_is_tried_again_and_never_passed_over() {
    let plan = glm();
    let expected = {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
        go(&plan, &mut run_dir, &mut look_alike(), cache.path()).await.unwrap().files
    };
    for reason in [FailureReason::Timeout, FailureReason::WorkerLost] {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
        let mut slow = look_alike();
        slow.special.insert("up 64x128x128 w4 s4".into(), failed(reason));
        let error = go(&plan, &mut run_dir, &mut slow, cache.path()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Incomplete);
        assert!(error.to_string().contains("up 64x128x128 w4 s4"), "{error}");
        assert!(!dir.path().join("triton_3_5_0").exists(), "nothing is written on half the proof");
        drop(run_dir);
        let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
        let mut quiet = look_alike();
        let finished = go(&plan, &mut run_dir, &mut quiet, cache.path()).await.unwrap();
        assert!(quiet.compiled.contains(&"up 64x128x128 w4 s4".to_owned()));
        assert_eq!(finished.files, expected);
    }
}

#[tokio::test]
async fn results_of_another_kernel_prove_nothing() {
    let (plan, dir, cache) = (glm(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    go(&plan, &mut run_dir, &mut look_alike(), cache.path()).await.unwrap();
    drop(run_dir);
    let mut other = look_alike();
    other.identity.kernel_digest = "another".into();
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    let error = go(&plan, &mut run_dir, &mut other, cache.path()).await.unwrap_err();
    assert!(error.to_string().contains("another kernel source"), "{error}");
    assert_eq!(error.kind(), Kind::Input);
}

#[tokio::test]
async fn a_target_nobody_knows_ends_the_run_at_once_and_is_not_on_record() {
    let (plan, dir, cache) = (glm(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let mut compiler = look_alike();
    compiler.special.insert("up 64x128x128 w4 s4".into(), failed(FailureReason::UnsupportedTarget));
    let error = go(&plan, &mut run_dir, &mut compiler, cache.path()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.to_string().contains("sm_121a"), "{error}");
    drop(run_dir);
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    go(&plan, &mut run_dir, &mut look_alike(), cache.path()).await.unwrap();
}

#[tokio::test]
async fn nothing_left_says_for_which_batch_size() {
    let (mut plan, dir) = (glm(), tempfile::tempdir().unwrap());
    plan.evidence = Evidence::Predicted;
    plan.shape.quantization = Quantization {
        dtype: Dtype::Fp8W8a8,
        block_shape: Some(crate::shape::BlockShape { n: 128, k: 32 }),
        per_channel: false,
    };
    plan.policy = Policy::BestPredicted;
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let device = gb10();
    let job = RunJob {
        plan: &plan,
        device: &device,
        dir: &mut run_dir,
        nodes: Vec::new(),
        limits: Limits::default(),
        cancel: CancellationToken::new(),
        observer: &mut crate::events::Silent,
    };
    let error = run(job).await.unwrap_err();
    assert!(error.to_string().contains("no config is left for batch size 1"), "{error}");
}

#[test]
fn a_run_that_cannot_begin_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    OpenRun::start(&path, &glm()).unwrap().abandon();
    assert!(!path.exists());
    // A folder that was there before stays.
    OpenRun::start(dir.path(), &glm()).unwrap().abandon();
    assert!(dir.path().exists());
    std::fs::write(&path, b"a file").unwrap();
    let error = OpenRun::start(&path, &glm()).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().contains("run`"), "{error}");
}
