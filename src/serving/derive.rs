//! How a model without a recipe is served, by what its `config.json` says and the nodes at hand.

use std::fmt::Write as _;

use super::attention::Attention;
use super::kind::ServingEngine;
use super::member::ServingNode;
use super::memory::NodeMemory;
use super::plan::taking_part;
use super::recipe::{ServeKeys, ServingRecipe};
use crate::failure::{Failure, Kind};
use crate::model::ModelLayout;

/// What is known of a model that has no recipe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DerivableModel {
    /// What it is loaded by: its id on the hub, or a path.
    pub(crate) model: String,
    /// What clients call it, where that is not what it is loaded by.
    pub(crate) served_name: Option<String>,
    /// What its config says.
    pub(crate) layout: ModelLayout,
    /// Size of its weights, GB; none where nobody knows.
    pub(crate) weights_gb: Option<f64>,
}

/// A model that goes on no number of these nodes.
#[derive(Debug, thiserror::Error)]
#[error("{}", none_fits(.model, .tried))]
pub(crate) struct NoneFits {
    model: String,
    /// Each tensor parallelism, and why it is not possible.
    tried: Vec<(u32, String)>,
}

fn none_fits(model: &str, tried: &[(u32, String)]) -> String {
    let nodes = if tried.len() == 1 { "the 1 node there is" } else { "any number of the nodes there are" };
    let mut text = format!("{model} has no recipe, and by its config.json does not go on {nodes}:");
    for (tp, why) in tried {
        // A String takes whatever it is given.
        _ = write!(text, "\n  tp {tp}: {why}");
    }
    text
}

impl Failure for NoneFits {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some(
            "a recipe of your own below --profiles may serve it another way: a shorter `context_length`, a \
             `kv_cache_dtype`, a pipeline (`pp`)"
                .to_owned(),
        )
    }
}

