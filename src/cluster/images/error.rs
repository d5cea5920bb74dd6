//! Why a node does not have the image.

use super::super::connect::ConnectError;
use crate::failure::{Failure, Kind};
use crate::host::engine::{EngineError, EngineFailure, ImageName};
use crate::host_name::HostName;

/// A node that could not be brought in line.
#[derive(Debug, thiserror::Error)]
pub enum ImageSyncError {
    /// Neither it nor its engine is reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Its engine could not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The node that the image is copied from could not give it.
    #[error("{on}: nothing came from its source: {why}")]
    Source {
        /// The node.
        on: HostName,
        /// What the source, which is named in it, could not do.
        why: String,
        /// Whether it may come another time.
        passes: bool,
    },
    /// It took no bytes for too long.
    #[error("{on}: it took nothing for {seconds} s")]
    Stalled {
        /// The node.
        on: HostName,
        /// For how long.
        seconds: u64,
    },
    /// It has an image of that name now, and it is another one.
    #[error("{on}: what goes by `{image}` there is not the same after all")]
    Differs {
        /// The node.
        on: HostName,
        /// The name.
        image: ImageName,
    },
    /// The image is not for it.
    #[error("{on}: its engine runs programs for {node}, and the image is for {image}")]
    Architecture {
        /// The node.
        on: HostName,
        /// What the image is for.
        image: String,
        /// What the node runs.
        node: String,
    },
}

impl ImageSyncError {
    /// Whether trying again may do.
    pub fn passes(&self) -> bool {
        match self {
            // Of a connection that was there.
            ImageSyncError::Engine(error) => link_lost(error),
            ImageSyncError::Source { passes, .. } => *passes,
            ImageSyncError::Stalled { .. } => true,
            ImageSyncError::Connect(_)
            | ImageSyncError::Differs { .. }
            | ImageSyncError::Architecture { .. } => false,
        }
    }

    /// Why not, where the node is named beside it.
    pub(crate) fn problem(&self) -> String {
        let whole = self.to_string();
        match self {
            ImageSyncError::Connect(error) => error.problem(),
            ImageSyncError::Engine(error) => error.what.to_string(),
            ImageSyncError::Source { on, .. }
            | ImageSyncError::Stalled { on, .. }
            | ImageSyncError::Differs { on, .. }
            | ImageSyncError::Architecture { on, .. } => {
                whole.strip_prefix(&format!("{on}: ")).map_or(whole.clone(), str::to_owned)
            }
        }
    }
}

/// Whether the way to the engine is what failed.
pub(super) fn link_lost(error: &EngineError) -> bool {
    matches!(
        error.what,
        EngineFailure::Lost { .. } | EngineFailure::TimedOut { .. } | EngineFailure::Source { .. }
    )
}

impl Failure for ImageSyncError {
    fn kind(&self) -> Kind {
        match self {
            ImageSyncError::Connect(error) => error.kind(),
            _ if self.passes() => Kind::Incomplete,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ImageSyncError::Connect(error) => error.hint(),
            ImageSyncError::Engine(error) => error.hint(),
            _ => None,
        }
    }
}
