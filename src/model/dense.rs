//! A recipe of a model without experts: there is no fused-MoE kernel to tune, and it is served all the same.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::model_id::ModelId;

/// A model that is served and never tuned.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DenseRecipe {
    /// The Hugging Face id: `Qwen/Qwen2.5-7B-Instruct`.
    pub id: ModelId,
    /// Other names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What a user of this model should know; may be empty.
    #[serde(default)]
    pub notes: String,
    /// Where each fact is from, by the field it stands in.
    pub sources: BTreeMap<String, String>,
    /// How it is served, as it is written: whoever serves it reads and checks it.
    pub serve: toml::Table,
}
