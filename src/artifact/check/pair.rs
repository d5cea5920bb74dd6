//! Do the up and the down file agree on BLOCK_SIZE_M wherever they are looked up together?

use super::{Context, Finding, Severity, file_finding};
use crate::artifact::ConfigFile;
use crate::kernel::shared_memory;
use crate::runtime::Runtime;
use crate::shape::{KernelConfig, MoeShape, Role};

/// What is launched from some number of tokens on, up to where the next one begins.
type Step = (u32, KernelConfig);

/// Reported on the down file: it is the one that must follow.
pub(super) fn check(
    context: &Context<'_>,
    file: &ConfigFile,
    sibling: Option<&ConfigFile>,
    findings: &mut Vec<Finding>,
) {
    if context.role() != Role::Down || context.name.is_err() || context.runtime == Some(Runtime::Vllm) {
        return;
    }
    // SGLang takes an empty file for none.
    let (up, whose) = match sibling.filter(|up| !up.entries().is_empty()) {
        Some(up) => {
            (up.steps().into_iter().map(|(from, _, entry)| (from, entry.config)).collect(), "up file")
        }
        None => match default_steps(context) {
            Some(steps) => (steps, "default, as there is no up file beside it,"),
            None => {
                findings.push(file_finding(
                    Severity::Warning,
                    "no-up-file",
                    "there is no up file beside it: its BLOCK_SIZE_M must match the default of a runtime or \
                     device that is not known; name them with --for and --device"
                        .into(),
                ));
                return;
            }
        },
    };
    for difference in differences(&up, file) {
        judge(context, &difference, whose, findings);
    }
}

/// What the runtime launches at each number of tokens where it finds no file.
fn default_steps(context: &Context<'_>) -> Option<Vec<Step>> {
    let (runtime, device) = (context.runtime?, context.device?);
    let (name, _) = context.name.as_ref().ok()?;
    let shape = MoeShape {
        experts: name.experts,
        quantization: context.quantization()?,
        // The defaults depend on nothing below.
        intermediate: name.n,
        hidden: 0,
        top_k: 1,
        fused_shared_experts: 0,
        gated: true,
    };
    // The defaults change once, above as many tokens as there are experts.
    let starts = [1, name.experts.saturating_add(1)];
    Some(starts.map(|m| (m, runtime.default_config(&shape, m, device.shared_memory_per_block))).to_vec())
}

/// A stretch of batch sizes on which the two look-ups disagree.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    from: u32,
    /// None: and all above.
    to: Option<u32>,
    up: KernelConfig,
    down_key: u32,
    down: KernelConfig,
}

/// Every stretch on which the blocks differ, one for each change of the down entry or the up block.
fn differences(up: &[Step], down: &ConfigFile) -> Vec<Difference> {
    let down = down.steps();
    let mut starts: Vec<u32> =
        up.iter().map(|(from, _)| *from).chain(down.iter().map(|(from, ..)| *from)).collect();
    starts.sort_unstable();
    starts.dedup();
    let mut found: Vec<Difference> = Vec::new();
    let (mut up, mut down) = (up.iter().peekable(), down.iter().peekable());
    let (mut up_now, mut down_now) = (None, None);
    for (index, &from) in starts.iter().enumerate() {
        while let Some((_, config)) = up.next_if(|(start, _)| *start == from) {
            up_now = Some(*config);
        }
        while let Some((_, key, entry)) = down.next_if(|(start, ..)| *start == from) {
            down_now = Some((*key, entry.config));
        }
        let (Some(up), Some((down_key, down))) = (up_now, down_now) else { continue };
        if up.block_size_m == down.block_size_m {
            continue;
        }
        let to = starts.get(index + 1).map(|next| next - 1);
        match found.last_mut() {
            Some(last)
                if last.down_key == down_key
                    && last.to == Some(from - 1)
                    && last.up.block_size_m == up.block_size_m =>
            {
                last.to = to;
            }
            _ => found.push(Difference { from, to, up, down_key, down }),
        }
    }
    found
}

