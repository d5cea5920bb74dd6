//! Requests from JSON lines, in the file's order.
//!
//! A line holds `prompt` (a text or token ids) or `messages`, or has them in `body` as OpenAI's batch files
//! do; and `output_tokens`, `max_tokens` or `max_completion_tokens`. Other fields are passed by.

use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::file::BadFile;
use crate::bench::conversation::{ChatMessage, Prompt};
use crate::bench::plan::Protocol;
use crate::fs::{ReadError, read_line_at_most};

/// The longest line: a million tokens of text are about 5 MB.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// The roles of chat messages.
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// A request of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonlEntry {
    pub(super) prompt: Prompt,
    pub(super) output_tokens: u32,
}

#[derive(Deserialize)]
struct Line {
    body: Option<Box<Line>>,
    prompt: Option<Value>,
    messages: Option<Vec<Said>>,
    output_tokens: Option<u32>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<TextPart>),
}

#[derive(Deserialize)]
struct TextPart {
    text: String,
}

/// Check every line, and keep the first `keep`. `otherwise` is the output length where a line has none.
pub(super) fn read(
    path: &Path,
    protocol: Protocol,
    otherwise: Option<u32>,
    keep: usize,
) -> Result<Vec<JsonlEntry>, BadFile> {
    let unreadable = |source| BadFile::Unreadable { path: path.to_owned(), source };
    let mut reader = BufReader::new(std::fs::File::open(path).map_err(unreadable)?);
    let (mut entries, mut bytes) = (Vec::new(), Vec::new());
    for line in 1.. {
        let bad = |problem| BadFile::Line { path: path.to_owned(), line, problem };
        read_line_at_most(&mut reader, MAX_LINE, &mut bytes).map_err(|error| match error {
            ReadError::Io(source) => unreadable(source),
            ReadError::TooLarge { limit, .. } => bad(format!("it is longer than {limit} bytes")),
        })?;
        if bytes.is_empty() {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let entry = entry(&bytes, protocol, otherwise).map_err(bad)?;
        if entries.len() < keep {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn entry(line: &[u8], protocol: Protocol, otherwise: Option<u32>) -> Result<JsonlEntry, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let line: Line = serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    let (outer, line) = match line.body {
        Some(body) => (line.output_tokens, *body),
        None => (None, line),
    };
    let given = outer.or(line.output_tokens).or(line.max_tokens).or(line.max_completion_tokens);
    let output_tokens = match given.or(otherwise) {
        Some(0) => return Err("output tokens are 0; at least 1 must be asked for".into()),
        Some(tokens) => tokens,
        None => return Err("it has no `output_tokens`, and the plan gives none for all lines".into()),
    };
    let prompt = match (line.prompt, line.messages) {
        (Some(_), Some(_)) => return Err("it has both `prompt` and `messages`; give one".into()),
        (None, None) => return Err("it has neither `prompt` nor `messages`".into()),
        (Some(prompt), None) => text_or_ids(prompt)?,
        (None, Some(said)) => Prompt::Messages(messages(said)?),
    };
    match (&prompt, protocol) {
        (Prompt::Messages(_), Protocol::Completions | Protocol::Generate) => {
            Err("`messages` go to protocol `chat` only; give `prompt`, or use protocol chat".into())
        }
        (Prompt::Tokens(_), Protocol::Chat) => {
            Err("token ids go to protocol `completions` or `generate` only; give a text or `messages`".into())
        }
        _ => Ok(JsonlEntry { prompt, output_tokens }),
    }
}

fn text_or_ids(prompt: Value) -> Result<Prompt, String> {
    const ACCEPTED: &str = "give a text or a list of token ids";
    match prompt {
        Value::String(text) if text.is_empty() => Err(format!("`prompt` is empty; {ACCEPTED}")),
        Value::String(text) => Ok(Prompt::Text(text)),
        Value::Array(ids) if ids.is_empty() => Err(format!("`prompt` is an empty list; {ACCEPTED}")),
        Value::Array(ids) => {
            let id = |id: &Value| {
                let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
                number.ok_or_else(|| format!("`prompt` holds {id}, which is no token id; {ACCEPTED}"))
            };
            ids.iter().map(id).collect::<Result<_, _>>().map(Prompt::Tokens)
        }
        other => Err(format!("`prompt` is {other}; {ACCEPTED}")),
    }
}

fn messages(said: Vec<Said>) -> Result<Vec<ChatMessage>, String> {
    if said.is_empty() {
        return Err("`messages` is empty".into());
    }
    said.into_iter()
        .map(|said| {
            if !ROLES.contains(&said.role.as_str()) {
                return Err(format!("the role `{}` is none of {}", said.role, ROLES.join(", ")));
            }
            let content = match said.content {
                Content::Text(text) => text,
                Content::Parts(parts) => parts.into_iter().map(|part| part.text).collect(),
            };
            Ok(ChatMessage { role: said.role, content })
        })
        .collect()
}
