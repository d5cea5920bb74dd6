//! Names of models on the Hugging Face hub.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::config_json::shorten;

/// `organisation/name`, safe to put into a path or an address.
///
/// The rules are `huggingface_hub`'s (`validate_repo_id`): letters, digits, `-`, `_` and `.`, no
/// `--` or `..`, neither part starting or ending with `-` or `.`, 96 characters each at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId {
    organisation: String,
    name: String,
}

impl ModelId {
    /// The part before the slash.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder of the local Hugging Face cache: `models--zai-org--GLM-4.7-FP8`.
    pub fn cache_folder(&self) -> String {
        format!("models--{}--{}", self.organisation, self.name)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organisation, self.name)
    }
}

/// Not an `organisation/name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no model id; expected organisation/name, such as zai-org/GLM-4.7-FP8")]
pub struct BadModelId(String);

impl FromStr for ModelId {
    type Err = BadModelId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((organisation, name)) if is_part(organisation) && is_part(name) => {
                Ok(Self { organisation: organisation.to_owned(), name: name.to_owned() })
            }
            _ => Err(BadModelId(shorten(text))),
        }
    }
}

fn is_part(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=96).contains(&part.len())
        && part.bytes().all(allowed)
        && !part.starts_with(['-', '.'])
        && !part.ends_with(['-', '.'])
        && !part.contains("--")
        && !part.contains("..")
}

impl TryFrom<String> for ModelId {
    type Error = BadModelId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_hub_allows_is_an_id() {
        for good in ["zai-org/GLM-4.7-FP8", "Qwen/Qwen3_x", "a/b"] {
            assert_eq!(good.parse::<ModelId>().unwrap().to_string(), good);
        }
        let long = format!("a/{}", "b".repeat(97));
        for bad in
            ["", "a", "a/", "/b", "a/b/c", "../b", "a/..", "a/b?x", "a/b c", "a/-b", "a/b--c", "a/é", &long]
        {
            assert!(bad.parse::<ModelId>().is_err(), "{bad}");
        }
    }
}
