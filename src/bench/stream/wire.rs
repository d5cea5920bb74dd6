//! What the protocols share: counts, the text of a field, the one choice that is read, errors.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::words::{WORDS, harmless};

/// What one event says, whatever its protocol.
#[derive(Debug, Default)]
pub(super) struct Update<'a> {
    /// It speaks of the answer: text, a role or a finish, not usage alone.
    pub(super) spoken: bool,
    /// It carries output of any kind.
    pub(super) output: bool,
    /// The answer's text in it, as JSON.
    pub(super) text: Option<&'a RawValue>,
    /// Why the server stopped, as JSON: a word, or SGLang's object with `type` and `message`.
    pub(super) finish: Option<&'a RawValue>,
    pub(super) figures: Figures,
}

/// What the server says it counted. A later event's figure replaces an earlier one's.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Figures {
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
    Json(serde_json::Error),
}

impl From<serde_json::Error> for BadEvent {
    fn from(error: serde_json::Error) -> Self {
        BadEvent::Json(error)
    }
}

impl Figures {
    pub(super) fn update(&mut self, later: &Figures) {
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

/// One event's JSON. Text that is known to be UTF-8 as a whole is not asked again string by string; what is not
/// may still be JSON where nobody looks at it.
pub(super) fn parse<'a, T: Deserialize<'a>>(data: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(data) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(data),
    }
}

/// A count of tokens. What is no whole number from 0 up is no count, and no reason to fail a request.
pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    from.deserialize_any(Number).map(|number| {
        number.filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n.min(f64::from(u32::MAX)) as u32)
    })
}

/// A number, where it is one.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    from.deserialize_any(Number)
}

struct Number;

impl<'de> Visitor<'de> for Number {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything; a number counts")
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Whether a field holds anything: not null, nor an empty text, list or object.
pub(super) fn holds(value: Option<&RawValue>) -> bool {
    let Some(value) = value else { return false };
    let json = value.get();
    match json.as_bytes() {
        [b'"', b'"'] => false,
        [b'[' | b'{', within @ .., _] => within.iter().any(|byte| !byte.is_ascii_whitespace()),
        _ => json != "null",
    }
}

/// A choice that says which of several answers it belongs to.
pub(super) trait Choice {
    fn index(&self) -> Option<u32>;
}

/// Of a list of choices the one that is read: the first answer's. Others (`n` above 1) are stepped over.
#[derive(Debug)]
pub(super) struct FirstChoice<C> {
    pub(super) choice: Option<C>,
    /// There was a list, were it empty.
    pub(super) listed: bool,
}

impl<C> Default for FirstChoice<C> {
    fn default() -> Self {
        Self { choice: None, listed: false }
    }
}

impl<'de, C: Choice + Deserialize<'de>> Deserialize<'de> for FirstChoice<C> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Choices(PhantomData))
    }
}

struct Choices<C>(PhantomData<C>);

impl<'de, C: Choice + Deserialize<'de>> Visitor<'de> for Choices<C> {
    type Value = FirstChoice<C>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(FirstChoice::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut first = None;
        while let Some(choice) = seq.next_element::<C>()? {
            if first.is_none() && choice.index().unwrap_or(0) == 0 {
                first = Some(choice);
            }
        }
        Ok(FirstChoice { choice: first, listed: true })
    }
}

/// Why the server stopped: its word, and what it says beside it.
pub(super) fn finish_reason(json: &RawValue) -> Option<(String, Option<String>)> {
    match serde_json::from_str(json.get()).ok()? {
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
