//! Files read up to a limit and written whole or not at all.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, PersistError};

/// A file that is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It holds more than anything this is read for.
    #[error("it has more than {limit} bytes")]
    TooLarge {
        /// Bytes it has at least.
        bytes: u64,
        /// Bytes it may have.
        limit: u64,
    },
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            ReadError::TooLarge { .. } => io::Error::new(io::ErrorKind::FileTooLarge, error.to_string()),
        }
    }
}

/// What is in the file at `path`, which may hold at most `limit` bytes. Opening a pipe waits for its writer.
///
/// What is read decides, not the size it states: a pipe has none to trust, a file may grow, and some file systems
/// say 0 of files that hold something.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let file = File::open(path)?;
    let stated = file.metadata()?.len();
    read_rest_at_most(file, limit).map_err(|error| match error {
        ReadError::TooLarge { bytes, limit } => ReadError::TooLarge { bytes: bytes.max(stated), limit },
        error => error,
    })
}

/// The same of a text.
pub(crate) fn read_text_at_most(path: &Path, limit: u64) -> Result<String, ReadError> {
    let bytes = read_at_most(path, limit)?;
    String::from_utf8(bytes).map_err(|error| {
        ReadError::Io(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error().to_string()))
    })
}

/// What is left of `reader`, which may be at most `limit` bytes.
pub(crate) fn read_rest_at_most(reader: impl Read, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        read if read > limit => Err(ReadError::TooLarge { bytes: read, limit }),
        _ => Ok(bytes),
    }
}

/// The next line of `reader` with its newline, which may have at most `limit` bytes, in the place of what `line`
/// held; it is empty at the end.
pub(crate) fn read_line_at_most(
    reader: impl BufRead,
    limit: u64,
    line: &mut Vec<u8>,
) -> Result<(), ReadError> {
    line.clear();
    reader.take(limit.saturating_add(1)).read_until(b'\n', line)?;
    match line.len() as u64 {
        read if read > limit => Err(ReadError::TooLarge { bytes: read, limit }),
        _ => Ok(()),
    }
}

/// A folder that cannot be listed.
#[derive(Debug)]
pub(crate) struct FolderError {
    /// The folder.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// The TOML files in the folder `of` below `profiles`, sorted, so that which of two bad ones is reported does not
/// depend on the file system. `profiles` must exist; one without that folder has profiles of other things.
pub(crate) fn toml_files(profiles: &Path, of: &str) -> Result<Vec<PathBuf>, FolderError> {
    let unreadable = |path: &Path, source| FolderError { path: path.to_owned(), source };
    // Not `exists()`: a mistyped folder must not pass for one without files.
    std::fs::read_dir(profiles).map_err(|error| unreadable(profiles, error))?;
    let folder = profiles.join(of);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&folder, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&folder, error))?.path();
        if is_toml(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a file is TOML by its name.
pub(crate) fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// Write `bytes` to `path` so that a reader sees the old file or the new one, never a part.
///
/// The data goes to a temporary file in the same folder, is flushed to disk and renamed over the
/// target; the folder is flushed too, so that a crash after this call cannot undo the rename. On an
/// error nothing is left behind.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_through(path, bytes, |file| file.persist(path))
}

/// The same for a file that must not be there yet; `AlreadyExists` where it is.
pub(crate) fn write_atomic_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
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

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of `bytes` as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_at_most(&path, 5).unwrap(), b"12345");
        assert_eq!(read_text_at_most(&path, 6).unwrap(), "12345");
        assert!(matches!(read_at_most(&path, 3), Err(ReadError::TooLarge { bytes: 5, limit: 3 })));
        // It states no size at all.
        let endless = read_at_most(Path::new("/dev/zero"), 3);
        assert!(matches!(endless, Err(ReadError::TooLarge { bytes: 4, limit: 3 })));
        std::fs::write(&path, [0xff]).unwrap();
        let error: io::Error = read_text_at_most(&path, 5).unwrap_err().into();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(matches!(read_at_most(&folder.path().join("none"), 5), Err(ReadError::Io(_))));
    }

    #[test]
    fn a_line_is_read_up_to_its_limit_with_its_newline() {
        let (mut reader, mut line) = (&b"12\n345\n6"[..], Vec::new());
        for expected in [&b"12\n"[..], b"345\n", b"6", b""] {
            read_line_at_most(&mut reader, 4, &mut line).unwrap();
            assert_eq!(line, expected);
        }
        let long = read_line_at_most(&b"12345\n"[..], 4, &mut line);
        assert!(matches!(long, Err(ReadError::TooLarge { limit: 4, .. })));
    }

    #[test]
    fn toml_files_are_sorted_and_a_mistyped_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(toml_files(folder.path(), "of").unwrap().is_empty());
        let of = folder.path().join("of");
        std::fs::create_dir(&of).unwrap();
        for name in ["b.toml", "a.toml", "c.txt"] {
            std::fs::write(of.join(name), "").unwrap();
        }
        assert_eq!(toml_files(folder.path(), "of").unwrap(), [of.join("a.toml"), of.join("b.toml")]);
        let typo = folder.path().join("typo");
        assert_eq!(toml_files(&typo, "of").unwrap_err().path, typo);
    }

    #[test]
    fn hex_has_two_digits_a_byte() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        // FIPS 180-4's example of no bytes.
        assert!(sha256_hex(b"").starts_with("e3b0c442") && sha256_hex(b"").len() == 64);
    }
}
