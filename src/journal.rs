//! An append-only record of a run: what was planned, then every unit of work as it ended.
//!
//! One JSON object a line. The first line is the header: format version, the plan and its hash.
//! Each line is flushed to disk before the next unit counts as done, so a run killed at any moment
//! loses at most the unit in flight. Only a torn *last* line (no newline: the write was cut) is
//! forgiven; anything else that does not read is an error that names the line.

mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::difference::{Difference, first_difference};
use crate::failure::{Failure, Kind};
use crate::fs::{ReadError, read_rest_at_most, sha256_hex, write_atomic_new};

pub(crate) use writer::{Writer, written_by};

/// The journal's name inside a run directory.
pub(crate) const FILE_NAME: &str = "journal.jsonl";

/// How often, and how long apart, a lock that is held is tried again.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Nothing a run writes comes near this; a file above it is not a journal.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// What the lines of a journal hold.
pub(crate) trait JournalRecord: Serialize + DeserializeOwned {
    /// The format of these records and of the plan above them, the only one that is read. It is raised with every
    /// change after which an older reader would fail or a newer one misunderstand.
    const FORMAT: u32;
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    plan_sha256: String,
    plan: Value,
}

/// Why a journal cannot be created, read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The file system refused.
    #[error("cannot {action} the journal `{path}`: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The journal.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A run is already there.
    #[error("`{path}` already holds a run", path = path.display())]
    Exists {
        /// The journal found.
        path: PathBuf,
    },
    /// There is no run.
    #[error("`{path}` holds no run: it has no {FILE_NAME}", path = path.display())]
    Missing {
        /// The run directory.
        path: PathBuf,
    },
    /// Another process is writing it.
    #[error(
        "the run in `{path}` is being written by another process{}",
        by.process.map(|id| format!(" ({id})")).unwrap_or_default(),
        path = path.display()
    )]
    Busy {
        /// The journal.
        path: PathBuf,
        /// Who writes it.
        by: Writer,
    },
    /// A line does not read.
    #[error("`{path}` line {line}: {message}", path = path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// Written by a version with another format.
    #[error(
        "`{path}` line 1: journal format {found}, this version reads format {read}: {age} version wrote it",
        path = path.display(),
        age = if found < read { "an older" } else { "a newer" }
    )]
    Format {
        /// The journal.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format this version reads.
        read: u32,
    },
    /// The run was started under another plan.
    #[error(
        "`{path}` was started under another plan: `{field}` was {was}, now {now}",
        path = path.display()
    )]
    OtherPlan {
        /// The journal.
        path: PathBuf,
        /// The first differing field, as a dotted path.
        field: String,
        /// Its value in the journal.
        was: String,
        /// Its value now.
        now: String,
    },
}

impl Failure for JournalError {
    fn kind(&self) -> Kind {
        match self {
            JournalError::Io { .. } | JournalError::Busy { .. } => Kind::Environment,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            JournalError::Exists { path } => {
                let dir = path.parent().unwrap_or(path);
                Some(format!("continue it with --resume {}, or choose another --out", dir.display()))
            }
            JournalError::Busy { path, .. } => {
                let dir = path.parent().unwrap_or(path);
                Some(format!("see what it does: sparktune watch '{}'", dir.display()))
            }
            JournalError::OtherPlan { .. } => {
                Some("resume with the arguments the run was started with, or start a new run".into())
            }
            JournalError::Format { .. } => {
                Some("go on with the version that began the run, or start a new run; kept compile results are used".into())
            }
            _ => None,
        }
    }
}

/// The journal of one run, open for appending `Record`s.
#[derive(Debug)]
pub(crate) struct Journal<Record> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    record: PhantomData<fn(&Record)>,
}

/// What stands under `name` in the plan of the run in `run_dir`, whatever kind of run that is. Nothing is touched.
pub(crate) fn planned(run_dir: &Path, name: &str) -> Result<Option<Value>, JournalError> {
    let path = run_dir.join(FILE_NAME);
    let mut file = open_to_read(&path, run_dir)?;
    let text = read(&mut file, &path)?;
    // A line that is no header is told of by whoever reads the plan itself.
    let first = text.split('\n').next().unwrap_or_default();
    let header: Option<Header> = serde_json::from_str(first).ok();
    Ok(header.and_then(|header| header.plan.get(name).cloned()))
}

