//! The embedded entries, and those of a folder of one's own.

use std::path::Path;

use include_dir::{Dir, include_dir};
use regex::{Regex, RegexSet};
use serde::Deserialize;

use super::{KnownFailure, KnownFailures};
use crate::serving::entries::{self, Entries, EntriesError, Entry};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/failures");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serving) struct FailuresFile {
    #[serde(default)]
    failure: Vec<KnownFailure>,
}

impl From<FailuresFile> for Vec<KnownFailure> {
    fn from(FailuresFile { failure }: FailuresFile) -> Self {
        failure
    }
}

impl KnownFailures {
    /// The embedded entries; with `profiles`, those in its `failures` folder in place of embedded ones of the same id,
    /// and before the others.
    pub(crate) fn load(profiles: Option<&Path>) -> Result<Self, EntriesError> {
        let Entries { own, embedded } = Entries::load(&EMBEDDED, profiles)?;
        // Each compiles by itself; all together may be too large.
        Self::of(own.into_iter().chain(embedded).collect()).map_err(|error| {
            let folder = profiles.unwrap_or(Path::new("profiles")).join(KnownFailure::FOLDER);
            entries::error::<KnownFailure>(&folder, reason(&error))
        })
    }

    fn of(entries: Vec<KnownFailure>) -> Result<Self, regex::Error> {
        let all = || {
            let parts = |(at, entry)| KnownFailure::patterns(entry).map(move |part| (at, part));
            entries.iter().enumerate().flat_map(parts)
        };
        let patterns = RegexSet::new(all().map(|(_, (_, _, pattern))| pattern))?;
        let parts = all().map(|(at, (_, part, _))| (at, part)).collect();
        Ok(Self { entries, patterns, parts })
    }
}

impl Entry for KnownFailure {
    type File = FailuresFile;
    const WORD: &'static str = "failure";
    const FOLDER: &'static str = "failures";

    fn id(&self) -> &str {
        &self.id
    }

    fn check(&self) -> Result<(), String> {
        let Self { id, cause, fix, source, .. } = self;
        for (field, text) in [("id", id), ("cause", cause), ("fix", fix), ("source", source)] {
            if text.trim().is_empty() {
                return Err(format!("`{field}`: it is empty; accepted: a text"));
            }
        }
        for (field, _, pattern) in self.patterns() {
            let compiled = Regex::new(pattern).map_err(|error| {
                format!("`{field}`: `{pattern}` is no regular expression: {}", reason(&error))
            })?;
            if compiled.is_match("") {
                return Err(format!(
                    "`{field}`: `{pattern}` stands in every line; accepted: one that asks for something"
                ));
            }
        }
        Ok(())
    }
}

/// What is wrong with a pattern: the last line of the message; those before draw where.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
