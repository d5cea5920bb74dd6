//! Which models a server has, and which server it is.

use serde::Deserialize;
use serde_json::Value;

use super::endpoints::Endpoints;
use super::error::ServerError;
use crate::bench::secrets::without_secrets;
use crate::bench::summary::ServerView;
use crate::failure::{Failure, Kind};

/// A model as `/v1/models` lists it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Model {
    /// The name requests use.
    pub id: String,
    /// What the server loaded under that name. vLLM gives the path or hub id.
    pub root: Option<String>,
    /// The model an adapter belongs to.
    pub parent: Option<String>,
    /// The longest sequence, tokens.
    pub max_model_len: Option<u32>,
    /// `sglang`, `vllm`, `llamacpp`.
    pub owned_by: Option<String>,
}

/// The model that is measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chosen {
    /// It.
    pub model: Model,
    /// What to tell the user, where the name is not the one asked for.
    pub note: Option<String>,
}

/// No model, or not the one asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongModel {
    /// Not served.
    #[error("--model: the server does not serve `{asked}`; it serves {}", listed(.served))]
    NotServed {
        /// What was asked for.
        asked: String,
        /// What there is.
        served: Vec<String>,
    },
    /// Several that it could mean.
    #[error("--model: {} could be meant: {}", asked.as_ref().map_or("any".into(), |asked| format!("by `{asked}` any")), listed(.served))]
    Ambiguous {
        /// What was asked for.
        asked: Option<String>,
        /// What it could be.
        served: Vec<String>,
    },
    /// None at all.
    #[error("the server lists no model at /v1/models")]
    None,
}

impl Failure for WrongModel {
    fn kind(&self) -> Kind {
        match self {
            WrongModel::None => Kind::Environment,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            WrongModel::NotServed { asked, served } => {
                let near = served.iter().max_by(|a, b| {
                    let like = |name: &str| strsim::jaro_winkler(&bare(name), &bare(asked));
                    like(a).total_cmp(&like(b))
                })?;
                Some(format!("give --model {near}"))
            }
            WrongModel::Ambiguous { .. } => Some("give one of them as --model".into()),
            WrongModel::None => None,
        }
    }
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    if text.is_empty() { "none".into() } else { text }
}

/// Ask for the models.
///
/// # Errors
/// A server that cannot be asked.
pub(crate) async fn models(endpoints: &Endpoints) -> Result<Vec<Model>, ServerError> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Model>,
    }
    Ok(endpoints.get::<List>("/v1/models").await?.data)
}

/// Choose a model: the one asked for, else the only one. A name stands for another that ends alike
/// (`GLM-4.7-FP8` for `zai-org/GLM-4.7-FP8`), where there is only one such.
///
/// # Errors
/// No such model, or no telling which.
pub(crate) fn choose(models: &[Model], asked: Option<&str>) -> Result<Chosen, WrongModel> {
    let names = |models: &[&Model]| models.iter().map(|model| model.id.clone()).collect();
    let all: Vec<&Model> = models.iter().collect();
    if all.is_empty() {
        return Err(WrongModel::None);
    }
    let Some(asked) = asked else {
        // An adapter is measured only where it is asked for.
        let whole: Vec<&Model> = all.iter().filter(|model| model.parent.is_none()).copied().collect();
        return match whole[..] {
            [model] => Ok(Chosen { model: model.clone(), note: None }),
            _ => Err(WrongModel::Ambiguous { asked: None, served: names(&all) }),
        };
    };
    if let Some(model) = all.iter().find(|model| model.id == asked) {
        return Ok(Chosen { model: (*model).clone(), note: None });
    }
    let alike = |model: &&&Model| {
        let root = model.root.as_deref().unwrap_or(&model.id);
        root == asked || bare(&model.id) == bare(asked) || bare(root) == bare(asked)
    };
    let found: Vec<&Model> = all.iter().filter(alike).copied().collect();
    match found[..] {
        [model] => Ok(Chosen {
            model: model.clone(),
            note: Some(format!("`{asked}` is served under the name `{}`", model.id)),
        }),
        [] => Err(WrongModel::NotServed { asked: asked.to_owned(), served: names(&all) }),
        _ => Err(WrongModel::Ambiguous { asked: Some(asked.to_owned()), served: names(&found) }),
    }
}

/// A name without organisation, folders, the ending of a GGUF file and case.
fn bare(name: &str) -> String {
    let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).to_lowercase();
    name.strip_suffix(".gguf").unwrap_or(&name).to_owned()
}

