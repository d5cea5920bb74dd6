//! How large a model's weights are, by the index beside its config.

use std::path::Path;

use super::error::ResolveError;
use super::files::read_capped;
use super::hub::Hub;
use super::{ModelOrigin, ResolveOptions};
use crate::model::config_json::{ConfigError, ModelConfig};

/// What lists the files of weights in several, with their size together (`save_pretrained` of transformers).
const INDEX: &str = "model.safetensors.index.json";

/// Bytes of the weights of the model that was found at `origin`; none where nothing says so.
pub(crate) async fn weights_bytes(
    origin: &ModelOrigin,
    options: &ResolveOptions,
) -> Result<Option<u64>, ResolveError> {
    match origin {
        ModelOrigin::Catalogue(_) => Ok(None),
        ModelOrigin::File(config) | ModelOrigin::Cache(_, config) => beside(config),
        ModelOrigin::Hub(id, _) => {
            let hub = Hub::new(&options.hf, options.hub_timeout)?;
            match hub.file_if_any(id, INDEX).await? {
                Some((url, bytes)) => Ok(total_size(&bytes, url)?),
                None => Ok(None),
            }
        }
    }
}

/// By the index beside `config`; without one by the files themselves.
fn beside(config: &Path) -> Result<Option<u64>, ResolveError> {
    let index = config.with_file_name(INDEX);
    if index.exists() {
        return Ok(total_size(&read_capped(&index)?, index.display().to_string())?);
    }
    let folder = config.parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let unreadable = |error: std::io::Error| ResolveError::Unreadable {
        path: folder.to_owned(),
        reason: error.to_string(),
    };
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            // A cache's files are links.
            bytes += std::fs::metadata(&path).map_err(unreadable)?.len();
        }
    }
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

fn total_size(index: &[u8], origin: String) -> Result<Option<u64>, ConfigError> {
    const FIELD: &str = "metadata.total_size";
    let index = ModelConfig::parse(index, origin)?;
    let Some(value) = index.root_field(FIELD) else { return Ok(None) };
    // Some write it as `1234.0`; sizes are exact below 2^53.
    let whole = value.as_f64().filter(|size| *size > 0.0 && size.fract() == 0.0).map(|size| size as u64);
    match value.as_u64().filter(|size| *size > 0).or(whole) {
        Some(size) => Ok(Some(size)),
        None => Err(index.bad(FIELD, "a number of bytes above 0", value)),
    }
}
