//! What is known, as entries of TOML files: embedded ones, and those of a folder of one's own that take their place.

use std::path::{Path, PathBuf};

use include_dir::Dir;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Kind};
use crate::fs::{FolderError, is_toml, read_text_at_most, toml_files};
use crate::toml_text::{BadToml, from_toml};

/// Far more than a file of entries takes.
const MAX_BYTES: u64 = 1 << 20;

/// Entries that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{folder} `{}`: {message}", path.display())]
pub(crate) struct EntriesError {
    folder: &'static str,
    path: PathBuf,
    message: String,
}

impl Failure for EntriesError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// Something that is known, by its id.
pub(super) trait Entry: Sized {
    /// A file of such entries.
    type File: DeserializeOwned + Into<Vec<Self>>;
    /// What one is called in messages.
    const WORD: &'static str;
    /// The folder that they are in, below a folder of profiles.
    const FOLDER: &'static str;

    /// The id, which no other has.
    fn id(&self) -> &str;

    /// What is wrong with it beyond the types of its values.
    fn check(&self) -> Result<(), String>;
}

/// All entries.
pub(super) struct Entries<E> {
    /// Those of a folder of one's own.
    pub(super) own: Vec<E>,
    /// Embedded ones, but for those whose place one's own take.
    pub(super) embedded: Vec<E>,
}

impl<E: Entry> Entries<E> {
    /// The embedded ones of `embedded`, and with `profiles` those of its folder.
    pub(super) fn load(embedded: &Dir<'_>, profiles: Option<&Path>) -> Result<Self, EntriesError> {
        let mut own = Vec::new();
        let folder = |profiles| {
            toml_files(profiles, E::FOLDER)
                .map_err(|FolderError { path, source }| error::<E>(&path, source.to_string()))
        };
        for path in profiles.map(folder).transpose()?.unwrap_or_default() {
            let text =
                read_text_at_most(&path, MAX_BYTES).map_err(|why| error::<E>(&path, why.to_string()))?;
            take(&mut own, &text, &path)?;
        }
        let mut known = Vec::new();
        let mut files: Vec<_> = embedded.files().filter(|file| is_toml(file.path())).collect();
        files.sort_by_key(|file| file.path());
        for file in files {
            let path = Path::new("profiles").join(E::FOLDER).join(file.path());
            take(&mut known, file.contents_utf8().unwrap_or_default(), &path)?;
        }
        known.retain(|entry: &E| own.iter().all(|mine: &E| mine.id() != entry.id()));
        Ok(Self { own, embedded: known })
    }
}

/// Entries at `path` that cannot be read.
pub(super) fn error<E: Entry>(path: &Path, message: String) -> EntriesError {
    EntriesError { folder: E::FOLDER, path: path.to_owned(), message }
}

/// Add the entries of one file to those of others, whose ids they may not have.
fn take<E: Entry>(entries: &mut Vec<E>, text: &str, path: &Path) -> Result<(), EntriesError> {
    let file: E::File = from_toml(text)
        .map_err(|BadToml { place, message }| error::<E>(path, format!("{place}: {message}")))?;
    for entry in file.into() {
        let id = entry.id();
        entry.check().map_err(|message| error::<E>(path, format!("{} `{id}`: {message}", E::WORD)))?;
        if entries.iter().any(|known| known.id() == id) {
            return Err(error::<E>(path, format!("field `id`: `{id}` is another {}'s too", E::WORD)));
        }
        entries.push(entry);
    }
    Ok(())
}
