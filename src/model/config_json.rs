//! Reading a model's `config.json`, strictly enough that no later step meets a surprise.
//!
//! The file comes from the network or from a stranger's disk. It is capped in size before it is
//! parsed, nesting is capped by the parser, and every number is checked where it is taken out.

use serde_json::{Map, Value};

use super::limits::{MAX_CONFIG_BYTES, MAX_COUNT};
use crate::failure::{Failure, Kind};

/// Where a multimodal config keeps its language model. `text_config` is what SGLang's tuner reads;
/// SGLang maps the other two to it (`language_config`: DeepSeek-OCR, `llm_config`: NVILA and kin).
const TEXT_SECTIONS: [&str; 3] = ["text_config", "language_config", "llm_config"];

/// A parsed `config.json` with the name of where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    origin: String,
    root: Map<String, Value>,
    text: Option<&'static str>,
}

/// What is wrong with a `config.json`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// More bytes than [`MAX_CONFIG_BYTES`].
    #[error("{origin}: more than {MAX_CONFIG_BYTES} bytes; a config.json is a few kilobytes")]
    TooLarge { origin: String },
    /// No bytes, or only white space.
    #[error("{origin}: the file is empty; expected a JSON object")]
    Empty { origin: String },
    /// Not JSON, or cut off.
    #[error("{origin}: not valid JSON: {message}")]
    Syntax {
        origin: String,
        /// What the parser says, with line and column.
        message: String,
    },
    /// JSON, but no object.
    #[error("{origin}: expected a JSON object at the top, found {found}")]
    NotAnObject {
        origin: String,
        /// What stands there.
        found: String,
    },
    /// A field of the wrong type or with a value outside what is accepted.
    #[error("{origin}: field `{field}`: expected {expected}, found {found}")]
    BadField {
        origin: String,
        /// The field, dotted where nested.
        field: String,
        /// What is accepted.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A field that must be there is not.
    #[error("{origin}: field `{field}` is missing; expected {expected}")]
    Missing {
        origin: String,
        /// The field, dotted where nested.
        field: String,
        /// What is accepted.
        expected: String,
    },
}

impl Failure for ConfigError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl ModelConfig {
    /// Parse the bytes of a `config.json`; `origin` names it in messages.
    pub fn parse(bytes: &[u8], origin: impl Into<String>) -> Result<Self, ConfigError> {
        let origin = origin.into();
        if bytes.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLarge { origin });
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(ConfigError::Empty { origin });
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(root)) => Self::from_object(root, origin),
            Ok(other) => Err(ConfigError::NotAnObject { origin, found: describe(&other) }),
            Err(error) => Err(ConfigError::Syntax { origin, message: error.to_string() }),
        }
    }

    /// Wrap an object that is already parsed, such as the `[config]` table of a recipe.
    pub fn from_object(root: Map<String, Value>, origin: impl Into<String>) -> Result<Self, ConfigError> {
        let mut config = Self { origin: origin.into(), root, text: None };
        for section in TEXT_SECTIONS {
            match config.root.get(section) {
                None | Some(Value::Null) => {}
                Some(Value::Object(_)) => {
                    config.text = Some(section);
                    break;
                }
                Some(other) => return Err(config.bad(section, "an object", other)),
            }
        }
        Ok(config)
    }

    /// Where the config came from: a path, an address or a recipe's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The document.
    pub(crate) fn document(&self) -> &Map<String, Value> {
        &self.root
    }

    /// The first entry of `architectures`: the model class the server looks up.
    pub fn architecture(&self) -> Result<&str, ConfigError> {
        let expected = "a list with the name of the model class";
        match self.root.get("architectures") {
            None | Some(Value::Null) => Err(self.missing("architectures", expected)),
            Some(Value::Array(names)) => match names.first() {
                Some(Value::String(name)) if !name.is_empty() => Ok(name),
                _ => Err(self.bad("architectures", expected, &Value::Array(names.clone()))),
            },
            Some(other) => Err(self.bad("architectures", expected, other)),
        }
    }

    /// A field of the language model's part, by a dotted path; null counts as absent.
    pub(super) fn text_field(&self, path: &str) -> Option<&Value> {
        let section = match self.text {
            Some(section) => self.root.get(section)?.as_object()?,
            None => &self.root,
        };
        walk(section, path)
    }

    /// A field of the top level, by a dotted path; null counts as absent.
    pub(super) fn root_field(&self, path: &str) -> Option<&Value> {
        walk(&self.root, path)
    }

    /// The full name of a field of the language model's part, for messages.
    pub(super) fn text_name(&self, path: &str) -> String {
        self.text.map_or_else(|| path.to_owned(), |section| format!("{section}.{path}"))
    }

    /// A count or size from the language model's part: an integer from 1 to [`MAX_COUNT`].
    pub(super) fn count(&self, path: &str) -> Result<Option<u32>, ConfigError> {
        self.text_field(path)
            .map(|value| count_of(value).ok_or_else(|| self.bad_count(&self.text_name(path), value)))
            .transpose()
    }

    /// Like [`count`](Self::count), but 0 is a value too and means "none".
    pub(super) fn count_or_zero(&self, path: &str) -> Result<Option<u32>, ConfigError> {
        match self.text_field(path) {
            Some(value) if value.as_u64() == Some(0) => Ok(Some(0)),
            _ => self.count(path),
        }
    }

    /// Whether the config itself says how it is quantised.
    pub(super) fn says_quantization(&self) -> bool {
        ["quantization_config", "compression_config"]
            .iter()
            .any(|name| self.root_field(name).is_some() || self.text_field(name).is_some())
    }

    /// Put `quantization_config` at the top level, as SGLang does with a ModelOpt checkpoint's
    /// separate `hf_quant_config.json`.
    pub(super) fn insert_quantization(&mut self, quantization: Map<String, Value>) {
        self.root.insert("quantization_config".to_owned(), Value::Object(quantization));
    }

    /// The error for a field with a value of the wrong kind.
    pub(super) fn bad(&self, field: &str, expected: &str, found: &Value) -> ConfigError {
        ConfigError::BadField {
            origin: self.origin.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found: describe(found),
        }
    }

    /// The error for something that should be a count and is not.
    pub(super) fn bad_count(&self, field: &str, found: &Value) -> ConfigError {
        self.bad(field, &format!("an integer from 1 to {MAX_COUNT}"), found)
    }

    /// The error for a field that must be there and is not.
    pub(super) fn missing(&self, field: &str, expected: &str) -> ConfigError {
        ConfigError::Missing {
            origin: self.origin.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
        }
    }
}

