//! The Hugging Face hub, or a mirror of it: one small file over HTTPS.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use super::environment::HfEnvironment;
use crate::failure::{Failure, Kind};
use crate::model::config_json::{ConfigError, ModelConfig};
use crate::model::limits::{MAX_CONFIG_BYTES, MAX_REDIRECTS};
use crate::model::model_id::ModelId;
use crate::model::modelopt;

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the hub gave no config.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    /// `HF_ENDPOINT` is no address.
    #[error("HF_ENDPOINT is no usable address: {reason}")]
    BadEndpoint {
        /// Why. The value itself may hold a password.
        reason: String,
    },
    /// `HF_TOKEN` cannot be sent.
    #[error("HF_TOKEN holds characters that no HTTP header can carry")]
    BadToken,
    /// There is no such model.
    #[error("no model `{id}` at {hub}")]
    NotFound {
        id: ModelId,
        /// The hub's host.
        hub: String,
    },
    /// There is no such model, or only some may see it: the hub does not say which to strangers.
    #[error("no model `{id}` at {hub}, or it is private")]
    NotFoundOrPrivate {
        id: ModelId,
        /// The hub's host.
        hub: String,
    },
    /// The repository has no `config.json`.
    #[error("`{id}` has no config.json at {hub}: not a transformers checkpoint (GGUF only?)")]
    NoConfig {
        id: ModelId,
        /// The hub's host.
        hub: String,
    },
    /// Only for those who log in.
    #[error("`{id}` is gated or private at {hub}, and HF_TOKEN is not set")]
    NeedsToken {
        id: ModelId,
        /// The hub's host.
        hub: String,
    },
    /// Logged in, and still not allowed.
    #[error("the account of HF_TOKEN may not read `{id}` at {hub} (HTTP {status})")]
    NoAccess {
        id: ModelId,
        /// The hub's host.
        hub: String,
        /// 401 or 403.
        status: u16,
    },
    /// Any other answer.
    #[error("{url}: the hub answered HTTP {status}")]
    Status { url: String, status: u16 },
    /// No answer in time.
    #[error("{url}: no answer within {:.1} s", limit.as_secs_f64())]
    TooSlow {
        url: String,
        /// The time allowed.
        limit: Duration,
    },
    /// No answer at all.
    #[error("cannot reach {url}: {reason}")]
    Unreachable { url: String, reason: String },
}

impl HubError {
    /// Whether the model may simply not exist.
    pub(super) fn is_unknown_model(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NotFoundOrPrivate { .. })
    }
}

