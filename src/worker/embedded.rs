//! The worker's Python, carried in the binary and laid out where an interpreter can run it.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::fs::write_atomic;

static PACKAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/worker/spark_worker");

/// The Python package's name, as `python -m` takes it.
pub const PACKAGE_NAME: &str = "spark_worker";

/// Lay the package out below `cache` and return the folder to put on `PYTHONPATH`.
///
/// The folder is named after the contents: a newer binary never runs an older worker, and two
/// versions can live side by side.
pub fn lay_out(cache: &Path) -> std::io::Result<PathBuf> {
    let folder = cache.join("worker").join(&digest()[..16]);
    let package = folder.join(PACKAGE_NAME);
    fs_err::create_dir_all(&package)?;
    for file in sources() {
        // `path()` is relative to the package; the package is flat.
        let path = package.join(file.path());
        if std::fs::read(&path).is_ok_and(|found| found == file.contents()) {
            continue;
        }
        write_atomic(&path, file.contents())?;
    }
    Ok(folder)
}

/// SHA-256 over the package's names and contents.
pub fn digest() -> String {
    let mut hash = Sha256::new();
    for file in sources() {
        hash.update(file.path().as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(file.contents());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The package's sources, in name order. Byte code left by a run from the source tree is not one.
fn sources() -> Vec<&'static include_dir::File<'static>> {
    let mut files: Vec<_> =
        PACKAGE.files().filter(|file| file.path().extension().is_some_and(|e| e == "py")).collect();
    files.sort_by_key(|file| file.path());
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_laid_out_whole_and_mended() {
        let cache = tempfile::tempdir().unwrap();
        let folder = lay_out(cache.path()).unwrap();
        let main = folder.join(PACKAGE_NAME).join("__main__.py");
        let text = std::fs::read(&main).unwrap();
        std::fs::write(&main, b"raise SystemExit('cut')").unwrap();
        assert_eq!(lay_out(cache.path()).unwrap(), folder);
        assert_eq!(std::fs::read(&main).unwrap(), text);
    }
}
