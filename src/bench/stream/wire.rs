//! What the protocols share: counts, the text of a field, the one choice that is read, errors.

use serde_json::Value;

use super::json::{BadJson, Cursor};
use super::words::{WORDS, harmless};

/// What one event says, whatever its protocol.
#[derive(Debug, Default)]
pub(super) struct Update<'a> {
    /// It speaks of the answer: text, a role or a finish, not usage alone.
    pub(super) spoken: bool,
    /// It carries output of any kind.
    pub(super) output: bool,
    /// The answer's text in it, as JSON.
    pub(super) text: Option<&'a str>,
    /// Why the server stopped, as JSON: a word, or SGLang's object with `type` and `message`.
    pub(super) finish: Option<&'a str>,
    pub(super) figures: UsageFigures,
}

/// What the server says it counted. A later event's figure replaces an earlier one's.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct UsageFigures {
    pub(super) input_tokens: Option<u32>,
    /// Tokens generated so far.
    pub(super) output_tokens: Option<u32>,
    pub(super) cached_tokens: Option<u32>,
    pub(super) reasoning_tokens: Option<u32>,
    pub(super) speculation: Option<Speculation>,
}

/// What a speculative server says of its drafts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Speculation {
    /// Verification steps. SGLang's own accept length is generated tokens over these
    /// (`_calculate_spec_decoding_metrics` of its `tokenizer_manager.py`, 0.5.4.post2 and 0.5.23).
    Steps(u32),
    /// The length itself.
    Length(f64),
}

/// What is wrong with an event.
#[derive(Debug)]
pub(super) enum BadEvent {
    /// It is an error of the server's, in its words.
    Error(String),
    /// It is no JSON, or JSON of other types than the protocol has.
    Json(BadJson),
    /// It is no text.
    Utf8,
}

impl From<BadJson> for BadEvent {
    fn from(error: BadJson) -> Self {
        BadEvent::Json(error)
    }
}

impl UsageFigures {
    pub(super) fn update(&mut self, later: &UsageFigures) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cached_tokens = later.cached_tokens.or(self.cached_tokens);
        self.reasoning_tokens = later.reasoning_tokens.or(self.reasoning_tokens);
        self.speculation = later.speculation.or(self.speculation);
    }
}

impl Speculation {
    /// From SGLang's two figures. Servers that do not speculate give zeros, or none.
    pub(super) fn from_sglang(steps: Option<u32>, length: Option<f64>) -> Option<Self> {
        match (steps, length) {
            (Some(steps @ 1..), _) => Some(Speculation::Steps(steps)),
            (_, Some(length)) if length.is_finite() && length > 0.0 => Some(Speculation::Length(length)),
            _ => None,
        }
    }
}

/// One event's JSON, an object: `member` reads the value of each name.
pub(super) fn read_event<'a>(
    data: &'a [u8],
    member: impl FnMut(&'a str, &mut Cursor<'a>) -> Result<(), BadJson>,
) -> Result<(), BadEvent> {
    let mut cursor = Cursor::new(std::str::from_utf8(data).map_err(|_| BadEvent::Utf8)?);
    cursor.object(member)?;
    Ok(cursor.end()?)
}

/// Step over a value that nobody asks for.
pub(super) fn skip(cursor: &mut Cursor<'_>) -> Result<(), BadJson> {
    cursor.value().map(|_| ())
}

/// A count of tokens. What is no whole number from 0 up is no count, and no reason to fail a request.
pub(super) fn count(cursor: &mut Cursor<'_>) -> Result<Option<u32>, BadJson> {
    let value = cursor.value()?;
    // Up to nine digits fit; nearly all counts are such.
    if value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(value.bytes().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))));
    }
    let number = value.parse().ok().filter(|n: &f64| *n >= 0.0 && n.fract() == 0.0);
    Ok(number.map(|n| n.min(f64::from(u32::MAX)) as u32))
}

/// A number, where it is one.
pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Option<f64>, BadJson> {
    // No other kind of value is a number to Rust either: texts have quotes, and JSON has no words for infinity.
    Ok(cursor.value()?.parse().ok())
}

/// Whether a field holds anything: not null, nor an empty text, list or object.
pub(super) fn holds(value: Option<&str>) -> bool {
    let Some(value) = value else { return false };
    match value.as_bytes() {
        [b'"', b'"'] => false,
        [b'[' | b'{', within @ .., _] => within.iter().any(|byte| !byte.is_ascii_whitespace()),
        _ => value != "null",
    }
}

/// Why the server stopped: its word, and what it says beside it.
pub(super) fn finish_reason(json: &str) -> Option<(String, Option<String>)> {
    match serde_json::from_str(json).ok()? {
        Value::String(word) if !word.is_empty() => Some((harmless(word.as_bytes(), WORDS), None)),
        Value::Object(object) => {
            let field = |name: &str| object.get(name).and_then(Value::as_str);
            let message = field("message").map(|message| harmless(message.as_bytes(), WORDS));
            Some((harmless(field("type").unwrap_or("unknown").as_bytes(), WORDS), message))
        }
        _ => None,
    }
}

/// The server's words in an error, whichever shape they have: a text, or an object with `message` (or
/// FastAPI's `detail`), `type` and `code`, possibly below `error`. What has no such field is given as it is.
pub(super) fn error_words(json: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(json) else { return harmless(json, WORDS) };
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(&value);
    let words = match error {
        Value::String(words) => words.clone(),
        error => match ["message", "detail"].iter().find_map(|field| error.get(field)?.as_str()) {
            None | Some("") => error.to_string(),
            Some(message) => {
                let code = error.get("code").filter(|code| code.is_number() || code.is_string());
                match (error.get("type").and_then(Value::as_str), code) {
                    (Some(kind), Some(code)) => format!("{message} ({kind}, {code})"),
                    (Some(kind), None) => format!("{message} ({kind})"),
                    (None, Some(code)) => format!("{message} ({code})"),
                    (None, None) => message.to_owned(),
                }
            }
        },
    };
    harmless(words.as_bytes(), WORDS)
}
