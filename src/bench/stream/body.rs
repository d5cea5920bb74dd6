//! A request's body.
//!
//! Chosen once for all servers:
//!
//! - `stream_options.continuous_usage_stats` makes SGLang (read: `StreamOptions` of `openai/protocol.py` in
//!   0.5.4.post2 and 0.5.23) and vLLM count tokens in every event. A server that refuses a field it does not
//!   know can be given its own `stream_options` in `extra_body`.
//! - `max_tokens`, not `max_completion_tokens`: it is the name both of OpenAI's protocols have.
//! - No `min_tokens`: `ignore_eos` already keeps a server from stopping early, and SGLang works over the
//!   logits of every step for it (read: `penaltylib/min_new_tokens.py`, 0.5.23), which would be measured.
//!   Where a server needs it, `extra_body` takes it.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use crate::bench::conversation::{ChatMessage, Prompt, Turn};
use crate::bench::plan::{Protocol, Sampling};
use crate::failure::{Failure, Kind};

/// An earlier turn of a conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exchange<'a> {
    /// What was asked.
    pub prompt: &'a Prompt,
    /// What the server answered.
    pub answer: &'a str,
}

/// A request that its protocol cannot carry, or whose answer could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Chat messages where only text or token ids go.
    #[error("protocol `{}` takes a text or token ids, not chat messages", name(*.protocol))]
    Messages {
        /// The protocol asked for.
        protocol: Protocol,
    },
    /// Token ids in a chat.
    #[error("protocol `chat` takes a text or chat messages, not token ids")]
    Tokens,
    /// An answer's text cannot follow token ids.
    #[error("a conversation of several turns takes texts, not token ids: answers come back as text")]
    TokensInHistory,
    /// A field of `extra_body` that would make answers unreadable.
    #[error("extra_body: `{field}` is {value}; {accepted}")]
    ExtraBody {
        /// Where in `extra_body`.
        field: &'static str,
        /// What it was given as.
        value: String,
        /// What would do.
        accepted: &'static str,
    },
}

impl Failure for BadBody {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            BadBody::Messages { .. } => Some("use protocol `chat`, which applies the chat template".into()),
            BadBody::Tokens => Some("use protocol `completions` or `generate`".into()),
            BadBody::TokensInHistory | BadBody::ExtraBody { .. } => None,
        }
    }
}

