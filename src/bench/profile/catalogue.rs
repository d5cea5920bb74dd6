//! The known profiles, and the ways to name one.

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::error::ProfileError;
use super::layer::{Layer, Profile};
use super::parse::parse;
use crate::fs::{FolderError, ReadError, is_toml, read_text_at_most, toml_files};
use crate::spelling::nearest;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/bench");

/// The longest profile read, bytes: many times the longest embedded one.
const MAX_BYTES: u64 = 65_536;

/// Every known profile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profiles {
    profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// The profiles in the binary; with `folder`, those of `folder/bench/*.toml` too: a file with a known
    /// name replaces that profile, any other adds one.
    ///
    /// `folder` must exist; it need not have profiles.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, ProfileError> {
        let mut profiles = BTreeMap::new();
        for file in EMBEDDED.files().filter(|file| is_toml(file.path())) {
            let path = file.path().display().to_string();
            let profile = parse(&path, file.contents_utf8().unwrap_or_default())?;
            profiles.insert(profile.name.clone(), profile);
        }
        for profile in folder.map(own).transpose()?.unwrap_or_default() {
            profiles.insert(profile.name.clone(), profile);
        }
        Ok(Self { profiles })
    }

    /// The profile that `query` means: a name, or a file where it has a folder or ends in `.toml`.
    pub(crate) fn find(&self, query: &str) -> Result<Profile, ProfileError> {
        let path = Path::new(query);
        if is_toml(path) || path.components().count() > 1 {
            return read(path);
        }
        self.profiles.get(query).cloned().ok_or_else(|| {
            let known: Vec<String> = self.profiles.keys().cloned().collect();
            let nearest = nearest(query, known.iter().map(String::as_str)).map(str::to_owned);
            ProfileError::Unknown { query: query.to_owned(), nearest, known }
        })
    }

    /// Every profile, the smallest first.
    pub(crate) fn all(&self) -> Vec<&Profile> {
        let mut all: Vec<&Profile> = self.profiles.values().collect();
        let tokens = |profile: &Profile| {
            let Layer { requests, workload, .. } = &profile.layer;
            let tokens =
                workload.input_tokens.unwrap_or(0) as u64 + workload.output_tokens.unwrap_or(0) as u64;
            tokens * u64::from(requests.unwrap_or(0))
        };
        all.sort_by_key(|profile| (tokens(profile), profile.name.clone()));
        all
    }
}

fn own(folder: &Path) -> Result<Vec<Profile>, ProfileError> {
    let paths = toml_files(folder, "bench")
        .map_err(|FolderError { path, source }| ProfileError::Read { path, source })?;
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Profile, ProfileError> {
    let text = read_text_at_most(path, MAX_BYTES).map_err(|error| match error {
        ReadError::Io(source) => ProfileError::Read { path: path.to_owned(), source },
        ReadError::TooLarge { limit, .. } => ProfileError::TooLarge { path: path.to_owned(), limit },
    })?;
    parse(&path.display().to_string(), &text)
}
