//! vLLM's releases, by the numbers users know them by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::UnknownRuntime;

/// A release of vLLM whose files are known: `0.33.0`.
///
/// Names, folder and form of its config files were read in `fused_moe.py`, and its own tuner in
/// `benchmarks/kernels/benchmark_moe.py`, of the sources of 0.10.0, 0.10.2, 0.11.2, 0.14.1, 0.18.1, 0.22.1, 0.27.1 and
/// 0.33.0: what this program uses of them is the same in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VllmVersion(String);

impl VllmVersion {
    /// Minor releases of version 0.
    const OLDEST: u32 = 10;
    const NEWEST: u32 = 33;

    /// Whether an installation that says its version as `found` is this release, whatever it was built for
    /// (`0.33.0+cu130`).
    pub fn is(&self, found: &str) -> bool {
        release(found) == self.0
    }
}

/// A version without the `v` of tags, and without what it was built for.
fn release(text: &str) -> &str {
    let text = text.strip_prefix('v').unwrap_or(text);
    text.split('+').next().unwrap_or(text)
}

impl fmt::Display for VllmVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for VllmVersion {
    type Err = UnknownRuntime;

    /// Three or four numbers, and what may follow them: `0.33.0`, `v0.10.1.1`, `0.33.0rc1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let release = release(text);
        let known = || {
            let mut parts = release.split('.');
            let [major, minor, patch] = [parts.next()?, parts.next()?, parts.next()?];
            let minor: u32 = minor.parse().ok()?;
            let is_known = major == "0" && (Self::OLDEST..=Self::NEWEST).contains(&minor);
            let plain = release.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
            (is_known && plain && patch.starts_with(|c: char| c.is_ascii_digit())).then_some(())
        };
        known().map(|()| Self(release.to_owned())).ok_or_else(|| UnknownRuntime::Vllm(text.to_owned()))
    }
}

impl TryFrom<String> for VllmVersion {
    type Error = UnknownRuntime;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VllmVersion> for String {
    fn from(version: VllmVersion) -> Self {
        version.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_known_by_its_numbers_and_found_whatever_it_was_built_for() {
        let version: VllmVersion = "v0.33.0".parse().unwrap();
        assert_eq!(version.to_string(), "0.33.0");
        for found in ["0.33.0", "0.33.0+cu130"] {
            assert!(version.is(found), "{found}");
        }
        for found in ["0.33.1", "0.33", "0.33.0rc1", ""] {
            assert!(!version.is(found), "{found}");
        }
        for text in ["0.10.0", "0.10.1.1", "0.11.0rc2", "0.33.0+cu130"] {
            assert!(text.parse::<VllmVersion>().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_nobody_has_read_is_refused_with_what_is_known() {
        for text in ["0.9.2", "0.34.0", "1.33.0", "0.33", "newest", "", "0.33.x", "0.33.0/..", "0.-1.0"] {
            let error = text.parse::<VllmVersion>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("0.10.0 to 0.33"), "{error}");
        }
        assert!(serde_json::from_str::<VllmVersion>("\"0.9.0\"").is_err());
    }
}
