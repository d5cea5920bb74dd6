//! A request to generate, of any of the protocols.

use serde_json::Value;

use super::scenario::Scenario;
use super::tokens::{self, Template};

/// Tokens generated where a request does not say: OpenAI's old default for completions.
const DEFAULT_TOKENS: u32 = 16;

/// The protocol a request came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Chat,
    Completions,
    Generate,
}

/// A request to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) dialect: Dialect,
    pub(super) prompt_tokens: u32,
    pub(super) tokens: u32,
    /// Why the answer ends: `length` or `stop`.
    pub(super) finish: &'static str,
    pub(super) stream: bool,
    pub(super) final_usage: bool,
    pub(super) running_usage: bool,
}

impl Dialect {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Dialect::Chat),
            "/v1/completions" => Some(Dialect::Completions),
            "/generate" => Some(Dialect::Generate),
            _ => None,
        }
    }
}

/// Read a request's body. The error is what the client is told, with status 400.
pub(super) fn read(dialect: Dialect, body: &[u8], scenario: &Scenario) -> Result<Wanted, String> {
    let (model, longest, template) = (&scenario.model, scenario.max_model_len, template(scenario));
    let body: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let prompt_tokens = match dialect {
        Dialect::Chat => tokens::count_messages(&body["messages"], template)
            .ok_or("`messages` must be a list of objects with `role` and `content`")?,
        Dialect::Completions => tokens::count_prompt(&body["prompt"], template)
            .ok_or("`prompt` must be a text or a list of token ids, and one alone")?,
        Dialect::Generate => {
            let prompt = if body["text"].is_null() { &body["input_ids"] } else { &body["text"] };
            tokens::count_prompt(prompt, template)
                .ok_or("`text` must be a text, or `input_ids` a list of token ids")?
        }
    };
    if dialect != Dialect::Generate
        && let Some(asked) = body["model"].as_str()
        && asked != model
    {
        return Err(format!("The model `{asked}` does not exist."));
    }
    if !(body["n"].is_null() || body["n"] == 1) {
        return Err("the mock gives one answer: `n` must be 1".into());
    }
    let wanted = match dialect {
        Dialect::Generate => &body["sampling_params"]["max_new_tokens"],
        _ if !body["max_completion_tokens"].is_null() => &body["max_completion_tokens"],
        _ => &body["max_tokens"],
    };
    let tokens = match wanted {
        Value::Null => DEFAULT_TOKENS,
        number => number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| *number > 0)
            .ok_or_else(|| format!("the number of tokens to generate must be positive, not {number}"))?,
    };
    if prompt_tokens.saturating_add(tokens) > longest {
        return Err(format!(
            "This model's maximum context length is {longest} tokens. However, you requested {} tokens \
             ({prompt_tokens} in the prompt, {tokens} in the completion).",
            u64::from(prompt_tokens) + u64::from(tokens)
        ));
    }
    let ignore_eos = match dialect {
        Dialect::Generate => &body["sampling_params"]["ignore_eos"],
        _ => &body["ignore_eos"],
    };
    let stop = scenario.stop_after.filter(|stop| *stop < tokens && ignore_eos != &Value::Bool(true));
    let option = |name: &str| body["stream_options"][name].as_bool().unwrap_or(false);
    Ok(Wanted {
        dialect,
        prompt_tokens,
        tokens: stop.unwrap_or(tokens),
        finish: if stop.is_some() { "stop" } else { "length" },
        stream: body["stream"].as_bool().unwrap_or(false),
        final_usage: option("include_usage"),
        running_usage: option("continuous_usage_stats"),
    })
}

/// Tokens that requests have beside their text.
pub(super) fn template(scenario: &Scenario) -> Template {
    Template { bos: scenario.bos_tokens, message: scenario.message_tokens, answer: scenario.answer_tokens }
}
