//! What the compiler said of each kernel of a run.

use std::collections::HashMap;

use super::record::Record;
use super::select::KernelFindings;
use crate::shape::{Role, Tile};
use crate::worker::protocol::{CompileOutcome, Compiled};

/// Kernels of the choice that ended without a word about themselves.
#[derive(Debug, thiserror::Error)]
#[error("{count} kernels could not be judged; first {role} {tile}: {why}")]
pub(crate) struct Unjudged {
    /// How many.
    pub(crate) count: usize,
    role: Role,
    tile: Tile,
    /// What happened to the first.
    why: String,
}

/// The results of one run, by kernel.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    results: HashMap<(Role, Tile), CompileOutcome>,
}

impl Proofs {
    /// The results that `records` hold.
    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut proofs = Self::default();
        for record in records {
            match record {
                // What says nothing about the kernel is tried again.
                Record::Proof { role, tile, result, .. } if result.is_lasting() => {
                    proofs.learn(*role, *tile, result.clone());
                }
                Record::Proof { .. }
                | Record::Binary { .. }
                | Record::Session { .. }
                | Record::Joined { .. }
                | Record::Ordered { .. }
                | Record::BatchEnded { .. }
                | Record::Left { .. }
                | Record::Round { .. }
                | Record::Sentinel { .. }
                | Record::File { .. } => {}
            }
        }
        proofs
    }

    /// The compiler has spoken of a kernel.
    pub(crate) fn learn(&mut self, role: Role, tile: Tile, result: CompileOutcome) {
        self.results.insert((role, tile), result);
    }

    /// What was allocated for a kernel, if it compiled.
    pub(crate) fn compiled(&self, role: Role, tile: &Tile) -> Option<&Compiled> {
        match self.results.get(&(role, *tile)) {
            Some(CompileOutcome::Compiled(compiled)) => Some(compiled),
            _ => None,
        }
    }

    /// Kernels that did not compile.
    pub(crate) fn failed(&self) -> usize {
        self.results.values().filter(|result| matches!(result, CompileOutcome::Failed(_))).count()
    }

    /// What the results mean on a device with `limit` bytes of shared memory a block.
    pub(crate) fn findings(&self, limit: u32) -> KernelFindings {
        let mut findings = KernelFindings::default();
        for (kernel, result) in &self.results {
            let refusal = match result {
                CompileOutcome::Failed(failure) => {
                    let why = failure.message.lines().next().unwrap_or_default();
                    format!("does not compile: {} ({why})", failure.reason.name())
                }
                CompileOutcome::Compiled(compiled) if compiled.shared_bytes > limit => format!(
                    "was compiled to {} bytes of shared memory, the device has {limit}",
                    compiled.shared_bytes
                ),
                CompileOutcome::Compiled(compiled) => {
                    if compiled.spill_bytes.is_some_and(|bytes| bytes > 0) {
                        findings.spilling.insert(*kernel);
                    }
                    continue;
                }
            };
            findings.rejected.insert(*kernel, refusal);
        }
        findings
    }

    /// That some of `kernels` ended without a word about themselves, if any did.
    pub(crate) fn unjudged(&self, kernels: &[(Role, Tile)]) -> Option<Unjudged> {
        let unjudged: Vec<_> = kernels
            .iter()
            .filter_map(|kernel| Some((kernel, self.results.get(kernel)?)))
            .filter(|(_, result)| !result.is_lasting())
            .collect();
        let ((role, tile), result) = unjudged.first()?;
        Some(Unjudged {
            count: unjudged.len(),
            role: *role,
            tile: *tile,
            why: result.failed().unwrap_or_default(),
        })
    }

    /// Those of `kernels` that nothing is known of.
    pub(crate) fn unknown(&self, kernels: &[(Role, Tile)]) -> Vec<(Role, Tile)> {
        kernels.iter().filter(|kernel| !self.results.contains_key(*kernel)).copied().collect()
    }
}
