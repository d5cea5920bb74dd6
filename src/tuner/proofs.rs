//! What the compiler said of each kernel of a run: known results first, then compile the rest.

use std::collections::HashMap;

use super::select::Known;
use super::strategy::{Heard, Round};
use crate::events::Observer;
use crate::failure::{Failure, Kind, forwards};
use crate::journal::{Journal, JournalError};
use crate::shape::{Role, Tile};
use crate::worker::protocol::{CompileOutcome, Compiled, Unit};
use crate::worker::{CachedCompiler, CompileError, Compiler, CompilerIdentity};
use serde::{Deserialize, Serialize};

/// A line of a run's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// What compiles and what is compiled; the first record of a run that compiles.
    Compiler(CompilerIdentity),
    /// One kernel's result.
    Proof {
        /// Which of the two kernels.
        role: Role,
        /// The tile.
        tile: Tile,
        /// What the compiler said.
        result: CompileOutcome,
    },
    /// What was measured: one question of the strategy with its answer.
    Round {
        /// The question.
        round: Round,
        /// The answer.
        heard: Heard,
    },
    /// A file is on disk.
    File {
        /// Relative to the run directory.
        path: String,
        /// SHA-256 of its bytes.
        sha256: String,
    },
}

/// Why proving stopped.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The compiler.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The run was started with another compiler or kernel.
    #[error("this run was compiled with another {field}: {was}, now {now}")]
    OtherCompiler {
        /// What differs.
        field: &'static str,
        /// In the journal.
        was: String,
        /// Now.
        now: String,
    },
    /// Kernels of the choice ended without a word about themselves.
    #[error("{count} kernels could not be judged; first {role} {tile}: {why}")]
    Unjudged {
        /// How many.
        count: usize,
        /// The first one's role.
        role: Role,
        /// The first one's tile.
        tile: Tile,
        /// What happened to it.
        why: String,
    },
}

forwards! {
    impl Failure for ProofError forwarding Compile, Journal {
        Self::OtherCompiler { .. } => Kind::Input, "start a new run";
        Self::Unjudged { .. } => Kind::Incomplete,
            "resume with a larger --compile-timeout or fewer --jobs: they are tried again";
    }
}

/// The results of one run, by kernel.
#[derive(Debug, Default)]
pub struct Proofs {
    results: HashMap<(Role, Tile), CompileOutcome>,
}

impl Proofs {
    /// The results a journal holds, with the compiler they are from.
    pub fn from_records(records: Vec<Record>) -> (Self, Option<CompilerIdentity>) {
        let mut proofs = Self::default();
        let mut identity = None;
        for record in records {
            match record {
                Record::Compiler(found) => identity = Some(found),
                // What says nothing about the kernel is tried again.
                Record::Proof { result, .. } if !result.is_lasting() => {}
                Record::Proof { role, tile, result } => {
                    proofs.results.insert((role, tile), result);
                }
                Record::Round { .. } | Record::File { .. } => {}
            }
        }
        (proofs, identity)
    }

    /// What was allocated for a kernel, if it compiled.
    pub fn compiled(&self, role: Role, tile: &Tile) -> Option<&Compiled> {
        match self.results.get(&(role, *tile)) {
            Some(CompileOutcome::Compiled(compiled)) => Some(compiled),
            _ => None,
        }
    }

    /// Kernels that did not compile.
    pub fn failed(&self) -> usize {
        self.results.values().filter(|result| matches!(result, CompileOutcome::Failed(_))).count()
    }

    /// What the results mean on a device with `limit` bytes of shared memory a block.
    pub fn known(&self, limit: u32) -> Known {
        let mut known = Known::default();
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
                        known.spilling.insert(*kernel);
                    }
                    continue;
                }
            };
            known.rejected.insert(*kernel, refusal);
        }
        known
    }

    /// That some of `kernels` ended without a word about themselves, if any did.
    pub fn unjudged(&self, kernels: &[(Role, Tile)]) -> Option<ProofError> {
        let unjudged: Vec<_> = kernels
            .iter()
            .filter_map(|kernel| Some((kernel, self.results.get(kernel)?)))
            .filter(|(_, result)| !result.is_lasting())
            .collect();
        let ((role, tile), result) = unjudged.first()?;
        Some(ProofError::Unjudged {
            count: unjudged.len(),
            role: *role,
            tile: *tile,
            why: result.failed().unwrap_or_default(),
        })
    }

    /// Those of `kernels` that nothing is known of.
    pub fn unknown(&self, kernels: &[(Role, Tile)]) -> Vec<(Role, Tile)> {
        kernels.iter().filter(|kernel| !self.results.contains_key(*kernel)).copied().collect()
    }
}

/// Compiles kernels for one run and records what comes out.
#[derive(Debug)]
pub struct Prover<'a, C> {
    compiler: CachedCompiler<'a, C>,
    journal: &'a mut Journal<Record>,
}

impl<'a, C: Compiler> Prover<'a, C> {
    /// A prover that writes to `journal`; `recorded` is the compiler an earlier part of the run used.
    pub fn new(
        compiler: CachedCompiler<'a, C>,
        journal: &'a mut Journal<Record>,
        recorded: Option<&CompilerIdentity>,
    ) -> Result<Self, ProofError> {
        match recorded {
            Some(recorded) => same_compiler(recorded, compiler.identity())?,
            None => journal.append(&Record::Compiler(compiler.identity().clone()))?,
        }
        Ok(Self { compiler, journal })
    }

    /// What compiles and what is compiled.
    pub fn identity(&self) -> &CompilerIdentity {
        self.compiler.identity()
    }

    /// Find out about `kernels`, each once, recording every result as it comes.
    pub async fn prove(
        &mut self,
        kernels: &[(Role, Tile)],
        proofs: &mut Proofs,
        observer: &mut dyn Observer,
    ) -> Result<(), ProofError> {
        let units: Vec<Unit> =
            proofs.unknown(kernels).iter().map(|(role, tile)| Unit::of(*role, tile)).collect();
        let journal = &mut *self.journal;
        let mut record = |unit: &Unit, result: CompileOutcome| -> Result<(), Box<dyn Failure>> {
            let (role, tile) = (unit.role, unit.config.tile());
            journal.append(&Record::Proof { role, tile, result: result.clone() })?;
            proofs.results.insert((role, tile), result);
            Ok(())
        };
        self.compiler.compile(&units, observer, &mut record).await?;
        proofs.unjudged(kernels).map_or(Ok(()), Err)
    }

    /// Have the binaries of `units` ready for launching. Each is a variant of a kernel that is proven: what
    /// comes of it is for whoever launches it to find.
    pub async fn ready(&mut self, units: &[Unit], observer: &mut dyn Observer) -> Result<(), ProofError> {
        Ok(self.compiler.compile(units, observer, &mut |_, _| Ok(())).await?)
    }
}

/// Results of another kernel, Triton or assembler prove nothing about this one.
fn same_compiler(was: &CompilerIdentity, now: &CompilerIdentity) -> Result<(), ProofError> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    for (field, was, now) in [
        ("kernel source", was.kernel_digest.clone(), now.kernel_digest.clone()),
        ("Triton", was.triton.clone(), now.triton.clone()),
        ("ptxas", or_none(&was.ptxas), or_none(&now.ptxas)),
    ] {
        if was != now {
            return Err(ProofError::OtherCompiler { field, was, now });
        }
    }
    Ok(())
}
