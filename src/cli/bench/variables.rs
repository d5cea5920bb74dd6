//! What the environment says. Read in one place, so that what is made of it is a function of data.

use std::ffi::OsString;

use crate::bench::profile::Origin;
use crate::bench::target::ApiKey;
use crate::failure::{Failure, Kind};

/// Where a server is looked for where nobody says: SGLang's own default port.
const BASE_URL: &str = "http://localhost:30000";

/// The variables this program reads, where they are set and not empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    base_url: Option<String>,
    profile: Option<String>,
    api_key: Option<ApiKey>,
}

/// A variable that cannot be right. Its value is never said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {name}: its value is not accepted; expected {accepted}")]
pub(super) struct BadVariable {
    name: &'static str,
    accepted: &'static str,
}

impl Failure for BadVariable {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Variables {
    /// What `variable` answers for the names this program knows.
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, BadVariable> {
        let text = |name: &'static str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.map(OsString::into_string).transpose().map_err(|_| BadVariable { name, accepted: "UTF-8" })
        };
        let key = |name: &'static str| {
            let Some(value) = text(name)?.filter(|value| !value.trim().is_empty()) else { return Ok(None) };
            // What a header can carry: RFC 6750's b64token is a part of it.
            if !value.trim().chars().all(|c| c.is_ascii_graphic()) {
                return Err(BadVariable { name, accepted: "printable ASCII without blanks" });
            }
            Ok(Some(ApiKey::new(&value)))
        };
        // The second is looked at only where the first says nothing: it may be for something else.
        let api_key = match key("SPARKBENCH_API_KEY")? {
            Some(own) => Some(own),
            None => key("OPENAI_API_KEY")?,
        };
        Ok(Self { base_url: text("SPARKBENCH_BASE_URL")?, profile: text("SPARKBENCH_PROFILE")?, api_key })
    }

    /// The server: flag, environment, default.
    pub(super) fn base_url(&self, flag: Option<String>) -> (String, Origin) {
        flag.map(|url| (url, Origin::Flag("--base-url")))
            .or_else(|| Some((self.base_url.clone()?, Origin::Environment("SPARKBENCH_BASE_URL"))))
            .unwrap_or_else(|| (BASE_URL.to_owned(), Origin::Default))
    }

    /// The profile: flag, environment, none.
    pub(super) fn profile(&self, flag: Option<String>) -> Option<(String, Origin)> {
        flag.map(|name| (name, Origin::Flag("--profile")))
            .or_else(|| Some((self.profile.clone()?, Origin::Environment("SPARKBENCH_PROFILE"))))
    }

    /// The key.
    pub(super) fn api_key(&self) -> Option<ApiKey> {
        self.api_key.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Variables, BadVariable> {
        Variables::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_that_over_the_default() {
        let set = of(&[("SPARKBENCH_BASE_URL", "http://env"), ("SPARKBENCH_PROFILE", "quick")]).unwrap();
        let unset = of(&[("SPARKBENCH_BASE_URL", ""), ("SPARKBENCH_PROFILE", "")]).unwrap();
        assert_eq!(
            set.base_url(Some("http://flag".into())),
            ("http://flag".into(), Origin::Flag("--base-url"))
        );
        assert_eq!(set.base_url(None).1, Origin::Environment("SPARKBENCH_BASE_URL"));
        assert_eq!(unset.base_url(None), (BASE_URL.into(), Origin::Default));
        assert_eq!(set.profile(Some("long".into())).unwrap().1, Origin::Flag("--profile"));
        assert_eq!(set.profile(None).unwrap().0, "quick");
        assert_eq!(unset.profile(None), None);
    }

    #[test]
    fn our_own_key_comes_first_and_a_bad_one_is_not_repeated() {
        let key = |pairs: &[(&str, &str)]| of(pairs).unwrap().api_key().map(|key| key.reveal().to_owned());
        let (ours, theirs) = (("SPARKBENCH_API_KEY", " a\n"), ("OPENAI_API_KEY", "b"));
        assert_eq!(key(&[ours, theirs]).as_deref(), Some("a"));
        assert_eq!(key(&[theirs]).as_deref(), Some("b"));
        assert_eq!(key(&[("SPARKBENCH_API_KEY", ""), theirs]).as_deref(), Some("b"));
        assert_eq!(key(&[]), None);
        let error = of(&[("SPARKBENCH_API_KEY", "se cret")]).unwrap_err();
        assert!(error.to_string().contains("SPARKBENCH_API_KEY") && !error.to_string().contains("cret"));
        // A key that is not used cannot be wrong.
        assert!(of(&[("SPARKBENCH_API_KEY", "a"), ("OPENAI_API_KEY", "b c")]).is_ok());
    }
}