/// `model` over the fewest of `nodes` that its heads and experts divide by and whose memory it and one request of its
/// whole context go into. What nobody knows, a node's memory or the weights' size, takes nothing.
///
/// The engine is SGLang, unless the nodes' image is vLLM's by its name.
///
/// # Errors
/// No number of the nodes will do, and why.
pub(crate) fn derive(model: &DerivableModel, nodes: &[ServingNode<'_>]) -> Result<ServingRecipe, NoneFits> {
    let engine = engine(nodes);
    let mut tried = Vec::new();
    for tp in (1..).take(nodes.len().max(1)) {
        let recipe = split_over(model, engine, tp);
        match why_not(model, &recipe, tp, nodes) {
            None => return Ok(recipe),
            Some(why) => tried.push((tp, why)),
        }
    }
    Err(NoneFits { model: model.model.clone(), tried })
}

fn engine(nodes: &[ServingNode<'_>]) -> ServingEngine {
    let image = nodes.iter().find_map(|node| node.node.settings.image());
    match image {
        Some(image) if image.to_lowercase().contains("vllm") => ServingEngine::Vllm,
        _ => ServingEngine::Sglang,
    }
}

fn split_over(model: &DerivableModel, engine: ServingEngine, tp: u32) -> ServingRecipe {
    let ModelLayout { layers, heads, kv_heads, head_dim, latent, context, .. } = model.layout;
    let mut keys = ServeKeys::split_over(engine, tp);
    keys.served_name = model.served_name.clone();
    keys.weights_gb = model.weights_gb;
    keys.context_length = context;
    keys.attention = Some(Attention { layers, heads, kv_heads, head_dim, latent });
    ServingRecipe { model: model.model.clone(), variant: None, keys }
}

/// Why a model cannot be served as `recipe` says, in a line.
fn why_not(
    model: &DerivableModel,
    recipe: &ServingRecipe,
    tp: u32,
    nodes: &[ServingNode<'_>],
) -> Option<String> {
    let ModelLayout { heads, kv_heads, latent, experts, .. } = model.layout;
    if !heads.is_multiple_of(tp) {
        return Some(format!("its {heads} attention heads cannot be split so"));
    }
    // Fewer than GPUs: each is kept by several, equally many each.
    if latent.is_none() && !kv_heads.max(tp).is_multiple_of(kv_heads.min(tp)) {
        return Some(format!("its {kv_heads} key-value heads cannot be split so"));
    }
    if let Some(experts) = experts.filter(|experts| !experts.is_multiple_of(tp)) {
        return Some(format!("its {experts} experts cannot be split so"));
    }
    let nodes = match taking_part(recipe, nodes) {
        Ok(nodes) => nodes,
        Err(error) => return Some(error.in_short()),
    };
    nodes.iter().find_map(|node| {
        let memory = NodeMemory::of(recipe, node.memory_gb?).filter(|memory| !memory.fits())?;
        let NodeMemory { weights_gb, cache_gb, allowed_gb } = memory;
        let cache = match (cache_gb, recipe.keys.context_length) {
            (Some(cache), Some(context)) => format!(" + {cache:.1} GB of cache for {context} tokens"),
            _ => String::new(),
        };
        let node = &node.node.name;
        Some(format!(
            "{weights_gb:.1} GB of weights{cache} on {node}, of which {allowed_gb:.1} GB may be taken"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::inventory::Inventory;

    const LAYOUT: ModelLayout = ModelLayout {
        layers: 92,
        heads: 96,
        kv_heads: 8,
        head_dim: 128,
        latent: None,
        experts: Some(160),
        context: Some(32_000),
        own_code: false,
    };

    fn inventory(image: &str, nodes: usize) -> Inventory {
        let node = |at: usize| {
            let role = if at == 0 { "role = \"head\"\n" } else { "" };
            format!("[[nodes]]\nname = \"n{at}\"\n{role}ssh = \"n{at}\"\nfabric = [\"10.0.0.{}\"]\n", at + 1)
        };
        let nodes: String = (0..nodes).map(node).collect();
        let text = format!("name = \"lab\"\nimage = \"{image}\"\n{nodes}");
        Inventory::parse(Path::new("lab.toml"), &text).unwrap()
    }

    fn derived(
        layout: ModelLayout,
        weights_gb: Option<f64>,
        memory: &[Option<f64>],
    ) -> Result<ServingRecipe, NoneFits> {
        let inventory = inventory("lmsysorg/sglang:spark", memory.len());
        derived_on(&inventory, layout, weights_gb, memory)
    }

    fn derived_on(
        inventory: &Inventory,
        layout: ModelLayout,
        weights_gb: Option<f64>,
        memory: &[Option<f64>],
    ) -> Result<ServingRecipe, NoneFits> {
        let model = DerivableModel { model: "me/model".to_owned(), served_name: None, layout, weights_gb };
        let node = |(node, memory_gb)| ServingNode { node, data: None, derived: &[], gpu: None, memory_gb };
        let nodes: Vec<ServingNode<'_>> =
            inventory.nodes.iter().zip(memory.iter().copied()).map(node).collect();
        derive(&model, &nodes)
    }

    fn tp(layout: ModelLayout, weights_gb: Option<f64>, memory: &[Option<f64>]) -> u32 {
        derived(layout, weights_gb, memory).unwrap().split().tp
    }

    #[test]
    fn it_is_the_fewest_nodes_that_it_goes_into() {
        let sparks = [Some(128.0); 4];
        assert_eq!(tp(LAYOUT, Some(60.0), &sparks), 1);
        assert_eq!(tp(LAYOUT, Some(200.0), &sparks), 2);
        // 300 GB go on three, whose heads divide by three, but not key-value heads and experts.
        assert_eq!(tp(LAYOUT, Some(300.0), &sparks), 4);
        // The cache counts: 12 GB of it for one request at tp 1, which 105 GB of weights leave no room for.
        assert_eq!(tp(LAYOUT, Some(105.0), &sparks), 2);
        assert_eq!(tp(ModelLayout { context: Some(8_000), ..LAYOUT }, Some(105.0), &sparks), 1);
        // What nobody knows takes nothing.
        assert_eq!(tp(LAYOUT, None, &sparks), 1);
        assert_eq!(tp(LAYOUT, Some(300.0), &[None; 4]), 1);
        // The smallest of those that take part counts.
        assert_eq!(tp(LAYOUT, Some(200.0), &[Some(128.0), Some(64.0), Some(128.0), Some(128.0)]), 4);
    }

    #[test]
    fn it_is_what_heads_and_experts_divide_by() {
        let sparks = [Some(128.0); 4];
        let three = ModelLayout { heads: 96, kv_heads: 6, experts: None, ..LAYOUT };
        assert_eq!(tp(three, Some(300.0), &sparks), 3);
        assert_eq!(tp(ModelLayout { kv_heads: 1, ..three }, Some(300.0), &sparks), 3, "each keeps the one");
        assert_eq!(tp(ModelLayout { kv_heads: 4, ..three }, Some(300.0), &sparks), 4);
        assert_eq!(tp(ModelLayout { kv_heads: 4, latent: Some(576), ..three }, Some(300.0), &sparks), 3);
        let more = ModelLayout { kv_heads: 12, ..three };
        assert_eq!(tp(more, Some(300.0), &sparks), 3);
        assert_eq!(tp(ModelLayout { experts: Some(128), ..more }, Some(300.0), &sparks), 4);
    }

    #[test]
    fn the_recipe_has_what_the_config_says() {
        let recipe = derived(LAYOUT, Some(300.0), &[Some(128.0); 4]).unwrap();
        assert_eq!((recipe.name().as_str(), recipe.served_name()), ("me/model", "me/model"));
        let keys = &recipe.keys;
        assert_eq!(
            (keys.engine, keys.weights_gb, keys.context_length),
            (ServingEngine::Sglang, Some(300.0), Some(32_000))
        );
        assert!(!keys.trust_remote_code && keys.arguments.is_empty() && keys.ray.is_none());
        let vllm = inventory("nvcr.io/nvidia/vLLM:26.05.post1-py3", 2);
        let recipe = derived_on(&vllm, LAYOUT, None, &[None; 2]).unwrap();
        assert_eq!((recipe.keys.engine, recipe.port()), (ServingEngine::Vllm, 8000));
    }

    #[test]
    fn where_none_fits_each_number_of_nodes_says_why() {
        let odd = ModelLayout { experts: Some(129), ..LAYOUT };
        let error = derived(odd, Some(300.0), &[Some(128.0); 4]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "me/model has no recipe, and by its config.json does not go on any number of the nodes there are:\n  \
             tp 1: 300.0 GB of weights + 12.1 GB of cache for 32000 tokens on n0, of which 115.2 GB may be taken\n  \
             tp 2: its 129 experts cannot be split so\n  \
             tp 3: its 8 key-value heads cannot be split so\n  \
             tp 4: its 129 experts cannot be split so"
        );
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.hint().unwrap().contains("context_length"));
        let error = derived(LAYOUT, Some(300.0), &[Some(128.0)]).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "me/model has no recipe, and by its config.json does not go on the 1 node there is:"
            ),
            "{error}"
        );
    }
}
