//! Do the up and the down file agree on BLOCK_SIZE_M wherever they are looked up together?

use super::{Context, Finding, Severity, file_finding};
use crate::artifact::ConfigFile;
use crate::model::Role;
use crate::runtime::Runtime;

/// The largest batch the two look-ups are compared at: SGLang's default chunk of prefill tokens.
const LARGEST: u32 = 8192;

/// Reported on the down file: it is the one that must follow.
pub(super) fn check(
    context: &Context<'_>,
    file: &ConfigFile,
    sibling: Option<&ConfigFile>,
    findings: &mut Vec<Finding>,
) {
    let read = context.runtime.is_none_or(Runtime::reads_down_file);
    if context.role() != Role::Down || context.name.is_err() || !read {
        return;
    }
    // SGLang takes an empty file for none.
    let Some(up) = sibling.filter(|up| !up.entries().is_empty()) else {
        findings.push(file_finding(
            Severity::Warning,
            "no-up-file",
            "there is no up file beside it: BLOCK_SIZE_M must match a default that this tool does not know"
                .into(),
        ));
        return;
    };
    let Some((tokens, up_block, down_block)) = first_difference(up, file) else { return };
    let (severity, consequence) = match context.runtime {
        Some(Runtime::Sglang054) => (Severity::Crash, "SGLang 0.5.4.post2 asserts that they agree"),
        Some(Runtime::Sglang0523) => {
            (Severity::Ignored, "SGLang 0.5.23 overrides the down entry's, so what runs is not what it says")
        }
        Some(Runtime::Vllm) => return,
        None => {
            (Severity::Crash, "SGLang 0.5.4.post2 asserts that they agree, 0.5.23 overrides the down entry's")
        }
    };
    findings.push(file_finding(
        severity,
        "block-size-m",
        format!("at M={tokens} BLOCK_SIZE_M is {up_block} up and {down_block} down; {consequence}"),
    ));
}

/// The smallest M at which the nearest entries of the two files differ in BLOCK_SIZE_M.
fn first_difference(up: &ConfigFile, down: &ConfigFile) -> Option<(u32, u32, u32)> {
    (1..=LARGEST).find_map(|tokens| {
        let block = |file: &ConfigFile| file.nearest(tokens).map(|(_, entry)| entry.config.block_size_m);
        let (up, down) = (block(up)?, block(down)?);
        (up != down).then_some((tokens, up, down))
    })
}
