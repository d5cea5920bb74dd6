//! The contents of a config file: one kernel config a batch size.

use std::collections::{HashMap, HashSet, hash_map};
use std::fmt;
use std::path::{Path, PathBuf};

use super::json::{Members, RawEntry, RawValue};
use super::problem::Problem;
use crate::failure::{Failure, Kind};
use crate::fs::{ReadError, read_at_most};
use crate::runtime::{TRITON_DEFAULT_STAGES, TRITON_DEFAULT_WARPS};
use crate::shape::KernelConfig;

/// Eighteen entries take 3 KB; nothing near this size is a config file.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// Launch options that only AMD's compiler takes; NVIDIA's raises KeyError on them.
pub(super) const AMD_ONLY: [&str; 3] = ["waves_per_eu", "matrix_instr_nonkdim", "kpack"];

/// An option of NVIDIA's compiler that SGLang's tuner never writes.
pub(super) const NUM_CTAS: &str = "num_ctas";

const EXTRA_FIELDS: [&str; 4] = [AMD_ONLY[0], AMD_ONLY[1], AMD_ONLY[2], NUM_CTAS];

/// One entry of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The launch config; warps and stages that the file leaves out are Triton's defaults.
    pub config: KernelConfig,
    /// `USE_TMA`, where it is said.
    pub use_tma: Option<bool>,
    /// Options beyond SGLang's own six, by name.
    pub extra: Vec<(&'static str, u64)>,
}

impl From<KernelConfig> for Entry {
    fn from(config: KernelConfig) -> Self {
        Self { config, use_tma: None, extra: Vec::new() }
    }
}

impl fmt::Display for Entry {
    /// `64x128x128 g32 w4 s3`, and what goes beyond it: `... num_ctas=1 USE_TMA=true`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)?;
        for (name, value) in &self.extra {
            write!(f, " {name}={value}")?;
        }
        self.use_tma.map_or(Ok(()), |use_tma| write!(f, " USE_TMA={use_tma}"))
    }
}

/// A file's entries, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigFile {
    entries: Vec<(u32, Entry)>,
}

/// A file that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("cannot read `{path}`: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// It reads and is wrong.
    #[error("`{path}` is no sound config file: {}", list(problems), path = path.display())]
    Problems {
        path: PathBuf,
        /// Everything found.
        problems: Vec<Problem>,
    },
}

impl Failure for ConfigFileError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

fn list(problems: &[Problem]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = problems.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = problems.len().saturating_sub(SHOWN);
    if more > 0 { format!("{}; and {more} more", shown.join("; ")) } else { shown.join("; ") }
}

impl ConfigFile {
    /// A file of `entries`, ascending.
    pub fn new(entries: impl IntoIterator<Item = (u32, KernelConfig)>) -> Self {
        Self::from_entries(entries.into_iter().map(|(key, config)| (key, config.into())))
    }

    /// A file of whole `entries`, ascending.
    pub fn from_entries(entries: impl IntoIterator<Item = (u32, Entry)>) -> Self {
        let mut entries: Vec<(u32, Entry)> = entries.into_iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        Self { entries }
    }

    /// The entries, in file order.
    pub fn entries(&self) -> &[(u32, Entry)] {
        &self.entries
    }

    /// The entry with exactly this key.
    pub fn get(&self, batch_size: u32) -> Option<&Entry> {
        self.entries.iter().find(|(key, _)| *key == batch_size).map(|(_, entry)| entry)
    }

    /// The entry a runtime uses for `tokens` tokens: the nearest key, of two equally near the first in
    /// the file, as Python's `min(keys, key=lambda x: abs(x - M))` has it.
    pub fn nearest(&self, tokens: u32) -> Option<(u32, &Entry)> {
        self.entries.iter().min_by_key(|(key, _)| key.abs_diff(tokens)).map(|(key, entry)| (*key, entry))
    }

    /// [`Self::nearest`] as steps: from which number of tokens on which entry is used.
    ///
    /// The first begins at 1; each ends where the next begins.
    pub fn steps(&self) -> Vec<(u32, u32, &Entry)> {
        let mut places: Vec<usize> = (0..self.entries.len()).collect();
        places.sort_by_key(|place| self.entries[*place].0);
        let mut steps = Vec::with_capacity(places.len());
        let mut before: Option<usize> = None;
        for place in places {
            let (key, entry) = &self.entries[place];
            let from = before.map_or(1, |before| {
                let below = self.entries[before].0;
                // Half way between two keys the one that comes first in the file is taken.
                let (half, odd) = (below + (key - below) / 2, (key - below) % 2);
                if odd == 0 && place < before { half } else { half + 1 }
            });
            steps.push((from, *key, entry));
            before = Some(place);
        }
        steps
    }

