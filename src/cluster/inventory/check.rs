//! From a text to an inventory: what each value means, and whether it can be.

mod nodes;
mod shared;
mod through;

use std::path::{Path, PathBuf};

use super::document::Document;
use super::{Inventory, InventoryError};
use crate::toml_text::{BadToml, Field, from_confidential_toml};

/// A value that cannot be, and what is accepted.
#[derive(Debug)]
struct Wrong {
    field: Field,
    message: String,
}

impl Wrong {
    fn new(field: Field, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

impl Inventory {
    /// What `text` says, which was read from the file at `path`: messages name it, and files of its folder may be meant.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, InventoryError> {
        let wrong = |place, message| InventoryError::Wrong { path: path.to_owned(), place, message };
        let says = |line: &str| !matches!(line.trim().bytes().next(), None | Some(b'#'));
        if !text.lines().any(says) {
            return Err(InventoryError::Empty { path: path.to_owned() });
        }
        let document: Document =
            from_confidential_toml(text).map_err(|BadToml { place, message }| wrong(place, message))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        inventory(document, folder).map_err(|Wrong { field, message }| {
            wrong(format!("field `{field}`, line {}", field.line(text)), message)
        })
    }
}

fn inventory(document: Document, folder: &Path) -> Result<Inventory, Wrong> {
    let Document { name, ssh_config, engine, image, expect_gpu, container, bare, env, env_from, nodes } =
        document;
    if !shared::is_plain_name(&name) {
        let message = format!("`{name}` is no name of a cluster: {}", shared::PLAIN_NAME);
        return Err(Wrong::new(Field::top("name"), message));
    }
    let cluster = shared::settings(
        &|key| Field::top(key),
        shared::Keys { engine, image, expect_gpu, container, bare, env, env_from },
    )?;
    let ssh_config = ssh_config.map(|path| ssh_config_in(folder, path)).transpose()?;
    let nodes = nodes::nodes(nodes, &cluster, folder)?;
    Ok(Inventory { name, ssh_config, nodes })
}

/// The file as this program names it; `~/` is for whoever knows a home to follow.
fn ssh_config_in(folder: &Path, path: PathBuf) -> Result<PathBuf, Wrong> {
    let text = path.as_os_str().as_encoded_bytes();
    match text.strip_prefix(b"~/") {
        Some(rest) if !rest.is_empty() && !rest.contains(&0) => Ok(path),
        None if !text.is_empty() && !text.starts_with(b"~") && !text.contains(&0) => Ok(folder.join(path)),
        _ => {
            let message = "it is no file of this machine: expected an absolute path, one below the inventory's \
                           folder, or one that begins with `~/`";
            Err(Wrong::new(Field::top("ssh_config"), message))
        }
    }
}
