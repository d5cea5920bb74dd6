//! Tests of the pure part of `model`, and small configs in each family's field names.

mod any_json;
mod architectures;
mod catalogue;
mod geometry;
mod quantization;

use serde_json::{Value, json};

use super::config_json::ModelConfig;
use super::*;
use crate::runtime::Runtime;
use crate::shape::{BlockShape, Dtype};

pub(super) fn config(json: Value) -> ModelConfig {
    ModelConfig::parse(json.to_string().as_bytes(), "config.json").unwrap()
}

pub(super) fn split(tp: u32, ep: u32) -> Parallelism {
    Parallelism::new(tp, ep).unwrap()
}

pub(super) fn shape(json: &Value, tp: u32, ep: u32, runtime: Runtime) -> Geometry {
    moe_shape(&config(json.clone()), split(tp, ep), runtime, FusionChoice::Auto).unwrap()
}

pub(super) const OLD: Runtime = Runtime::Sglang054;
pub(super) const NEW: Runtime = Runtime::Sglang0523;

/// Qwen's names.
pub(super) fn qwen(arch: &str) -> Value {
    json!({"architectures": [arch], "num_experts": 64, "num_experts_per_tok": 6,
           "moe_intermediate_size": 512, "intermediate_size": 999, "hidden_size": 1024})
}

/// DeepSeek's names, with one shared expert.
pub(super) fn deepseek(arch: &str, experts: u32) -> Value {
    json!({"architectures": [arch], "n_routed_experts": experts, "n_shared_experts": 1, "num_experts_per_tok": 6,
           "moe_intermediate_size": 512, "intermediate_size": 999, "hidden_size": 1024})
}

/// Mixtral's names.
pub(super) fn mixtral(arch: &str) -> Value {
    json!({"architectures": [arch], "num_local_experts": 64, "num_experts_per_tok": 6,
           "intermediate_size": 512, "hidden_size": 1024})
}

pub(super) fn with(mut base: Value, extra: Value) -> Value {
    base.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    base
}

pub(super) fn nested(arch: &str, section: &str, text: Value) -> Value {
    json!({"architectures": [arch], section: text, "hidden_size": 7})
}
