//! Paths of a host, which are not this machine's.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};

/// A path on a host, `/` between its parts, or the bare name of a program that the host looks up.
///
/// UTF-8, unlike this machine's paths: it travels in JSON, to the worker and to container engines.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostPath(String);

/// A path of this machine that no host can be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path `{shown}` is not UTF-8; paths that a worker is told must be")]
pub struct NotUtf8 {
    shown: String,
}

impl Failure for NotUtf8 {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl HostPath {
    /// The path as text.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of `part` below this one; `part` is relative.
    pub fn join(&self, part: &str) -> Self {
        match self.0.as_str() {
            "" => Self(part.to_owned()),
            path if path.ends_with('/') => Self(format!("{path}{part}")),
            path => Self(format!("{path}/{part}")),
        }
    }
}

impl TryFrom<&Path> for HostPath {
    type Error = NotUtf8;

    fn try_from(path: &Path) -> Result<Self, NotUtf8> {
        match path.to_str() {
            Some(text) => Ok(Self(text.to_owned())),
            None => Err(NotUtf8 { shown: path.display().to_string() }),
        }
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn parts_are_joined_by_one_slash() {
        for (path, whole) in [("/a", "/a/b"), ("/a/", "/a/b"), ("/", "/b"), ("", "b"), ("a", "a/b")] {
            assert_eq!(HostPath::new(path).join("b").as_str(), whole);
        }
    }

    #[test]
    fn a_path_that_is_not_utf_8_is_named_and_refused() {
        let path = Path::new(OsStr::from_bytes(b"/tmp/\xff/x"));
        let error = HostPath::try_from(path).unwrap_err();
        assert!(error.to_string().contains("/tmp/\u{fffd}/x"), "{error}");
        assert_eq!(error.kind(), Kind::Input);
    }
}
