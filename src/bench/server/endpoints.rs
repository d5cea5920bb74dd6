//! Requests to a server's own endpoints: bounded in time and size, with a typed error for every way they fail.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ServerError;
use super::limits::{MAX_ANSWER, MAX_REDIRECTS};
use crate::bench::stream::words::{EXCERPT, WORDS, harmless};
use crate::bench::target::ServerTarget;

/// How long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For a whole answer.
    pub answer: Duration,
    /// For a whole answer that holds a generated token: a long prompt has to be read first.
    pub generate: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(15),
            generate: Duration::from_secs(180),
        }
    }
}

/// A server's endpoints.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    client: Client,
    target: ServerTarget,
    patience: Timeouts,
}

impl Endpoints {
    /// The endpoints of `target`. `ca` is one more certificate to trust, DER. Proxies of the environment are
    /// passed by, as the measured requests do.
    ///
    /// # Errors
    /// [`ServerError::Setup`] for a certificate or a key that is none, [`ServerError::NoAuthorities`].
    pub(crate) fn new(target: ServerTarget, ca: Option<&[u8]>) -> Result<Self, ServerError> {
        Self::with_patience(target, ca, Timeouts::default())
    }

    /// The same with other time limits.
    ///
    /// # Errors
    /// As [`Endpoints::new`].
    pub(crate) fn with_patience(
        target: ServerTarget,
        ca: Option<&[u8]>,
        patience: Timeouts,
    ) -> Result<Self, ServerError> {
        let bad = |why: String| ServerError::Setup { url: target.to_string(), why };
        let mut headers = HeaderMap::new();
        if let Some(key) = &target.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.reveal()))
                .map_err(|_| bad("the API key holds characters that no HTTP header can carry".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let same_origin = Policy::custom(|attempt| {
            let here = attempt.previous().last().map(reqwest::Url::origin);
            match here == Some(attempt.url().origin()) && attempt.previous().len() <= MAX_REDIRECTS {
                true => attempt.follow(),
                false => attempt.stop(),
            }
        });
        let mut builder = crate::tls::http_client()
            .user_agent(concat!("sparkbench/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(patience.connect)
            .redirect(same_origin)
            .no_proxy();
        if let Some(der) = ca {
            let certificate = Certificate::from_der(der).map_err(|error| bad(innermost(&error)))?;
            builder = builder.tls_certs_merge([certificate]);
        }
        if !target.is_tls() {
            // Redirects stay on one origin, so nothing is ever verified: a machine without certificates, as
            // small container images are, need not have any.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| ServerError::NoAuthorities {
            url: target.to_string(),
            why: innermost(&error),
        })?;
        Ok(Self { client, target, patience })
    }

    /// Where they are.
    pub(crate) fn target(&self) -> &ServerTarget {
        &self.target
    }

    /// GET a text.
    ///
    /// # Errors
    /// Every way it fails.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String, ServerError> {
        let bytes = self.bytes(self.client.get(self.target.url(path)), path, self.patience.answer).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// GET JSON.
    ///
    /// # Errors
    /// Every way it fails.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ServerError> {
        let bytes = self.bytes(self.client.get(self.target.url(path)), path, self.patience.answer).await?;
        self.parse(path, &bytes)
    }

    /// POST JSON for JSON that takes no generation.
    ///
    /// # Errors
    /// Every way it fails.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ServerError> {
        self.post_within(path, body, self.patience.answer).await
    }

    /// POST JSON for JSON that holds something generated.
    ///
    /// # Errors
    /// Every way it fails.
    pub(crate) async fn generate<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, ServerError> {
        self.post_within(path, body, self.patience.generate).await
    }

    async fn post_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<T, ServerError> {
        let bytes = self.bytes(self.client.post(self.target.url(path)).json(body), path, limit).await?;
        self.parse(path, &bytes)
    }

    /// The whole body of a successful answer.
    async fn bytes(
        &self,
        request: RequestBuilder,
        path: &str,
        limit: Duration,
    ) -> Result<Vec<u8>, ServerError> {
        let url = || self.target.url(path).to_string();
        let mut response = match request.timeout(limit).send().await {
            Ok(response) => response,
            Err(error) => return Err(self.failed(path, limit, &error).await),
        };
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                // Of a refusal, its status says enough.
                Err(_) if !(200..300).contains(&status) => break,
                Err(error) => return Err(self.failed(path, limit, &error).await),
            }
            if bytes.len() > MAX_ANSWER {
                return Err(ServerError::TooLarge { url: url() });
            }
        }
        match status {
            200..300 => Ok(bytes),
            401 | 403 => Err(ServerError::Key { url: url(), status, given: self.target.api_key.is_some() }),
            _ => Err(ServerError::Status { url: url(), status, said: self.said(&response, &bytes) }),
        }
    }

    fn said(&self, response: &Response, bytes: &[u8]) -> String {
        if let Some(location) = response.headers().get(reqwest::header::LOCATION) {
            return format!("redirected to {}", harmless(location.as_bytes(), WORDS));
        }
        match harmless(bytes, WORDS) {
            nothing if nothing.is_empty() => "nothing more was said".to_owned(),
            said => self.without_key(said),
        }
    }

    /// A server may repeat what it was sent.
    fn without_key(&self, text: String) -> String {
        match &self.target.api_key {
            Some(key) if !key.reveal().is_empty() => text.replace(key.reveal(), "(hidden)"),
            _ => text,
        }
    }

    fn parse<T: DeserializeOwned>(&self, path: &str, bytes: &[u8]) -> Result<T, ServerError> {
        let url = || self.target.url(path).to_string();
        let beginning = || self.without_key(harmless(bytes, EXCERPT));
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string());
        parsed.and_then(|value| json.end().map(|()| value).map_err(|error| error.to_string())).map_err(
            |problem| match bytes.trim_ascii_start().first() {
                Some(b'<') => ServerError::Html { url: url(), beginning: beginning() },
                _ => ServerError::Form { url: url(), problem, beginning: beginning() },
            },
        )
    }

    async fn failed(&self, path: &str, limit: Duration, error: &reqwest::Error) -> ServerError {
        let url = self.target.url(path).to_string();
        if error.is_timeout() {
            let limit = if error.is_connect() { self.patience.connect } else { limit };
            return ServerError::TooSlow { url, limit };
        }
        if let Some(why) = tls_problem(error) {
            return ServerError::Tls { url, why };
        }
        if io_kind(error) == Some(std::io::ErrorKind::ConnectionRefused) {
            return ServerError::Refused { url };
        }
        let (host, port) = self.target.host_and_port();
        if error.is_connect() && tokio::net::lookup_host((host.as_str(), port)).await.is_err() {
            return ServerError::UnknownHost { host };
        }
        ServerError::Broken { url, why: innermost(error) }
    }
}

/// What an error came from, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

/// What rustls said. It travels inside I/O errors, whose `source` passes it by.
fn tls_problem(error: &reqwest::Error) -> Option<rustls::Error> {
    causes(error).find_map(|cause| {
        let inside = std::iter::successors(Some(cause), |error| {
            let inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
            Some(inner as &(dyn Error + 'static))
        });
        inside.filter_map(|error| error.downcast_ref::<rustls::Error>()).next().cloned()
    })
}

fn io_kind(error: &reqwest::Error) -> Option<std::io::ErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
}

/// "connection reset" rather than "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}
