//! Arrival times from a file.
//!
//! One time a line: a number, or a JSON object with `timestamp`. Always seconds, whatever their origin;
//! Mooncake's traces hold milliseconds and want `scale` 0.001, which then stands in the plan.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::{Failure, Kind};

/// A trace that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadTrace {
    /// It cannot be read.
    #[error("cannot read the trace `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// A line is no time.
    #[error("{}:{line}: {problem}; a line is a number of seconds, or a JSON object with `timestamp` in seconds", path.display())]
    Line {
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It holds no time at all.
    #[error("the trace `{}` holds no times", path.display())]
    Empty { path: PathBuf },
}

impl Failure for BadTrace {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

#[derive(Deserialize)]
struct Entry {
    timestamp: f64,
}

/// Read a trace's times, seconds, in the file's order. Blank lines are skipped.
///
/// # Errors
/// A file that cannot be read or holds no times; the first line that is no time, or earlier than the one before.
pub(crate) fn read(path: &Path) -> Result<Vec<f64>, BadTrace> {
    let unreadable = |source| BadTrace::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut times: Vec<f64> = Vec::new();
    for (place, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = line.map_err(unreadable)?;
        let bad = |problem| BadTrace::Line { path: path.to_owned(), line: place + 1, problem };
        let text = std::str::from_utf8(&line).map_err(|_| bad("it is no UTF-8".to_owned()))?.trim();
        if text.is_empty() {
            continue;
        }
        let time = time(text).map_err(bad)?;
        if times.last().is_some_and(|before| *before > time) {
            return Err(bad(format!("{time} is earlier than the time before it")));
        }
        times.push(time);
    }
    match times.is_empty() {
        true => Err(BadTrace::Empty { path: path.to_owned() }),
        false => Ok(times),
    }
}

fn time(text: &str) -> Result<f64, String> {
    let time = match text.starts_with('{') {
        true => serde_json::from_str::<Entry>(text).map_err(|error| error.to_string())?.timestamp,
        false => text
            .parse()
            .map_err(|_| format!("`{}` is no number", text.chars().take(40).collect::<String>()))?,
    };
    match f64::is_finite(time) && time >= 0.0 {
        true => Ok(time),
        false => Err(format!("{time} is no time from 0 up")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8]) -> Result<Vec<f64>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.jsonl");
        fs_err::write(&path, text).unwrap();
        read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_and_objects_are_times() {
        assert_eq!(read_text(b"1.5\n\n 2\r\n2\n"), Ok(vec![1.5, 2.0, 2.0]));
        assert_eq!(
            read_text(b"{\"timestamp\": 0, \"input_length\": 5}\n{\"timestamp\": 3e0}"),
            Ok(vec![0.0, 3.0])
        );
    }

    #[test]
    fn what_is_no_time_is_named_by_its_line() {
        for (text, place, problem) in [
            (&b"1\nx\n"[..], ":2:", "`x` is no number"),
            (b"1\n2\nNaN", ":3:", "NaN"),
            (b"-1\n", ":1:", "-1"),
            (b"inf\n", ":1:", "inf"),
            (b"2\n1\n", ":2:", "earlier"),
            (b"{\"time\": 1}\n", ":1:", "timestamp"),
            (b"1\n\xff\n", ":2:", "UTF-8"),
            (b"\n \n", "", "holds no times"),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.contains(place) && error.contains(problem), "{error}");
        }
        let error = read(Path::new("/no/such/trace")).unwrap_err();
        assert!(error.to_string().contains("/no/such/trace") && error.kind() == Kind::Input);
    }
}
