//! What lies where in the folder of one batch size's process.

use crate::worker::script::FOLDER;

/// The script and what it imports from beside it.
pub(super) const SCRIPT: &str = "script";
/// The model, which is a config alone.
pub(super) const MODEL: &str = "model";
/// The list of what is tried.
pub(super) const SEARCH_SPACE: &str = "search-space.json";

/// What lies there under `name`, as the process is told of it.
pub(super) fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}
