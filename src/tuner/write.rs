//! The files of a run: written whole, read back, checked, described.

use std::path::Path;

use super::plan::Plan;
use super::proofs::Proofs;
use super::select::Selected;
use crate::artifact::config_file::ConfigFileError;
use crate::artifact::manifest::{self, FORMAT, Manifest, ManifestCompiler, ManifestEntry};
use crate::artifact::{ConfigFile, ConfigName, Evidence};
use crate::device::Device;
use crate::failure::{Failure, Kind};
use crate::fs::{sha256_hex, write_atomic};
use crate::kernel::shared_memory;
use crate::shape::Role;
use crate::worker::CompilerIdentity;

/// A file on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Which kernel's.
    pub role: Role,
    /// Relative to the run directory.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The weakest rung among its entries.
    pub evidence: Evidence,
}

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What was read back is not what was written.
    #[error(transparent)]
    ReadBack(#[from] ConfigFileError),
    /// An entry was to be written that does not fit.
    #[error(
        "batch size {batch_size}, {role}: {config} would take {bytes} bytes of shared memory, the device has {limit}"
    )]
    DoesNotFit {
        /// The key.
        batch_size: u32,
        /// Which kernel.
        role: Role,
        /// The config.
        config: String,
        /// What it takes.
        bytes: u32,
        /// What there is.
        limit: u32,
    },
    /// An entry lacks the proof the plan asks for.
    #[error("batch size {batch_size}, {role}: {config} was never compiled")]
    Unproven {
        /// The key.
        batch_size: u32,
        /// Which kernel.
        role: Role,
        /// The config.
        config: String,
    },
}

impl Failure for WriteError {
    fn kind(&self) -> Kind {
        match self {
            WriteError::Io(_) => Kind::Environment,
            WriteError::ReadBack(_) | WriteError::DoesNotFit { .. } | WriteError::Unproven { .. } => {
                Kind::CheckFailed
            }
        }
    }
}

/// Write both roles' files and manifests below `run_dir`.
///
/// The last gate before anything leaves the program: an entry that does not fit, or lacks the proof the
/// plan asks for, stops the run before a byte is written.
pub(crate) fn write(
    plan: &Plan,
    device: &Device,
    selected: &[Selected],
    proofs: &Proofs,
    compiler: Option<&CompilerIdentity>,
    run_dir: &Path,
) -> Result<Vec<Written>, WriteError> {
    let manifests = Role::BOTH
        .into_iter()
        .map(|role| describe(plan, device, selected, proofs, compiler, role))
        .collect::<Result<Vec<_>, _>>()?;
    let folder = plan.target.folder();
    fs_err::create_dir_all(run_dir.join(&folder))?;
    let mut written = Vec::new();
    for (manifest, text) in manifests {
        let path = run_dir.join(&folder).join(&manifest.file);
        write_atomic(&path, text.as_bytes())?;
        write_atomic(&manifest::path_beside(&path), manifest.render().as_bytes())?;
        ConfigFile::read(&path)?;
        written.push(Written {
            role: manifest.role,
            path: format!("{folder}/{}", manifest.file),
            evidence: manifest.evidence().unwrap_or(plan.evidence),
            sha256: manifest.sha256,
        });
    }
    Ok(written)
}

/// One role's manifest and the text of its config file.
fn describe(
    plan: &Plan,
    device: &Device,
    selected: &[Selected],
    proofs: &Proofs,
    compiler: Option<&CompilerIdentity>,
    role: Role,
) -> Result<(Manifest, String), WriteError> {
    let limit = device.shared_memory_per_block;
    let mut entries = std::collections::BTreeMap::new();
    for entry in selected {
        let choice = entry.role(role);
        let tile = choice.config.tile();
        let compiled = proofs.compiled(role, &tile).filter(|_| plan.evidence >= Evidence::Compiled);
        let (batch_size, config) = (entry.batch_size, choice.config.to_string());
        if plan.evidence >= Evidence::Compiled && compiled.is_none() {
            return Err(WriteError::Unproven { batch_size, role, config });
        }
        let bytes = compiled.map_or_else(
            || shared_memory::required_bytes(&tile, &plan.shape.quantization),
            |compiled| compiled.shared_bytes,
        );
        if bytes > limit {
            return Err(WriteError::DoesNotFit { batch_size, role, config, bytes, limit });
        }
        let standing = ManifestEntry {
            // A plan may ask for more than an entry reached; it never gets less than it was compiled for.
            evidence: choice.measured.map_or(plan.evidence.min(Evidence::Compiled), |it| it.0),
            source: choice.source,
            default_replaced: choice.default_replaced.clone(),
            config: choice.config,
            shared_bytes: bytes,
            registers: compiled.and_then(|compiled| compiled.registers),
            spill_bytes: compiled.and_then(|compiled| compiled.spill_bytes),
            binary_sha256: compiled.map(|compiled| compiled.binary_sha256.clone()),
            tuned: None,
            measured: choice.measured.map(|it| it.1),
            // Tenths of a nanosecond would pretend to know more than the model does.
            predicted_us: choice.predicted_us.map(|time| (time * 10.0).round() / 10.0),
        };
        entries.insert(batch_size, standing);
    }
    let runtime = plan.target.runtime;
    let text = ConfigFile::new(entries.iter().map(|(key, entry)| (*key, entry.config))).render();
    let manifest = Manifest {
        format: FORMAT,
        file: ConfigName::for_shape(&plan.shape, device, runtime, role).file_name(runtime),
        sha256: sha256_hex(text.as_bytes()),
        role,
        model: plan.model.of_manifest(),
        also_for: Vec::new(),
        shape: plan.shape,
        device: device.into(),
        target: plan.target,
        compiler: compiler.filter(|_| plan.evidence >= Evidence::Compiled).map(|compiler| ManifestCompiler {
            kernel_digest: compiler.kernel_digest.clone(),
            sglang_version: compiler.sglang_version.clone(),
            triton: compiler.triton.clone(),
            ptxas: compiler.ptxas.clone(),
        }),
        policy: plan.policy.name().to_owned(),
        stock: None,
        tool: format!("sparktune {}", env!("CARGO_PKG_VERSION")),
        created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        entries,
    };
    Ok((manifest, text))
}
