//! Where a run's results lie.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{NODES, NodesFile, REQUESTS, RUN, ResultsError, RunFile, SUMMARY, SUMMARY_CSV, SummaryFile, csv};
use crate::fs::write_atomic;
use crate::log_file;
use crate::run_dir::{self, CannotMake, Place, RunDirectory};

/// A results directory, open for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResultsDir {
    path: PathBuf,
}

impl ResultsDir {
    /// Makes the directory.
    ///
    /// # Errors
    /// [`ResultsError::Exists`] where `--out` holds a run, [`ResultsError::Io`] where it cannot be made.
    pub(crate) fn create(
        place: &Place,
        began: Timestamp,
        model: &str,
        profile: &str,
    ) -> Result<Self, ResultsError> {
        let made = RunDirectory::make(place, &run_dir::name(began, model, profile)).map_err(|error| {
            let CannotMake { path, source } = error;
            match source.kind() {
                ErrorKind::AlreadyExists if matches!(place, Place::Below(_)) => ResultsError::Exists { path },
                _ => ResultsError::Io { action: "create", path, source },
            }
        })?;
        let path = made.path().to_owned();
        match path.join(RUN).try_exists().map_err(ResultsError::io("look into", &path))? {
            true => Err(ResultsError::Exists { path }),
            false => Ok(Self { path }),
        }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `run.json`, in the place of an earlier one.
    pub(crate) fn write_run(&self, run: &RunFile) -> Result<(), ResultsError> {
        self.write(RUN, &pretty(run))
    }

    /// Writes `nodes.json`, in the place of an earlier one.
    pub(crate) fn write_nodes(&self, nodes: &NodesFile) -> Result<(), ResultsError> {
        self.write(NODES, &pretty(nodes))
    }

    /// Writes `summary.json` and `summary.csv`.
    pub(crate) fn write_summary(&self, run: &RunFile, summary: &SummaryFile) -> Result<(), ResultsError> {
        self.write(SUMMARY, &pretty(summary))?;
        self.write(SUMMARY_CSV, csv::table([(run, summary)]).as_bytes())
    }

    /// Removes what is there of a run that was stopped before its first request: it says nothing, and would be
    /// in the way of the next one. What is not the run's stays, and the directory with it.
    pub(crate) fn discard(self) {
        for name in [RUN, REQUESTS, NODES, log_file::FILE_NAME] {
            // What cannot be removed lies there as that of a run without a request.
            let _ = std::fs::remove_file(self.path.join(name));
        }
        let _ = std::fs::remove_dir(&self.path);
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ResultsError> {
        let path = self.path.join(name);
        write_atomic(&path, bytes).map_err(ResultsError::Write)
    }
}

fn pretty(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("plain data always serialises");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-01-31T10:20:30Z".parse().unwrap()
    }

    #[test]
    fn a_collision_gets_a_suffix() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::Below(root.path().join("results"));
        let made: Vec<_> = (0..3)
            .map(|_| {
                let dir = ResultsDir::create(&place, at(), "m", "quick").unwrap();
                dir.path().file_name().unwrap().to_str().unwrap().to_owned()
            })
            .collect();
        let first = "20260131-102030-m-quick";
        assert_eq!(made, [first.to_owned(), format!("{first}-2"), format!("{first}-3")]);
    }

    #[test]
    fn what_is_discarded_is_gone_and_what_is_others_stays() {
        let root = tempfile::tempdir().unwrap();
        for (others, left) in [(false, false), (true, true)] {
            let path = root.path().join("run");
            let dir = ResultsDir::create(&Place::Exactly(path.clone()), at(), "m", "q").unwrap();
            std::fs::write(path.join(RUN), "{}").unwrap();
            std::fs::write(path.join(REQUESTS), "").unwrap();
            if others {
                std::fs::write(path.join("notes.txt"), "mine").unwrap();
            }
            dir.discard();
            assert_eq!(path.exists(), left);
            assert!(!path.join(RUN).exists() && path.join("notes.txt").exists() == others);
        }
    }

    #[test]
    fn out_is_exact_and_keeps_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let place = Place::Exactly(path.clone());
        assert_eq!(ResultsDir::create(&place, at(), "m", "q").unwrap().path(), path);
        assert!(ResultsDir::create(&place, at(), "m", "q").is_ok());
        std::fs::write(path.join(RUN), "{}").unwrap();
        let error = ResultsDir::create(&place, at(), "m", "q").unwrap_err();
        assert!(matches!(&error, ResultsError::Exists { path: found } if *found == path), "{error}");
        let file = Place::Exactly(path.join(RUN));
        let error = ResultsDir::create(&file, at(), "m", "q").unwrap_err().to_string();
        assert!(error.contains("cannot create") && error.contains("run.json"), "{error}");
    }
}