/// Ask a server what it is. What it does not say stays unknown, which is no error. `models` are its own.
///
/// SGLang has `/server_info` (0.5.23; 0.5.4.post2 only `/get_server_info`, since deprecated), llama.cpp has
/// `/props`, vLLM `/version`.
pub(crate) async fn view(endpoints: &Endpoints, models: &[Model]) -> ServerView {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let seen = |runtime: &str, version, info: Option<Value>| ServerView {
        runtime: runtime.to_owned(),
        version,
        info: info.map(|info| without_secrets(info, endpoints.target().api_key.as_ref())),
        samples: Vec::new(),
    };
    let owned_by = |owner: &str| models.iter().any(|model| model.owned_by.as_deref() == Some(owner));
    for path in ["/server_info", "/get_server_info"] {
        let Some(info) = object(endpoints, path).await else { continue };
        let version = text(&info, "version");
        if info.get("server").is_some_and(|server| server == "sparkbench-mock") {
            return seen("sparkbench-mock", version, Some(info));
        }
        if info.get("internal_states").is_some() || info.get("model_path").is_some() {
            return seen("sglang", version, Some(info));
        }
        // vLLM has the endpoint in its development mode.
        if info.get("vllm_config").is_some() {
            let version = object(endpoints, "/version").await.and_then(|answer| text(&answer, "version"));
            return seen("vllm", version, Some(info));
        }
    }
    if let Some(info) = object(endpoints, "/props").await
        && (info.get("build_info").is_some() || info.get("default_generation_settings").is_some())
    {
        return seen("llama.cpp", text(&info, "build_info"), Some(info));
    }
    let answer = object(endpoints, "/version").await;
    let version = answer.as_ref().and_then(|answer| text(answer, "version"));
    match version.is_some() && owned_by("vllm") {
        true => seen("vllm", version, answer),
        false => seen("unknown", version, answer),
    }
}

async fn object(endpoints: &Endpoints, path: &str) -> Option<Value> {
    endpoints.get::<Value>(path).await.ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn models(list: Value) -> Vec<Model> {
        serde_json::from_value(list).unwrap()
    }

    #[test]
    fn the_only_model_is_chosen_and_adapters_only_by_name() {
        let one = models(json!([{"id": "base"}, {"id": "lora", "parent": "base", "max_model_len": null}]));
        assert_eq!(choose(&one, None).unwrap().model.id, "base");
        assert_eq!(choose(&one, Some("lora")).unwrap().model.id, "lora");
        let two = models(json!([{"id": "a"}, {"id": "b"}]));
        let error = choose(&two, None).unwrap_err();
        assert!(error.to_string().contains("`a`, `b`") && error.kind() == Kind::Input, "{error}");
        assert_eq!(choose(&[], None).unwrap_err().kind(), Kind::Environment);
    }

    #[test]
    fn a_name_without_its_organisation_is_accepted_and_said() {
        let served = models(json!([{"id": "zai-org/GLM-4.7-FP8"}, {"id": "alias", "root": "/m/tiny.gguf"}]));
        let chosen = choose(&served, Some("GLM-4.7-FP8")).unwrap();
        assert_eq!(chosen.model.id, "zai-org/GLM-4.7-FP8");
        assert!(chosen.note.unwrap().contains("`zai-org/GLM-4.7-FP8`"));
        assert_eq!(choose(&served, Some("/m/tiny.gguf")).unwrap().model.id, "alias");
        assert_eq!(choose(&served, Some("tiny")).unwrap().model.id, "alias");
        assert_eq!(choose(&served, Some("alias")).unwrap().note, None);
    }

    #[test]
    fn a_model_that_is_not_served_names_those_that_are() {
        let served = models(json!([{"id": "zai-org/GLM-4.7-FP8"}, {"id": "openai/gpt-oss-120b"}]));
        let error = choose(&served, Some("GLM-4.6-FP8")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`GLM-4.6-FP8`") && text.contains("`openai/gpt-oss-120b`"), "{text}");
        assert_eq!(error.kind(), Kind::Input);
        assert_eq!(error.hint().unwrap(), "give --model zai-org/GLM-4.7-FP8");
        let twins = models(json!([{"id": "a/m"}, {"id": "b/m"}]));
        let text = choose(&twins, Some("m")).unwrap_err().to_string();
        assert!(text.contains("`m`") && text.contains("`a/m`, `b/m`"), "{text}");
    }
}
