//! Why results cannot be written or read.

use std::path::{Path, PathBuf};

use super::{FORMAT, REQUESTS, RUN};
use crate::failure::{Failure, Kind};

/// Why results cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResultsError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A whole file could not be written. The message comes from where the path was known and names it.
    #[error(transparent)]
    Write(std::io::Error),
    /// The directory holds a run already.
    #[error("`{}` already holds results", path.display())]
    Exists { path: PathBuf },
    /// The directory holds no run.
    #[error("`{}` holds no results: it has no {RUN}", path.display())]
    Missing { path: PathBuf },
    /// Written by a version with another format.
    #[error("`{}`: format is {found}, this version reads {FORMAT}", path.display())]
    Format {
        path: PathBuf,
        /// As it stands there.
        found: String,
    },
    /// A file does not read.
    #[error("`{}`: {field}: {message}", path.display())]
    Field {
        path: PathBuf,
        /// Dotted path of the field, `.` for the whole file.
        field: String,
        message: String,
    },
    /// A line of `requests.jsonl` does not read.
    #[error("`{}` line {line}: {field}: {message}", path.display())]
    Line {
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// Dotted path of the field, `.` for the whole line.
        field: String,
        message: String,
    },
}

impl ResultsError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }
}

impl Failure for ResultsError {
    fn kind(&self) -> Kind {
        match self {
            ResultsError::Io { .. } | ResultsError::Write(_) => Kind::Environment,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ResultsError::Exists { .. } => Some("choose another --out".into()),
            ResultsError::Missing { .. } => {
                Some(format!("give a directory that a run wrote: {RUN} and {REQUESTS} lie in it"))
            }
            ResultsError::Format { .. } => {
                Some("read it with the version of sparkbench that wrote it (environment.version)".into())
            }
            _ => None,
        }
    }
}
