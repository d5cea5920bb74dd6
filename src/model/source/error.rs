//! Why a model was not found.

use std::path::PathBuf;

use super::hub::HubError;
use crate::failure::{Failure, Kind};
use crate::model::catalogue::CatalogueError;
use crate::model::config_json::ConfigError;
use crate::model::model_id::ModelId;

/// Why `--model` led nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// The recipes cannot be read.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A config was found, and is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A path that cannot be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        reason: String,
    },
    /// A folder without a model.
    #[error("`{}` has no config.json", folder.display())]
    NoConfigInFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// Neither a path nor a name of the catalogue nor an id.
    #[error("unknown model `{query}`: no such path, and not in the catalogue")]
    Unknown {
        /// What was asked for.
        query: String,
        /// Names of the catalogue that look like it.
        closest: Vec<String>,
    },
    /// Not on this machine, and the network is off.
    #[error(
        "`{id}` is not on this machine and --offline is set; looked in the catalogue and {}",
        cache.as_ref().map_or("in no Hugging Face cache (neither HF_HOME nor HOME is set)".to_owned(),
            |cache| format!("in {}", cache.join(id.cache_folder()).display()))
    )]
    Offline {
        id: ModelId,
        /// The local Hugging Face cache.
        cache: Option<PathBuf>,
    },
    /// The hub did not give it.
    #[error("{error}")]
    Hub {
        /// Why.
        error: HubError,
        /// Names of the catalogue that look like it.
        closest: Vec<String>,
    },
}

impl From<HubError> for ResolveError {
    fn from(error: HubError) -> Self {
        ResolveError::Hub { error, closest: Vec::new() }
    }
}

impl Failure for ResolveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Catalogue(error) => error.kind(),
            Self::Config(error) => error.kind(),
            Self::Unreadable { .. } | Self::NoConfigInFolder { .. } | Self::Unknown { .. } => Kind::Input,
            Self::Offline { .. } => Kind::Environment,
            Self::Hub { error, .. } => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Catalogue(error) => error.hint(),
            Self::Config(error) => error.hint(),
            Self::Unknown { closest, .. } if closest.is_empty() => Some(
                "`sparktune models` lists the catalogue; a model of the hub is written organisation/name"
                    .to_owned(),
            ),
            Self::Unknown { closest, .. } => Some(did_you_mean(closest)),
            Self::Offline { .. } => Some(
                "drop --offline (and unset HF_HUB_OFFLINE), or give the path of a config.json".to_owned(),
            ),
            Self::Hub { error, closest } if error.is_unknown_model() && !closest.is_empty() => {
                let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                Some(did_you_mean(closest) + &hint)
            }
            Self::Hub { error, .. } => error.hint(),
            Self::Unreadable { .. } | Self::NoConfigInFolder { .. } => None,
        }
    }
}

fn did_you_mean(closest: &[String]) -> String {
    format!("did you mean {}?", closest.join(" or "))
}
