//! The one TLS provider both programs use, and the HTTP client that is built on it.
//!
//! *ring*: it builds in seconds with a C compiler alone, on aarch64 as on x86-64. reqwest panics where no
//! provider is named and none was installed, so clients are built here and nowhere else (`clippy.toml`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::failure::{Failure, Kind};
use crate::fs::read_at_most;

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

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{path}` as the {role}: {why}")]
pub struct BadCertificate {
    path: PathBuf,
    role: &'static str,
    why: String,
}

impl Failure for BadCertificate {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// A client that trusts nobody but who was signed by `ca`, and shows `cert` with its `key`; all three files are PEM.
///
/// # Errors
/// A file that cannot be read or holds something else, and a key that is not the certificate's.
pub fn mutual(ca: &Path, cert: &Path, key: &Path) -> Result<ClientConfig, BadCertificate> {
    /// More than any chain of certificates has.
    const MOST_BYTES: u64 = 1 << 20;
    let bad = |path: &Path, role| {
        let path = path.to_owned();
        move |why: String| BadCertificate { path, role, why }
    };
    let read = |path: &Path, role| {
        read_at_most(path, MOST_BYTES).map_err(|error| bad(path, role)(error.to_string()))
    };
    let chain = |path: &Path, role| {
        let pem = read(path, role)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let found = found.map_err(|error| bad(path, role)(error.to_string()))?;
        if found.is_empty() {
            return Err(bad(path, role)("no certificate in PEM is in it".into()));
        }
        Ok(found)
    };
    let mut trusted = RootCertStore::empty();
    for authority in chain(ca, "authority")? {
        trusted.add(authority).map_err(|error| bad(ca, "authority")(error.to_string()))?;
    }
    let ours = chain(cert, "certificate")?;
    let pem = read(key, "key")?;
    let secret = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| bad(key, "key")("no private key in PEM is in it".into()))?;
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| bad(ca, "authority")(error.to_string()))?;
    let config = versions.with_root_certificates(trusted).with_client_auth_cert(ours, secret);
    config.map_err(|error| bad(key, "key")(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pems(folder: &Path) -> [PathBuf; 4] {
        let of = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (ca, ours, other) = (of("ca"), of("client"), of("other"));
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        [
            write("ca.pem", ca.cert.pem()),
            write("cert.pem", ours.cert.pem()),
            write("key.pem", ours.signing_key.serialize_pem()),
            write("other.pem", other.signing_key.serialize_pem()),
        ]
    }

    #[test]
    fn certificates_are_read_and_wrong_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let [ca, cert, key, other] = pems(folder.path());
        mutual(&ca, &cert, &key).unwrap();
        let none = folder.path().join("none");
        let garbage = folder.path().join("garbage");
        std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
        for (files, words) in [
            ([&none, &cert, &key], "none` as the authority: No such file"),
            ([&key, &cert, &key], "key.pem` as the authority: no certificate"),
            ([&garbage, &cert, &key], "garbage` as the authority"),
            ([&ca, &key, &key], "key.pem` as the certificate: no certificate"),
            ([&ca, &cert, &cert], "cert.pem` as the key: no private key"),
            ([&ca, &cert, &other], "other.pem` as the key"),
        ] {
            let error = mutual(files[0], files[1], files[2]).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), Kind::Input);
        }
    }

    #[test]
    fn a_client_can_be_built_any_number_of_times() {
        for _ in 0..2 {
            super::http_client().build().unwrap();
        }
    }
}
