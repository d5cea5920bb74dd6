//! How much a server may say.

/// Bytes of one answer. The longest ordinary ones are token ids and metrics, some megabytes.
pub(super) const MAX_ANSWER: usize = 32 * 1024 * 1024;
