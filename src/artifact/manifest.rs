//! What stands behind a config file: the model it was made for, and how sure each entry is.
//!
//! A manifest lies beside its file as `<name>.manifest.json`. The file itself can carry none of this:
//! a key that is no number makes SGLang fail to start.

mod contradiction;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::config_file::{ConfigFile, MAX_BYTES, batch_size};
use super::json::Members;
use super::problem::shorten;
use crate::device::Device;
use crate::difference::first_difference;
use crate::failure::{Failure, Kind};
use crate::fs::sha256_hex;
use crate::host_name::HostName;
use crate::runtime::{Target, VllmVersion};
use crate::shape::{KernelConfig, MoeShape, Role};

/// The format this version writes and the only one it reads.
pub(crate) const FORMAT: u32 = 1;

/// As much of a manifest as every format has.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// How sure an entry is: a ladder, each rung implies those below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Fits by the exact rule, ranked by the cost model.
    Predicted,
    /// Also compiled by Triton for the device, its allocation read back.
    Compiled,
    /// Also timed on the device.
    Measured,
    /// Also beat or tied the default in a paired test on the full path.
    Confirmed,
}

impl Evidence {
    /// `predicted`, `compiled`, `measured` or `confirmed`.
    pub fn name(self) -> &'static str {
        match self {
            Evidence::Predicted => "predicted",
            Evidence::Compiled => "compiled",
            Evidence::Measured => "measured",
            Evidence::Confirmed => "confirmed",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where an entry's config comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// What the runtime would launch without a file.
    RuntimeDefault,
    /// The cost model's best among what fits and compiles.
    BestPredicted,
    /// The fastest on the device: it beat the runtime's default, or that cannot run. Below the rung
    /// `measured`, what led when the budget ended.
    Tuned,
    /// What the runtime's own tuner chose. It timed it on the device, and told no time.
    Stock,
}

/// Everything known about one config file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The config file's name.
    pub file: String,
    /// SHA-256 of the config file's bytes.
    pub sha256: String,
    /// Which of the two kernels.
    pub role: Role,
    /// The model the file was made for. Others can share its name with another K.
    pub model: ManifestModel,
    /// Other models with the very same layer, for which the file was published too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_for: Vec<ManifestModel>,
    /// The layer on one rank.
    pub shape: MoeShape,
    /// The device.
    pub device: ManifestDevice,
    /// The runtime and Triton it was made for.
    pub target: Target,
    /// What compiled the entries; none at the rung `predicted`.
    pub compiler: Option<ManifestCompiler>,
    /// How entries were chosen.
    pub policy: String,
    /// The script that chose the entries; none where this program did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<ManifestStock>,
    /// The version of the program that wrote it.
    pub tool: String,
    /// When, RFC 3339 in UTC.
    pub created: String,
    /// By batch size, as the config file's keys.
    #[serde(deserialize_with = "each_key_once")]
    pub entries: BTreeMap<u32, ManifestEntry>,
}

/// The source model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestModel {
    /// Hugging Face id, or where its config was read.
    pub name: String,
    /// Its architecture; none where the shape was given by hand.
    pub architecture: Option<String>,
    /// Tensor parallelism.
    pub tp: u32,
    /// Expert parallelism.
    pub ep: u32,
}

/// The device, with the figure every entry was held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDevice {
    /// Catalogue id.
    pub id: String,
    /// As the device reports it.
    pub name: String,
    /// Shared memory one block may use, bytes.
    pub shared_memory_per_block: u32,
}

impl From<&Device> for ManifestDevice {
    fn from(device: &Device) -> Self {
        let shared_memory_per_block = device.shared_memory_per_block;
        Self { id: device.id.clone(), name: device.name.clone(), shared_memory_per_block }
    }
}

/// What compiled the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestCompiler {
    /// SHA-256 of the kernel's source.
    pub kernel_digest: String,
    /// The SGLang the kernel was taken from.
    pub sglang_version: Option<String>,
    /// The Triton that compiled it.
    pub triton: String,
    /// The assembler's version.
    pub ptxas: Option<String>,
}

/// One entry's standing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// The rung it reached.
    pub evidence: Evidence,
    /// Where the config comes from.
    pub source: Source,
    /// Why the runtime's default is not used, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_replaced: Option<String>,
    /// The config, to be held against the file.
    pub config: KernelConfig,
    /// Shared memory, bytes: the compiler's figure where it was compiled, else the rule's.
    pub shared_bytes: u32,
    /// Registers a thread, where it was compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registers: Option<u32>,
    /// Bytes spilled a thread, where it was compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spill_bytes: Option<u32>,
    /// SHA-256 of the binary, where it was compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_sha256: Option<String>,
    /// Where a script chose it; none where this program did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<ManifestTuned>,
    /// What was measured, from the rung `measured` up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<ManifestMeasurement>,
    /// The cost model's estimate, microseconds. A rank, not a measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_us: Option<f64>,
}

/// A tuning script of a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestStock {
    /// SHA-256 of the script.
    pub script_sha256: String,
    /// SHA-256 of the `common_utils.py` that lay beside it; none where there was none.
    pub helper_sha256: Option<String>,
    /// The release of the runtime that it timed, where the target does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<VllmVersion>,
    /// Its arguments, but for the batch size.
    pub arguments: Vec<String>,
}

/// A process of a tuning script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestTuned {
    /// The node it ran on.
    pub node: HostName,
    /// From start to end, seconds.
    pub seconds: f64,
}

