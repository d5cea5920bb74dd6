//! What `--model` means: a path, a name of the catalogue, or a Hugging Face id.
//!
//! This is the only part of `model` that touches files and the network. The order is: an existing
//! path, the catalogue, the local Hugging Face cache, the hub.

mod cache;
mod environment;
mod error;
mod files;
mod hub;
#[cfg(test)]
mod tests;
mod weights;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use environment::HfEnvironment;
pub(crate) use error::ResolveError;
pub(crate) use weights::weights_bytes;

use super::catalogue::{AnyRecipe, Catalogue};
use super::config_json::{ModelConfig, shorten};
use super::model_id::ModelId;
use super::recipe::Recipe;
use hub::Hub;

/// How long the hub may take to answer, connection and body together.
pub(crate) const HUB_TIMEOUT: Duration = Duration::from_secs(30);

/// Where and how to look.
#[derive(Debug, Clone)]
pub(crate) struct ResolveOptions {
    /// A folder with recipes of one's own in `models/`.
    pub profiles_dir: Option<PathBuf>,
    /// Never touch the network.
    pub offline: bool,
    /// Hugging Face's settings.
    pub hf: HfEnvironment,
    /// How long the hub may take.
    pub hub_timeout: Duration,
}

impl ResolveOptions {
    /// The embedded catalogue, the network allowed unless `HF_HUB_OFFLINE` says otherwise.
    pub(crate) fn new(hf: HfEnvironment) -> Self {
        Self { profiles_dir: None, offline: false, hf, hub_timeout: HUB_TIMEOUT }
    }
}

/// A model that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResolvedModel {
    /// A short name to show: `GLM-4.7-FP8`.
    pub name: String,
    /// What decides the shape.
    pub config: ModelConfig,
    /// Where it was found.
    pub origin: ModelOrigin,
    /// Its recipe, where it was found in the catalogue.
    pub recipe: Option<Recipe>,
}

/// Where a model was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelOrigin {
    /// A `config.json` on disk.
    File(PathBuf),
    /// The catalogue.
    Catalogue(ModelId),
    /// The local Hugging Face cache.
    Cache(ModelId, PathBuf),
    /// The hub.
    Hub(ModelId, String),
}

impl ModelOrigin {
    /// The Hugging Face id, unless the model came from a path.
    pub(crate) fn id(&self) -> Option<&ModelId> {
        match self {
            ModelOrigin::File(_) => None,
            ModelOrigin::Catalogue(id) | ModelOrigin::Cache(id, _) | ModelOrigin::Hub(id, _) => Some(id),
        }
    }
}

impl fmt::Display for ModelOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelOrigin::File(path) => write!(f, "{}", path.display()),
            ModelOrigin::Catalogue(id) => write!(f, "recipe of {id}"),
            ModelOrigin::Cache(_, path) => write!(f, "Hugging Face cache, {}", path.display()),
            ModelOrigin::Hub(_, url) => f.write_str(url),
        }
    }
}

/// Find the model that `query` means.
pub(crate) async fn resolve(query: &str, options: &ResolveOptions) -> Result<ResolvedModel, ResolveError> {
    if let Some(found) = at_path(query)? {
        return Ok(found);
    }
    let catalogue = Catalogue::load(options.profiles_dir.as_deref())?;
    match catalogue.find(query).map(|model| &model.recipe) {
        Some(AnyRecipe::Moe(recipe)) => {
            return Ok(ResolvedModel {
                name: recipe.id.name().to_owned(),
                config: recipe.config(),
                origin: ModelOrigin::Catalogue(recipe.id.clone()),
                recipe: Some((**recipe).clone()),
            });
        }
        Some(AnyRecipe::Dense(recipe)) => return Err(ResolveError::Dense { id: recipe.id.clone() }),
        None => {}
    }
    let Ok(id) = query.parse::<ModelId>() else {
        return Err(ResolveError::Unknown { query: shorten(query), closest: catalogue.closest(query) });
    };
    let cache = options.hf.hub_cache();
    if let Some(path) = cache.as_deref().and_then(|root| cache::find(root, &id)) {
        let config = files::read_config(&path)?;
        return Ok(found(id.name(), config, ModelOrigin::Cache(id.clone(), path)));
    }
    if options.offline || options.hf.is_offline() {
        return Err(ResolveError::Offline { id, cache });
    }
    let hub = Hub::new(&options.hf, options.hub_timeout)?;
    let (config, url) = hub.config(&id).await.map_err(|error| match error {
        hub::Failed::Hub(error) => ResolveError::Hub { error, closest: catalogue.closest(query) },
        hub::Failed::Config(error) => ResolveError::Config(error),
    })?;
    Ok(found(id.name(), config, ModelOrigin::Hub(id.clone(), url)))
}

fn found(name: &str, config: ModelConfig, origin: ModelOrigin) -> ResolvedModel {
    ResolvedModel { name: name.to_owned(), config, origin, recipe: None }
}

/// The model at a path; none if `query` is no path, or may as well be a name.
fn at_path(query: &str) -> Result<Option<ResolvedModel>, ResolveError> {
    let path = Path::new(query);
    let meant_as_path = query.starts_with(['/', '.', '~'])
        || query.ends_with(['/'])
        || query.ends_with(".json")
        || query.matches('/').count() > 1;
    let file = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let file = path.join("config.json");
            // A folder that happens to be called like a model must not hide the model.
            if !file.exists() {
                let missing = || ResolveError::NoConfigInFolder { folder: path.to_owned() };
                return if meant_as_path { Err(missing()) } else { Ok(None) };
            }
            file
        }
        Ok(_) => path.to_owned(),
        Err(_) if !meant_as_path => return Ok(None),
        Err(error) => {
            return Err(ResolveError::Unreadable { path: path.to_owned(), reason: error.to_string() });
        }
    };
    let config = files::read_config(&file)?;
    Ok(Some(found(&files::name_of(&file), config, ModelOrigin::File(file))))
}