    /// Read a file's bytes, at most [`MAX_BYTES`] of them, whatever size it claims to be.
    pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ConfigFileError> {
        let io = |source| ConfigFileError::Read { path: path.to_owned(), source };
        // Before opening: opening a pipe waits for its writer.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file")));
        }
        read_at_most(path, MAX_BYTES).map_err(|error| match error {
            ReadError::Io(source) => io(source),
            ReadError::TooLarge { bytes, limit } => {
                let problems = vec![Problem::TooLarge { bytes, limit }];
                ConfigFileError::Problems { path: path.to_owned(), problems }
            }
        })
    }

    /// Read a file that must be sound.
    pub fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let (file, problems) = Self::parse(&Self::read_bytes(path)?);
        if problems.is_empty() {
            return Ok(file);
        }
        Err(ConfigFileError::Problems { path: path.to_owned(), problems })
    }

    /// The sound entries of a text, and everything that is wrong with it.
    pub fn parse(text: &[u8]) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let members: Members<RawEntry> = match serde_json::from_slice(text) {
            Ok(members) => members,
            Err(error) => {
                problems.push(Problem::NotJson {
                    line: error.line(),
                    column: error.column(),
                    message: without_position(&error),
                });
                return (Self::default(), problems);
            }
        };
        if members.0.is_empty() {
            problems.push(Problem::Empty);
        }
        let mut seen = HashSet::new();
        let mut entries: Vec<(u32, Option<Entry>)> = Vec::new();
        let mut places: HashMap<u32, usize> = HashMap::new();
        for (key, raw) in members.0 {
            if !seen.insert(key.clone()) {
                problems.push(Problem::DuplicateKey { key: key.clone() });
            }
            let batch_size = batch_size(&key);
            if batch_size.is_none() {
                problems.push(Problem::BadKey { key: key.clone() });
            }
            let used_as = batch_size.or_else(|| as_python(&key));
            let entry = match raw {
                RawEntry::Other(found) => {
                    problems.push(Problem::NotAnEntry { key, found });
                    None
                }
                RawEntry::Object(fields) => read_entry(&key, fields, &mut problems),
            };
            // A server may take what we call no key: its entry must be judged as well.
            let Some(batch_size) = used_as else { continue };
            // As a Python dict: the last value, in the place of the first.
            match places.entry(batch_size) {
                hash_map::Entry::Occupied(place) => entries[*place.get()].1 = entry,
                hash_map::Entry::Vacant(place) => {
                    place.insert(entries.len());
                    entries.push((batch_size, entry));
                }
            }
        }
        let entries = entries.into_iter().filter_map(|(key, entry)| Some((key, entry?))).collect();
        (Self { entries }, problems)
    }

    /// The text SGLang's own tuner would write: four spaces, keys ascending, its order of fields.
    pub fn render(&self) -> String {
        let mut entries: Vec<&(u32, Entry)> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        let map: serde_json::Map<String, serde_json::Value> = entries
            .into_iter()
            .map(|(key, entry)| {
                let mut fields = serde_json::to_value(entry.config).expect("six whole numbers");
                for (name, value) in &entry.extra {
                    fields[*name] = (*value).into();
                }
                if let Some(use_tma) = entry.use_tma {
                    fields["USE_TMA"] = use_tma.into();
                }
                (key.to_string(), fields)
            })
            .collect();
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&map, &mut serializer).expect("writing to memory cannot fail");
        text.push(b'\n');
        String::from_utf8(text).expect("JSON is UTF-8")
    }
}

/// A key as every runtime writes it: digits alone, no leading zero. Python's `int()` takes `" 1 "`, `"+1"` and `"1_0"` too; nobody
/// means those.
pub(super) fn batch_size(key: &str) -> Option<u32> {
    let number = key.parse::<u32>().ok().filter(|&number| number > 0)?;
    (number.to_string() == key).then_some(number)
}

/// What Python's `int()` makes of a key, where it takes it and it is not negative: blanks around it, a
/// sign, zeros before it, single underscores between digits.
fn as_python(key: &str) -> Option<u32> {
    let digits = key.trim();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let sound = digits.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if sound { digits.replace('_', "").parse().ok() } else { None }
}

