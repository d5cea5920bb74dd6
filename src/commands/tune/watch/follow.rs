//! A run's log, read as it grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::events::Event;
use crate::log_file::FILE_NAME;

/// A log, and how far it was read: to the end of a line.
#[derive(Debug)]
pub(super) struct Follow {
    path: PathBuf,
    read: u64,
    there: bool,
}

impl Follow {
    pub(super) fn new(run: &Path) -> Self {
        Self { path: run.join(FILE_NAME), read: 0, there: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there was a log at any time.
    pub(super) fn is_there(&self) -> bool {
        self.there
    }

    /// The events since the last time. A line without its end waits: it is being written, or was cut and will be taken
    /// away. A log that is not there yet has none.
    pub(super) fn read(&mut self) -> io::Result<Vec<Event>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        self.there = true;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).lines().filter_map(Event::of_line).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::events::What;

    fn note(text: &str) -> String {
        format!(r#"{{"v":1,"at":"2026-01-31T10:20:30Z","host":null,"about":"note","text":"{text}"}}"#)
    }

    fn texts(log: &mut Follow) -> Vec<String> {
        let text = |event: Event| match event.what {
            What::Note { text } => text,
            other => panic!("{other:?}"),
        };
        log.read().unwrap().into_iter().map(text).collect()
    }

    #[test]
    fn each_line_is_read_once_and_not_before_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Follow::new(dir.path());
        assert_eq!(texts(&mut log), [""; 0]);
        assert!(!log.is_there());
        let mut file = File::create(dir.path().join(FILE_NAME)).unwrap();
        let (one, two) = (note("one"), note("two"));
        write!(
            file,
            "{one}\n{{\"timestamp\":\"t\",\"message\":\"traced\"}}\n\u{fffd}garbage\n{}",
            &two[..20]
        )
        .unwrap();
        assert_eq!(texts(&mut log), ["one"]);
        assert_eq!(texts(&mut log), [""; 0]);
        writeln!(file, "{}", &two[20..]).unwrap();
        assert_eq!(texts(&mut log), ["two"]);
        // A resumed run takes away what was cut.
        write!(file, "{{\"v\":1,").unwrap();
        assert_eq!(texts(&mut log), [""; 0]);
        let whole = file.metadata().unwrap().len() - 7;
        file.set_len(whole).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        writeln!(file, "{}", note("three")).unwrap();
        assert_eq!(texts(&mut log), ["three"]);
        assert!(log.is_there());
    }
}
