//! Binaries on their way between nodes, kept on this machine: who compiled one may be busy, or gone, when another needs it.
//!
//! A binary that was cut or changed on this disk is as good as none, and its file is removed.

use std::path::Path;

use super::compile_worker::{CompileJob, CompilerIdentity};
use super::filed::Filed;
use super::protocol::{PackedBinary, Unit};
use crate::fs::sha256_hex;

/// Binaries below one folder, a file each.
#[derive(Debug, Clone)]
pub struct BinaryStore(Filed);

impl BinaryStore {
    /// The binaries of one compiler and job, below the user's `cache` folder.
    pub fn new(cache: &Path, identity: &CompilerIdentity, job: &CompileJob) -> Self {
        // The SGLang that the kernel was taken from is not among what a binary depends on: nodes may differ in it.
        let CompilerIdentity { kernel_digest, sglang_version: _, triton, ptxas } = identity;
        let context = serde_json::json!({
            "kernel": kernel_digest,
            "triton": triton,
            "ptxas": ptxas,
            "target": job.target,
            "shape": job.shape,
            "worker": super::embedded::digest(),
        });
        Self(Filed::new(cache.join("binaries"), context))
    }

    /// Whether there is a file of `unit`.
    pub fn has(&self, unit: &Unit) -> bool {
        self.0.path(unit).is_file()
    }

    /// The binary of `unit`, if it is whole.
    pub fn get(&self, unit: &Unit) -> Option<PackedBinary> {
        let binary = self.0.get(unit).filter(is_whole);
        if binary.is_none() {
            // A file that cannot be removed is found again, and found wanting again.
            let _ = std::fs::remove_file(self.0.path(unit));
        }
        binary
    }

    /// Keep `binary` as that of `unit`, if it came whole.
    pub fn put(&self, unit: &Unit, binary: &PackedBinary) -> std::io::Result<()> {
        match is_whole(binary) {
            true => self.0.put(unit, binary),
            false => Err(std::io::Error::other("it was changed on its way")),
        }
    }
}

fn is_whole(binary: &PackedBinary) -> bool {
    sha256_hex(binary.content.as_bytes()) == binary.sha256
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Dtype, MoeShape, Quantization, Role, Tile};
    use crate::worker::protocol::{CompileTarget, LaunchShape};

    fn job(arch: &str) -> CompileJob {
        let shape = MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0);
        CompileJob {
            target: CompileTarget { arch: arch.into(), capability: 121 },
            shape: LaunchShape::new(&shape, 1),
            jobs: 1,
            timeout_s: 1,
            kernel_cache: None,
        }
    }

    fn identity(sglang: &str, triton: &str) -> CompilerIdentity {
        CompilerIdentity {
            kernel_digest: "d".into(),
            sglang_version: Some(sglang.into()),
            triton: triton.into(),
            ptxas: None,
        }
    }

    fn unit() -> Unit {
        let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
        Unit::of(Role::Up, &tile)
    }

    fn binary(content: &str) -> PackedBinary {
        PackedBinary {
            kernel: "d".into(),
            triton: "3.5.0".into(),
            arch: "sm_121a".into(),
            key: "K".into(),
            content: content.into(),
            sha256: sha256_hex(content.as_bytes()),
        }
    }

    #[test]
    fn binaries_come_back_only_for_what_they_were_made_with() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            |sglang, triton, arch| BinaryStore::new(dir.path(), &identity(sglang, triton), &job(arch));
        let mine = store("0.5.4", "3.5.0", "sm_121a");
        assert!(!mine.has(&unit()) && mine.get(&unit()).is_none());
        mine.put(&unit(), &binary("code")).unwrap();
        assert_eq!(mine.get(&unit()), Some(binary("code")));
        assert_eq!(store("0.5.5", "3.5.0", "sm_121a").get(&unit()), Some(binary("code")));
        assert!(!store("0.5.4", "3.5.1", "sm_121a").has(&unit()));
        assert!(!store("0.5.4", "3.5.0", "sm_120a").has(&unit()));
        assert!(!mine.has(&Unit { batch_size: Some(64), ..unit() }));
    }

    #[test]
    fn what_is_torn_or_changed_is_none_and_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = BinaryStore::new(dir.path(), &identity("0.5.4", "3.5.0"), &job("sm_121a"));
        let changed = PackedBinary { content: "cude".into(), ..binary("code") };
        assert!(store.put(&unit(), &changed).unwrap_err().to_string().contains("changed on its way"));
        assert!(!store.has(&unit()));
        store.put(&unit(), &binary("code")).unwrap();
        let path = store.0.path(&unit());
        let text = std::fs::read_to_string(&path).unwrap();
        for spoilt in [&text[..text.len() / 2], "", &text.replace("\"code\"", "\"cude\"")] {
            std::fs::write(&path, spoilt).unwrap();
            assert!(store.has(&unit()));
            assert_eq!(store.get(&unit()), None, "{spoilt}");
            assert!(!store.has(&unit()));
        }
    }
}
