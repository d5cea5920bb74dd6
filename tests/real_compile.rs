//! The real Triton compiling SGLang's real kernels for sm_121a, held against the rule.
//!
//! Ignored by default: the first run fetches Triton and SGLang from the package registry.

#[path = "support/real.rs"]
mod real;

use std::collections::HashMap;
use std::sync::Arc;

use spark::kernel::{shared_memory, space};
use spark::runtime::{Runtime, Target, TritonVersion};
use spark::shape::{BlockShape, Dtype, MoeShape, Quantization, Role, Tile};
use spark::worker::protocol::{CompileOutcome, CompileTarget, FailureReason, LaunchShape, Unit};
use spark::worker::{BatchEnd, CompileJob, CompileWorker};

const OLD: Target = Target { runtime: Runtime::Sglang054, triton: TritonVersion::new(3, 5, 0) };
const NEW: Target = Target { runtime: Runtime::Sglang0523, triton: TritonVersion::new(3, 8, 0) };
/// 0.5.23's kernel with the older Triton: where the known compiler crashes are.
const CRASHING: Target = Target { runtime: Runtime::Sglang0523, triton: TritonVersion::new(3, 5, 0) };

fn shape(quantization: Quantization) -> MoeShape {
    MoeShape {
        experts: 160,
        intermediate: 384,
        hidden: 5120,
        top_k: 8,
        fused_shared_experts: 0,
        gated: true,
        quantization,
    }
}

async fn compile(target: Target, shape: &MoeShape, units: Vec<Unit>) -> HashMap<String, CompileOutcome> {
    let environment = real::environment(target).await;
    let mut worker =
        CompileWorker::start(Arc::new(environment.starter), environment.package_root).await.unwrap();
    let job = CompileJob {
        target: CompileTarget { arch: "sm_121a".into(), capability: 121 },
        shape: LaunchShape::new(shape, 1),
        jobs: worker.cpus(),
        timeout_s: 300,
        kernel_cache: None,
    };
    let mut outcomes = HashMap::new();
    let end = worker.compile_batch(&job, &units, |unit, outcome| {
        assert!(outcomes.insert(unit.unit.clone(), outcome).is_none(), "{} came twice", unit.unit);
    });
    assert!(matches!(end.await, BatchEnd::Done));
    worker.stop().await;
    assert_eq!(outcomes.len(), units.len());
    outcomes
}

/// Every `stride`-th tile that fits a GB10, in both roles.
fn sample(quantization: &Quantization, stride: usize) -> Vec<(Role, Tile)> {
    let tiles: Vec<Tile> = space::tiles(&space::configs(quantization))
        .into_iter()
        .filter(|tile| shared_memory::required_bytes(tile, quantization) <= 101_376)
        .collect();
    Role::BOTH
        .into_iter()
        .flat_map(|role| {
            let offset = if role == Role::Up { 0 } else { stride / 2 };
            tiles.iter().skip(offset).step_by(stride).map(move |tile| (role, *tile)).collect::<Vec<_>>()
        })
        .collect()
}

async fn rule_holds(target: Target, quantization: Quantization, stride: usize) {
    let shape = shape(quantization);
    let kernels = sample(&quantization, stride);
    let units = kernels.iter().map(|(role, tile)| Unit::of(*role, tile)).collect();
    let outcomes = compile(target, &shape, units).await;
    for (role, tile) in kernels {
        match &outcomes[&Unit::of(role, &tile).unit] {
            CompileOutcome::Compiled(compiled) => assert_eq!(
                compiled.shared_bytes,
                shared_memory::required_bytes(&tile, &quantization),
                "{target}: {role} {tile}"
            ),
            CompileOutcome::Failed(failure) => panic!("{target}: {role} {tile}: {}", failure.message),
        }
    }
}

fn quantizations() -> Vec<Quantization> {
    let none = Quantization::none;
    let block = |dtype, n, k| Quantization { block_shape: Some(BlockShape { n, k }), ..none(dtype) };
    let channel = |dtype| Quantization { per_channel: true, ..none(dtype) };
    vec![
        none(Dtype::Fp8W8a8),
        channel(Dtype::Fp8W8a8),
        block(Dtype::Fp8W8a8, 128, 128),
        channel(Dtype::Int8W8a8),
        block(Dtype::Int8W8a8, 128, 128),
        channel(Dtype::Int8W8a16),
        block(Dtype::Int4W4a16, 0, 128),
        none(Dtype::Bfloat16),
    ]
}

#[tokio::test]
#[ignore = "fetches Triton 3.5.0 and SGLang 0.5.4.post2; CI runs it"]
async fn the_rule_is_the_compilers_figure_on_0_5_4_with_triton_3_5() {
    for quantization in quantizations() {
        rule_holds(OLD, quantization, 67).await;
    }
}

#[tokio::test]
#[ignore = "fetches Triton 3.8.0 and SGLang 0.5.23; CI runs it"]
async fn the_rule_is_the_compilers_figure_on_0_5_23_with_triton_3_8() {
    for quantization in quantizations() {
        rule_holds(NEW, quantization, 83).await;
    }
}

#[tokio::test]
#[ignore = "fetches Triton 3.5.0 and SGLang 0.5.23; CI runs it"]
async fn the_known_compiler_crashes_are_outcomes() {
    let quantization = Quantization::none(Dtype::Bfloat16);
    let mut crashing = Vec::new();
    for num_stages in [2, 3, 4, 5] {
        for (block_size_n, block_size_k) in [(64, 64), (128, 128), (256, 256)] {
            crashing.push(Tile { block_size_m: 256, block_size_n, block_size_k, num_warps: 4, num_stages });
        }
    }
    let sound = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
    let units = crashing.iter().chain([&sound]).map(|tile| Unit::of(Role::Up, tile)).collect();
    let outcomes = compile(CRASHING, &shape(quantization), units).await;
    for tile in crashing {
        let outcome = &outcomes[&Unit::of(Role::Up, &tile).unit];
        assert!(
            matches!(outcome, CompileOutcome::Failed(failure) if failure.reason == FailureReason::CompilerCrash),
            "{tile}: {outcome:?}"
        );
    }
    let outcome = &outcomes[&Unit::of(Role::Up, &sound).unit];
    assert!(matches!(outcome, CompileOutcome::Compiled(_)), "{outcome:?}");
}
