//! The name of a place where programs run: a node of the inventory, or this machine.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// A host's name, as journals, events and messages show it. Cheap to copy about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub struct HostName(Arc<str>);

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no host name: 1 to {max} letters, digits, `.`, `-` and `_`, beginning with a letter or digit",
    max = HostName::MAX_BYTES
)]
pub struct BadHostName(String);

impl HostName {
    /// The longest name, as DNS has it (RFC 1035, section 2.3.4).
    pub const MAX_BYTES: usize = 253;

    /// This machine, whatever it calls itself: a run moved to another machine still is a run on one machine.
    pub fn local() -> Self {
        Self("localhost".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = BadHostName;

    fn from_str(text: &str) -> Result<Self, BadHostName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        match begins && text.len() <= Self::MAX_BYTES && text.bytes().all(plain) {
            true => Ok(Self(text.into())),
            false => Err(BadHostName(text.chars().take(Self::MAX_BYTES).collect())),
        }
    }
}

impl TryFrom<Cow<'_, str>> for HostName {
    type Error = BadHostName;

    fn try_from(text: Cow<'_, str>) -> Result<Self, BadHostName> {
        text.parse()
    }
}

impl Serialize for HostName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_dns_and_inventories_hold() {
        for good in ["localhost", "spark-1", "spark_2.local", "10.0.0.1", "0a"] {
            assert_eq!(good.parse::<HostName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(254);
        for bad in ["", "-a", ".a", "a b", "a/b", "ä", "a\n", &long] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_a_string_in_json_and_checked_when_it_is_read() {
        let name: HostName = serde_json::from_str("\"spark-1\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"spark-1\"");
        let error = serde_json::from_str::<HostName>("\"a b\"").unwrap_err().to_string();
        assert!(error.contains("`a b` is no host name"), "{error}");
    }
}