/// The range a field's value must be in, in words and as a test.
struct Range {
    accepted: &'static str,
    holds: fn(u64) -> bool,
}

/// tl.arange takes powers of two, tl.dot at least 16 a side.
const BLOCK: Range = Range {
    accepted: "a power of two from 16 to 1024",
    holds: |v| v.is_power_of_two() && (16..=1024).contains(&v),
};
/// Only a multiplier in index arithmetic.
const GROUP: Range =
    Range { accepted: "a whole number from 1 to 65536", holds: |v| (1..=65_536).contains(&v) };
/// Triton takes powers of two; a block holds at most 1,024 threads.
const WARPS: Range = Range { accepted: "1, 2, 4, 8, 16 or 32", holds: |v| v.is_power_of_two() && v <= 32 };
/// More stages than steps are of no use; shipped files go up to 8.
const STAGES: Range = Range { accepted: "a whole number from 1 to 32", holds: |v| (1..=32).contains(&v) };
const ANY: Range = Range { accepted: "a whole number", holds: |_| true };

fn range_of(field: &str) -> Option<(&'static str, Range)> {
    Some(match field {
        "BLOCK_SIZE_M" => ("BLOCK_SIZE_M", BLOCK),
        "BLOCK_SIZE_N" => ("BLOCK_SIZE_N", BLOCK),
        "BLOCK_SIZE_K" => ("BLOCK_SIZE_K", BLOCK),
        "GROUP_SIZE_M" => ("GROUP_SIZE_M", GROUP),
        "num_warps" => ("num_warps", WARPS),
        "num_stages" => ("num_stages", STAGES),
        other => (EXTRA_FIELDS.into_iter().find(|extra| *extra == other)?, ANY),
    })
}

fn read_entry(key: &str, fields: Members<RawValue>, problems: &mut Vec<Problem>) -> Option<Entry> {
    let before = problems.len();
    let mut seen = HashSet::new();
    let mut numbers: Vec<(&'static str, u64)> = Vec::new();
    let mut use_tma = None;
    for (field, value) in fields.0 {
        let key = key.to_owned();
        if !seen.insert(field.clone()) {
            problems.push(Problem::DuplicateField { key, field });
            continue;
        }
        if field == "USE_TMA" {
            match value {
                RawValue::Boolean(said) => use_tma = Some(said),
                RawValue::Whole(number) => {
                    let value = number.to_string();
                    problems.push(Problem::BadValue {
                        key,
                        field: "USE_TMA",
                        value,
                        accepted: "true or false",
                    });
                }
                RawValue::Other(value) => {
                    problems.push(Problem::BadValue {
                        key,
                        field: "USE_TMA",
                        value,
                        accepted: "true or false",
                    });
                }
            }
            continue;
        }
        let Some((field, range)) = range_of(&field) else {
            problems.push(Problem::UnknownField { key, field });
            continue;
        };
        let value = match value {
            RawValue::Whole(number) if (range.holds)(number) => {
                numbers.push((field, number));
                continue;
            }
            RawValue::Whole(number) => number.to_string(),
            RawValue::Boolean(said) => said.to_string(),
            RawValue::Other(text) => text,
        };
        problems.push(Problem::BadValue { key, field, value, accepted: range.accepted });
    }
    let mut take = |field: &'static str, default: Option<u32>| {
        match numbers.iter().find(|(name, _)| *name == field) {
            // Every range ends below u32's.
            Some((_, number)) => u32::try_from(*number).ok(),
            None if seen.contains(field) => None,
            None => {
                if default.is_none() {
                    problems.push(Problem::MissingField { key: key.to_owned(), field });
                }
                default
            }
        }
    };
    let config = KernelConfig {
        block_size_m: take("BLOCK_SIZE_M", None).unwrap_or_default(),
        block_size_n: take("BLOCK_SIZE_N", None).unwrap_or_default(),
        block_size_k: take("BLOCK_SIZE_K", None).unwrap_or_default(),
        group_size_m: take("GROUP_SIZE_M", None).unwrap_or_default(),
        num_warps: take("num_warps", Some(TRITON_DEFAULT_WARPS)).unwrap_or_default(),
        num_stages: take("num_stages", Some(TRITON_DEFAULT_STAGES)).unwrap_or_default(),
    };
    let extra = numbers.into_iter().filter(|(name, _)| EXTRA_FIELDS.contains(name)).collect();
    (problems.len() == before).then_some(Entry { config, use_tma, extra })
}

/// serde_json's message without the position, which we give ourselves.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
