//! Compile what is not known yet: results kept by earlier runs first, the compiler for the rest.

use tokio_util::sync::CancellationToken;

use super::process::{OnUnit, WorkerError};
use super::protocol::{CompileOutcome, FailureReason, Unit};
use super::result_cache::ResultCache;
use super::supervisor::{CompileJob, Compiler, CompilerIdentity};
use crate::events::{CompileEvent, NoBinary, Observer, Work};
use crate::failure::{Failure, Kind, forwards};
use crate::host_name::HostName;

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

forwards! {
    impl Failure for CompileError forwarding Worker {
        Self::UnsupportedTarget { .. } => Kind::Environment,
            "point TRITON_PTXAS_PATH at an assembler that knows the target, or drop --python";
        Self::Interrupted => Kind::Interrupted;
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
        observer.say(CompileEvent::Queued { work: Work::new(0, unknown.len()) });
        let (cache, arch) = (&self.cache, &self.job.target.arch);
        let (mut unsupported, mut done, host) = (None, 0, HostName::local());
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
                observer.note(format!("cannot keep a compile result for later runs: {error}"));
            }
            done += 1;
            let ended = CompileEvent::Ended {
                role: unit.role,
                tile: unit.config.tile(),
                batch_size: unit.batch_size,
                failed: no_binary(&outcome),
                work: Work::new(done, unknown.len()),
            };
            observer.say_from(&host, ended);
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

fn no_binary(outcome: &CompileOutcome) -> Option<NoBinary> {
    match outcome {
        CompileOutcome::Compiled(_) => None,
        CompileOutcome::Failed(failure) => Some(NoBinary {
            reason: failure.reason.name().to_owned(),
            message: failure.message.lines().next().unwrap_or_default().to_owned(),
        }),
    }
}
