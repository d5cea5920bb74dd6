//! A run's log: a file of lines in the run's directory, for whoever wants to know afterwards what happened.
//!
//! No run depends on it. What is logged before there is a directory waits; what cannot be written is lost, and said
//! once. A killed run leaves whole lines, but for the last one, which the next session of the run takes away.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The log's name in a run's directory.
pub(crate) const FILE_NAME: &str = "log.jsonl";

/// What waits for a directory at most, bytes. Beyond it the oldest lines go: a run that takes so long to begin is
/// explained by the last of them.
const WAITING_BYTES: usize = 1 << 20;

/// Read at a time to find the last line's beginning.
const CHUNK_BYTES: u64 = 4096;

/// Put in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// Shorter texts are no secrets worth the name, and would be found where they mean nothing.
const SECRET_BYTES: usize = 8;

/// A log, for all that write to it.
#[derive(Debug, Clone)]
pub(crate) struct LogFile(Arc<Mutex<Log>>);

#[derive(Debug)]
struct Log {
    secrets: Vec<String>,
    state: State,
    trouble: Option<LogError>,
}

#[derive(Debug)]
enum State {
    /// There is no directory yet.
    Waiting {
        lines: VecDeque<Vec<u8>>,
        bytes: usize,
    },
    Open {
        path: PathBuf,
        file: File,
    },
    /// It could not be written. Nothing more is tried: a line in the middle would be missing without a word.
    Broken,
}

/// Why there is no log, or only a part of one.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log `{path}`: {source}; the run goes on without", path = path.display())]
pub(crate) struct LogError {
    /// The log.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl LogFile {
    /// A log without a directory, in which no text of `secrets` will be found.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= SECRET_BYTES).collect();
        let state = State::Waiting { lines: VecDeque::new(), bytes: 0 };
        Self(Arc::new(Mutex::new(Log { secrets, state, trouble: None })))
    }

    /// From now on lines go into `directory`, those that waited first.
    pub(crate) fn open(&self, directory: &Path) {
        let path = directory.join(FILE_NAME);
        let mut log = self.lock();
        let opened = open(&path).map(|file| State::Open { path: path.clone(), file });
        match opened {
            Ok(open) => {
                let before = std::mem::replace(&mut log.state, open);
                if let State::Waiting { lines, .. } = before {
                    lines.iter().for_each(|line| log.write(line));
                }
            }
            Err(source) => log.breaks(path, source),
        }
    }

    /// Add a line, without its end.
    pub(crate) fn line(&self, line: &str) {
        self.lock().append(format!("{line}\n").into_bytes());
    }

    /// What went wrong, said once.
    pub(crate) fn take_trouble(&self) -> Option<LogError> {
        self.lock().trouble.take()
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For formatters that hand over whole lines, with their ends.
impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.lock().append(lines.to_vec());
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn append(&mut self, line: Vec<u8>) {
        let line = self.without_secrets(line);
        match &mut self.state {
            State::Waiting { lines, bytes } => {
                *bytes += line.len();
                lines.push_back(line);
                while *bytes > WAITING_BYTES {
                    *bytes -= lines.pop_front().map_or(*bytes, |oldest| oldest.len());
                }
            }
            State::Open { .. } => self.write(&line),
            State::Broken => {}
        }
    }

    /// One call a line: what else appends to the file cannot come between.
    fn write(&mut self, line: &[u8]) {
        if let State::Open { path, file } = &mut self.state
            && let Err(source) = file.write_all(line)
        {
            let path = path.clone();
            self.breaks(path, source);
        }
    }

    fn breaks(&mut self, path: PathBuf, source: io::Error) {
        self.state = State::Broken;
        self.trouble = Some(LogError { path, source });
    }

    fn without_secrets(&self, line: Vec<u8>) -> Vec<u8> {
        let text = match String::from_utf8(line) {
            Ok(text) => text,
            Err(other) => String::from_utf8_lossy(other.as_bytes()).into_owned(),
        };
        let hidden = self.secrets.iter().fold(text, |text, secret| match text.contains(secret) {
            true => text.replace(secret, HIDDEN),
            false => text,
        });
        hidden.into_bytes()
    }
}

/// Open `path` for appending, behind its last whole line.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    let whole = end_of_last_line(&mut file, length)?;
    if whole < length {
        file.set_len(whole)?;
    }
    Ok(file)
}

/// Where the last line with an end ends, from the beginning.
fn end_of_last_line(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK_BYTES);
        file.seek(SeekFrom::Start(start))?;
        chunk.clear();
        (&*file).take(end - start).read_to_end(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(directory: &Path) -> String {
        std::fs::read_to_string(directory.join(FILE_NAME)).unwrap()
    }

    fn log() -> LogFile {
        LogFile::new([])
    }

    #[test]
    fn lines_wait_for_a_directory_and_are_appended_to_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        for session in ["a", "b"] {
            let log = log();
            log.line(&format!("{session}1"));
            log.open(dir.path());
            log.line(&format!("{session}2"));
            log.clone().write_all(format!("{session}3\n").as_bytes()).unwrap();
            assert!(log.take_trouble().is_none());
        }
        assert_eq!(read(dir.path()), "a1\na2\na3\nb1\nb2\nb3\n");
    }

    #[test]
    fn what_waits_has_a_bound_and_the_newest_is_kept() {
        let (dir, log) = (tempfile::tempdir().unwrap(), log());
        let filler = "x".repeat(1000);
        for number in 0..3000 {
            log.line(&format!("{number} {filler}"));
        }
        log.open(dir.path());
        let text = read(dir.path());
        assert!(text.len() <= WAITING_BYTES && text.len() > WAITING_BYTES / 2, "{}", text.len());
        assert!(text.lines().last().unwrap().starts_with("2999 "));
    }

    #[test]
    fn a_torn_last_line_goes_and_whole_ones_stay() {
        let long = "y".repeat(3 * CHUNK_BYTES as usize);
        for (before, after) in [
            ("one\ntw", "one\n"),
            ("one\n", "one\n"),
            ("tw", ""),
            ("", ""),
            (&format!("one\n{long}"), "one\n"),
            (&long, ""),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE_NAME), before).unwrap();
            let log = log();
            log.open(dir.path());
            log.line("new");
            assert_eq!(read(dir.path()), format!("{after}new\n"));
        }
    }

    #[test]
    fn what_cannot_be_written_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(FILE_NAME)).unwrap();
        let unwritable = log();
        unwritable.open(dir.path());
        unwritable.line("lost");
        let said = unwritable.take_trouble().unwrap().to_string();
        assert!(said.contains(FILE_NAME) && said.contains("goes on without"), "{said}");
        unwritable.line("lost");
        assert!(unwritable.take_trouble().is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join(FILE_NAME)).unwrap();
        let full = log();
        full.open(dir.path());
        for _ in 0..3 {
            full.line("lost");
        }
        assert!(full.take_trouble().unwrap().to_string().contains("No space left"));
        assert!(full.take_trouble().is_none());
    }

    #[test]
    fn secrets_do_not_get_there() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogFile::new(["hf_0123456789".into(), "EMPTY".into(), String::new()]);
        log.line("token hf_0123456789, EMPTY");
        log.open(dir.path());
        log.clone().write_all(b"again hf_0123456789 \xff\n").unwrap();
        assert_eq!(read(dir.path()), "token (hidden), EMPTY\nagain (hidden) \u{fffd}\n");
    }
}
