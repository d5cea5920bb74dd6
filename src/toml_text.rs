//! TOML into plain data, with errors that say where it is wrong.

use std::fmt;

use serde::de::DeserializeOwned;
use toml::de::{DeArray, DeTable};

use crate::spelling::plainly;

/// Text that is no TOML, an unknown field, or a value of the wrong form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadToml {
    /// The field and the line, as far as they are known.
    pub place: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// What `text` holds.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, BadToml> {
    read(text, place)
}

/// The same of a text that may hold secrets: no error repeats a value, but for what `T` itself says of one.
pub(crate) fn from_confidential_toml<T: DeserializeOwned>(text: &str) -> Result<T, BadToml> {
    let line_alone = |text: &str, error: &toml::de::Error| {
        format!("line {}", line_at(text, error.span().unwrap_or_default().start))
    };
    read(text, line_alone).map_err(|BadToml { place, message }| {
        // serde: `invalid type: string "hush", expected a sequence`.
        let begin = message.find("string \"").map(|at| at + "string".len());
        let message = match begin.zip(message.rfind("\", expected")) {
            Some((begin, end)) if begin < end => format!("{}{}", &message[..begin], &message[end + 1..]),
            _ => message,
        };
        BadToml { place, message }
    })
}

fn read<T: DeserializeOwned>(
    text: &str,
    place: impl Fn(&str, &toml::de::Error) -> String,
) -> Result<T, BadToml> {
    let bad = |place: String, error: &toml::de::Error| BadToml { place, message: plainly(error.message()) };
    let document = toml::Deserializer::parse(text).map_err(|error| bad(place(text, &error), &error))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        // The path of a missing field is the table it is missing from; `.` is the whole file.
        let place = match field.as_str() {
            "." if inner.message().starts_with("missing field") => "top level".to_owned(),
            "." => place(text, &inner),
            _ => format!("field `{field}`, {}", place(text, &inner)),
        };
        bad(place, &inner)
    })
}

/// A step on the way from a document to one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldPart {
    /// Into a table.
    Key(String),
    /// Into an array, from 0.
    At(usize),
}

/// Where a value stands: `nodes[2].env.A`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field(Vec<FieldPart>);

impl Field {
    /// A value of the document itself.
    pub(crate) fn top(key: &str) -> Self {
        Self(vec![FieldPart::Key(key.to_owned())])
    }

    /// What is `key` in this table.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.then(FieldPart::Key(key.to_owned()))
    }

    /// What is at `index` of this array.
    pub(crate) fn at(&self, index: usize) -> Self {
        self.then(FieldPart::At(index))
    }

    fn then(&self, part: FieldPart) -> Self {
        Self(self.0.iter().cloned().chain([part]).collect())
    }

    /// The line of `text` it is on, from 1; of what would hold it where it is not there.
    pub(crate) fn line(&self, text: &str) -> usize {
        let Ok(document) = DeTable::parse(text) else { return 1 };
        let mut start = 0;
        let document = document.into_inner();
        let mut table = Some(&document);
        let mut array = None;
        for part in &self.0 {
            let found = match part {
                FieldPart::Key(wanted) => table.and_then(|table| {
                    table.iter().find(|(key, _)| key.get_ref() == wanted).map(|(key, value)| {
                        let from = key.span().start;
                        (from, value.get_ref())
                    })
                }),
                FieldPart::At(index) => array
                    .and_then(|array: &DeArray<'_>| array.get(*index))
                    .map(|value| (value.span().start, value.get_ref())),
            };
            let Some((from, value)) = found else { break };
            start = from;
            table = value.as_table();
            array = value.as_array();
        }
        line_at(text, start)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            match part {
                FieldPart::Key(key) if at == 0 => f.write_str(key)?,
                FieldPart::Key(key) => write!(f, ".{key}")?,
                FieldPart::At(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The line of `text` on which its byte `at` is, from 1.
fn line_at(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1
}

/// The line an error is on and the text it is about.
fn place(text: &str, error: &toml::de::Error) -> String {
    // Long or many-lined excerpts would hide the message.
    const EXCERPT: usize = 40;
    let span = error.span().unwrap_or_default();
    let line = line_at(text, span.start);
    match text.get(span).map(str::trim) {
        Some(part) if !part.is_empty() && part.len() <= EXCERPT && !part.contains('\n') => {
            format!("line {line} at `{part}`")
        }
        _ => format!("line {line}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_may_be_secret_is_not_repeated() {
        let read = |text| from_confidential_toml::<BTreeMap<String, u32>>(text).unwrap_err();
        let error = read("a = 1\nb = \"hush \\\" hush\"\n");
        assert_eq!(error.place, "field `b`, line 2");
        let expected = "invalid type: string, expected a whole number from 0 to 4294967295";
        assert_eq!(error.message, expected);
        for text in ["a = hush://hush\n", "a = \"hush\n", "a = { hush", "a = 1 hush"] {
            let error = read(text);
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
    }

    #[test]
    fn a_value_has_its_line() {
        let text = "a = 1\n\n[b]\n# c\nc.d = 2\n[[e]]\nf = 3\n[[e]]\n\ng = [\n1,\n2]\n";
        let e = |at| Field::top("e").at(at);
        let lines = [
            (Field::top("a"), "a", 1),
            (Field::top("b"), "b", 3),
            (Field::top("b").key("c").key("d"), "b.c.d", 5),
            (e(0), "e[0]", 6),
            (e(1), "e[1]", 8),
            (e(0).key("f"), "e[0].f", 7),
            (e(1).key("g").at(1), "e[1].g[1]", 12),
            // What is not there would be in what is.
            (e(1).key("h"), "e[1].h", 8),
            (Field::top("z").key("a"), "z.a", 1),
        ];
        for (field, shown, line) in lines {
            assert_eq!((field.to_string().as_str(), field.line(text)), (shown, line));
        }
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let read = |text| from_toml::<BTreeMap<String, BTreeMap<String, u32>>>(text);
        assert_eq!(read("[a]\nb = 1\n").unwrap()["a"]["b"], 1);
        let place = |text| read(text).unwrap_err().place;
        assert_eq!(place("[a]\nb = \n"), "line 2");
        assert_eq!(place("[a]\nb = 1\n\nc = \"x\"\n"), "field `a.c`, line 4 at `\"x\"`");
        let long = format!("[a]\nb = \"{}\"\n", "x".repeat(50));
        assert_eq!(place(&long), "field `a.b`, line 2");
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Two {
            #[expect(dead_code, reason = "it is missing")]
            b: u32,
        }
        assert_eq!(from_toml::<Two>("\n").unwrap_err().place, "top level");
        assert_eq!(from_toml::<Two>("\nc = 1\n").unwrap_err().place, "field `c`, line 2 at `c`");
    }
}
