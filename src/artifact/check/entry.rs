//! What would happen to single entries: do they launch, fit, compute the right thing?

use super::{Context, Finding, Severity, file_finding};
use crate::artifact::config_file::{AMD_ONLY, NUM_CTAS};
use crate::artifact::{ConfigFile, Entry};
use crate::kernel::shared_memory;
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::runtime::Runtime;
use crate::shape::{Dtype, KernelConfig, Quantization, Role};

pub(super) fn check(context: &Context<'_>, file: &ConfigFile, findings: &mut Vec<Finding>) {
    let quantization = context.quantization();
    for (key, entry) in file.entries() {
        let mut found = |severity, code, message| {
            findings.push(Finding { severity, code, key: Some(key.to_string()), message });
        };
        tma(context, entry, &mut found);
        options(context, entry, &mut found);
        let Some(quantization) = &quantization else { continue };
        let config = as_launched(&entry.config, quantization, context.runtime);
        smallest_step(&config, quantization, &mut found);
        scales(&config, quantization, &mut found);
        let Some(device) = context.device else { continue };
        let required = shared_memory::required_bytes(&config.tile(), quantization);
        let limit = device.shared_memory_per_block;
        if required > limit {
            let bound = if shared_memory::is_exact(&config.tile()) { "takes" } else { "may take up to" };
            found(
                // Above a bound is not above the allocation: that is for the compiler to say.
                if bound == "takes" { Severity::Crash } else { Severity::Warning },
                "out-of-resources",
                format!("{config} {bound} {required} bytes of shared memory, {device} has {limit}"),
            );
        }
    }
    coverage(file, findings);
}

/// The config as the runtime launches it: vLLM cuts BLOCK_SIZE_K to the smaller side of the scale block
/// (`invoke_fused_moe_triton_kernel` in `fused_moe.py`), SGLang takes it as it is.
pub(crate) fn as_launched(
    config: &KernelConfig,
    quantization: &Quantization,
    runtime: Option<Runtime>,
) -> KernelConfig {
    match (runtime, quantization.full_block()) {
        (Some(Runtime::Vllm), Some(block)) => {
            KernelConfig { block_size_k: config.block_size_k.min(block.n).min(block.k), ..*config }
        }
        _ => *config,
    }
}

/// The TMA variants are other kernels: see where the field is taken at all.
///
/// The kernel's `assert` that the down variant has fp8 block scales says nothing: Triton compiles
/// assertions in debug mode only, and SGLang ships bf16 files with USE_TMA.
fn tma(context: &Context<'_>, entry: &Entry, found: &mut impl FnMut(Severity, &'static str, String)) {
    let Some(use_tma) = entry.use_tma else { return };
    match (context.role(), context.runtime) {
        (Role::Up, Some(Runtime::Sglang054)) => found(
            Severity::Crash,
            "use-tma",
            "SGLang 0.5.4.post2 passes USE_TMA of an up file on to the kernel, which does not take it".into(),
        ),
        (_, Some(Runtime::Vllm)) => {
            found(Severity::Crash, "use-tma", "vLLM's kernel does not take USE_TMA".into());
        }
        _ if use_tma => found(
            Severity::Warning,
            "tma-not-judged",
            "the TMA variant allocates by other rules; what it takes was not judged".into(),
        ),
        _ => {}
    }
}

/// Launch options beyond the six.
fn options(context: &Context<'_>, entry: &Entry, found: &mut impl FnMut(Severity, &'static str, String)) {
    // Every device of the catalogue is NVIDIA's; of others the name tells.
    let nvidia = match (context.device, &context.name) {
        (Some(device), _) => Some(device.name.clone()),
        (None, Ok((name, _))) if name.device.starts_with("NVIDIA_") => Some(name.device.clone()),
        _ => None,
    };
    let Some(device) = nvidia else { return };
    for (name, value) in &entry.extra {
        if AMD_ONLY.contains(name) {
            found(
                Severity::Crash,
                "amd-field",
                format!("{name} is AMD's; on {device} the launch raises KeyError"),
            );
        } else if *name == NUM_CTAS && *value != 1 {
            found(
                Severity::Warning,
                "cluster-not-judged",
                format!("{name} {value}: launches of several blocks together were not judged"),
            );
        }
    }
}

/// Matrix units take 8-bit operands 32 elements at a time.
///
/// Source: `min_dot_size` in Triton's `backends/nvidia/compiler.py`, 3.5.0 and 3.8.0.
fn smallest_step(
    config: &KernelConfig,
    quantization: &Quantization,
    found: &mut impl FnMut(Severity, &'static str, String),
) {
    const EIGHT_BIT: u32 = 32;
    if quantization.dtype.activation_bytes() == 1 && config.block_size_k < EIGHT_BIT {
        found(
            Severity::Crash,
            "step-too-small",
            format!(
                "BLOCK_SIZE_K is {}, and Triton multiplies {} in steps of {EIGHT_BIT} at least",
                config.block_size_k, quantization.dtype
            ),
        );
    }
}

/// With full block scales the kernel applies one scale to a whole step of K, and one to all columns of
/// a tile no wider than a block.
fn scales(
    config: &KernelConfig,
    quantization: &Quantization,
    found: &mut impl FnMut(Severity, &'static str, String),
) {
    // Other dtypes have no scales of both operands, whatever a name says (SGLang ships one bf16 file with
    // a block shape).
    if !matches!(quantization.dtype, Dtype::Fp8W8a8 | Dtype::Int8W8a8) {
        return;
    }
    let Some(block) = quantization.full_block() else { return };
    if !block.k.is_multiple_of(config.block_size_k) {
        found(
            Severity::WrongResult,
            "scale-block",
            format!(
                "BLOCK_SIZE_K {} does not divide the scale block {block}: one scale is applied to columns of several",
                config.block_size_k
            ),
        );
    }
    if config.block_size_n <= block.n && !block.n.is_multiple_of(config.block_size_n) {
        found(
            Severity::WrongResult,
            "scale-block",
            format!(
                "BLOCK_SIZE_N {} does not divide the scale block {block}: one scale is applied to rows of several",
                config.block_size_n
            ),
        );
    }
}

/// Keys a file lacks are served by the nearest one.
fn coverage(file: &ConfigFile, findings: &mut Vec<Finding>) {
    if file.entries().is_empty() {
        return;
    }
    let missing: Vec<String> = STANDARD_BATCH_SIZES
        .into_iter()
        .filter(|&key| file.get(key).is_none())
        .map(|key| key.to_string())
        .collect();
    if !missing.is_empty() {
        findings.push(file_finding(
            Severity::Note,
            "missing-keys",
            format!("no entry for {}: the nearest key is used", missing.join(", ")),
        ));
    }
}
