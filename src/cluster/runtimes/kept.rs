//! What images said, kept by their content.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, options};
use crate::cluster::installed;
use crate::fs::{ReadError, read_at_most, sha256_hex, write_atomic};
use crate::host::engine::Image;

/// The form of these files.
const FORMAT: u32 = 1;
/// Bytes of one that are read; the answers of both programs are bounded to less.
const MOST_BYTES: u64 = 16 << 20;

/// Answers below one folder, a file an image.
#[derive(Debug)]
pub(super) struct Kept(PathBuf);

/// What is read before the rest of a file.
#[derive(Debug, Deserialize)]
struct Form {
    format: u32,
    programs: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u32,
    /// A digest of what asked: another program asks for something else.
    programs: String,
    /// The content again, so that a file that was renamed shows.
    key: String,
    /// The image's name when it was asked, for whoever looks into the folder.
    image: String,
    answer: Answer,
}

impl Kept {
    pub(super) fn below(cache: &Path) -> Self {
        Self(cache.join("images"))
    }

    /// What the image of this content said.
    ///
    /// # Errors
    /// A file that is damaged: as good as none, but to be told of.
    pub(super) fn get(&self, key: &str) -> Result<Option<Answer>, String> {
        let path = self.path(key);
        let damaged = |why: &dyn std::fmt::Display| format!("`{}` is damaged ({why})", path.display());
        let bytes = match read_at_most(&path, MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(damaged(&error)),
        };
        let Form { format, programs } = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        if format != FORMAT || programs != self::programs() {
            // Another version of this program wrote it, for itself.
            return Ok(None);
        }
        let file: File = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        match file.key == key {
            true => Ok(Some(file.answer)),
            false => Err(damaged(&format_args!("it is of {}", file.key))),
        }
    }

    /// Keep it.
    ///
    /// # Errors
    /// Why it cannot be kept: the image is asked again the next time.
    pub(super) fn put(&self, key: &str, image: &str, answer: &Answer) -> Result<(), String> {
        let (key, image) = (key.to_owned(), image.to_owned());
        let path = self.path(&key);
        let file = File { format: FORMAT, programs: programs(), key, image, answer: answer.clone() };
        let written = fs_err::create_dir_all(&self.0)
            .and_then(|()| Ok(serde_json::to_vec(&file)?))
            .and_then(|bytes| write_atomic(&path, &bytes));
        written
            .map_err(|error| format!("what its image said cannot be kept in `{}`: {error}", path.display()))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.0.join(format!("{key}.json"))
    }
}

/// What an image is known by. Engines give the same image other IDs; its layers and what its containers begin with are
/// the same everywhere.
pub(super) fn key_of(image: &Image) -> String {
    let content = match image.layers.is_empty() {
        false => json!([image.architecture, image.layers, image.start_digest]),
        true => json!([image.architecture, image.id]),
    };
    sha256_hex(content.to_string().as_bytes())
}

fn programs() -> String {
    sha256_hex([installed::PROGRAM, options::PROGRAM].concat().as_bytes())
}
