//! Hugging Face's settings, as its own libraries read them from the environment.

use std::path::PathBuf;

use crate::secret::Secret;

/// Where the local cache is, which hub to ask, and as whom.
///
/// Source: `huggingface_hub/constants.py`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HfEnvironment {
    home: Option<PathBuf>,
    hub_cache: Option<PathBuf>,
    endpoint: Option<String>,
    token: Option<Secret>,
    offline: bool,
}

impl HfEnvironment {
    /// Read the settings through `get`, which answers like `std::env::var(name).ok()`.
    pub(crate) fn from_getter(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let home = set("HOME").map(PathBuf::from);
        let path = |name: &str| {
            let text = set(name)?;
            match (text.strip_prefix("~/"), &home) {
                (Some(rest), Some(home)) => Some(home.join(rest)),
                _ => Some(PathBuf::from(text)),
            }
        };
        let cache_home = path("XDG_CACHE_HOME").or_else(|| Some(home.clone()?.join(".cache")));
        let hf_home = path("HF_HOME").or_else(|| Some(cache_home?.join("huggingface")));
        let hub_cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(hf_home.clone()?.join("hub")));
        let yes = |text: String| matches!(text.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE");
        Self {
            hub_cache,
            home: hf_home,
            endpoint: set("HF_ENDPOINT"),
            token: set("HF_TOKEN").map(Secret::new),
            offline: set("HF_HUB_OFFLINE").is_some_and(yes),
        }
    }

    /// Read the settings from the process environment.
    pub(crate) fn from_process() -> Self {
        Self::from_getter(|name| std::env::var(name).ok())
    }

    /// The local cache of repositories; none where no home is known.
    pub(crate) fn hub_cache(&self) -> Option<PathBuf> {
        self.hub_cache.clone()
    }

    /// The hub's address.
    pub(crate) fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("https://huggingface.co")
    }

    /// Whether `HF_HUB_OFFLINE` forbids the network.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Whether there is a token to send.
    #[cfg(test)]
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> HfEnvironment {
        HfEnvironment::from_getter(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_cache_is_where_hugging_face_has_it() {
        let cache = |pairs: &[(&str, &str)]| env(pairs).hub_cache().map(|path| path.display().to_string());
        assert_eq!(cache(&[]), None);
        assert_eq!(cache(&[("HOME", "/h")]).unwrap(), "/h/.cache/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]).unwrap(), "/c/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/h"), ("HF_HOME", "~/hf")]).unwrap(), "/h/hf/hub");
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/cache")]).unwrap(), "/cache");
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", " ")]).unwrap(), "/hf/hub");
    }

    #[test]
    fn the_token_never_shows() {
        let env = env(&[("HF_TOKEN", "hf_secret\n"), ("HF_HUB_OFFLINE", "1")]);
        assert!(env.has_token() && env.is_offline());
        assert_eq!(env.token().unwrap().reveal(), "hf_secret");
        assert!(!format!("{env:?}").contains("hf_secret"));
    }
}