impl Failure for HubError {
    fn kind(&self) -> Kind {
        match self {
            Self::BadEndpoint { .. }
            | Self::BadToken
            | Self::NotFound { .. }
            | Self::NotFoundOrPrivate { .. }
            | Self::NoConfig { .. } => Kind::Input,
            Self::NeedsToken { .. }
            | Self::NoAccess { .. }
            | Self::Status { .. }
            | Self::TooSlow { .. }
            | Self::Unreachable { .. } => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFoundOrPrivate { .. } => Some("if it is private, set HF_TOKEN".to_owned()),
            Self::NeedsToken { id, hub } => {
                Some(format!("accept the licence at https://{hub}/{id}, then set HF_TOKEN"))
            }
            Self::NoAccess { id, hub, status: 403 } => {
                Some(format!("accept the licence at https://{hub}/{id} with the account of HF_TOKEN"))
            }
            Self::NoAccess { .. } => Some("HF_TOKEN may have expired or been revoked".to_owned()),
            Self::TooSlow { .. } | Self::Unreachable { .. } => Some(
                "give the path of a config.json, use a name of the catalogue (`sparktune models`), or set HF_ENDPOINT \
                 to a mirror"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What may go wrong on the way to a config.
pub(super) enum Failed {
    Hub(HubError),
    Config(ConfigError),
}

impl From<HubError> for Failed {
    fn from(error: HubError) -> Self {
        Failed::Hub(error)
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Failed::Config(error)
    }
}

/// A connection to the hub.
pub(super) struct Hub {
    client: Client,
    endpoint: Url,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl Hub {
    pub(super) fn new(environment: &HfEnvironment, timeout: Duration) -> Result<Self, HubError> {
        let endpoint = endpoint(environment.endpoint())?;
        let authorization = environment.token().map(|token| bearer(token.reveal())).transpose()?;
        let mut builder = crate::tls::http_client()
            .user_agent(concat!("sparktune/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            // On the way to another host or port the client drops the authorization header.
            .redirect(Policy::limited(MAX_REDIRECTS));
        if is_loopback(&endpoint) {
            // A proxy cannot see this machine's own loopback.
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| HubError::Unreachable { url: endpoint.to_string(), reason: reason(&error) })?;
        Ok(Self { client, endpoint, authorization, timeout })
    }

    /// The config of a model, and the address it came from.
    pub(super) async fn config(&self, id: &ModelId) -> Result<(ModelConfig, String), Failed> {
        let (url, response) = self.get(id, "config.json").await?;
        if let Some(error) = self.refusal(id, &url, &response) {
            return Err(error.into());
        }
        let mut config = ModelConfig::parse(&self.body(&url, response).await?, &url)?;
        if !config.says_quantization() {
            // Without knowing, a quantised model would pass for a plain one.
            if let Some((beside, bytes)) = self.file_if_any(id, modelopt::FILE).await? {
                modelopt::adopt(&mut config, &bytes, &beside)?;
            }
        }
        Ok((config, url))
    }

    /// A file of a model that has it, and its address.
    pub(super) async fn file_if_any(
        &self,
        id: &ModelId,
        file: &str,
    ) -> Result<Option<(String, Vec<u8>)>, HubError> {
        let (url, response) = self.get(id, file).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let bytes = self.body(&url, response).await?;
                Ok(Some((url, bytes)))
            }
            status => Err(HubError::Status { url, status: status.as_u16() }),
        }
    }

    async fn get(&self, id: &ModelId, file: &str) -> Result<(String, Response), HubError> {
        let url = format!("{}/{id}/resolve/main/{file}", self.endpoint.as_str().trim_end_matches('/'));
        let mut request = self.client.get(&url);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        match request.send().await {
            Ok(response) => Ok((url, response)),
            Err(error) => Err(self.failed(&url, &error)),
        }
    }

    /// The body, as long as it is no longer than a config may be.
    async fn body(&self, url: &str, mut response: Response) -> Result<Vec<u8>, HubError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(url, &error))? {
            bytes.extend_from_slice(&chunk);
            // The parser says that it is too large; the rest is not fetched.
            if bytes.len() > MAX_CONFIG_BYTES {
                break;
            }
        }
        Ok(bytes)
    }

    /// What a status other than success means. The hub says more in `X-Error-Code`
    /// (`huggingface_hub`, `hf_raise_for_status`); mirrors may not.
    fn refusal(&self, id: &ModelId, url: &str, response: &Response) -> Option<HubError> {
        let status = response.status();
        let (id, hub) = (id.clone(), self.host());
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok()).unwrap_or("");
        let with_token = self.authorization.is_some();
        Some(match (status.as_u16(), code) {
            _ if status.is_success() => return None,
            (_, "EntryNotFound") => HubError::NoConfig { id, hub },
            (404, _) => HubError::NotFound { id, hub },
            // To strangers the hub answers 401 for what does not exist.
            (401, "RepoNotFound") if !with_token => HubError::NotFoundOrPrivate { id, hub },
            (401 | 403, _) if !with_token => HubError::NeedsToken { id, hub },
            (status @ (401 | 403), _) => HubError::NoAccess { id, hub, status },
            (status, _) => HubError::Status { url: url.to_owned(), status },
        })
    }

    fn failed(&self, url: &str, error: &reqwest::Error) -> HubError {
        let url = url.to_owned();
        if error.is_timeout() {
            HubError::TooSlow { url, limit: self.timeout }
        } else {
            HubError::Unreachable { url, reason: reason(error) }
        }
    }

    fn host(&self) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        self.endpoint.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

fn endpoint(text: &str) -> Result<Url, HubError> {
    let bad = |reason: &str| HubError::BadEndpoint { reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "https" | "http" => {}
        _ => return Err(bad("expected https://host or http://host")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it holds a user name or a password; use HF_TOKEN"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("expected an address without `?` and `#`"));
    }
    Ok(url)
}

fn bearer(token: &str) -> Result<HeaderValue, HubError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| HubError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
