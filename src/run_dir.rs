//! The directories runs write into: one form of name for both programs, and one way to make them.
//!
//! `results/20260131-102030-glm-4.7-fp8-tp4`: when the run began (UTC, so that names sort by time), the model without
//! its organisation, and what sets it apart: a split, a profile. Two runs may begin in one second: the second is
//! `...-2`.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Longest part of a name that comes from a model or a profile, characters.
const MAX_PART: usize = 80;

/// Directories of one name below one root.
const MAX_SAME: u32 = 1000;

/// Where a run shall write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Exactly there (`--out`). It may exist.
    Exactly(PathBuf),
    /// In a new directory of its own below this one.
    Below(PathBuf),
}

/// A directory a run may write into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    made: bool,
}

/// A directory that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot create `{}`: {source}", path.display())]
pub(crate) struct CannotMake {
    /// The directory.
    pub path: PathBuf,
    /// Why not; [`ErrorKind::AlreadyExists`] where there are too many of its name.
    pub source: io::Error,
}

impl RunDirectory {
    /// Makes the directory `place` names, with all above it; below a root it is called `name`. That one is new is
    /// decided by making it, so that of two programs that begin at once each has its own.
    pub(crate) fn make(place: &Place, name: &str) -> Result<Self, CannotMake> {
        match place {
            Place::Exactly(path) => {
                let made = make_one(path)?;
                Ok(Self { path: path.clone(), made })
            }
            Place::Below(root) => {
                make_one(root)?;
                for number in 1..=MAX_SAME {
                    let path = match number {
                        1 => root.join(name),
                        _ => root.join(format!("{name}-{number}")),
                    };
                    match std::fs::create_dir(&path) {
                        Ok(()) => return Ok(Self { path, made: true }),
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                        Err(source) => return Err(CannotMake { path, source }),
                    }
                }
                Err(CannotMake { path: root.join(name), source: ErrorKind::AlreadyExists.into() })
            }
        }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Undo [`make`](Self::make) for a run that could not begin: what was there before, or holds something, stays.
    pub(crate) fn abandon(&self) {
        if self.made {
            // What cannot be removed is at worst an empty directory.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// Whether it was not there before.
fn make_one(path: &Path) -> Result<bool, CannotMake> {
    let failed = |source| CannotMake { path: path.to_owned(), source };
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).map_err(failed)?;
    }
    match std::fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// The name of a run of `model` that began then. `what` sets it apart from others of that model: `tp4`, `quick`.
pub(crate) fn name(began: Timestamp, model: &str, what: &str) -> String {
    let model = model.trim_end_matches('/');
    let model = model.rsplit('/').next().unwrap_or(model);
    format!("{}-{}-{}", began.strftime("%Y%m%d-%H%M%S"), plain(model, "model"), plain(what, "run"))
}

/// In small letters that no file system or shell stumbles over.
fn plain(part: &str, otherwise: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
        true => c.to_ascii_lowercase(),
        false => '-',
    };
    let plain: String = part.chars().map(letter).collect();
    let plain: String = plain.trim_matches(['-', '.']).chars().take(MAX_PART).collect();
    if plain.is_empty() { otherwise.to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-01-31T10:20:30Z".parse().unwrap()
    }

    #[test]
    fn names_are_safe_and_sort_by_time() {
        for (model, short) in [
            ("zai-org/GLM-4.7", "glm-4.7"),
            ("/models/GLM 4.7/", "glm-4.7"),
            ("../..", "model"),
            ("", "model"),
            ("模型\n", "model"),
        ] {
            assert_eq!(name(at(), model, "quick"), format!("20260131-102030-{short}-quick"), "{model:?}");
        }
        assert_eq!(name(at(), "m", "/"), "20260131-102030-m-run");
        assert!(name(at(), &"x".repeat(500), &"y".repeat(500)).len() < 255);
    }

    #[test]
    fn runs_of_one_second_are_numbered_whoever_makes_them() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::Below(root.path().join("a/results"));
        let names: Vec<_> = std::thread::scope(|scope| {
            let make = || RunDirectory::make(&place, "name").unwrap().path().to_owned();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            let mut paths: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            paths.sort();
            paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        });
        let numbered = (2..=8).map(|number| format!("name-{number}"));
        assert_eq!(names, std::iter::once("name".to_owned()).chain(numbered).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_made_is_undone_and_what_was_there_stays() {
        let root = tempfile::tempdir().unwrap();
        let new = Place::Exactly(root.path().join("new"));
        let made = RunDirectory::make(&new, "").unwrap();
        let again = RunDirectory::make(&new, "").unwrap();
        again.abandon();
        assert!(made.path().exists(), "it was there before");
        std::fs::write(made.path().join("file"), "").unwrap();
        made.abandon();
        assert!(made.path().exists(), "it holds something");
        std::fs::remove_file(made.path().join("file")).unwrap();
        made.abandon();
        assert!(!made.path().exists());
    }

    #[test]
    fn what_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        for place in
            [Place::Exactly(file.clone()), Place::Exactly(file.join("x")), Place::Below(file.clone())]
        {
            let error = RunDirectory::make(&place, "name").unwrap_err().to_string();
            assert!(error.contains("cannot create") && error.contains("file"), "{error}");
        }
    }
}
