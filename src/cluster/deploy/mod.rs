//! The same config files on every node, where that node's runtime looks: all nodes or none.
//!
//! Files are staged on every node first, which is where room and rights can be missing. Then every node renames them
//! into place, by a process of its own that goes on when the harness or the connection dies, and that whoever comes next
//! ends where the node died: a node holds all old files or all new ones. Where a node fails while others have renamed, those
//! restore what they had.
//!
//! Whether a server has loaded the files since is judged by what its log says (`loaded`).

mod error;
mod folder;
mod loaded;
mod record;
mod transaction;

pub use error::{ConfigFolderError, DeployError, NodeFailure};
pub use folder::{ConfigFolder, FolderContents};
pub(crate) use loaded::{FileUse, Instead, Loading, Problem, Served, loading};
pub use record::{DeployedFile, Deployment, DeploymentRecord};
pub use transaction::{Delivery, Deployed, deploy, rollback, undoable};

#[cfg(test)]
mod tests;
