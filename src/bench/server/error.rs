//! Every way a server's endpoint says nothing usable, and what may help.

use std::time::Duration;

use rustls::CertificateError;

use super::limits::MAX_ANSWER;
use crate::failure::{Failure, Kind};

/// Why a server's endpoint said nothing usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// HTTP could not be set up: a certificate or a key that is none.
    #[error("cannot talk to {url}: {why}")]
    Setup {
        /// The server.
        url: String,
        /// Why not.
        why: String,
    },
    /// This machine has nothing to verify a server's certificate with.
    #[error("cannot verify {url}: {why}")]
    NoAuthorities {
        /// The server.
        url: String,
        /// What is missing.
        why: String,
    },
    /// Its name has no address.
    #[error("cannot find `{host}`: no address by that name")]
    UnknownHost {
        /// The name.
        host: String,
    },
    /// Nothing listens there.
    #[error("{url}: connection refused: nothing listens there")]
    Refused {
        /// The address asked.
        url: String,
    },
    /// No answer in time.
    #[error("{url}: no answer within {:.1} s", limit.as_secs_f64())]
    TooSlow {
        /// The address asked.
        url: String,
        /// The time allowed.
        limit: Duration,
    },
    /// TLS could not be agreed on.
    #[error("{url}: no TLS: {why}")]
    Tls {
        /// The address asked.
        url: String,
        /// Why not.
        why: rustls::Error,
    },
    /// Any other way a connection fails.
    #[error("{url}: {why}")]
    Broken {
        /// The address asked.
        url: String,
        /// Why.
        why: String,
    },
    /// The server wants a key, or another one.
    #[error("{url}: HTTP {status}: the server {}", if *given { "does not accept the API key" } else { "wants an API key" })]
    Key {
        /// The address asked.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Whether one was sent.
        given: bool,
    },
    /// Another status than success.
    #[error("{url}: HTTP {status}: {said}")]
    Status {
        /// The address asked.
        url: String,
        status: u16,
        /// What the server said to it.
        said: String,
    },
    /// A web page where JSON should be.
    #[error("{url}: a web page instead of JSON: {beginning}")]
    Html {
        /// The address asked.
        url: String,
        /// How it begins.
        beginning: String,
    },
    /// Not JSON, or JSON of another form.
    #[error("{url}: {problem}; it said: {beginning}")]
    Form {
        /// The address asked.
        url: String,
        /// What is wrong.
        problem: String,
        /// How the answer begins.
        beginning: String,
    },
    /// More than any answer has.
    #[error("{url}: the answer is longer than {MAX_ANSWER} bytes")]
    TooLarge {
        /// The address asked.
        url: String,
    },
}

impl Failure for ServerError {
    fn kind(&self) -> Kind {
        match self {
            ServerError::Key { .. } | ServerError::Setup { .. } => Kind::Input,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            ServerError::NoAuthorities { .. } => {
                "install the system's certificates (ca-certificates), or give the server's authority with --ca-cert"
            }
            ServerError::UnknownHost { .. } => "check --base-url for a misspelt name",
            ServerError::Refused { .. } => {
                "is the server up, and is it the right port? It listens only once it has loaded"
            }
            ServerError::TooSlow { .. } => {
                "the server may still be loading, or a firewall swallows the packets"
            }
            ServerError::Tls { why: rustls::Error::InvalidCertificate(problem), .. } => match problem {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "give --base-url the name that the certificate is for"
                }
                _ => "a private certificate wants its authority's own, with --ca-cert",
            },
            ServerError::Tls { .. } => {
                "a server without TLS wants http://; a private certificate wants --ca-cert"
            }
            ServerError::Key { given: false, .. } => "give the key by environment: SPARKBENCH_API_KEY",
            ServerError::Key { given: true, .. } => "check SPARKBENCH_API_KEY for another server's key",
            ServerError::Html { .. } => {
                "--base-url may lead to a proxy or a dashboard; give the server's own address"
            }
            ServerError::Status { status: 404 | 405, .. } => {
                "--base-url may have a wrong path or port: no such endpoint there"
            }
            ServerError::Status { status: 502..=504, .. } => "the server may still be loading",
            ServerError::Status { status: 300..=399, .. } => "give the address it redirects to as --base-url",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl ServerError {
    /// Whether the server answered, and only this endpoint or this form of request is not for it.
    pub(crate) fn is_unsupported(&self) -> bool {
        match self {
            // llama.cpp answers 501 for what it was started without.
            ServerError::Status { status, .. } => matches!(status, 400 | 404 | 405 | 415 | 422 | 500 | 501),
            ServerError::Html { .. } | ServerError::Form { .. } => true,
            _ => false,
        }
    }
}
