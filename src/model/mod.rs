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
mod excluded;
mod fusion;
mod geometry;
mod geometry_error;
mod limits;
mod model_id;
mod modelopt;
mod quantization_config;
mod recipe;
pub mod source;
#[cfg(test)]
mod tests;
mod warning;

pub use architecture::{Architecture, Fields, Tuner};
pub use by_hand::ByHand;
pub use catalogue::{Catalogue, CatalogueError};
pub use config_json::{ConfigError, ModelConfig};
pub use fusion::{FusionChoice, SharedExperts, UnknownFusionChoice};
pub use geometry::{Geometry, Parallelism, moe_shape};
pub use geometry_error::GeometryError;
pub use limits::{MAX_CONFIG_BYTES, MAX_COUNT, MAX_PARALLELISM};
pub use model_id::{BadModelId, ModelId};
pub use quantization_config::QuantizationError;
pub use recipe::{Recipe, RecipeParallel, RecipeTarget};
pub use warning::GeometryWarning;
