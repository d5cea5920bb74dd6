//! Files written whole or not at all, and errors that name the path.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, PersistError};

/// Write `bytes` to `path` so that a reader sees the old file or the new one, never a part.
///
/// The data goes to a temporary file in the same folder, is flushed to disk and renamed over the
/// target; the folder is flushed too, so that a crash after this call cannot undo the rename. On an
/// error nothing is left behind.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_through(path, bytes, |file| file.persist(path))
}

/// The same for a file that must not be there yet; `AlreadyExists` where it is.
pub fn write_atomic_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_through(path, bytes, |file| file.persist_noclobber(path))
}

fn write_through(
    path: &Path,
    bytes: &[u8],
    persist: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot write `{}`: {error}", path.display()))
    };
    let mut file = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(permissions())
        .tempfile_in(folder)
        .map_err(named)?;
    file.write_all(bytes).map_err(named)?;
    file.as_file().sync_all().map_err(named)?;
    persist(file).map_err(|e| named(e.error))?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(named)
}

#[cfg(unix)]
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    // `tempfile` makes private files; what we write is meant to be read by servers and colleagues.
    std::fs::Permissions::from_mode(0o644)
}

/// The SHA-256 of `bytes` as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
