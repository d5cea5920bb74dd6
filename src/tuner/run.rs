//! One tuning run: select, prove, select again where something failed, write the files.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::contests::Contests;
use super::plan::Plan;
use super::proofs::{ProofError, Proofs, Prover, Record};
use super::search::{Known, SearchError};
use super::select::{NothingLeft, Selected, Selector};
use super::write::{self, WriteError, Written};
use crate::device::Device;
use crate::events::{FileEvent, Observer};
use crate::failure::{Failure, Kind, forwards};
use crate::journal::{self, Journal, JournalError};
use crate::shape::{Role, Tile};
use crate::worker::protocol::{CompileTarget, LaunchShape};
use crate::worker::timing::Timer;
use crate::worker::{CachedCompiler, CompileJob, Compiler, CompilerIdentity};

/// Where a run lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    journal: Journal<Record>,
    proofs: Proofs,
    compiler: Option<CompilerIdentity>,
    /// Rounds measured by earlier sessions of the run.
    rounds: Known,
    /// For a new run, whether its directory was made for it; none for a resumed one.
    made: Option<bool>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run directory cannot be used.
    #[error("cannot use `{path}` as run directory: {source}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The compiler.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The measurements.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Nothing works for a batch size.
    #[error(transparent)]
    NothingLeft(#[from] NothingLeft),
    /// A file could not be written, or not be written so that it would work.
    #[error(transparent)]
    Write(#[from] WriteError),
}

forwards! {
    impl Failure for RunError forwarding Journal, Proof, Search, Write {
        // `--out` names it: a file, or a place that cannot be written.
        Self::Directory { .. } => Kind::Input;
        Self::NothingLeft(_) => Kind::CheckFailed;
    }
}

impl RunDir {
    /// Start a run in `path`, made if it is not there.
    pub fn start<P: Serialize>(path: &Path, plan: &P) -> Result<Self, RunError> {
        let made = !path.exists();
        fs_err::create_dir_all(path)
            .map_err(|source| RunError::Directory { path: path.to_owned(), source })?;
        let journal = Journal::create(path, plan).map_err(|error| {
            if made {
                // Nothing of ours is in it: leave no empty folder behind.
                let _ = std::fs::remove_dir(path);
            }
            match error {
                // Where a run cannot even begin, the directory is the wrong one.
                JournalError::Io { source, .. } => RunError::Directory { path: path.to_owned(), source },
                other => other.into(),
            }
        })?;
        let (proofs, compiler, rounds) = (Proofs::default(), None, Vec::new());
        Ok(Self { path: path.to_owned(), journal, proofs, compiler, rounds, made: Some(made) })
    }

    /// Undo [`start`](Self::start) for a run that could not begin; a resumed run stays as it is.
    pub fn abandon(self) {
        let Some(made) = self.made else { return };
        // Whatever cannot be removed is at worst an empty run that can be resumed.
        let _ = std::fs::remove_file(self.path.join(journal::FILE_NAME));
        if made {
            let _ = std::fs::remove_dir(&self.path);
        }
    }

    /// Go on with the run in `path`.
    pub fn resume<P: Serialize>(path: &Path, plan: &P) -> Result<Self, RunError> {
        let (records, journal) = Journal::resume(path, plan)?;
        let rounds = rounds(&records);
        let (proofs, compiler) = Proofs::from_records(records);
        Ok(Self { path: path.to_owned(), journal, proofs, compiler, rounds, made: None })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// How kernels are compiled in a run.
#[derive(Debug)]
pub struct Compiling<'a, C> {
    /// The compiler.
    pub compiler: &'a mut C,
    /// Compilations at a time.
    pub jobs: usize,
    /// Time one may take, seconds.
    pub timeout_s: u64,
    /// Where results are kept between runs.
    pub cache: &'a Path,
    /// Where binaries are kept, in a run that launches them.
    pub kernel_cache: Option<PathBuf>,
}

/// What a finished run did.
#[derive(Debug)]
pub struct Finished {
    /// What was chosen.
    pub selected: Vec<Selected>,
    /// The files.
    pub files: Vec<Written>,
    /// Distinct kernels proven; 0 at the rung `predicted`.
    pub proven: usize,
    /// Kernels that did not compile and were passed over.
    pub rejected: usize,
    /// What measuring cost; none where nothing was measured.
    pub raced: Option<Raced>,
}

/// Carry out `plan` in `dir`. `compiling` is needed for the rung `compiled`, `measuring` for those above.
pub async fn run<C: Compiler, T: Timer>(
    plan: &Plan,
    device: &Device,
    dir: &mut RunDir,
    compiling: Option<Compiling<'_, C>>,
    measuring: Option<Measuring<'_, T>>,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Finished, RunError> {
    let mut selector = Selector::new(plan, device);
    let limit = device.shared_memory_per_block;
    let mut raced = None;
    let (selected, proven) = match compiling {
        None => (selector.select(&dir.proofs.known(limit))?, 0),
        Some(compiling) => {
            let job = compile_job(plan, device, &compiling);
            let compiler = CachedCompiler::new(compiling.compiler, job, compiling.cache, cancel.clone());
            let mut prover = Prover::new(compiler, &mut dir.journal, dir.compiler.as_ref())?;
            let proofs = &mut dir.proofs;
            // Every round learns of at least one kernel, and there are finitely many: this ends.
            let mut selected = loop {
                let selected = selector.select(&proofs.known(limit))?;
                let kernels = kernels(&selected);
                // What was just learnt can change the choice; only a choice that stands is proven.
                if proofs.unknown(&kernels).is_empty() {
                    break selected;
                }
                prover.prove(&kernels, proofs, observer).await?;
            };
            if let Some(measuring) = &measuring {
                // Everything that may be timed is compiled first: measuring never waits for a compiler.
                let all = Contests::new(plan, device, &Default::default(), measuring.incumbents);
                prover.prove(&all.kernels(), proofs, observer).await?;
                prover.ready(&all.large_batch_units(plan, device), observer).await?;
            }
            dir.compiler = Some(prover.identity().clone());
            if let Some(measuring) = measuring {
                let rejected = dir.proofs.known(limit).rejected.into_keys().collect();
                let contests = Contests::new(plan, device, &rejected, measuring.incumbents);
                raced = Some(measuring.decide(contests, dir, &mut selected, &cancel, observer).await?);
            }
            let proven = kernels(&selected).len();
            (selected, proven)
        }
    };
    let files = write::write(plan, device, &selected, &dir.proofs, dir.compiler.as_ref(), &dir.path)?;
    for file in &files {
        dir.journal.append(&Record::File { path: file.path.clone(), sha256: file.sha256.clone() })?;
        observer.say(FileEvent::Written { path: file.path.clone(), sha256: file.sha256.clone() });
    }
    Ok(Finished { selected, files, proven, rejected: dir.proofs.failed(), raced })
}

fn compile_job<C>(plan: &Plan, device: &Device, compiling: &Compiling<'_, C>) -> CompileJob {
    CompileJob {
        target: CompileTarget { arch: device.compile_target.clone(), capability: device.capability() },
        shape: LaunchShape::new(&plan.shape, plan.model.ep),
        jobs: compiling.jobs,
        timeout_s: compiling.timeout_s,
        kernel_cache: compiling.kernel_cache.clone(),
    }
}

/// The rounds a journal holds, in order.
fn rounds(records: &[Record]) -> Known {
    let round = |record: &Record| match record {
        Record::Round { round, heard } => Some((round.clone(), heard.clone())),
        _ => None,
    };
    records.iter().filter_map(round).collect()
}

/// The distinct kernels behind a choice, in order.
fn kernels(selected: &[Selected]) -> Vec<(Role, Tile)> {
    let mut seen = std::collections::HashSet::new();
    selected
        .iter()
        .flat_map(|entry| Role::BOTH.map(|role| (role, entry.role(role).config.tile())))
        .filter(|kernel| seen.insert(*kernel))
        .collect()
}

mod measure;
mod record;
#[cfg(test)]
pub(crate) mod tests;

pub use measure::{Measuring, Raced};
pub use record::{RecordJob, Recorded, record};
