//! What a user wants to know of the nodes beyond what concerns every cluster: whether models can be served.

use crate::host::HostPath;
use crate::model::{ModelConfig, ModelId, Parallelism};

/// A model that is to be served.
#[derive(Debug, Clone)]
pub(crate) struct AskedModel {
    /// What it is called.
    pub(crate) name: String,
    /// Where its files are.
    pub(crate) source: ModelSource,
    /// How it is split.
    pub(crate) parallelism: Parallelism,
    /// Its own `config.json`, or why nobody has it.
    pub(crate) config: Result<ModelConfig, String>,
}

/// Where a model's files are on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelSource {
    /// In Hugging Face's cache.
    Hub(ModelId),
    /// In this folder.
    Folder(HostPath),
}
