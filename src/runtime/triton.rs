//! Triton versions, and the folder name SGLang derives from one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Triton release, `major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TritonVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

impl TritonVersion {
    /// The releases the shared-memory rule was held against on sm_121a: samples of fp8, bf16 and int4
    /// tiles, both kernels. CI compiles with the oldest and the newest.
    pub const KNOWN: [TritonVersion; 6] = [
        Self::new(3, 5, 0),
        Self::new(3, 5, 1),
        Self::new(3, 6, 0),
        Self::new(3, 7, 0),
        Self::new(3, 7, 1),
        Self::new(3, 8, 0),
    ];

    /// `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// The folder SGLang looks in under `configs/`: `triton_3_5_0`.
    pub fn directory(self) -> String {
        format!("triton_{}_{}_{}", self.major, self.minor, self.patch)
    }

    /// The version a folder called `triton_3_5_0` is for.
    pub fn from_directory(name: &str) -> Option<Self> {
        name.strip_prefix("triton_")?.replace('_', ".").parse().ok()
    }
}

impl fmt::Display for TritonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Not a `major.minor.patch` version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Triton version; write it as three numbers, such as 3.5.0")]
pub struct BadTritonVersion(String);

impl FromStr for TritonVersion {
    type Err = BadTritonVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadTritonVersion(text.to_owned());
        let mut numbers = text.split('.').map(|part| {
            // `u16::from_str` takes a leading `+`; a version has digits only.
            if part.bytes().all(|b| b.is_ascii_digit()) { part.parse().ok() } else { None }
        });
        let mut next = || numbers.next().flatten();
        match (next(), next(), next(), numbers.next()) {
            (Some(major), Some(minor), Some(patch), None) => Ok(Self::new(major, minor, patch)),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for TritonVersion {
    type Error = BadTritonVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TritonVersion> for String {
    fn from(version: TritonVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_round_trip() {
        for version in TritonVersion::KNOWN {
            assert_eq!(TritonVersion::from_directory(&version.directory()), Some(version));
        }
        assert_eq!(TritonVersion::new(3, 5, 0).directory(), "triton_3_5_0");
    }

    #[test]
    fn only_three_numbers_are_a_version() {
        for bad in ["", "3", "3.5", "3.5.0.1", "3.5.x", "3.5.+0", "3..0", "3.5.0rc1", " 3.5.0", "3.5.99999"] {
            assert!(bad.parse::<TritonVersion>().is_err(), "{bad:?} was taken for a version");
        }
    }
}
