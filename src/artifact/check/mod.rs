//! What would happen to a config file on a device under a runtime: would an entry crash, be wrong, be
//! ignored? Pure: reading files is the caller's.

mod entry;
mod pair;
mod place;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

pub(crate) use self::entry::as_launched;
use super::ConfigFile;
use super::manifest::{Manifest, ManifestError};
use super::name::{BadName, ConfigName, Spelling};
use super::problem::Problem;
use crate::device::{Device, DeviceCatalogue};
use crate::runtime::{Runtime, TritonVersion};
use crate::shape::{Dtype, Quantization, Role};

/// How bad a finding is. From `Fallback` on, the file does not do what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Could not be judged, or is odd.
    Warning,
    /// Used only because nothing better is found.
    Fallback,
    /// Never looked at.
    Ignored,
    /// Runs and computes something else.
    WrongResult,
    /// The server or the launch fails.
    Crash,
}

impl Severity {
    /// The word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Fallback => "fallback",
            Severity::Ignored => "ignored",
            Severity::WrongResult => "wrong result",
            Severity::Crash => "crash",
        }
    }

    /// Whether a check that found this says no.
    pub fn fails(self) -> bool {
        self >= Severity::Fallback
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name for programs.
    pub code: &'static str,
    /// The entry it is about; none where it is about the file.
    pub key: Option<String>,
    /// For people.
    pub message: String,
}

/// One file's findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    pub path: PathBuf,
    /// Sound entries in it.
    pub entries: usize,
    /// Their keys, in file order.
    keys: Vec<u32>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
}

impl FileReport {
    /// The worst finding's severity; none where nothing was found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Whether nothing found fails.
    pub fn passes(&self) -> bool {
        !self.worst().is_some_and(Severity::fails)
    }

    /// The worst finding of every sound entry, in file order; none where nothing was found.
    pub fn by_entry(&self) -> impl Iterator<Item = (u32, Option<Severity>)> {
        let mut worst: HashMap<&str, Severity> = HashMap::new();
        for finding in &self.findings {
            let Some(key) = &finding.key else { continue };
            let known = worst.entry(key).or_insert(finding.severity);
            *known = finding.severity.max(*known);
        }
        self.keys.iter().map(move |key| (*key, worst.get(key.to_string().as_str()).copied()))
    }
}

impl Serialize for FileReport {
    /// `path`, `entries`, `verdicts` (by key: `ok` or the severity that fails), `findings`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Verdicts<'a>(&'a FileReport);
        impl Serialize for Verdicts<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.by_entry().map(|(key, worst)| (key, verdict(worst))))
            }
        }
        let mut report = serializer.serialize_struct("FileReport", 4)?;
        report.serialize_field("path", &self.path)?;
        report.serialize_field("entries", &self.entries)?;
        report.serialize_field("verdicts", &Verdicts(self))?;
        report.serialize_field("findings", &self.findings)?;
        report.end()
    }
}

/// The word for a worst severity: what fails has its name, everything else is `ok`.
fn verdict(worst: Option<Severity>) -> &'static str {
    worst.filter(|worst| worst.fails()).map_or("ok", Severity::name)
}

/// By what to judge.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// This device; none: the one the file's name says.
    pub device: Option<&'a Device>,
    /// This runtime; none: the manifest's, else what both SGLangs agree on.
    pub runtime: Option<Runtime>,
    /// This Triton; none: the runtime's if one is named, else the manifest's.
    pub triton: Option<TritonVersion>,
    /// Where devices named in file names are found.
    pub devices: &'a DeviceCatalogue,
}

/// A file to judge, as read.
#[derive(Debug)]
pub(crate) struct CheckSubject<'a> {
    /// Its path.
    pub path: &'a Path,
    /// The name of the folder it lies in.
    pub folder: Option<&'a str>,
    /// Its bytes.
    pub text: &'a [u8],
    /// Its manifest.
    pub manifest: Result<Option<Manifest>, ManifestError>,
    /// The sound entries of the other role's file beside it.
    pub sibling: Option<&'a ConfigFile>,
}

/// What the parts of a check share.
struct Context<'a> {
    name: Result<(ConfigName, Option<Spelling>), BadName>,
    manifest: Option<&'a Manifest>,
    runtime: Option<Runtime>,
    triton: Option<TritonVersion>,
    device: Option<&'a Device>,
}

