//! The server to measure: where it is and the key it wants. Not part of a plan.

use std::fmt;

use reqwest::Url;

use crate::failure::{Failure, Kind};

/// Where the server is.
#[derive(Debug, Clone)]
pub(crate) struct ServerTarget {
    base: Url,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<ApiKey>,
}

/// A key that shows in no log, record or message.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey(String);

/// A base URL that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--base-url: `{given}` is no server: {why}; give one such as http://localhost:30000")]
pub(crate) struct BadTarget {
    given: String,
    why: String,
}

impl Failure for BadTarget {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl ApiKey {
    /// A key as it is sent. Blank space around it, as files and shells leave it, does not belong to it.
    pub(crate) fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }

    /// The key itself, for the header and nothing else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl ServerTarget {
    /// A server by its base URL: scheme, host, port and, behind a proxy, a path. `http://` may be left out,
    /// and a trailing `/v1` (as OpenAI clients want it) is taken off.
    pub(crate) fn new(base_url: &str, api_key: Option<ApiKey>) -> Result<Self, BadTarget> {
        let bad = |why: String| BadTarget { given: hide_credentials(base_url), why };
        let with_scheme = match base_url.contains("://") {
            true => base_url.to_owned(),
            false => format!("http://{base_url}"),
        };
        let mut base = Url::parse(&with_scheme).map_err(|error| bad(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad(format!("its scheme is `{}`, not http or https", base.scheme())));
        }
        if !base.has_host() {
            return Err(bad("it names no host".into()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad("it holds a user name or password; give a key by environment".into()));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(bad("it has a query or a fragment".into()));
        }
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
        base.set_path(&path);
        Ok(Self { base, api_key })
    }

    /// The URL of an endpoint, such as `/v1/models`.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Whether it speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Its name or address (an IPv6 address without brackets) and port.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        let host = self.base.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        (host, self.base.port_or_known_default().unwrap_or(80))
    }

    /// Host and port as a `Host` header has them.
    pub(crate) fn authority(&self) -> String {
        self.base.authority().to_owned()
    }
}

impl fmt::Display for ServerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

/// What was given, without anything between scheme and host that could be a password.
fn hide_credentials(given: &str) -> String {
    match given.split_once('@') {
        Some((before, after)) => {
            let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}(hidden)@{after}")
        }
        None => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_lie_below_the_base() {
        for (given, models) in [
            ("http://head:30000", "http://head:30000/v1/models"),
            ("http://head:30000/", "http://head:30000/v1/models"),
            ("head:30000", "http://head:30000/v1/models"),
            ("http://head:30000/v1/", "http://head:30000/v1/models"),
            ("https://proxy/llm", "https://proxy/llm/v1/models"),
            ("http://[::1]:8000", "http://[::1]:8000/v1/models"),
        ] {
            assert_eq!(ServerTarget::new(given, None).unwrap().url("/v1/models").as_str(), models, "{given}");
        }
    }

    #[test]
    fn what_is_no_server_is_refused_and_passwords_stay_hidden() {
        for given in ["", "ftp://head", "http://", "http://head:99999", "http://head?x=1"] {
            let error = ServerTarget::new(given, None).unwrap_err().to_string();
            assert!(error.contains("--base-url") && error.contains("http://localhost:30000"), "{error}");
        }
        let error = ServerTarget::new("http://me:secret@head", None).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(format!("{:?}", ApiKey::new(" k ")), "(hidden)");
    }
}
