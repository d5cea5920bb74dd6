//! What is kept of units between runs, a file each, under a hash of everything that it depends on.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::protocol::Unit;
use crate::fs::{sha256_hex, write_atomic};

/// Files below one folder.
#[derive(Debug, Clone)]
pub(super) struct Filed {
    folder: PathBuf,
    /// What all keys have in common.
    context: serde_json::Value,
}

/// A file's content with what it was for, so that a file explains itself and a hash collision would show.
#[derive(Debug, Serialize, Deserialize)]
struct Entry<T> {
    key: serde_json::Value,
    result: T,
}

impl Filed {
    pub(super) fn new(folder: PathBuf, context: serde_json::Value) -> Self {
        Self { folder, context }
    }

    /// What is filed of `unit`. A file that does not read is as good as none.
    pub(super) fn get<T: DeserializeOwned>(&self, unit: &Unit) -> Option<T> {
        let text = std::fs::read(self.path(unit)).ok()?;
        let entry: Entry<T> = serde_json::from_slice(&text).ok()?;
        (entry.key == self.key(unit)).then_some(entry.result)
    }

    pub(super) fn put<T: Serialize>(&self, unit: &Unit, result: &T) -> std::io::Result<()> {
        let path = self.path(unit);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let entry = Entry { key: self.key(unit), result };
        write_atomic(&path, serde_json::to_string(&entry)?.as_bytes())
    }

    /// The place of `unit`'s file.
    pub(super) fn path(&self, unit: &Unit) -> PathBuf {
        let hash = sha256_hex(self.key(unit).to_string().as_bytes());
        self.folder.join(&hash[..2]).join(format!("{hash}.json"))
    }

    fn key(&self, unit: &Unit) -> serde_json::Value {
        let mut key =
            serde_json::json!({ "context": self.context, "role": unit.role, "config": unit.config });
        if let Some(tokens) = unit.batch_size {
            key["batch_size"] = tokens.into();
        }
        key
    }
}
