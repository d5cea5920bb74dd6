//! What can be wrong inside a config file, each with the key and field it is about.

use std::fmt;

/// One thing wrong with a config file's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Larger than any config file is.
    TooLarge {
        /// Its size, bytes.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// Not JSON.
    NotJson {
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
        /// What the parser met.
        message: String,
    },
    /// No entries at all.
    Empty,
    /// A key that is no batch size.
    BadKey {
        /// The key.
        key: String,
    },
    /// A key given twice: of two entries a reader keeps the last.
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// An entry that is no object.
    NotAnEntry {
        /// The key.
        key: String,
        /// What stands there.
        found: &'static str,
    },
    /// A field given twice.
    DuplicateField {
        /// The key.
        key: String,
        /// The field.
        field: String,
    },
    /// A field no launch takes.
    UnknownField {
        /// The key.
        key: String,
        /// The field.
        field: String,
    },
    /// A field every launch needs.
    MissingField {
        /// The key.
        key: String,
        /// The field.
        field: &'static str,
    },
    /// A value no launch can have.
    BadValue {
        /// The key.
        key: String,
        /// The field.
        field: &'static str,
        /// As it stands there.
        value: String,
        /// What would do.
        accepted: &'static str,
    },
}

impl Problem {
    /// Whether it is about the key in which vLLM keeps the Triton that it tuned with, since 0.11. It takes the key out again
    /// where it reads a file.
    pub(crate) fn is_triton_version(&self) -> bool {
        matches!(self, Problem::BadKey { key } | Problem::NotAnEntry { key, .. } if key == "triton_version")
    }

    /// The key it is about, if it is about one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Problem::TooLarge { .. } | Problem::NotJson { .. } | Problem::Empty => None,
            Problem::BadKey { key }
            | Problem::DuplicateKey { key }
            | Problem::NotAnEntry { key, .. }
            | Problem::DuplicateField { key, .. }
            | Problem::UnknownField { key, .. }
            | Problem::MissingField { key, .. }
            | Problem::BadValue { key, .. } => Some(key),
        }
    }

    /// Whether the entry it is about is not among the sound ones.
    pub(super) fn loses_an_entry(&self) -> bool {
        match self {
            Problem::TooLarge { .. }
            | Problem::NotJson { .. }
            | Problem::NotAnEntry { .. }
            | Problem::DuplicateField { .. }
            | Problem::UnknownField { .. }
            | Problem::MissingField { .. }
            | Problem::BadValue { .. } => true,
            Problem::Empty | Problem::BadKey { .. } | Problem::DuplicateKey { .. } => false,
        }
    }

    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Problem::TooLarge { .. } => "too-large",
            Problem::NotJson { .. } => "not-json",
            Problem::Empty => "empty",
            Problem::BadKey { .. } => "bad-key",
            Problem::DuplicateKey { .. } => "duplicate-key",
            Problem::NotAnEntry { .. } => "not-an-entry",
            Problem::DuplicateField { .. } => "duplicate-field",
            Problem::UnknownField { .. } => "unknown-field",
            Problem::MissingField { .. } => "missing-field",
            Problem::BadValue { .. } => "bad-value",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::TooLarge { bytes, limit } => {
                write!(f, "{bytes} bytes, and no config file is larger than {limit}")
            }
            Problem::NotJson { line, column, message } => {
                write!(f, "no JSON object of entries: {message} (line {line}, column {column})")
            }
            Problem::Empty => f.write_str("no entries"),
            Problem::BadKey { key } => write!(
                f,
                "key \"{}\" is no batch size; a key is a whole number from 1, such as \"64\"",
                shorten(key)
            ),
            Problem::DuplicateKey { key } => write!(f, "key \"{}\" is there twice", shorten(key)),
            Problem::NotAnEntry { key, found } => {
                write!(f, "key \"{}\" holds {found}; an entry is an object", shorten(key))
            }
            Problem::DuplicateField { key, field } => {
                write!(f, "key \"{}\": field {} is there twice", shorten(key), shorten(field))
            }
            Problem::UnknownField { key, field } => {
                write!(f, "key \"{}\": no launch takes a field {}", shorten(key), shorten(field))
            }
            Problem::MissingField { key, field } => {
                write!(f, "key \"{}\": {field} is missing", shorten(key))
            }
            Problem::BadValue { key, field, value, accepted } => {
                write!(f, "key \"{}\": {field} is {}, accepted is {accepted}", shorten(key), shorten(value))
            }
        }
    }
}

/// The beginning of a text from the file, with nothing in it that a terminal would act on.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}
