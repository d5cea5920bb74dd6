//! One more certificate authority to trust, from a file.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::limits::MAX_CA_BYTES;
use crate::failure::{Failure, Kind};
use crate::fs::{ReadError, read_at_most};

/// A file that holds no certificate.
#[derive(Debug, thiserror::Error)]
#[error("--ca-cert: `{}`: {problem}; give one certificate, PEM or DER", path.display())]
pub(crate) struct BadCa {
    path: PathBuf,
    problem: String,
}

impl Failure for BadCa {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// Read the file's certificate, as DER.
///
/// # Errors
/// A file that cannot be read, is no certificate, or holds several: which of them is meant nobody can tell.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, BadCa> {
    let bad = |problem: String| BadCa { path: path.to_owned(), problem };
    let bytes = read_at_most(path, MAX_CA_BYTES).map_err(|error| match error {
        ReadError::Io(error) => bad(error.to_string()),
        ReadError::TooLarge { bytes, .. } => bad(format!("{bytes} bytes are too many for a certificate")),
    })?;
    // DER begins with a sequence of a length of two bytes (X.690, 8.1.3.5; 8.9).
    let der = match bytes.starts_with(&[0x30, 0x82]) {
        true => bytes,
        false => of_pem(&bytes).map_err(bad)?,
    };
    // What is no certificate is refused here, where its file's name is known.
    RootCertStore::empty()
        .add(CertificateDer::from_slice(&der))
        .map_err(|error| bad(format!("it cannot be trusted: {error}")))?;
    Ok(der)
}

fn of_pem(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found.map_err(|error| format!("its PEM does not read: {error}"))?.as_slice() {
        [] => Err("it holds no `BEGIN CERTIFICATE` block".to_owned()),
        [one] => Ok(one.to_vec()),
        several => Err(format!("it holds {} certificates", several.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().self_signed(&key).unwrap()
    }

    #[test]
    fn one_certificate_is_read_in_both_forms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let certificate = authority();
        let commented = format!("# ours\n{}", certificate.pem());
        for content in [certificate.pem().as_bytes(), commented.as_bytes(), certificate.der()] {
            fs_err::write(&path, content).unwrap();
            assert_eq!(read(&path).unwrap(), certificate.der().to_vec());
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let missing = read(&path).unwrap_err();
        assert!(missing.to_string().contains("ca.pem") && missing.kind() == Kind::Input, "{missing}");
        let pem = |inside: &str| format!("-----BEGIN CERTIFICATE-----\n{inside}-----END CERTIFICATE-----\n");
        let whole = authority().pem();
        let two = whole.clone() + &authority().pem();
        for (content, words) in [
            ("", "no `BEGIN CERTIFICATE` block"),
            ("hello", "no `BEGIN CERTIFICATE` block"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "no `BEGIN CERTIFICATE` block",
            ),
            (&whole[..whole.len() / 2], "does not read"),
            (&pem("!!!!\n"), "does not read"),
            (&pem("MAA=\n"), "cannot be trusted"),
            ("0\u{2}", "no `BEGIN CERTIFICATE` block"),
            (&two, "2 certificates"),
        ] {
            fs_err::write(&path, content).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("ca.pem") && error.contains("PEM or DER"), "{error}");
            assert!(error.contains(words), "{content}: {error}");
        }
        fs_err::write(&path, [0x30, 0x82, 0x01]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("cannot be trusted"));
        fs_err::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("too many"));
    }
}
