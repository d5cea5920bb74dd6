//! What a `config.json` says of how a model can be laid out over GPUs, and of how much it keeps of a context.

use serde_json::Value;

use super::architecture::Architecture;
use super::config_json::{ConfigError, ModelConfig};

/// Numbers of a model's language part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModelLayout {
    /// Layers that keep something of every token: `num_hidden_layers`, less those that the config says do not.
    pub layers: u32,
    /// `num_attention_heads`.
    pub heads: u32,
    /// `num_key_value_heads`; as many as heads where not given.
    pub kv_heads: u32,
    /// `head_dim`; else `hidden_size` by heads.
    pub head_dim: u32,
    /// Of latent attention, what a layer keeps of a token: `kv_lora_rank` and `qk_rope_head_dim` together.
    pub latent: Option<u32>,
    /// Routed experts; none in a dense model.
    pub experts: Option<u32>,
    /// `max_position_embeddings`, tokens.
    pub context: Option<u64>,
    /// Whether the model's class is code of its repository (`auto_map`).
    pub own_code: bool,
}

/// Where classes that are not known here may keep the number of their experts.
const EXPERTS: [&str; 3] = ["num_experts", "n_routed_experts", "num_local_experts"];

impl ModelLayout {
    /// Read them out of `config`.
    pub(crate) fn of(config: &ModelConfig) -> Result<Self, ConfigError> {
        let needed = |field: &str| {
            let missing = || config.missing(&config.text_name(field), "an integer from 1");
            config.count(field)?.ok_or_else(missing)
        };
        let heads = needed("num_attention_heads")?;
        let head_dim = match config.count("head_dim")? {
            Some(head_dim) => head_dim,
            None => (needed("hidden_size")? / heads).max(1),
        };
        let latent = config.count("kv_lora_rank")?.zip(config.count("qk_rope_head_dim")?);
        let fields =
            config.architecture().ok().and_then(Architecture::find).map(|known| known.fields.experts);
        let mut experts = None;
        for field in fields.unwrap_or(&EXPERTS) {
            experts = experts.or(config.count_or_zero(field)?);
        }
        let context = match config.text_field("max_position_embeddings") {
            None => None,
            Some(value) => Some(value.as_u64().filter(|tokens| *tokens > 0).ok_or_else(|| {
                config.bad(
                    &config.text_name("max_position_embeddings"),
                    "a whole number of tokens above 0",
                    value,
                )
            })?),
        };
        Ok(Self {
            layers: with_a_cache(config, needed("num_hidden_layers")?)?,
            heads,
            kv_heads: config.count("num_key_value_heads")?.unwrap_or(heads),
            head_dim,
            latent: latent.map(|(rank, rope)| rank + rope),
            // 0 is how some say that there are none.
            experts: experts.filter(|experts| *experts > 0),
            context,
            own_code: config.root_field("auto_map").is_some(),
        })
    }
}

/// How many of `layers` keep a cache that grows with the context; all where the config does not say.
fn with_a_cache(config: &ModelConfig, layers: u32) -> Result<u32, ConfigError> {
    if let Some(Value::Array(types)) = config.text_field("layer_types") {
        // transformers' names: `full_attention`, `sliding_attention`, `linear_attention`.
        let grows =
            types.iter().filter_map(Value::as_str).filter(|kind| kind.ends_with("full_attention")).count();
        if let Some(grows) = u32::try_from(grows).ok().filter(|grows| (1..=layers).contains(grows)) {
            return Ok(grows);
        }
    }
    // Qwen3-Next and Qwen3.5: every so manieth layer.
    Ok(config.count("full_attention_interval")?.map_or(layers, |interval| (layers / interval).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(json: &str) -> Result<ModelLayout, String> {
        let config = ModelConfig::parse(json.as_bytes(), "m/config.json").unwrap();
        ModelLayout::of(&config).map_err(|error| error.to_string())
    }

    const GLM: &str = r#"{"architectures": ["Glm4MoeForCausalLM"], "num_hidden_layers": 92, "num_attention_heads": 96,
        "num_key_value_heads": 8, "head_dim": 128, "hidden_size": 5120, "n_routed_experts": 160,
        "max_position_embeddings": 202752}"#;

    #[test]
    fn the_numbers_are_those_of_the_config() {
        let glm = layout(GLM).unwrap();
        let expected = ModelLayout {
            layers: 92,
            heads: 96,
            kv_heads: 8,
            head_dim: 128,
            latent: None,
            experts: Some(160),
            context: Some(202_752),
            own_code: false,
        };
        assert_eq!(glm, expected);
        let dense = r#"{"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096, "num_experts": 0,
            "max_position_embeddings": 10485760, "auto_map": {"AutoModel": "a.B"}}"#;
        let dense = layout(dense).unwrap();
        assert_eq!((dense.kv_heads, dense.head_dim, dense.experts, dense.own_code), (32, 128, None, true));
        assert_eq!(dense.context, Some(10_485_760));
        let latent = GLM.replace("\"head_dim\": 128", "\"kv_lora_rank\": 512, \"qk_rope_head_dim\": 64");
        assert_eq!(layout(&latent).unwrap().latent, Some(576));
        // A class that nobody here knows.
        assert_eq!(layout(&GLM.replace("Glm4Moe", "New")).unwrap().experts, Some(160));
        // The language part of a model that sees.
        let sees =
            format!("{{\"architectures\": [\"Glm4vMoeForConditionalGeneration\"], \"text_config\": {GLM}}}");
        assert_eq!(layout(&sees).unwrap().heads, 96);
    }

    #[test]
    fn layers_without_a_growing_cache_are_left_out_where_the_config_says() {
        let with = |more: &str| layout(&GLM.replace("\"num_hidden_layers\": 92", more)).unwrap().layers;
        assert_eq!(with(r#""num_hidden_layers": 48, "full_attention_interval": 4"#), 12);
        let types = r#""num_hidden_layers": 4, "layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"]"#;
        assert_eq!(with(types), 2);
        assert_eq!(with(r#""num_hidden_layers": 4, "layer_types": ["other"]"#), 4);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (from, to, says) in [
            ("\"num_attention_heads\": 96,", "", "field `num_attention_heads` is missing"),
            ("\"num_hidden_layers\": 92,", "", "field `num_hidden_layers` is missing"),
            ("\"head_dim\": 128, \"hidden_size\": 5120,", "", "field `hidden_size` is missing"),
            ("96", "0", "field `num_attention_heads`: expected an integer from 1"),
            (
                "\"num_key_value_heads\": 8",
                "\"num_key_value_heads\": \"8\"",
                "field `num_key_value_heads`: expected an integer",
            ),
            ("160", "-1", "field `n_routed_experts`: expected an integer"),
            ("202752", "1e3", "field `max_position_embeddings`: expected a whole number of tokens above 0"),
            ("202752", "0", "field `max_position_embeddings`: expected a whole number of tokens above 0"),
        ] {
            let error = layout(&GLM.replacen(from, to, 1)).unwrap_err();
            assert!(error.starts_with("m/config.json: ") && error.contains(says), "{to}: {error}");
        }
    }
}
