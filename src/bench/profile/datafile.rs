//! The files a plan is made of. The one effect here besides reading profiles.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bench::plan::DataFile;
use crate::failure::{Failure, Kind};

/// A data set or trace that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadDataFile {
    /// Not there, or not ours to read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A folder.
    #[error("`{}` is a folder; give a file", .0.display())]
    Folder(PathBuf),
    /// A pipe or a device: it cannot be read twice.
    #[error("`{}` is no ordinary file, and it is read more than once; give a copy of it", .0.display())]
    NotAFile(PathBuf),
    /// Nothing in it.
    #[error("`{}` is empty", .0.display())]
    Empty(PathBuf),
    /// It was another when the plan was made.
    #[error("`{}` has changed since the plan was made: its SHA-256 was {planned} and is {found}", path.display())]
    Changed {
        path: PathBuf,
        /// As the plan has it.
        planned: String,
        /// As it is.
        found: String,
    },
}

impl Failure for BadDataFile {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// A file's name and the SHA-256 of its content, read piece by piece: data sets are larger than memory
/// should be.
pub(crate) fn fingerprint(path: &Path) -> Result<DataFile, BadDataFile> {
    let unreadable = |source| BadDataFile::Read { path: path.to_owned(), source };
    // Asked before opening: opening a pipe would wait for its writer.
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    if kind.is_dir() {
        return Err(BadDataFile::Folder(path.to_owned()));
    }
    if !kind.is_file() {
        return Err(BadDataFile::NotAFile(path.to_owned()));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    let mut bytes = 0_u64;
    loop {
        let read = file.read(&mut piece).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        hasher.update(&piece[..read]);
    }
    if bytes == 0 {
        return Err(BadDataFile::Empty(path.to_owned()));
    }
    Ok(DataFile {
        name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        sha256: crate::fs::hex(&hasher.finalize()),
    })
}

/// Whether a file still is what the plan says. A run under another file would be recorded as one under this.
pub(crate) fn unchanged(path: &Path, planned: &DataFile) -> Result<(), BadDataFile> {
    let found = fingerprint(path)?.sha256;
    if found == planned.sha256 {
        return Ok(());
    }
    Err(BadDataFile::Changed { path: path.to_owned(), planned: planned.sha256.clone(), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_is_refused_and_one_that_moved_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a"), folder.path().join("b"));
        crate::fs::write_atomic(&path, b"one").unwrap();
        let planned = fingerprint(&path).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        assert!(unchanged(&moved, &planned).is_ok());
        crate::fs::write_atomic(&moved, b"two").unwrap();
        let error = unchanged(&moved, &planned).unwrap_err();
        assert!(error.to_string().contains("has changed") && error.to_string().contains(&planned.sha256));
        assert_eq!(error.kind(), Kind::Input);
        assert!(matches!(unchanged(&path, &planned), Err(BadDataFile::Read { .. })));
    }

    #[test]
    fn the_same_content_is_the_same_file_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        // Longer than one piece, so that the second is hashed too.
        let content = vec![b'x'; (1 << 20) + 7];
        crate::fs::write_atomic(&path, &content).unwrap();
        let found = fingerprint(&path).unwrap();
        assert_eq!((found.name.as_str(), found.sha256), ("a.jsonl", crate::fs::sha256_hex(&content)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        crate::fs::write_atomic(&empty, b"").unwrap();
        for (path, words) in [
            (folder.path().join("missing.json"), "missing.json"),
            (folder.path().to_owned(), "is a folder"),
            (empty, "is empty"),
            (PathBuf::from("/dev/null"), "no ordinary file"),
        ] {
            let error = fingerprint(&path).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), Kind::Input);
        }
    }
}