impl Context<'_> {
    fn role(&self) -> Role {
        match (&self.name, self.manifest) {
            (Ok((name, _)), _) => name.role,
            (Err(_), Some(manifest)) => manifest.role,
            (Err(_), None) => Role::Up,
        }
    }

    /// The quantisation: the manifest's, which knows groups, else what the name tells.
    fn quantization(&self) -> Option<Quantization> {
        if let Some(manifest) = self.manifest {
            return Some(manifest.shape.quantization);
        }
        let (name, _) = self.name.as_ref().ok()?;
        Some(Quantization {
            dtype: name.dtype.unwrap_or(Dtype::Bfloat16),
            block_shape: name.block_shape,
            per_channel: name.per_channel,
        })
    }
}

/// Judge one file.
pub(crate) fn check(subject: &CheckSubject<'_>, rules: &Rules<'_>) -> FileReport {
    let mut findings = Vec::new();
    let file_name = subject.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let manifest = match &subject.manifest {
        Ok(manifest) => manifest.as_ref(),
        Err(error) => {
            findings.push(file_finding(Severity::Warning, "manifest-unreadable", error.to_string()));
            None
        }
    };
    let runtime = rules.runtime.or(manifest.map(|manifest| manifest.target.runtime));
    let triton = rules
        .triton
        .or(rules.runtime.map(Runtime::default_triton))
        .or(manifest.map(|manifest| manifest.target.triton));
    let name = ConfigName::parse(&file_name);
    let named = name.as_ref().ok().and_then(|(name, _)| rules.devices.by_file_name(&name.device));
    let context = Context { device: rules.device.or(named.as_ref()), name, manifest, runtime, triton };

    place::check(&context, subject, rules, &mut findings);
    let (file, problems) = ConfigFile::parse(subject.text);
    let broken = problems.iter().any(Problem::loses_an_entry);
    text(problems, runtime, &mut findings);
    if let Some(manifest) = manifest {
        if let Some(how) = manifest.disagreement(&file_name, subject.text, &file) {
            findings.push(file_finding(
                Severity::Warning,
                "manifest-disagrees",
                format!("its manifest: {how}"),
            ));
        }
        if let Some(how) = manifest.contradiction() {
            findings.push(file_finding(
                Severity::Warning,
                "manifest-contradicts-itself",
                format!("its manifest: {how}"),
            ));
        }
    }
    entry::check(&context, &file, &mut findings);
    // Which entry is nearest is only known where all of them are.
    if !broken {
        pair::check(&context, &file, subject.sibling, &mut findings);
    }
    // Worst first; within a severity as found, which is the order of the file.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let keys: Vec<u32> = file.entries().iter().map(|(key, _)| *key).collect();
    FileReport { path: subject.path.to_owned(), entries: keys.len(), keys, findings }
}

/// What the problems with the text mean. A file can hold a hundred thousand of them: the first few dozen
/// say what is wrong with it.
fn text(problems: Vec<Problem>, runtime: Option<Runtime>, findings: &mut Vec<Finding>) {
    const SHOWN: usize = 50;
    let mut judged = problems.into_iter().filter_map(|problem| judge(problem, runtime));
    findings.extend(judged.by_ref().take(SHOWN));
    let rest =
        judged.fold((0, Severity::Note), |(count, worst), finding| (count + 1, worst.max(finding.severity)));
    if let (more @ 1.., worst) = rest {
        findings.push(file_finding(worst, "more-problems", format!("and {more} more like these")));
    }
}

/// Report a file that could not even be read as far as its bytes.
pub(crate) fn unreadable(path: &Path, code: &'static str, message: String) -> FileReport {
    let findings = vec![file_finding(Severity::Crash, code, message)];
    FileReport { path: path.to_owned(), entries: 0, keys: Vec::new(), findings }
}

fn file_finding(severity: Severity, code: &'static str, message: String) -> Finding {
    Finding { severity, code, key: None, message }
}

/// What a problem with the text means once a server reads it.
fn judge(problem: Problem, runtime: Option<Runtime>) -> Option<Finding> {
    let severity = match &problem {
        // SGLang fails at int().
        problem if problem.is_triton_version() && runtime == Some(Runtime::Vllm) => return None,
        // One finding about the key is enough.
        Problem::NotAnEntry { key, .. } if !python_reads_as_integer(key) => return None,
        Problem::BadKey { key } if python_reads_as_integer(key) => Severity::Warning,
        // An empty object is as good as no file.
        Problem::Empty => Severity::Ignored,
        // Python keeps the last of two.
        Problem::DuplicateKey { .. } | Problem::DuplicateField { .. } => Severity::Ignored,
        _ => Severity::Crash,
    };
    Some(Finding {
        severity,
        code: problem.code(),
        key: problem.key().map(str::to_owned),
        message: problem.to_string(),
    })
}

/// Whether Python's `int()` takes a text: blanks around it, a sign, single underscores between digits.
fn python_reads_as_integer(text: &str) -> bool {
    let digits = text.trim();
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    digits.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
