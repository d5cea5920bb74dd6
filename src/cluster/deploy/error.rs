//! What a deployment could not do.

use std::fmt;

use crate::failure::{Failure, Kind};
use crate::host::AskError;
use crate::host::HostPath;
use crate::host_name::HostName;

/// What went wrong in a folder of a node.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFolderError {
    /// The node could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// There is no such folder.
    #[error("`{0}` is no folder there")]
    Missing(HostPath),
    /// The disk has no room; nothing was changed.
    #[error("no room for `{path}`: {message}")]
    Full {
        /// What could not be written.
        path: HostPath,
        /// The system's words.
        message: String,
    },
    /// The folder may not be written.
    #[error("cannot write `{path}`: {message}")]
    Denied {
        /// What could not be written.
        path: HostPath,
        /// The system's words.
        message: String,
    },
    /// Another deployment ended there after it was looked at; nothing was changed.
    #[error("`{0}`: another deployment ended there meanwhile")]
    Moved(HostPath),
    /// The last deployment was undone, and what that one took the place of is not kept; nothing was changed.
    #[error("nothing is left to undo in `{0}`: the last deployment was undone, and no older one can be")]
    NothingLeft(HostPath),
    /// Something there is not as it must be.
    #[error("`{path}`: {message}")]
    Refused {
        /// What.
        path: HostPath,
        /// Why.
        message: String,
    },
    /// The node answers something else.
    #[error("its answer is none of ours: {0}")]
    Garbled(String),
}

/// What went wrong on one node.
#[derive(Debug)]
pub struct NodeFailure {
    /// The node.
    pub on: HostName,
    /// The folder there.
    pub folder: HostPath,
    /// What went wrong.
    pub error: ConfigFolderError,
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            // It says where by itself.
            ConfigFolderError::Ask(error) => error.fmt(f),
            error => write!(f, "{}: {error}", self.on),
        }
    }
}

impl std::error::Error for NodeFailure {}

impl Failure for NodeFailure {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        match &self.error {
            ConfigFolderError::Ask(error) => error.hint(),
            _ => None,
        }
    }
}

/// A deployment that did not come about.
#[derive(Debug)]
pub enum DeployError {
    /// Files could not be staged somewhere. Every node has what it had.
    NothingChanged(Vec<NodeFailure>),
    /// Some nodes could not rename the files; the others have restored what they had.
    Restored(Vec<NodeFailure>),
    /// Some nodes could not rename the files, and some of the others could not restore what they had, or it is not known
    /// what they did.
    Mixed {
        /// What went wrong.
        failures: Vec<NodeFailure>,
        /// Nodes that have the new files.
        new: Vec<HostName>,
        /// Nodes that have decided for the new files and could not rename all of them.
        half_way: Vec<HostName>,
        /// Nodes of which it is not known whether they have all old files or all new ones.
        unknown: Vec<HostName>,
    },
    /// The user wanted no more of it, before anything was changed.
    Interrupted,
}

impl fmt::Display for DeployError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &[HostName]| names.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ");
        match self {
            DeployError::NothingChanged(failures) => {
                write!(f, "nothing was deployed, every node has what it had")?;
                lines(f, failures)
            }
            DeployError::Restored(failures) => {
                write!(f, "nothing was deployed; nodes that had the new files have their old ones again")?;
                lines(f, failures)
            }
            DeployError::Mixed { failures, new, half_way, unknown } => {
                write!(f, "the nodes differ now")?;
                if !new.is_empty() {
                    write!(f, "; new files on {}", names(new))?;
                }
                if !half_way.is_empty() {
                    write!(f, "; old and new ones on {}", names(half_way))?;
                }
                if !unknown.is_empty() {
                    write!(f, "; all old or all new, not known which, on {}", names(unknown))?;
                }
                lines(f, failures)
            }
            DeployError::Interrupted => f.write_str("interrupted; every node has what it had"),
        }
    }
}

fn lines(f: &mut fmt::Formatter<'_>, failures: &[NodeFailure]) -> fmt::Result {
    failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
}

impl std::error::Error for DeployError {}

impl Failure for DeployError {
    fn kind(&self) -> Kind {
        match self {
            DeployError::NothingChanged(_) | DeployError::Restored(_) => Kind::Environment,
            DeployError::Mixed { .. } => Kind::Incomplete,
            DeployError::Interrupted => Kind::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            DeployError::Mixed { .. } => Some(
                "the same command again brings every node to the new files; --rollback to the old ones"
                    .into(),
            ),
            _ => None,
        }
    }
}
