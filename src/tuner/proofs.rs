//! What the compiler said of each kernel of a run: known results first, then compile the rest.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::select::Known;
use crate::events::{Event, Observer};
use crate::failure::{Failure, Kind};
use crate::journal::{Journal, JournalError};
use crate::kernel::Tile;
use crate::model::Role;
use crate::worker::protocol::{CompileOutcome, Compiled, FailureReason, Unit};
use crate::worker::{CompileJob, Compiler, CompilerIdentity, ResultCache, WorkerError};

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
    /// The worker or what it was asked.
    #[error(transparent)]
    Worker(#[from] WorkerError),
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
    /// The compiler does not know the device at all.
    #[error("nothing can be compiled for {arch}: {message}")]
    UnsupportedTarget {
        /// The compile target.
        arch: String,
        /// The compiler's words.
        message: String,
    },
    /// The user stopped it.
    #[error("interrupted; every result so far is kept")]
    Interrupted,
}

impl Failure for ProofError {
    fn kind(&self) -> Kind {
        match self {
            ProofError::Worker(error) => error.kind(),
            ProofError::Journal(error) => error.kind(),
            ProofError::OtherCompiler { .. } => Kind::Input,
            ProofError::UnsupportedTarget { .. } => Kind::Environment,
            ProofError::Interrupted => Kind::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ProofError::Worker(error) => error.hint(),
            ProofError::Journal(error) => error.hint(),
            ProofError::OtherCompiler { .. } => Some("start a new run".into()),
            ProofError::UnsupportedTarget { .. } => {
                Some("point TRITON_PTXAS_PATH at an assembler that knows the target, or drop --python".into())
            }
            ProofError::Interrupted => None,
        }
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
                Record::Proof { role, tile, result } => {
                    proofs.results.insert((role, tile), result);
                }
                Record::File { .. } => {}
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

    /// Those of `kernels` that nothing is known of.
    pub fn unknown(&self, kernels: &[(Role, Tile)]) -> Vec<(Role, Tile)> {
        kernels.iter().filter(|kernel| !self.results.contains_key(*kernel)).copied().collect()
    }
}

/// Compiles kernels for one run and keeps what comes out.
#[derive(Debug)]
pub struct Prover<'a, C> {
    compiler: &'a mut C,
    job: CompileJob,
    cache: ResultCache,
    journal: &'a mut Journal<Record>,
    cancel: CancellationToken,
}

impl<'a, C: Compiler> Prover<'a, C> {
    /// A prover that writes to `journal`; `recorded` is the compiler an earlier part of the run used.
    pub fn new(
        compiler: &'a mut C,
        job: CompileJob,
        cache_dir: &std::path::Path,
        journal: &'a mut Journal<Record>,
        recorded: Option<&CompilerIdentity>,
        cancel: CancellationToken,
    ) -> Result<Self, ProofError> {
        let identity = compiler.identity().clone();
        match recorded {
            Some(recorded) => same_compiler(recorded, &identity)?,
            None => journal.append(&Record::Compiler(identity.clone()))?,
        }
        let cache = ResultCache::new(cache_dir, &identity, &job);
        Ok(Self { compiler, job, cache, journal, cancel })
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
        let mut units = Vec::new();
        let mut kernel_of = HashMap::new();
        let asked = proofs.unknown(kernels);
        for &(role, tile) in &asked {
            let unit = Unit::of(role, &tile);
            match self.cache.get(&unit) {
                Some(result) => {
                    self.journal.append(&Record::Proof { role, tile, result: result.clone() })?;
                    proofs.results.insert((role, tile), result);
                }
                None => {
                    kernel_of.insert(unit.unit.clone(), (role, tile));
                    units.push(unit);
                }
            }
        }
        if units.is_empty() {
            return Ok(());
        }
        observer.on(&Event::CompileStarted { units: units.len(), known: kernels.len() - units.len() });
        let (cache, journal, arch) = (&self.cache, &mut *self.journal, &self.job.target.arch);
        let mut on_unit = |unit: &Unit, result: CompileOutcome| -> Result<(), Box<dyn Failure>> {
            let Some(&(role, tile)) = kernel_of.get(&unit.unit) else { return Ok(()) };
            if let CompileOutcome::Failed(failure) = &result
                && failure.reason == FailureReason::UnsupportedTarget
            {
                // No other kernel fares better; and a mended toolchain must not find this on record.
                let (arch, message) = (arch.clone(), failure.message.clone());
                return Err(ProofError::UnsupportedTarget { arch, message }.into());
            }
            journal.append(&Record::Proof { role, tile, result: result.clone() })?;
            if let Err(error) = cache.put(unit, &result) {
                // The run's own journal has the result: only a later run would miss it.
                observer.on(&Event::Warning(format!("cannot keep a compile result for later runs: {error}")));
            }
            observer.on(&Event::Compiled { role, tile: tile.to_string(), failed: result.failed() });
            proofs.results.insert((role, tile), result);
            Ok(())
        };
        let compiling = self.compiler.compile(&self.job, &units, &mut on_unit);
        tokio::select! {
            result = compiling => Ok(result?),
            () = self.cancel.cancelled() => Err(ProofError::Interrupted),
        }
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