impl<Record: JournalRecord> Journal<Record> {
    /// Start a journal in `run_dir`, which must exist and hold none.
    ///
    /// It appears with its header or not at all: one without could be neither resumed nor started again.
    pub(crate) fn create<Plan: Serialize>(run_dir: &Path, plan: &Plan) -> Result<Self, JournalError> {
        let path = run_dir.join(FILE_NAME);
        let plan = to_value(plan);
        let header = Header { format: Record::FORMAT, plan_sha256: hash(&plan), plan };
        let line = format!("{}\n", to_value(&header));
        write_atomic_new(&path, line.as_bytes()).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => JournalError::Exists { path: path.clone() },
            _ => JournalError::Io { action: "create", path: path.clone(), source },
        })?;
        let length = line.len() as u64;
        let journal = Self { file: open(&path, run_dir)?, path, length, record: PhantomData };
        journal.lock()?;
        Ok(journal)
    }

    /// The plan a run was started with, read without touching the journal.
    pub(crate) fn plan<Plan: DeserializeOwned>(run_dir: &Path) -> Result<Plan, JournalError> {
        let path = run_dir.join(FILE_NAME);
        let mut file = open_to_read(&path, run_dir)?;
        let text = read(&mut file, &path)?;
        let header = header(&text, &path, Record::FORMAT)?;
        serde_path_to_error::deserialize(header.plan).map_err(|error| JournalError::Corrupt {
            path,
            line: 1,
            message: format!("plan.{}: {}", error.path(), error.inner()),
        })
    }

    /// What was recorded, but for a torn last line, read without touching the journal: another process may write it.
    pub(crate) fn records(run_dir: &Path) -> Result<Vec<Record>, JournalError> {
        let path = run_dir.join(FILE_NAME);
        let mut file = open_to_read(&path, run_dir)?;
        let text = read(&mut file, &path)?;
        header(&text, &path, Record::FORMAT)?;
        Ok(records(&text, &path)?.0)
    }

    /// Open the journal in `run_dir` to go on under `plan`: what was recorded, and the journal.
    ///
    /// A torn last line is cut off, so that the next record starts on a line of its own.
    pub(crate) fn resume<Plan: Serialize>(
        run_dir: &Path,
        plan: &Plan,
    ) -> Result<(Vec<Record>, Self), JournalError> {
        let path = run_dir.join(FILE_NAME);
        let mut journal = Self { file: open(&path, run_dir)?, path, length: 0, record: PhantomData };
        journal.lock()?;
        let text = read(&mut journal.file, &journal.path)?;
        let header = header(&text, &journal.path, Record::FORMAT)?;
        let now = to_value(plan);
        if header.plan_sha256 != hash(&now) {
            let Difference { path: field, first: was, second: now } = first_difference(&header.plan, &now)
                .unwrap_or_else(|| Difference {
                    path: "plan_sha256".into(),
                    first: header.plan_sha256,
                    second: hash(&now),
                });
            return Err(JournalError::OtherPlan { path: journal.path, field, was, now });
        }
        let (records, whole) = records(&text, &journal.path)?;
        let io = |action| {
            let path = journal.path.clone();
            move |source| JournalError::Io { action, path, source }
        };
        if (whole as u64) < journal.file.metadata().map_err(io("read"))?.len() {
            journal.file.set_len(whole as u64).map_err(io("mend"))?;
        }
        journal.file.seek(SeekFrom::End(0)).map_err(io("read"))?;
        journal.length = whole as u64;
        Ok((records, journal))
    }

    /// Keep the lock until this process ends, whoever closes the journal before: whoever finds it given back knows that
    /// nothing more is said of the run, not even how it ended.
    pub(crate) fn hold_until_exit(&self) {
        // Without it the lock goes a moment too early, which costs a watcher the last word.
        if let Ok(file) = self.file.try_clone() {
            std::mem::forget(file);
        }
    }

    /// Record a unit of work. It counts once this returns.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.append_all(std::slice::from_ref(record))
    }

    /// Record units of work with one flush for all. They count once this returns; on an error none does.
    pub(crate) fn append_all(&mut self, records: &[Record]) -> Result<(), JournalError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for record in records {
            lines.push_str(&to_value(record).to_string());
            lines.push('\n');
        }
        if let Err(source) = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data()) {
            // A full disk may have taken part of it: leave what was there before.
            let _ = self.file.set_len(self.length);
            return Err(JournalError::Io { action: "write", path: self.path.clone(), source });
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    fn lock(&self) -> Result<(), JournalError> {
        let mut tries = 0;
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                // A child that another thread is just starting has a copy of every open file until it runs its own
                // program, and with the file its lock: that passes at once, another writer stays.
                Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(JournalError::Busy { path: self.path.clone(), by: Writer::of(&self.file) });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(JournalError::Io { action: "lock", path: self.path.clone(), source });
                }
            }
        }
    }
}

