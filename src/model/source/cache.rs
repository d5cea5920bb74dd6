//! The local Hugging Face cache.
//!
//! Layout (`huggingface_hub`, "Understand caching"): `models--org--name/refs/main` holds the revision
//! that `main` was at, `models--org--name/snapshots/REVISION/` its files, as links.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::fs::read_text_at_most;
use crate::model::limits::MAX_REVISION_BYTES;
use crate::model::model_id::ModelId;

/// The `config.json` of a cached model: of `main` where that is known, else of the newest snapshot.
pub(super) fn find(root: &Path, id: &ModelId) -> Option<PathBuf> {
    let repository = root.join(id.cache_folder());
    let snapshots = repository.join("snapshots");
    let config =
        |revision: &Path| Some(snapshots.join(revision).join("config.json")).filter(|path| path.is_file());
    let main = read_text_at_most(&repository.join("refs").join("main"), MAX_REVISION_BYTES).ok();
    main.as_deref()
        .map(str::trim)
        .filter(|text| is_revision(text))
        .and_then(|text| config(Path::new(text)))
        .or_else(|| {
            let entries = fs::read_dir(&snapshots).ok()?.flatten();
            let dated = entries.filter_map(|entry| {
                let changed =
                    entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                Some((changed, config(Path::new(&entry.file_name()))?))
            });
            dated.max().map(|(_, path)| path)
        })
}

/// A commit hash or a branch name without separators: it must not lead out of the folder.
fn is_revision(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