/// The body of one request, JSON. `history` is the conversation's earlier turns, oldest first: messages of a
/// chat; elsewhere texts, one after the other with nothing between.
///
/// Fields of `sampling.extra_body` take the place of those here. For `Protocol::Generate`, those of its
/// `sampling_params` are put among ours. `model` goes to OpenAI's protocols only.
///
/// # Errors
/// A prompt the protocol cannot carry, and what [`check_extra_body`] says.
pub fn body(
    protocol: Protocol,
    model: &str,
    history: &[Exchange<'_>],
    turn: &Turn,
    sampling: &Sampling,
) -> Result<Vec<u8>, BadBody> {
    check_extra_body(protocol, sampling)?;
    let mut fields: Vec<(&str, Field<'_>)> = Vec::new();
    if protocol != Protocol::Generate {
        fields.push(("model", Field::Text(model)));
    }
    let whole_text;
    match (protocol, &turn.prompt) {
        (Protocol::Chat, _) => fields.push(("messages", Field::Messages(messages(history, &turn.prompt)?))),
        (_, Prompt::Messages(_)) => return Err(BadBody::Messages { protocol }),
        (_, Prompt::Tokens(_)) if !history.is_empty() => return Err(BadBody::TokensInHistory),
        (Protocol::Completions, Prompt::Tokens(ids)) => fields.push(("prompt", Field::Tokens(ids))),
        (Protocol::Generate, Prompt::Tokens(ids)) => fields.push(("input_ids", Field::Tokens(ids))),
        (_, Prompt::Text(text)) => {
            whole_text = joined(protocol, history, text)?;
            let field = if protocol == Protocol::Generate { "text" } else { "prompt" };
            fields.push((field, Field::Text(&whole_text)));
        }
    }
    let extra = &sampling.extra_body;
    if protocol == Protocol::Generate {
        let mut params = Map::new();
        params.insert("max_new_tokens".into(), turn.output_tokens.into());
        params.insert("temperature".into(), sampling.temperature.into());
        params.insert("ignore_eos".into(), sampling.ignore_eos.into());
        if let Some(given) = extra.get("sampling_params").and_then(Value::as_object) {
            params.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        fields.push(("sampling_params", Field::Value(Value::Object(params))));
        fields.push(("stream", Field::Value(true.into())));
    } else {
        let options = json!({ "include_usage": true, "continuous_usage_stats": true });
        fields.push(("max_tokens", Field::Value(turn.output_tokens.into())));
        fields.push(("temperature", Field::Value(sampling.temperature.into())));
        fields.push(("ignore_eos", Field::Value(sampling.ignore_eos.into())));
        fields.push(("stream", Field::Value(true.into())));
        fields.push(("stream_options", Field::Value(options)));
    }
    let written = serde_json::to_vec(&Body { protocol, fields, extra });
    Ok(written.expect("texts, numbers and JSON values with text keys can always be written"))
}

/// Whether answers could be read with these extra fields: they must be streamed, and one to a request.
///
/// # Errors
/// The first field with which they could not.
pub fn check_extra_body(protocol: Protocol, sampling: &Sampling) -> Result<(), BadBody> {
    const ONE: &str = "only one answer to a request is read: leave it out";
    let extra = &sampling.extra_body;
    let refuse = |field, value: &Value, accepted| {
        Err(BadBody::ExtraBody { field, value: value.to_string(), accepted })
    };
    if let Some(stream) = extra.get("stream").filter(|stream| **stream != true) {
        return refuse("stream", stream, "answers are always streamed: leave it out");
    }
    if let Some(n) = extra.get("n").filter(|n| **n != 1) {
        return refuse("n", n, ONE);
    }
    if let Some(best_of) = extra.get("best_of").filter(|best_of| **best_of != 1) {
        return refuse("best_of", best_of, ONE);
    }
    match extra.get("sampling_params") {
        Some(Value::Object(params)) if protocol == Protocol::Generate => match params.get("n") {
            Some(n) if *n != 1 => refuse("sampling_params.n", n, ONE),
            _ => Ok(()),
        },
        Some(other) if protocol == Protocol::Generate => {
            refuse("sampling_params", other, "give an object, such as {\"top_k\": 1}")
        }
        _ => Ok(()),
    }
}

fn messages<'a>(history: &[Exchange<'a>], prompt: &'a Prompt) -> Result<Vec<Said<'a>>, BadBody> {
    let mut said = Vec::new();
    for exchange in history {
        ask(exchange.prompt, &mut said)?;
        said.push(Said { role: "assistant", content: exchange.answer });
    }
    ask(prompt, &mut said)?;
    Ok(said)
}

fn ask<'a>(prompt: &'a Prompt, said: &mut Vec<Said<'a>>) -> Result<(), BadBody> {
    match prompt {
        Prompt::Text(text) => said.push(Said { role: "user", content: text }),
        Prompt::Messages(messages) => said.extend(messages.iter().map(Said::from)),
        Prompt::Tokens(_) => return Err(BadBody::Tokens),
    }
    Ok(())
}

fn joined(protocol: Protocol, history: &[Exchange<'_>], text: &str) -> Result<String, BadBody> {
    let mut whole = String::new();
    for exchange in history {
        match exchange.prompt {
            Prompt::Text(question) => whole.push_str(question),
            Prompt::Messages(_) => return Err(BadBody::Messages { protocol }),
            Prompt::Tokens(_) => return Err(BadBody::TokensInHistory),
        }
        whole.push_str(exchange.answer);
    }
    whole.push_str(text);
    Ok(whole)
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat => "chat",
        Protocol::Completions => "completions",
        Protocol::Generate => "generate",
    }
}

/// Our fields, and the plan's own in their place.
struct Body<'a> {
    protocol: Protocol,
    fields: Vec<(&'static str, Field<'a>)>,
    extra: &'a Map<String, Value>,
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Field<'a> {
    Text(&'a str),
    Tokens(&'a [u32]),
    Messages(Vec<Said<'a>>),
    Value(Value),
}

#[derive(serde::Serialize)]
struct Said<'a> {
    role: &'a str,
    content: &'a str,
}

impl<'a> From<&'a ChatMessage> for Said<'a> {
    fn from(message: &'a ChatMessage) -> Self {
        Said { role: &message.role, content: &message.content }
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Already among ours.
        let merged = |name: &str| self.protocol == Protocol::Generate && name == "sampling_params";
        let mut map = to.serialize_map(None)?;
        for (name, field) in &self.fields {
            if merged(name) || !self.extra.contains_key(*name) {
                map.serialize_entry(name, field)?;
            }
        }
        for (name, value) in self.extra.iter().filter(|(name, _)| !merged(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