/// An entry's times on the device. The two projections of a layer were timed together, activation included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestMeasurement {
    /// Median time of both projections, microseconds.
    pub time_us: f64,
    /// The same under the runtime's default, where that can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_us: Option<f64>,
    /// The default's time over this one's in paired runs, where this is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speedup: Option<ManifestSpeedup>,
    /// At the rung `confirmed`: the nodes that found so, each over its own times. All figures here are those of the node
    /// that raced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_on: Option<u32>,
    /// Where two nodes did not agree and the default stays: what each saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disputed: Option<ManifestDispute>,
}

/// A config that beat the default on the node that raced it, and not on a second one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDispute {
    /// On the node that raced it.
    pub first: ManifestSpeedup,
    /// On the second, where both ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<ManifestSpeedup>,
}

/// A paired comparison.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSpeedup {
    /// Lower end of the interval.
    pub lower: f64,
    /// The estimate.
    pub estimate: f64,
    /// Upper end.
    pub upper: f64,
    /// Runs of each.
    pub pairs: u32,
}

/// Why a manifest is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("cannot read `{path}`: {source}", path = path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        source: std::io::Error,
    },
    /// It does not say what a manifest says.
    #[error("`{path}`: {message}", path = path.display())]
    Bad {
        /// The manifest.
        path: PathBuf,
        message: String,
    },
}

impl Failure for ManifestError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// Read entries by batch size. Of a key given twice serde would keep the last without a word.
fn each_key_once<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<u32, ManifestEntry>, D::Error> {
    let Members(members) = Members::<ManifestEntry>::deserialize(deserializer)?;
    let mut entries = BTreeMap::new();
    for (key, entry) in members {
        let number = batch_size(&key).ok_or_else(|| {
            D::Error::custom(format_args!("key \"{}\" is no batch size, such as \"64\"", shorten(&key)))
        })?;
        if entries.insert(number, entry).is_some() {
            return Err(D::Error::custom(format_args!("key \"{}\" is there twice", shorten(&key))));
        }
    }
    Ok(entries)
}

/// The manifest's path beside the config file at `path`.
pub(crate) fn path_beside(path: &Path) -> PathBuf {
    path.with_extension("manifest.json")
}

/// Whether `path` is a manifest's by its name.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".manifest.json"))
}

impl Manifest {
    /// Read the manifest at `path`; `None` where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, ManifestError> {
        let text = match ConfigFile::read_bytes(path) {
            Ok(text) => text,
            Err(super::config_file::ConfigFileError::Read { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            Err(super::config_file::ConfigFileError::Read { path, source }) => {
                return Err(ManifestError::Read { path, source });
            }
            Err(_) => {
                let message = format!("larger than {MAX_BYTES} bytes, and no manifest is");
                return Err(ManifestError::Bad { path: path.to_owned(), message });
            }
        };
        let bad = |message| ManifestError::Bad { path: path.to_owned(), message };
        // The format first: another one may differ in everything else.
        if let Ok(Format { format }) = serde_json::from_slice(&text)
            && format != u64::from(FORMAT)
        {
            return Err(bad(format!("format is {format}, this version reads {FORMAT}")));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(&text);
        let manifest: Self = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| bad(format!("{}: {}", error.path(), error.inner())))?;
        deserializer.end().map_err(|error| bad(error.to_string()))?;
        // Fields of the flattened parts are not refused by name: whatever does not come back was not read.
        let (said, read) = (serde_json::from_slice(&text), serde_json::to_value(&manifest));
        if let (Ok(said), Ok(read)) = (said, read)
            && let Some(difference) = first_difference(&said, &read)
        {
            return Err(bad(format!("{}: unknown field, {}", difference.path, difference.first)));
        }
        Ok(Some(manifest))
    }

    /// The text of the manifest, fields in their declared order.
    pub fn render(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data always serialises");
        text.push('\n');
        text
    }

    /// Remember the models of `older`, which this manifest takes the place of.
    pub fn take_over_models(&mut self, older: &Manifest) {
        for model in std::iter::once(&older.model).chain(&older.also_for) {
            if *model != self.model && !self.also_for.contains(model) {
                self.also_for.push(model.clone());
            }
        }
        self.also_for.sort_by(|a, b| (&a.name, a.tp, a.ep).cmp(&(&b.name, b.tp, b.ep)));
    }

    /// The weakest rung among the entries.
    pub fn evidence(&self) -> Option<Evidence> {
        self.entries.values().map(|entry| entry.evidence).min()
    }

    /// How the manifest and the config file's bytes disagree, if they do.
    pub fn disagreement(&self, name: &str, text: &[u8], file: &ConfigFile) -> Option<String> {
        if self.file != name {
            return Some(format!("it is about a file called {}", self.file));
        }
        for (key, entry) in file.entries() {
            match self.entries.get(key) {
                None => return Some(format!("it says nothing of key \"{key}\"")),
                Some(said) if said.config != entry.config => {
                    return Some(format!(
                        "key \"{key}\" is {} there and {} in the file",
                        said.config, entry.config
                    ));
                }
                Some(_) => {}
            }
        }
        if let Some(key) = self.entries.keys().find(|key| file.get(**key).is_none()) {
            return Some(format!("key \"{key}\" is not in the file"));
        }
        (self.sha256 != sha256_hex(text)).then(|| "the file's bytes are not those it was written for".into())
    }

    /// Whether `newer` may take this one's place: no entry falls to a lower rung, none disappears.
    pub fn may_be_replaced_by(&self, newer: &Manifest) -> Result<(), String> {
        for (key, old) in &self.entries {
            match newer.entries.get(key) {
                None => return Err(format!("batch size {key} would be lost")),
                Some(new) if new.evidence < old.evidence => {
                    return Err(format!(
                        "batch size {key} is {} and would become {}",
                        old.evidence, new.evidence
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
