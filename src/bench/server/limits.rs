//! How much a server may say, and the certificate that it is trusted by.

/// Bytes of one answer. The longest ordinary ones are token ids and metrics, some megabytes.
pub(super) const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// Redirects followed, and only within one origin: the key goes nowhere else.
pub(super) const MAX_REDIRECTS: usize = 3;

/// Bytes of a certificate's file. Certificates are a few kilobytes.
pub(super) const MAX_CA_BYTES: u64 = 1024 * 1024;
