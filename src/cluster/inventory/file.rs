//! Which inventory a command works with, and reading it.

use std::io;
use std::path::{Path, PathBuf};

use super::{Inventory, InventoryError};
use crate::fs::{ReadError, read_at_most};

/// What an inventory is called where no file is named.
pub const FILE_NAME: &str = "sparks.toml";

/// The longest inventory read, bytes: 8 KiB a node for 500 of them.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// An inventory, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The cluster.
    pub inventory: Inventory,
    /// Its file; none where this machine alone is the cluster.
    pub path: Option<PathBuf>,
}

/// The inventory a command works with: the file `given`, else `sparks.toml` in the current folder, else in the user's
/// config folder, else this machine alone.
///
/// # Errors
/// The first of these files that is there and is no inventory.
pub fn find(given: Option<&Path>) -> Result<Found, InventoryError> {
    if let Some(path) = given {
        return Ok(Found { inventory: read(path)?, path: Some(path.to_owned()) });
    }
    let config = directories::ProjectDirs::from("", "", "sparktune");
    let folders = [Some(PathBuf::new()), config.map(|folders| folders.config_dir().to_owned())];
    first_of(folders.into_iter().flatten().map(|folder| folder.join(FILE_NAME)))
}

/// The first of the files that is there, else this machine alone.
fn first_of(paths: impl IntoIterator<Item = PathBuf>) -> Result<Found, InventoryError> {
    for path in paths {
        match read(&path) {
            Err(InventoryError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            read => return Ok(Found { inventory: read?, path: Some(path) }),
        }
    }
    Ok(Found { inventory: Inventory::this_machine(), path: None })
}

/// The inventory in the file at `path`.
fn read(path: &Path) -> Result<Inventory, InventoryError> {
    let bytes = read_at_most(path, MAX_BYTES).map_err(|error| match error {
        ReadError::Io(source) => InventoryError::Read { path: path.to_owned(), source },
        ReadError::TooLarge { limit, .. } => InventoryError::TooLarge { path: path.to_owned(), limit },
    })?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Inventory::parse(path, text),
        Err(error) => Err(InventoryError::NotUtf8 { path: path.to_owned(), at: error.valid_up_to() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "name = \"NAME\"\nengine = \"none\"\n[[nodes]]\nname = \"a\"\nrole = \"head\"\nlocal = true\n";

    #[test]
    fn the_first_file_that_is_there_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let name =
            || first_of([path("here"), path("config")]).map(|found| (found.inventory.name, found.path));
        assert_eq!(name().unwrap(), ("localhost".to_owned(), None));
        std::fs::write(path("config"), ONE.replace("NAME", "of-config")).unwrap();
        assert_eq!(name().unwrap(), ("of-config".to_owned(), Some(path("config"))));
        std::fs::write(path("here"), ONE.replace("NAME", "of-here")).unwrap();
        assert_eq!(name().unwrap(), ("of-here".to_owned(), Some(path("here"))));
        // A file that is wrong is not passed over.
        std::fs::write(path("here"), "").unwrap();
        assert!(matches!(name(), Err(InventoryError::Empty { .. })));
        std::fs::remove_file(path("here")).unwrap();
        std::fs::create_dir(path("here")).unwrap();
        assert!(matches!(name(), Err(InventoryError::Read { .. })));
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.toml");
        let error = find(Some(&path)).unwrap_err();
        assert!(error.to_string().contains("lab.toml"), "{error}");
        std::fs::write(&path, ONE).unwrap();
        assert_eq!(find(Some(&path)).unwrap().path, Some(path));
    }

    #[test]
    fn what_is_no_text_or_has_no_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparks.toml");
        std::fs::write(&path, b"name = \"\xff\"").unwrap();
        let error = find(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("sparks.toml") && error.contains("no UTF-8 from byte 8 on"), "{error}");
        for path in [Path::new("/dev/zero"), &path] {
            std::fs::write(folder.path().join("sparks.toml"), vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
            let error = find(Some(path)).unwrap_err().to_string();
            assert!(error.contains("more than 4194304 bytes"), "{error}");
        }
    }
}
