//! A model's `config.json` -> the shape of its MoE layers. Pure, but for `source`.

mod architecture;
mod by_hand;
mod catalogue;
#[cfg(test)]
mod catalogue_tests;
mod compressed_tensors;
mod config_json;
mod excluded;
mod fusion;
mod geometry;
mod geometry_error;
#[cfg(test)]
mod geometry_tests;
mod model_id;
mod quantization;
mod quantization_config;
#[cfg(test)]
mod quantization_tests;
mod recipe;
mod shape;
mod warning;

pub use architecture::{Architecture, Fields, Tuner};
pub use by_hand::ByHand;
pub use catalogue::{Catalogue, CatalogueError};
pub use config_json::{ConfigError, MAX_CONFIG_BYTES, MAX_COUNT, ModelConfig};
pub use fusion::{FusionChoice, SharedExperts};
pub use geometry::{Geometry, Parallelism, moe_shape};
pub use geometry_error::{GeometryError, MAX_PARALLELISM};
pub use model_id::{BadModelId, ModelId};
pub use quantization::{BadBlockShape, BlockShape, Dtype, Quantization, UnknownDtype};
pub use quantization_config::QuantizationError;
pub use recipe::{Recipe, RecipeParallel, RecipeTarget};
pub use shape::{Gemm, MoeShape, Role};
pub use warning::GeometryWarning;
