//! A model's `config.json` -> the shape of its MoE layers.
//!
//! [`source::resolve`] finds a config, [`moe_shape`] reads the shape out of it as one server version
//! would. All of it is pure but for `source` (files, the hub) and [`Catalogue::load`] (a folder of
//! one's own recipes).

mod architecture;
mod by_hand;
mod catalogue;
mod compressed_tensors;
mod config_json;
mod config_section;
mod dense;
mod excluded;
mod fusion;
mod geometry;
mod geometry_error;
mod layout;
mod limits;
mod model_id;
mod modelopt;
mod numbers;
mod quantization_config;
mod recipe;
mod scheme;
pub(crate) mod source;
#[cfg(test)]
mod tests;
mod warning;

pub(crate) use by_hand::ByHand;
pub(crate) use catalogue::{AnyRecipe, Catalogue, KnownModel};
pub(crate) use config_json::ModelConfig;
pub(crate) use fusion::FusionChoice;
pub(crate) use geometry::{Geometry, Parallelism, moe_shape};
pub(crate) use layout::ModelLayout;
pub(crate) use model_id::ModelId;
pub(crate) use recipe::Recipe;
