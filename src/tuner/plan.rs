//! What a run is to do: everything its result depends on, as data that can be hashed and compared.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::strategy::StrategySpec;
use crate::artifact::manifest::ManifestModel;
use crate::artifact::{ConfigFile, Evidence};
use crate::runtime::Target;
use crate::shape::{KernelConfig, MoeShape};

/// How entries are chosen where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Keep the runtime's own default wherever it fits and compiles; elsewhere the best predicted.
    RuntimeDefault,
    /// The best predicted everywhere.
    BestPredicted,
}

impl Policy {
    /// The name on the command line and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Policy::RuntimeDefault => "runtime-default",
            Policy::BestPredicted => "best-predicted",
        }
    }
}

/// A model's name without its organisation, or a path's last part.
pub(crate) fn short_name(name: &str) -> &str {
    let name = name.trim_end_matches('/');
    name.rsplit('/').next().unwrap_or(name)
}

/// The model a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedModel {
    /// Its name: a Hugging Face id, or where its config was read.
    pub name: String,
    /// Its architecture; none where the shape was given by hand.
    pub architecture: Option<String>,
    /// Tensor parallelism.
    pub tp: u32,
    /// Expert parallelism.
    pub ep: u32,
}

impl PlannedModel {
    /// As manifests have it.
    pub(super) fn of_manifest(&self) -> ManifestModel {
        let Self { name, architecture, tp, ep } = self.clone();
        ManifestModel { name, architecture, tp, ep }
    }
}

/// The device a plan is for. Its figures stay in the catalogue; these two decide names and fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDevice {
    /// Catalogue id.
    pub id: String,
    /// The name the device reports, spaces included.
    pub name: String,
    /// Shared memory a block may use, bytes.
    pub shared_memory_per_block: u32,
}

/// The plan of one tuning run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// For which model.
    pub model: PlannedModel,
    /// The layer as one rank holds it.
    pub shape: MoeShape,
    /// For which device.
    pub device: PlannedDevice,
    /// For which runtime and Triton.
    pub target: Target,
    /// The keys of the files, ascending.
    pub batch_sizes: Vec<u32>,
    /// How entries are chosen.
    pub policy: Policy,
    /// The rung every entry must reach.
    pub evidence: Evidence,
    /// How it is measured, with the seed of its dice; none where nothing is.
    pub strategy: Option<StrategySpec>,
    /// Config files in use whose entries are heard too.
    pub incumbents: Vec<Incumbent>,
    /// The image that runtime and Triton are of; none where they are of no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PlannedImage>,
}

/// What a plan is for, whoever tunes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedSubject<'a> {
    /// For which model.
    pub model: &'a PlannedModel,
    /// The layer.
    pub shape: &'a MoeShape,
    /// For which device.
    pub device: &'a PlannedDevice,
    /// For which runtime and Triton.
    pub target: Target,
    /// The keys of the files.
    pub batch_sizes: &'a [u32],
    /// The image that runtime and Triton are of.
    pub image: &'a Option<PlannedImage>,
}

/// An image as a plan holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedImage {
    /// What the user called it.
    pub name: String,
    /// The engine's ID for it, with `sha256:` before it: a digest of what is in it.
    pub id: String,
}

impl fmt::Display for PlannedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

/// A pair of config files in use, as a plan holds it: the files themselves may change or go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incumbent {
    /// Where they were read.
    pub path: String,
    /// The up projection's entries, in the file's order.
    pub up: Vec<(u32, KernelConfig)>,
    /// The down projection's.
    pub down: Vec<(u32, KernelConfig)>,
}

impl Incumbent {
    /// The entries that `[up, down]`, read at `path`, hold.
    pub fn new(path: &Path, [up, down]: &[ConfigFile; 2]) -> Self {
        let entries =
            |file: &ConfigFile| file.entries().iter().map(|(key, entry)| (*key, entry.config)).collect();
        Self { path: path.display().to_string(), up: entries(up), down: entries(down) }
    }

    /// What the runtime would take of each for `tokens` tokens; none of an empty file.
    pub fn nearest(&self, tokens: u32) -> Option<[KernelConfig; 2]> {
        let nearest = |entries: &[(u32, KernelConfig)]| {
            entries.iter().min_by_key(|(key, _)| key.abs_diff(tokens)).map(|(_, config)| *config)
        };
        Some([nearest(&self.up)?, nearest(&self.down)?])
    }
}

/// Batch sizes that cannot be a file's keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBatchSizes {
    /// None at all.
    #[error("no batch sizes given; name at least one, such as --batch-sizes 1,16,256")]
    Empty,
    /// Not a positive number of tokens a forward pass can have.
    #[error("batch size `{0}` is not a whole number from 1 to {MAX_BATCH_SIZE}")]
    NotANumber(String),
    /// Given twice.
    #[error("batch size {0} is given twice")]
    Twice(u32),
}

/// SGLang runs the kernel in chunks of at most this many tokens (`CHUNK_SIZE` in `fused_moe.py`).
pub(crate) const MAX_BATCH_SIZE: u32 = 64 * 1024;

/// Parse `1,16,256` into ascending, distinct batch sizes.
pub(crate) fn parse_batch_sizes(text: &str) -> Result<Vec<u32>, BadBatchSizes> {
    if text.trim().is_empty() {
        return Err(BadBatchSizes::Empty);
    }
    let mut sizes = Vec::new();
    for part in text.split(',').map(str::trim) {
        let bad = || BadBatchSizes::NotANumber(part.to_owned());
        if !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        match part.parse() {
            Ok(size) if (1..=MAX_BATCH_SIZE).contains(&size) => sizes.push(size),
            _ => return Err(bad()),
        }
    }
    sizes.sort_unstable();
    match sizes.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(BadBatchSizes::Twice(pair[0])),
        None => Ok(sizes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_sizes_are_positive_distinct_numbers() {
        assert_eq!(parse_batch_sizes("64, 1,16").unwrap(), [1, 16, 64]);
        assert_eq!(parse_batch_sizes(" "), Err(BadBatchSizes::Empty));
        assert_eq!(parse_batch_sizes("1,2,1"), Err(BadBatchSizes::Twice(1)));
        for bad in ["0", "1,,2", "1,x", "-1", "+1", "1.5", "65537", "99999999999999999999"] {
            let error = parse_batch_sizes(bad).unwrap_err();
            assert!(matches!(error, BadBatchSizes::NotANumber(_)), "{bad}: {error}");
        }
    }
}