/// The value as a count, if it is an integer from 1 to [`MAX_COUNT`].
pub(super) fn count_of(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MAX_COUNT).contains(n))
}

fn walk<'a>(from: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.');
    let first = from.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.as_object()?.get(part)).filter(|value| !value.is_null())
}

/// A value in words, short enough for a message.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => format!("`{b}`"),
        Value::Number(n) => format!("`{n}`"),
        Value::String(s) => format!("the string `{}`", shorten(s)),
        Value::Array(items) => {
            let mut text = String::from("the list `[");
            for (i, item) in items.iter().enumerate() {
                if text.chars().count() > SHOWN {
                    text.push('…');
                    break;
                }
                let separator = if i > 0 { ", " } else { "" };
                match item {
                    Value::Array(_) => text.push_str(&format!("{separator}[…]")),
                    Value::Object(_) => text.push_str(&format!("{separator}{{…}}")),
                    Value::String(s) => text.push_str(&format!("{separator}\"{}\"", shorten(s))),
                    plain => text.push_str(&format!("{separator}{plain}")),
                }
            }
            text + "]`"
        }
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Characters of a foreign value that a message repeats.
const SHOWN: usize = 60;

/// The start of a foreign text, without control characters that could confuse a terminal.
pub(super) fn shorten(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = text.chars().take(SHOWN).map(clean).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> String {
        ModelConfig::parse(json.as_bytes(), "m/config.json").unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_object_is_refused_with_a_reason() {
        assert_eq!(message(""), "m/config.json: the file is empty; expected a JSON object");
        assert_eq!(message(" \n\t"), "m/config.json: the file is empty; expected a JSON object");
        assert_eq!(
            message("[1, 2]"),
            "m/config.json: expected a JSON object at the top, found the list `[1, 2]`"
        );
        assert!(message("{\"a\": 1").contains("EOF while parsing an object at line 1 column 7"));
        assert!(message(&"[".repeat(10_000)).contains("recursion limit"), "deep nesting is cut off");
        assert_eq!(
            message("{\"text_config\": [1]}"),
            "m/config.json: field `text_config`: expected an object, found the list `[1]`"
        );
    }

    #[test]
    fn too_large_is_refused_before_parsing() {
        let bytes = vec![b' '; MAX_CONFIG_BYTES + 1];
        assert!(matches!(ModelConfig::parse(&bytes, "big"), Err(ConfigError::TooLarge { .. })));
    }

    #[test]
    fn counts_are_integers_in_range() {
        for bad in
            ["-1", "0", "1.5", "8.0", "1e30", "1000001", "99999999999999999999", "\"8\"", "[8]", "true"]
        {
            let json = format!("{{\"text_config\": {{\"n\": {bad}}}}}");
            let config = ModelConfig::parse(json.as_bytes(), "c").unwrap();
            let error = config.count("n").unwrap_err().to_string();
            assert!(
                error.starts_with("c: field `text_config.n`: expected an integer from 1 to 1000000, found "),
                "{error}"
            );
        }
        let config = ModelConfig::parse(br#"{"n": 1000000, "m": null, "z": 0}"#, "c").unwrap();
        assert_eq!(config.count("n").unwrap(), Some(1_000_000));
        assert_eq!(config.count("m").unwrap(), None);
        assert_eq!(config.count_or_zero("z").unwrap(), Some(0));
    }

    #[test]
    fn architectures_must_be_a_list_of_names() {
        for bad in
            [r#"{"architectures": []}"#, r#"{"architectures": [7]}"#, r#"{"architectures": "X"}"#, "{}"]
        {
            let config = ModelConfig::parse(bad.as_bytes(), "c").unwrap();
            assert!(config.architecture().unwrap_err().to_string().contains("`architectures`"));
        }
    }

    #[test]
    fn foreign_text_is_shortened_and_defused() {
        let long = format!("{{\"text_config\": \"\\u001b[31m{}\"}}", "x".repeat(500));
        let text = message(&long);
        assert!(text.len() < 200 && !text.contains('\u{1b}'), "{text}");
    }
}
