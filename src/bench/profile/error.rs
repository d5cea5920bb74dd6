//! Profiles and plans that cannot be.

use std::path::PathBuf;

use super::datafile::BadDataFile;
use crate::failure::{Failure, Kind};

/// A profile, or a folder of them, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// The file or folder cannot be read.
    #[error("cannot read the profile `{}`: {source}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        source: std::io::Error,
    },
    /// Far larger than any profile.
    #[error("the profile `{}` has more than {limit} bytes, more than any profile needs", path.display())]
    TooLarge {
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// Not TOML, an unknown field, or a value of the wrong type.
    #[error("profile `{file}`, {place}: {message}")]
    Shape {
        file: String,
        /// The field and the line, as far as they are known.
        place: String,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A value that cannot be right.
    #[error("profile `{file}`, field `{field}`: {value} is not accepted; expected {accepted}")]
    Value {
        file: String,
        field: String,
        /// What it says.
        value: String,
        /// What it may say.
        accepted: String,
    },
    /// A profile nobody has.
    #[error("unknown profile `{query}`{}; known: {}", did_you_mean(nearest.as_deref()), known.join(", "))]
    Unknown {
        /// What was asked for.
        query: String,
        /// The known one that is spelled most like it.
        nearest: Option<String>,
        /// The known ones.
        known: Vec<String>,
    },
}

impl Failure for ProfileError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            ProfileError::Unknown { .. } => Some(
                "a profile of your own is given as a file (--profile ./mine.toml), or as bench/<name>.toml in a \
                 folder given with --profiles"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Flags that cannot be right, alone or together with a profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// A value that cannot be right.
    #[error("{flag}: {value} is not accepted; expected {accepted}")]
    Value {
        /// The profile's field for it.
        field: &'static str,
        /// The flag.
        flag: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        accepted: String,
    },
    /// Two flags that contradict each other.
    #[error("{first} and {second} contradict each other: {why}")]
    Conflict {
        /// A flag, with its value where that matters.
        first: String,
        /// The other one.
        second: String,
        /// How.
        why: String,
    },
    /// A value that is needed and nobody said.
    #[error("{what} needs {flag}")]
    Missing {
        /// What needs it.
        what: String,
        /// The profile's field that would say it.
        field: &'static str,
        /// What would say it.
        flag: &'static str,
    },
    /// A data set or trace that cannot be read.
    #[error("{flag}: {source}")]
    File {
        /// Where the file was named: a flag, or a profile's field.
        flag: String,
        /// Why not.
        source: BadDataFile,
    },
}

impl Failure for PlanError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// `, did you mean `quick`?`
fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!(" (did you mean `{name}`?)"))
}
