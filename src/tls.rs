//! The one TLS provider both programs use, and the HTTP client that is built on it.
//!
//! *ring*: it builds in seconds with a C compiler alone, on aarch64 as on x86-64. reqwest panics where no
//! provider is named and none was installed, so clients are built here and nowhere else (`clippy.toml`).

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// The provider of every TLS connection.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A builder of HTTP clients that speak TLS through [`provider`].
#[expect(clippy::disallowed_methods, reason = "the one place that may: the provider is installed first")]
pub fn http_client() -> reqwest::ClientBuilder {
    // Refused where one is installed already, which then is ours.
    let _ = ring::default_provider().install_default();
    reqwest::Client::builder()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_client_can_be_built_any_number_of_times() {
        for _ in 0..2 {
            super::http_client().build().unwrap();
        }
    }
}
