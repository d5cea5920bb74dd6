//! What is wrong with an inventory.

use std::io;
use std::path::PathBuf;

use crate::failure::{Failure, Kind};

/// A file that is no inventory. One of its values never stands in a message where it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// It cannot be read.
    #[error("cannot read the inventory `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Far larger than any inventory.
    #[error("the inventory `{}` has more than {limit} bytes, more than any cluster needs", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes it may have.
        limit: u64,
    },
    /// No text.
    #[error("the inventory `{}` is no UTF-8 from byte {at} on", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Bytes before the first that is none.
        at: usize,
    },
    /// Nothing in it.
    #[error("the inventory `{}` says nothing: expected a `name` and at least one table `[[nodes]]`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not TOML, an unknown key, or a value that cannot be.
    #[error("inventory `{}`, {place}: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The field and the line, as far as they are known.
        place: String,
        /// What is wrong, and what is accepted.
        message: String,
    },
}

impl Failure for InventoryError {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            InventoryError::Empty { .. } => Some("`sparktune init` writes one".to_owned()),
            InventoryError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("`sparktune init` writes one".to_owned())
            }
            _ => None,
        }
    }
}
