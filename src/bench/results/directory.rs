//! Where a run's results lie.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{REQUESTS, RUN, ResultsError, RunFile, SUMMARY, SUMMARY_CSV, SummaryFile, csv};
use crate::fs::write_atomic;
use crate::log_file;

/// Longest part of a name that comes from a model or a profile.
const MAX_PART: usize = 80;

/// Directories of one second, model and profile.
const MAX_SUFFIX: u32 = 1000;

/// Where results shall lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Exactly there (`--out`). It may exist, but hold no run.
    Exactly(PathBuf),
    /// In a directory of its own below this one: `<time>-<model>-<profile>`, the time in UTC.
    Below(PathBuf),
}

/// A results directory, open for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultsDir {
    path: PathBuf,
}

impl ResultsDir {
    /// Makes the directory.
    ///
    /// # Errors
    /// [`ResultsError::Exists`] where `--out` holds a run, [`ResultsError::Io`] where it cannot be made.
    pub fn create(place: &Place, began: Timestamp, model: &str, profile: &str) -> Result<Self, ResultsError> {
        match place {
            Place::Exactly(path) => {
                std::fs::create_dir_all(path).map_err(ResultsError::io("create", path))?;
                let held = path.join(RUN).try_exists().map_err(ResultsError::io("look into", path))?;
                match held {
                    true => Err(ResultsError::Exists { path: path.clone() }),
                    false => Ok(Self { path: path.clone() }),
                }
            }
            Place::Below(root) => {
                std::fs::create_dir_all(root).map_err(ResultsError::io("create", root))?;
                let name = name(began, model, profile);
                for number in 1..MAX_SUFFIX {
                    let path = match number {
                        1 => root.join(&name),
                        _ => root.join(format!("{name}-{number}")),
                    };
                    match std::fs::create_dir(&path) {
                        Ok(()) => return Ok(Self { path }),
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                        Err(error) => return Err(ResultsError::io("create", &path)(error)),
                    }
                }
                Err(ResultsError::Exists { path: root.join(name) })
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `run.json`, in the place of an earlier one.
    pub fn write_run(&self, run: &RunFile) -> Result<(), ResultsError> {
        self.write(RUN, &pretty(run))
    }

    /// Writes `summary.json` and `summary.csv`.
    pub fn write_summary(&self, run: &RunFile, summary: &SummaryFile) -> Result<(), ResultsError> {
        self.write(SUMMARY, &pretty(summary))?;
        self.write(SUMMARY_CSV, csv::table([(run, summary)]).as_bytes())
    }

    /// Removes what is there of a run that was stopped before its first request: it says nothing, and would be
    /// in the way of the next one. What is not the run's stays, and the directory with it.
    pub fn discard(self) {
        for name in [RUN, REQUESTS, log_file::FILE_NAME] {
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

/// `2026-01-31T10-20-30Z-GLM-4.7-quick`: sorts by time, and no file system stumbles over it.
fn name(began: Timestamp, model: &str, profile: &str) -> String {
    let time = began.strftime("%Y-%m-%dT%H-%M-%SZ");
    format!("{time}-{}-{}", safe(model, "model"), safe(profile, "profile"))
}

fn safe(name: &str, otherwise: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let safe: String = name.chars().map(plain).collect();
    let safe: String = safe.trim_matches(['-', '.']).chars().take(MAX_PART).collect();
    if safe.is_empty() { otherwise.to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-01-31T10:20:30Z".parse().unwrap()
    }

    #[test]
    fn names_are_safe_and_sort_by_time() {
        for (model, name_) in [
            ("zai-org/GLM-4.7", "zai-org-GLM-4.7"),
            ("/models/GLM 4.7/", "models-GLM-4.7"),
            ("../..", "model"),
            ("", "model"),
            ("模型\n", "model"),
        ] {
            assert_eq!(
                name(at(), model, "quick"),
                format!("2026-01-31T10-20-30Z-{name_}-quick"),
                "{model:?}"
            );
        }
        assert!(name(at(), &"x".repeat(500), &"y".repeat(500)).len() < 255);
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
        let first = "2026-01-31T10-20-30Z-m-quick";
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
