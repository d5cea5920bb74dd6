//! One more certificate authority to trust, from a file.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::failure::{Failure, Kind};

/// Certificates are a few kilobytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// A file that holds no certificate.
#[derive(Debug, thiserror::Error)]
#[error("--ca-cert: `{}`: {problem}; give one certificate, PEM or DER", path.display())]
pub struct BadCa {
    path: PathBuf,
    problem: String,
}

impl Failure for BadCa {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// Read the file's first certificate, as DER.
///
/// # Errors
/// A file that cannot be read, or is no certificate.
pub fn read(path: &Path) -> Result<Vec<u8>, BadCa> {
    let bad = |problem: String| BadCa { path: path.to_owned(), problem };
    let size = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(bad(format!("{size} bytes are too many for a certificate")));
    }
    let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    // DER begins with a sequence of a length of two bytes (X.690, 8.1.3.5; 8.9).
    if bytes.starts_with(&[0x30, 0x82]) {
        return Ok(bytes);
    }
    let certificate = CertificateDer::from_pem_slice(&bytes)
        .map_err(|_| bad("it holds no `BEGIN CERTIFICATE` block".to_owned()))?;
    Ok(certificate.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let missing = read(&path).unwrap_err();
        assert!(missing.to_string().contains("ca.pem") && missing.kind() == Kind::Input, "{missing}");
        for content in [&b""[..], b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
        {
            fs_err::write(&path, content).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("ca.pem") && error.contains("PEM"), "{error}");
        }
        fs_err::write(&path, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
        assert_eq!(read(&path).unwrap(), [0x30, 0x00]);
    }
}
