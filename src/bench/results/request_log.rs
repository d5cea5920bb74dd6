//! `requests.jsonl`: one record a line, as requests end.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{REQUESTS, ResultsError};
use crate::bench::record::RequestRecord;
use crate::fs::{ReadError, read_line_at_most};
use crate::journal::without_position;

/// No record comes near this: a line above it is no record.
const MAX_LINE: u64 = 256 * 1024 * 1024;

/// The requests of a run, open for appending.
#[derive(Debug)]
pub(crate) struct RequestLog {
    path: PathBuf,
    file: File,
}

impl RequestLog {
    /// Starts it. There must be none yet.
    pub(crate) fn create(dir: &Path) -> Result<Self, ResultsError> {
        let path = dir.join(REQUESTS);
        let file =
            OpenOptions::new().append(true).create_new(true).open(&path).map_err(|source| {
                match source.kind() {
                    ErrorKind::AlreadyExists => ResultsError::Exists { path: dir.to_owned() },
                    _ => ResultsError::io("create", &path)(source),
                }
            })?;
        Ok(Self { path, file })
    }

    /// Appends a batch. When this returns the operating system has it, so it outlives this program, killed
    /// or not (not the machine: that would take a flush to disk beside a run that measures milliseconds).
    ///
    /// # Errors
    /// Where the file system refuses. The file then holds whole lines only.
    pub(crate) fn append(&mut self, records: &[RequestRecord]) -> Result<(), ResultsError> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).expect("plain data always serialises");
            lines.push(b'\n');
        }
        let io = ResultsError::io("write", &self.path);
        let before = self.file.metadata().map_err(&io)?.len();
        self.file.write_all(&lines).map_err(|error| {
            // A full disk may have taken a part.
            let _ = self.file.set_len(before);
            io(error)
        })
    }

    /// Flushes all to disk.
    pub(crate) fn finish(self) -> Result<(), ResultsError> {
        self.file.sync_all().map_err(ResultsError::io("write", &self.path))
    }
}

/// Reads it back. A last line without its newline was cut off by the end of the program and is forgiven.
pub(super) fn read(dir: &Path) -> Result<Vec<RequestRecord>, ResultsError> {
    let path = dir.join(REQUESTS);
    let io = ResultsError::io("read", &path);
    let file = match File::open(&path) {
        Ok(file) => file,
        // Killed after `run.json` was written and before this was.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut reader = BufReader::new(file);
    let mut records = Vec::new();
    let mut text = Vec::new();
    for line in 1.. {
        let bad = |field: String, message| ResultsError::Line { path: path.clone(), line, field, message };
        read_line_at_most(&mut reader, MAX_LINE, &mut text).map_err(|error| match error {
            ReadError::Io(error) => io(error),
            ReadError::TooLarge { limit, .. } => {
                bad(".".into(), format!("longer than {limit} bytes, which no record is"))
            }
        })?;
        if text.last() != Some(&b'\n') {
            break;
        }
        let mut json = serde_json::Deserializer::from_slice(&text);
        let record: RequestRecord = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| bad(error.path().to_string(), without_position(&error.inner().to_string())))?;
        json.end().map_err(|error| bad(".".into(), without_position(&error.to_string())))?;
        check(&record).map_err(|(field, message)| bad(field.into(), message))?;
        records.push(record);
    }
    Ok(records)
}

/// What the metrics take for granted.
fn check(record: &RequestRecord) -> Result<(), (&'static str, String)> {
    let answer = &record.answer;
    if record.ended_us < record.sent_us {
        let sent = record.sent_us;
        return Err(("ended_us", format!("is {}, before it was sent at {sent}", record.ended_us)));
    }
    if answer.chunk_us.len() != answer.chunk_tokens.len() {
        let (tokens, times) = (answer.chunk_tokens.len(), answer.chunk_us.len());
        return Err(("chunk_tokens", format!("has {tokens} entries, and chunk_us {times}")));
    }
    if !answer.chunk_us.is_sorted() {
        return Err(("chunk_us", "goes back in time".into()));
    }
    if let Some(tokens) = answer.chunk_tokens.iter().find(|tokens| !(tokens.is_finite() && **tokens >= 0.0)) {
        return Err(("chunk_tokens", format!("holds {tokens}, and must hold numbers from 0")));
    }
    Ok(())
}
