//! How a model is served: the `[serve]` table of its recipe, or one of its variants.
//!
//! A variant is named behind a colon, `GLM-4.7-FP8:eagle`; what it says takes the place of what `[serve]` says under
//! that key, whole, and the rest stays, but for the keys that it lists under `without`. A number and notes are the
//! recipe's own.

mod check;
mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) use self::error::ServingRecipeError;
use super::attention::Attention;
use super::kind::ServingEngine;
use super::release::Release;
use super::split::Split;
use crate::host::container_spec::ByteSize;
use crate::model::KnownModel;

/// The key of a recipe below which all of this stands, and the one below which its variants do.
const SERVE: &str = "serve";
const VARIANTS: &str = "variants";
const NUMBER: &str = "number";
/// Keys of `[serve]` that a variant does not take over.
const WITHOUT: &str = "without";

/// How a model is served.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServingRecipe {
    /// Its id on the hub, which is what it is loaded by.
    pub(crate) model: String,
    /// The variant; none for the recipe's own.
    pub(crate) variant: Option<String>,
    /// What the table says.
    pub(crate) keys: ServeKeys,
}

/// What `[serve]` may say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServeKeys {
    /// The number by which it may be named, no two alike.
    pub(crate) number: Option<u32>,
    /// What serves it.
    pub(crate) engine: ServingEngine,
    /// The release that this is known to work with.
    pub(crate) version: Option<Release>,
    /// The image; the inventory's where not given.
    pub(crate) image: Option<String>,
    /// What clients call the model; its id where not given.
    pub(crate) served_name: Option<String>,
    /// Size of the weights, GB.
    pub(crate) weights_gb: Option<f64>,
    /// Tensor parallelism.
    #[serde(default = "one")]
    tp: u32,
    /// Pipeline parallelism.
    #[serde(default = "one")]
    pp: u32,
    /// Expert parallelism.
    #[serde(default = "one")]
    ep: u32,
    /// Ray between the nodes; the engine's own ranks where not given.
    pub(crate) ray: Option<RayKeys>,
    /// The port for clients.
    port: Option<u16>,
    /// The port at which the ranks meet; without Ray only.
    pub(crate) rendezvous_port: Option<u16>,
    /// The part of a GPU's memory for weights and cache.
    pub(crate) memory_fraction: Option<f64>,
    /// The longest context, tokens; the model's own where not given.
    pub(crate) context_length: Option<u64>,
    /// Numbers that decide splits and the cache's size.
    pub(crate) attention: Option<Attention>,
    /// What numbers of the cache are kept as, as the engine calls it; as the weights where not given.
    pub(crate) kv_cache_dtype: Option<String>,
    /// Memory for the cache, whatever `memory_fraction` says; vLLM only.
    pub(crate) kv_cache_memory: Option<ByteSize>,
    /// The parser of tool calls.
    pub(crate) tool_call_parser: Option<String>,
    /// The parser of reasoning.
    pub(crate) reasoning_parser: Option<String>,
    /// Speculative decoding.
    pub(crate) speculative: Option<Speculative>,
    /// Whether the repository's own code may run.
    #[serde(default)]
    pub(crate) trust_remote_code: bool,
    /// Whether the hub gives the weights only to who shows a token.
    #[serde(default)]
    pub(crate) needs_token: bool,
    /// What the server is told besides.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// Variables of the server.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// Rules that are known not to hold for it.
    #[serde(default)]
    pub(crate) waive: Vec<String>,
    /// What a user of this way of serving should know; may be empty.
    #[serde(default)]
    pub(crate) notes: String,
}

/// A Ray cluster of the model's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RayKeys {
    /// The port of its head.
    #[serde(default = "gcs_port")]
    pub(crate) port: u16,
}

/// Speculative decoding.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Speculative {
    /// The method, as the engine calls it.
    pub(crate) method: String,
    /// The draft model; part of the model itself where not given.
    pub(crate) model: Option<String>,
    /// Steps of the draft; SGLang only.
    pub(crate) steps: Option<u32>,
    /// Tokens drafted.
    pub(crate) draft_tokens: Option<u32>,
    /// Branches a step; SGLang only.
    pub(crate) topk: Option<u32>,
}

fn one() -> u32 {
    1
}

/// Ray's own (scripts.py of 2.60: `--port` of `ray start --head`).
fn gcs_port() -> u16 {
    6379
}

