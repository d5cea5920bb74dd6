//! Compilation results kept between runs, so that no kernel is ever compiled twice for one target.
//!
//! A result is filed under a hash of everything it depends on: the kernel's source, Triton,
//! assembler, target, launch shape, role, tile and the worker's own code. Only results that would
//! come out the same again are kept: a time limit, a lost worker or an assembler that is too old says
//! nothing about the kernel.

use super::compile_worker::{CompileJob, CompilerIdentity};
use super::filed::Filed;
use super::protocol::{CompileOutcome, Unit};

/// Results below one folder, a file each.
#[derive(Debug, Clone)]
pub struct ResultCache(Filed);

impl ResultCache {
    /// The results for one compiler and job, below the user's `cache` folder.
    pub fn new(cache: &std::path::Path, identity: &CompilerIdentity, job: &CompileJob) -> Self {
        let context = serde_json::json!({
            "identity": identity,
            "target": job.target,
            "shape": job.shape,
            "worker": super::embedded::digest(),
        });
        Self(Filed::new(cache.join("compiled"), context))
    }

    /// The kept result of `unit`. A file that does not read is as good as none.
    pub fn get(&self, unit: &Unit) -> Option<CompileOutcome> {
        self.0.get(unit)
    }

    /// Keep `unit`'s result, if it would come out the same again.
    pub fn put(&self, unit: &Unit, result: &CompileOutcome) -> std::io::Result<()> {
        match result.is_lasting() {
            true => self.0.put(unit, result),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Dtype, MoeShape, Quantization, Role, Tile};
    use crate::worker::protocol::{CompileFailure, CompileTarget, Compiled, FailureReason, LaunchShape};

    fn job(fused: u32) -> CompileJob {
        let shape = MoeShape::glm(Quantization::none(Dtype::Bfloat16), fused);
        CompileJob {
            target: CompileTarget { arch: "sm_121a".into(), capability: 121 },
            shape: LaunchShape::new(&shape, 1),
            jobs: 1,
            timeout_s: 1,
            kernel_cache: None,
        }
    }

    fn identity(kernel: &str) -> CompilerIdentity {
        CompilerIdentity {
            kernel_digest: kernel.into(),
            sglang_version: None,
            triton: "3.5.0".into(),
            ptxas: None,
        }
    }

    #[test]
    fn results_come_back_only_for_what_they_were_for() {
        let dir = tempfile::tempdir().unwrap();
        let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
        let (up, down) = (Unit::of(Role::Up, &tile), Unit::of(Role::Down, &tile));
        let cache = ResultCache::new(dir.path(), &identity("a"), &job(0));
        let compiled = CompileOutcome::Compiled(Compiled {
            shared_bytes: 6144,
            registers: Some(64),
            spill_bytes: Some(0),
            seconds: 1.5,
            binary_sha256: "00".into(),
        });
        cache.put(&up, &compiled).unwrap();
        assert_eq!(cache.get(&up), Some(compiled));
        assert_eq!(cache.get(&down), None);
        assert_eq!(ResultCache::new(dir.path(), &identity("b"), &job(0)).get(&up), None);
        assert_eq!(ResultCache::new(dir.path(), &identity("a"), &job(1)).get(&up), None);
    }

    #[test]
    fn chance_failures_are_not_kept_and_cut_files_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
        let unit = Unit::of(Role::Up, &tile);
        let cache = ResultCache::new(dir.path(), &identity("a"), &job(0));
        let failed =
            |reason| CompileOutcome::Failed(CompileFailure { reason, message: String::new(), seconds: 1.0 });
        cache.put(&unit, &failed(FailureReason::Timeout)).unwrap();
        assert_eq!(cache.get(&unit), None);
        let crash = failed(FailureReason::CompilerCrash);
        cache.put(&unit, &crash).unwrap();
        assert_eq!(cache.get(&unit), Some(crash));
        let path = cache.0.path(&unit);
        std::fs::write(path, "{\"key\":").unwrap();
        assert_eq!(cache.get(&unit), None);
    }
}
