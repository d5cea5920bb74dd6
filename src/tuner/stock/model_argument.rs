//! What the script is told of the model. It reads a config.json and nothing else of it. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::folder;
use super::own_tuner::OwnTuner;
use crate::failure::{Failure, Kind};

/// The model, as the script can be told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModelArgument {
    /// This config.json, laid out on the node.
    Config(Map<String, Value>),
    /// A Hugging Face id, whose config.json the script finds by itself.
    Id(String),
    /// The same of a model that is read by code of its own, beside its config.json.
    OwnCode(String),
}

/// A model that the script cannot be told of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stock tuner reads a whole config.json, and {why}")]
pub(crate) struct NoModelArgument {
    why: String,
}

impl Failure for NoModelArgument {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some("name the model by its Hugging Face id, or a folder with its config.json, with --model".into())
    }
}

impl ModelArgument {
    /// Of a model whose config is `document`, read at `origin`. A catalogue's recipe has the fields that decide the shape,
    /// which is no whole config; and one with code of its own needs the files beside it. Then the script is given the
    /// model's `id`.
    pub(crate) fn of(
        document: &Map<String, Value>,
        origin: &str,
        id: Option<&str>,
    ) -> Result<Self, NoModelArgument> {
        // What transformers' AutoConfig looks up (`model_type`), and what it fetches code by (`auto_map`).
        let kind = document.get("model_type").and_then(Value::as_str);
        let own_code = document.contains_key("auto_map");
        match (kind, id) {
            (Some(_), _) if !own_code => Ok(Self::Config(document.clone())),
            (_, Some(id)) if own_code => Ok(Self::OwnCode(id.to_owned())),
            (_, Some(id)) => Ok(Self::Id(id.to_owned())),
            (None, None) => Err(NoModelArgument { why: format!("{origin} has no `model_type`") }),
            (Some(kind), None) => Err(NoModelArgument {
                why: format!("`{kind}` of {origin} is read by code of its own (`auto_map`)"),
            }),
        }
    }

    /// The value of `--model`.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Config(_) => folder::path(folder::MODEL),
            Self::Id(id) | Self::OwnCode(id) => id.clone(),
        }
    }

    /// Whether the script is to run the model's own code.
    pub(crate) fn has_own_code(&self) -> bool {
        matches!(self, Self::OwnCode(_))
    }

    /// The config.json to lay out for `tuner`, if there is one to.
    ///
    /// Revisions of SGLang's that read compressed-tensors' groups take the first one's `group_size` for a block's side and
    /// raise where it is none, before anything is tuned (`block_k % config["BLOCK_SIZE_K"]`, sgl-project/sglang issue
    /// 25665). Weights with one scale a channel have none: their groups are left out, so that the script sees what the
    /// revisions before it saw. vLLM's reads there whether activations have a scale a token, and takes no size that is
    /// none.
    pub(super) fn config_json(&self, tuner: &OwnTuner) -> Option<String> {
        let Self::Config(document) = self else { return None };
        let mut document = document.clone();
        if self.is_cut(tuner)
            && let Some(Value::Object(quantization)) = document.get_mut("quantization_config")
        {
            quantization.remove("config_groups");
        }
        Some(Value::Object(document).to_string())
    }

    /// Whether something of it is left out for `tuner`.
    pub(crate) fn is_cut(&self, tuner: &OwnTuner) -> bool {
        let Self::Config(document) = self else { return false };
        let groups = document.get("quantization_config").and_then(|it| it.get("config_groups"));
        tuner.takes_group_size && groups.is_some_and(has_no_group_size)
    }
}

fn has_no_group_size(groups: &Value) -> bool {
    let first = groups.as_object().and_then(|groups| groups.values().next());
    first.is_some_and(|group| group["weights"]["group_size"].is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::runtime::Runtime;

    fn sglang() -> &'static OwnTuner {
        OwnTuner::of(Runtime::Sglang0523)
    }

    fn of(document: Value, id: Option<&str>) -> Result<ModelArgument, String> {
        let document = document.as_object().unwrap();
        ModelArgument::of(document, "m/config.json", id).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_config_is_laid_out_and_else_the_script_is_given_the_id() {
        let whole = of(json!({"model_type": "mixtral"}), Some("org/m")).unwrap();
        assert_eq!(whole.word(), "{folder}/model");
        assert_eq!(whole.config_json(sglang()).unwrap(), r#"{"model_type":"mixtral"}"#);
        let recipe = of(json!({"architectures": ["X"]}), Some("org/m")).unwrap();
        assert_eq!((recipe.word().as_str(), recipe.config_json(sglang())), ("org/m", None));
        let own = json!({"model_type": "x", "auto_map": {}});
        assert_eq!(of(own.clone(), Some("org/m")).unwrap(), ModelArgument::OwnCode("org/m".into()));
        assert!(!recipe.has_own_code());
        assert!(of(own, None).unwrap_err().contains("`x` of m/config.json is read by code of its own"));
        assert!(of(json!({}), None).unwrap_err().contains("m/config.json has no `model_type`"));
    }

    #[test]
    fn groups_without_a_size_are_left_out_and_those_with_one_stay() {
        let with = |size: Value| {
            of(
                json!({
                    "model_type": "glm4_moe",
                    "quantization_config": {
                        "quant_method": "compressed-tensors",
                        "config_groups": {"group_0": {"weights": {"num_bits": 8, "group_size": size}}},
                    },
                }),
                None,
            )
            .unwrap()
        };
        let cut = with(Value::Null);
        assert!(cut.is_cut(sglang()));
        let text = cut.config_json(sglang()).unwrap();
        assert!(text.contains("compressed-tensors") && !text.contains("config_groups"), "{text}");
        let whole = with(json!(128));
        assert!(!whole.is_cut(sglang()) && whole.config_json(sglang()).unwrap().contains("config_groups"));
        assert!(!of(json!({"model_type": "mixtral"}), None).unwrap().is_cut(sglang()));
        // vLLM's script needs them.
        let vllm = OwnTuner::of(Runtime::Vllm);
        assert!(!cut.is_cut(vllm) && cut.config_json(vllm).unwrap().contains("config_groups"));
    }
}
