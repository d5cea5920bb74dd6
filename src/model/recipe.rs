//! A recipe: what is known about one model, so that tuning it needs no download.
//!
//! Recipes are TOML files under `profiles/models/`. Their `[config]` is the part of the model's own
//! `config.json` that decides the shape, under its own field names: a recipe and a download go
//! through the same code.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::architecture::Architecture;
use super::config_json::ModelConfig;
use super::geometry::Parallelism;
use super::model_id::ModelId;
use crate::runtime::{Runtime, Target, TritonVersion};
use crate::toml_text::{BadToml, from_toml};

/// One model of the catalogue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// The Hugging Face id: `zai-org/GLM-4.7-FP8`.
    pub id: ModelId,
    /// Other names for `--model`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What a user of this model should know; may be empty.
    #[serde(default)]
    pub notes: String,
    /// The runtime the model is tuned for unless told otherwise.
    pub target: RecipeTarget,
    /// How the model is split unless told otherwise.
    pub parallel: RecipeParallel,
    /// The part of the model's `config.json` that decides the shape.
    config: Map<String, Value>,
    /// Where each fact is from, by the field it stands in.
    pub sources: BTreeMap<String, String>,
    /// Fields of `config` that nobody has read in the model's own file.
    #[serde(default)]
    pub unverified: Vec<String>,
    /// How the model is served, as it is written: whoever serves it reads and checks it. Tuning looks at none of
    /// it, so that one file can say both.
    pub serve: Option<toml::Table>,
}

/// The runtime a recipe names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecipeTarget {
    /// The SGLang version.
    #[serde(rename = "sglang", deserialize_with = "sglang_version")]
    pub runtime: Runtime,
    /// The Triton it runs on.
    pub triton: TritonVersion,
    /// The container image that carries both, where one is known.
    pub image: Option<String>,
}

/// The split a recipe names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecipeParallel {
    /// Tensor parallelism.
    pub tp: u32,
    /// Expert parallelism.
    #[serde(default = "one")]
    pub ep: u32,
}

fn one() -> u32 {
    1
}

fn sglang_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Runtime, D::Error> {
    let version = String::deserialize(deserializer)?;
    Runtime::from_sglang_version(&version).map_err(serde::de::Error::custom)
}

impl Recipe {
    /// Parse a recipe and check that what it says makes sense; the error is for a person.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let recipe: Recipe =
            from_toml(text).map_err(|BadToml { place, message }| format!("{place}: {message}"))?;
        recipe.checked_parallelism()?;
        recipe.checked_config()?.architecture().map_err(|error| error.to_string())?;
        if let Some(field) = recipe.unverified.iter().find(|field| !recipe.config.contains_key(*field)) {
            return Err(format!("`unverified` names `{field}`, which is no field of [config]"));
        }
        Ok(recipe)
    }

    /// The runtime and Triton the recipe names.
    pub(crate) fn target(&self) -> Target {
        Target { runtime: self.target.runtime, triton: self.target.triton }
    }

    /// The split the recipe names.
    pub(crate) fn parallelism(&self) -> Parallelism {
        self.checked_parallelism().expect("checked when the recipe was parsed")
    }

    /// What the model's class is called.
    pub(crate) fn architecture(&self) -> String {
        self.config().architecture().map(str::to_owned).unwrap_or_default()
    }

    /// Experts that a router chooses from; none where the class is not known here.
    pub(crate) fn routed_experts(&self) -> Option<u32> {
        let known = Architecture::find(&self.architecture())?;
        known.fields.experts.iter().find_map(|field| self.config().count(field).ok().flatten())
    }

    /// The config the shape is read from.
    pub(crate) fn config(&self) -> ModelConfig {
        self.checked_config().expect("checked when the recipe was parsed")
    }

    fn checked_parallelism(&self) -> Result<Parallelism, String> {
        let RecipeParallel { tp, ep } = self.parallel;
        Parallelism::new(tp, ep).map_err(|error| format!("[parallel]: {error}"))
    }

    fn checked_config(&self) -> Result<ModelConfig, String> {
        let origin = format!("recipe of {}", self.id);
        ModelConfig::from_object(self.config.clone(), origin).map_err(|error| error.to_string())
    }
}