impl ServeKeys {
    /// Nothing but an engine and a tensor parallelism.
    pub(super) fn split_over(engine: ServingEngine, tp: u32) -> Self {
        Self {
            number: None,
            engine,
            version: None,
            image: None,
            served_name: None,
            weights_gb: None,
            tp,
            pp: one(),
            ep: one(),
            ray: None,
            port: None,
            rendezvous_port: None,
            memory_fraction: None,
            context_length: None,
            attention: None,
            kv_cache_dtype: None,
            kv_cache_memory: None,
            tool_call_parser: None,
            reasoning_parser: None,
            speculative: None,
            trust_remote_code: false,
            needs_token: false,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            waive: Vec::new(),
            notes: String::new(),
        }
    }
}

impl ServingRecipe {
    /// How `model` is served, or one of its variants.
    ///
    /// # Errors
    /// A recipe that says nothing of serving, or something that makes no sense; a variant that it has not.
    pub(crate) fn of(model: &KnownModel, variant: Option<&str>) -> Result<Self, ServingRecipeError> {
        let id = model.id().to_string();
        let mut table = model.serve().cloned().ok_or_else(|| ServingRecipeError::NotServed(id.clone()))?;
        let known = take_variants(&mut table, model)?;
        let place = match variant {
            None => SERVE.to_owned(),
            Some(name) => {
                let own = known.get(name).ok_or_else(|| ServingRecipeError::NoVariant {
                    model: id.clone(),
                    variant: name.to_owned(),
                    known: known.keys().cloned().collect(),
                })?;
                vary(&mut table, own.clone()).map_err(|message| ServingRecipeError::Bad {
                    path: model.path.clone(),
                    field: format!("{SERVE}.{VARIANTS}.{name}.{WITHOUT}"),
                    message,
                })?;
                format!("{SERVE}.{VARIANTS}.{name}")
            }
        };
        let bad = |field: &str, message: String| ServingRecipeError::Bad {
            path: model.path.clone(),
            field: if field == "." { place.clone() } else { format!("{place}.{field}") },
            message,
        };
        let keys: ServeKeys =
            serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
                let field = error.path().to_string();
                bad(&field, crate::spelling::plainly(error.inner().message()))
            })?;
        check::check(&keys).map_err(|(field, message)| bad(field, message))?;
        Ok(Self { model: id, variant: variant.map(str::to_owned), keys })
    }

    /// The name and, behind a colon, the variant.
    pub(crate) fn name(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{}:{variant}", self.model),
            None => self.model.clone(),
        }
    }

    /// What clients call the model.
    pub(crate) fn served_name(&self) -> &str {
        self.keys.served_name.as_deref().unwrap_or(&self.model)
    }

    /// How it is split.
    pub(crate) fn split(&self) -> Split {
        let ServeKeys { tp, pp, ep, .. } = self.keys;
        Split { tp, pp, ep }
    }

    /// The port for clients.
    pub(crate) fn port(&self) -> u16 {
        self.keys.port.unwrap_or(self.keys.engine.port())
    }
}

/// Make of the recipe's own table the variant's; the error is what is wrong with its list of keys to leave out.
fn vary(table: &mut toml::Table, mut own: toml::Table) -> Result<(), String> {
    table.remove(NUMBER);
    table.remove("notes");
    let without: Vec<String> = match own.remove(WITHOUT).map(toml::Value::try_into) {
        None => Vec::new(),
        Some(list) => list.map_err(|error: toml::de::Error| error.message().to_owned())?,
    };
    for key in without {
        table.remove(&key).ok_or_else(|| format!("[{SERVE}] has no `{key}`"))?;
    }
    table.extend(own);
    Ok(())
}

/// The number by which a model may be named.
pub(crate) fn number(model: &KnownModel) -> Option<i64> {
    model.serve()?.get(NUMBER)?.as_integer()
}

/// The names of a model's variants, sorted.
pub(crate) fn variants(model: &KnownModel) -> Vec<String> {
    let table = model.serve().and_then(|serve| serve.get(VARIANTS)).and_then(toml::Value::as_table);
    table.into_iter().flat_map(|table| table.keys().cloned()).collect()
}

/// The variants, taken out of the table of the recipe's own.
fn take_variants(
    serve: &mut toml::Table,
    model: &KnownModel,
) -> Result<BTreeMap<String, toml::Table>, ServingRecipeError> {
    match serve.remove(VARIANTS).map(toml::Value::try_into) {
        None => Ok(BTreeMap::new()),
        Some(variants) => variants.map_err(|error: toml::de::Error| ServingRecipeError::Bad {
            path: model.path.clone(),
            field: format!("{SERVE}.{VARIANTS}"),
            message: error.message().to_owned(),
        }),
    }
}
