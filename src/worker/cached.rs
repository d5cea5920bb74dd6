//! Compile what is not known yet: results kept by earlier runs first, the compiler for the rest.

use tokio_util::sync::CancellationToken;

use super::compile_worker::{CompileJob, CompilerIdentity};
use super::error::WorkerError;
use super::protocol::{CompileOutcome, FailureReason, Unit};
use super::result_cache::ResultCache;
use super::supervisor::{Compiler, OnUnit};
use crate::events::{Event, Observer};
use crate::failure::{Failure, Kind};

/// Why compiling stopped before every unit was known.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The worker, what it was asked, or the reader of its results.
    #[error(transparent)]
    Worker(#[from] WorkerError),
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

impl Failure for CompileError {
    fn kind(&self) -> Kind {
        match self {
            CompileError::Worker(error) => error.kind(),
            CompileError::UnsupportedTarget { .. } => Kind::Environment,
            CompileError::Interrupted => Kind::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CompileError::Worker(error) => error.hint(),
            CompileError::UnsupportedTarget { .. } => {
                Some("point TRITON_PTXAS_PATH at an assembler that knows the target, or drop --python".into())
            }
            CompileError::Interrupted => None,
        }
    }
}

/// A compiler with the results of earlier runs before it.
#[derive(Debug)]
pub struct CachedCompiler<'a, C> {
    compiler: &'a mut C,
    job: CompileJob,
    cache: ResultCache,
    cancel: CancellationToken,
}

impl<'a, C: Compiler> CachedCompiler<'a, C> {
    /// Compile `job`s units with `compiler`; results are kept below `cache_dir`.
    pub fn new(
        compiler: &'a mut C,
        job: CompileJob,
        cache_dir: &std::path::Path,
        cancel: CancellationToken,
    ) -> Self {
        let cache = ResultCache::new(cache_dir, compiler.identity(), &job);
        Self { compiler, job, cache, cancel }
    }

    /// What compiles and what is compiled.
    pub fn identity(&self) -> &CompilerIdentity {
        self.compiler.identity()
    }

    /// Find out about `units`, each once, handing every outcome to `on_unit` as it comes.
    ///
    /// A target that the toolchain does not know ends it at once: no other kernel fares better, and a
    /// mended toolchain must not find such a result on record.
    pub async fn compile(
        &mut self,
        units: &[Unit],
        observer: &mut dyn Observer,
        on_unit: OnUnit<'_, Unit>,
    ) -> Result<(), CompileError> {
        let mut unknown = Vec::new();
        for unit in units {
            match self.cache.get(unit) {
                Some(outcome) => on_unit(unit, outcome).map_err(WorkerError::Reader)?,
                None => unknown.push(unit.clone()),
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        observer.on(&Event::CompileStarted { units: unknown.len() });
        let (cache, arch) = (&self.cache, &self.job.target.arch);
        let mut unsupported = None;
        let mut keep = |unit: &Unit, outcome: CompileOutcome| -> Result<(), Box<dyn Failure>> {
            if let CompileOutcome::Failed(failure) = &outcome
                && failure.reason == FailureReason::UnsupportedTarget
            {
                let (arch, message) = (arch.clone(), failure.message.clone());
                unsupported = Some((arch.clone(), message.clone()));
                return Err(CompileError::UnsupportedTarget { arch, message }.into());
            }
            if let Err(error) = cache.put(unit, &outcome) {
                // Whoever asked has the result: only a later run would miss it.
                observer.on(&Event::Warning(format!("cannot keep a compile result for later runs: {error}")));
            }
            let tile = unit.config.tile().to_string();
            observer.on(&Event::Compiled { role: unit.role, tile, failed: outcome.failed() });
            on_unit(unit, outcome)
        };
        let result = tokio::select! {
            result = self.compiler.compile(&self.job, &unknown, &mut keep) => result,
            () = self.cancel.cancelled() => return Err(CompileError::Interrupted),
        };
        match (result, unsupported) {
            (Err(_), Some((arch, message))) => Err(CompileError::UnsupportedTarget { arch, message }),
            (result, _) => Ok(result?),
        }
    }
}