fn open(path: &Path, run_dir: &Path) -> Result<File, JournalError> {
    let file = OpenOptions::new().append(true).read(true).open(path);
    file.map_err(|source| cannot_open(source, path, run_dir))
}

fn open_to_read(path: &Path, run_dir: &Path) -> Result<File, JournalError> {
    File::open(path).map_err(|source| cannot_open(source, path, run_dir))
}

fn cannot_open(source: std::io::Error, path: &Path, run_dir: &Path) -> JournalError {
    match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            JournalError::Missing { path: run_dir.to_owned() }
        }
        _ => JournalError::Io { action: "open", path: path.to_owned(), source },
    }
}

/// The journal's text, but for a torn last line that ends inside a character.
fn read(file: &mut File, path: &Path) -> Result<String, JournalError> {
    let io = |source| JournalError::Io { action: "read", path: path.to_owned(), source };
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let corrupt = |line, message| JournalError::Corrupt { path: path.to_owned(), line, message };
    let bytes = read_rest_at_most(file, MAX_BYTES).map_err(|error| match error {
        ReadError::Io(source) => io(source),
        ReadError::TooLarge { limit, .. } => {
            corrupt(1, format!("larger than {limit} bytes, which no journal is"))
        }
    })?;
    String::from_utf8(bytes).or_else(|error| {
        let valid = error.utf8_error().valid_up_to();
        let torn = error.utf8_error().error_len().is_none();
        let mut bytes = error.into_bytes();
        if torn && bytes.contains(&b'\n') {
            bytes.truncate(valid);
            // What is left is valid as far as it goes.
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        let line = bytes[..valid].split(|&b| b == b'\n').count();
        Err(corrupt(line, "not UTF-8".into()))
    })
}

fn header(text: &str, path: &Path, read: u32) -> Result<Header, JournalError> {
    let corrupt = |message| JournalError::Corrupt { path: path.to_owned(), line: 1, message };
    let Some((line, _)) = text.split_once('\n') else {
        return Err(corrupt("no whole header line: the run was cut before it began".into()));
    };
    // The format first, so that a newer journal is called newer and not corrupt.
    let value: Value = serde_json::from_str(line).map_err(|e| corrupt(e.to_string()))?;
    match value.get("format").and_then(Value::as_u64) {
        Some(format) if format == u64::from(read) => {}
        Some(format) => {
            let found = u32::try_from(format).unwrap_or(u32::MAX);
            return Err(JournalError::Format { path: path.to_owned(), found, read });
        }
        None => return Err(corrupt("not a journal header: no integer `format`".into())),
    }
    let header: Header = serde_json::from_value(value).map_err(|e| corrupt(e.to_string()))?;
    if header.plan_sha256 != hash(&header.plan) {
        return Err(corrupt("the plan does not match its own hash: the line was edited".into()));
    }
    Ok(header)
}

/// The records in a journal's text, and the bytes of its whole lines.
fn records<Record: JournalRecord>(text: &str, path: &Path) -> Result<(Vec<Record>, usize), JournalError> {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut records = Vec::new();
    for (index, line) in text[..whole].lines().enumerate().skip(1) {
        let record = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(line))
            .map_err(|error| JournalError::Corrupt {
                path: path.to_owned(),
                line: index + 1,
                message: without_position(&error.inner().to_string()),
            })?;
        records.push(record);
    }
    Ok((records, whole))
}

/// serde_json counts lines from the start of what it is given, which is one line of ours.
pub(crate) fn without_position(message: &str) -> String {
    message.rfind(" at line ").map_or(message, |end| &message[..end]).to_owned()
}

/// Plans and records are plain data: maps with string keys, numbers, strings.
fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("plain data always serialises")
}

fn hash(plan: &Value) -> String {
    sha256_hex(plan.to_string().as_bytes())
}

#[cfg(test)]
mod tests;