fn judge(context: &Context<'_>, difference: &Difference, whose: &str, findings: &mut Vec<Finding>) {
    let Difference { from, to, up, down_key, down } = difference;
    let tokens = match to {
        Some(to) if to == from => format!("M={from}"),
        Some(to) => format!("M={from} to {to}"),
        None => format!("M={from} and above"),
    };
    let (severity, consequence) = match context.runtime {
        Some(Runtime::Sglang0523) => {
            (Severity::Ignored, "SGLang 0.5.23 overrides the down entry's, so what runs is not what it says")
        }
        Some(_) => (Severity::Crash, "SGLang 0.5.4.post2 asserts that they agree"),
        None => {
            (Severity::Crash, "SGLang 0.5.4.post2 asserts that they agree, 0.5.23 overrides the down entry's")
        }
    };
    let mut found = |severity, code, message| {
        findings.push(Finding { severity, code, key: Some(down_key.to_string()), message });
    };
    found(
        severity,
        "block-size-m",
        format!(
            "at {tokens} BLOCK_SIZE_M is {} in the {whose} and {} here; {consequence}",
            up.block_size_m, down.block_size_m
        ),
    );
    // Overridden, the entry is another tile, and that one may not fit.
    if let (Some(Runtime::Sglang0523), Some(device), Some(quantization)) =
        (context.runtime, context.device, context.quantization())
    {
        let run = KernelConfig { block_size_m: up.block_size_m, ..*down };
        let required = shared_memory::required_bytes(&run.tile(), &quantization);
        let limit = device.shared_memory_per_block;
        if required > limit && shared_memory::is_exact(&run.tile()) {
            found(
                Severity::Crash,
                "out-of-resources",
                format!(
                    "at {tokens} it runs as {run}, which takes {required} bytes of shared memory, {device} has \
                     {limit}"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shape::Tile;

    fn config(block_size_m: u32) -> KernelConfig {
        Tile { block_size_m, block_size_n: 64, block_size_k: 64, num_warps: 4, num_stages: 2 }.with_group(1)
    }

    fn file(entries: &[(u32, u32)]) -> ConfigFile {
        ConfigFile::new(entries.iter().map(|&(key, block)| (key, config(block))))
    }

    fn stretches(up: &ConfigFile, down: &ConfigFile) -> Vec<(u32, Option<u32>, u32)> {
        let up: Vec<Step> = up.steps().into_iter().map(|(from, _, entry)| (from, entry.config)).collect();
        differences(&up, down).into_iter().map(|d| (d.from, d.to, d.down_key)).collect()
    }

    #[test]
    fn files_with_other_keys_differ_between_them() {
        // The up file changes over at 33 (nearest to 64), the down file at 17 (nearest to 32).
        let up = file(&[(1, 16), (64, 64)]);
        let down = file(&[(1, 16), (32, 64)]);
        assert_eq!(stretches(&up, &down), [(17, Some(32), 32)]);
        assert_eq!(stretches(&up, &file(&[(8, 16)])), [(33, None, 8)]);
        assert_eq!(stretches(&up, &up), []);
    }

    proptest! {
        /// The stretches are exactly the batch sizes where Python's look-up on both files differs.
        #[test]
        fn stretches_are_what_looking_up_every_batch_size_finds(
            up in proptest::collection::btree_map(1u32..60, 0u32..2, 1..6),
            down in proptest::collection::btree_map(1u32..60, 0u32..2, 1..6),
        ) {
            let file = |entries: std::collections::BTreeMap<u32, u32>| {
                ConfigFile::new(entries.into_iter().map(|(key, block)| (key, config(16 << block))))
            };
            let (up, down) = (file(up), file(down));
            let found = stretches(&up, &down);
            for tokens in 1..80 {
                let (_, up) = up.nearest(tokens).unwrap();
                let (down_key, down) = down.nearest(tokens).unwrap();
                let held = found.iter().find(|(from, to, _)| {
                    *from <= tokens && to.is_none_or(|to| tokens <= to)
                });
                prop_assert_eq!(
                    held.map(|(_, _, key)| *key),
                    (up.config.block_size_m != down.config.block_size_m).then_some(down_key)
                );
            }
        }
    }
}
