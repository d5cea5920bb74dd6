//! Reading a model's config from disk.

use std::path::Path;

use super::error::ResolveError;
use crate::fs::{ReadError, read_at_most};
use crate::model::config_json::{ConfigError, ModelConfig};
use crate::model::limits::MAX_CONFIG_BYTES;
use crate::model::modelopt;

/// Read a `config.json`, and the `hf_quant_config.json` beside it where that says more.
pub(super) fn read_config(path: &Path) -> Result<ModelConfig, ResolveError> {
    let mut config = ModelConfig::parse(&read_capped(path)?, path.display().to_string())?;
    if !config.says_quantization() {
        let beside = path.with_file_name(modelopt::FILE);
        if beside.is_file() {
            modelopt::adopt(&mut config, &read_capped(&beside)?, &beside.display().to_string())?;
        }
    }
    Ok(config)
}

/// A file of a model's that describes it.
pub(super) fn read_capped(path: &Path) -> Result<Vec<u8>, ResolveError> {
    let unreadable = |reason: String| ResolveError::Unreadable { path: path.to_owned(), reason };
    // Opening a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("not a regular file".to_owned()));
    }
    read_at_most(path, MAX_CONFIG_BYTES as u64).map_err(|error| match error {
        ReadError::Io(error) => unreadable(error.to_string()),
        ReadError::TooLarge { .. } => ConfigError::TooLarge { origin: path.display().to_string() }.into(),
    })
}

/// What to call the model of a `config.json`: its folder's name, or the file's own where that says
/// more.
pub(super) fn name_of(file: &Path) -> String {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let stem = absolute.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = absolute.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match folder {
        Some(folder) if stem == "config" => folder,
        _ => stem,
    }
}
