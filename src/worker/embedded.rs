//! The worker's Python, carried in the binary and laid out where an interpreter can run it.

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::host::{HostPath, Tree};

static PACKAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/worker/spark_worker");

/// The Python package's name, as `python -m` takes it.
pub(super) const PACKAGE_NAME: &str = "spark_worker";

/// The package, in a folder of its name.
pub(super) fn tree() -> Tree {
    let mut tree = Tree::default();
    for file in sources() {
        // `path()` is relative to the package; the package is flat.
        let name = file.path().to_str().expect("the package's names are ASCII");
        tree.add(&format!("{PACKAGE_NAME}/{name}"), file.contents()).expect("the package's names are plain");
    }
    tree
}

/// The folder below `cache` for the package, to put on `PYTHONPATH`.
///
/// It is named after the contents: a newer binary never runs an older worker, and two versions can
/// live side by side.
pub(super) fn folder(cache: &HostPath) -> HostPath {
    cache.join("worker").join(&digest()[..16])
}

/// SHA-256 over the package's names and contents.
pub(super) fn digest() -> String {
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
    use crate::host::{Here, Host};

    #[tokio::test]
    async fn the_package_is_laid_out_whole_and_mended() {
        let cache = tempfile::tempdir().unwrap();
        let folder = folder(&HostPath::try_from(cache.path()).unwrap());
        let (here, tree) = (Here::new(), tree());
        here.put(&tree, &folder).await.unwrap();
        let main = std::path::Path::new(folder.as_str()).join(PACKAGE_NAME).join("__main__.py");
        let text = std::fs::read(&main).unwrap();
        std::fs::write(&main, b"raise SystemExit('cut')").unwrap();
        here.put(&tree, &folder).await.unwrap();
        assert_eq!(std::fs::read(&main).unwrap(), text);
    }
}
