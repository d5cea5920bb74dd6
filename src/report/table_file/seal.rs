//! A checksum inside a Parquet file, where every reader ignores it: between the last page and the footer.
//!
//! Polars 0.55 panics on some damaged files and aborts the process on others (one changed byte is enough),
//! so nothing reaches it whose bytes are not those that were written.

use sha2::{Digest, Sha256};

/// The footer's length and the closing magic.
const TAIL: usize = 8;

/// The length of a SHA-256.
const SUM: usize = 32;

/// `parquet`, a whole file, with the checksum of its bytes put in; `None` where it is no such file.
///
/// Offsets in a footer count from the start of the file and point before it, so none of them moves.
pub(super) fn seal(mut parquet: Vec<u8>) -> Option<Vec<u8>> {
    let footer = footer(&parquet)?;
    let sum = Sha256::digest(&parquet);
    parquet.splice(footer..footer, sum);
    Some(parquet)
}

/// Whether `file` holds the checksum of its other bytes.
pub(super) fn sealed(file: &[u8]) -> bool {
    let Some(footer) = footer(file) else { return false };
    let Some(start) = footer.checked_sub(SUM) else { return false };
    Sha256::new().chain_update(&file[..start]).chain_update(&file[footer..]).finalize().as_slice()
        == &file[start..footer]
}

/// Where the footer begins.
fn footer(file: &[u8]) -> Option<usize> {
    let tail = file.len().checked_sub(TAIL)?;
    let length = u32::from_le_bytes(file[tail..tail + 4].try_into().ok()?);
    tail.checked_sub(length as usize)
}
