//! What a node has to hold of a model, and whether it has room for it.

use serde::Serialize;

use super::recipe::ServingRecipe;

/// A node's memory under a plan, GB (10^9 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct NodeMemory {
    /// Its share of the weights.
    pub(crate) weights_gb: f64,
    /// Its share of the cache: what the recipe gives it, else what one request of the whole context takes; none where
    /// the context or the model's numbers are not known.
    pub(crate) cache_gb: Option<f64>,
    /// What the engine may take.
    pub(crate) allowed_gb: f64,
}

/// What engines take unless told, near enough to say that something does not fit: SGLang computes it from the GPU,
/// vLLM's `--gpu-memory-utilization` is 0.9.
const MEMORY_FRACTION: f64 = 0.9;

impl NodeMemory {
    /// What a node with so much memory holds; none where nobody knows the weights' size.
    pub(super) fn of(recipe: &ServingRecipe, total_gb: f64) -> Option<Self> {
        let keys = &recipe.keys;
        let split = recipe.split();
        // A count of GPUs of a plan for these nodes: exact as a float.
        let weights_gb = keys.weights_gb? / split.gpus() as f64;
        let of_context = keys.attention.zip(keys.context_length).map(|(attention, context)| {
            let bytes = bytes_of(keys.kv_cache_dtype.as_deref());
            attention.values_per_token(split.tp, split.pp) as f64 * bytes * context as f64 / 1e9
        });
        let given = keys.kv_cache_memory.map(|given| given.0 as f64 / 1e9);
        let cache_gb = given.or(of_context);
        // With the cache's size given, the fraction is only what must be free when the engine starts.
        let fraction = keys.memory_fraction.filter(|_| given.is_none()).unwrap_or(MEMORY_FRACTION);
        let allowed_gb = total_gb * fraction;
        Some(Self { weights_gb, cache_gb, allowed_gb })
    }

    /// Whether it all goes in: what is not known takes nothing.
    pub(crate) fn fits(&self) -> bool {
        self.weights_gb + self.cache_gb.unwrap_or_default() <= self.allowed_gb
    }
}

/// Bytes of a number of the cache.
fn bytes_of(dtype: Option<&str>) -> f64 {
    match dtype {
        Some(dtype) if dtype.starts_with("fp8") => 1.0,
        // bf16 and fp16, which is what `auto` comes to for these models.
        _ => 2.0,
    }
}
