//! A run's directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

/// News of a run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// All there is to begin with is there: from now on the directory stays, whatever happens.
    Began {
        /// The run's directory, as this program reaches it.
        #[serde(serialize_with = "lossy")]
        directory: PathBuf,
        /// Whether it goes on with what an earlier session left there.
        resumed: bool,
    },
}

/// JSON holds Unicode, a path any bytes: what is none is replaced.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
