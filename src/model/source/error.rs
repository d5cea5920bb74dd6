//! Why a model was not found.

use std::path::PathBuf;

use super::hub::HubError;
use crate::failure::{Failure, Kind, forwards};
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
    /// A model without experts.
    #[error(
        "{id} has no experts, so that there is no fused-MoE kernel to tune: its recipe is for serving only"
    )]
    Dense {
        /// The model.
        id: ModelId,
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
        #[source]
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

forwards! {
    impl Failure for ResolveError forwarding Catalogue, Config {
        Self::Unreadable { .. } | Self::NoConfigInFolder { .. } | Self::Dense { .. } => Kind::Input;
        Self::Unknown { closest, .. } if closest.is_empty() => Kind::Input,
            "`sparktune models` lists the catalogue; a model of the hub is written organisation/name";
        Self::Unknown { closest, .. } => Kind::Input, did_you_mean(closest);
        Self::Offline { .. } => Kind::Environment,
            "drop --offline (and unset HF_HUB_OFFLINE), or give the path of a config.json";
        Self::Hub { error, closest } if error.is_unknown_model() && !closest.is_empty() => error.kind(),
            did_you_mean(closest) + &error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::Hub { error, .. } => error.kind(), error.hint();
    }
}

fn did_you_mean(closest: &[String]) -> String {
    format!("did you mean {}?", closest.join(" or "))
}
