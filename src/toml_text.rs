//! TOML into plain data, with errors that say where it is wrong.

use serde::de::DeserializeOwned;

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

/// The line an error is on and the text it is about.
fn place(text: &str, error: &toml::de::Error) -> String {
    // Long or many-lined excerpts would hide the message.
    const EXCERPT: usize = 40;
    let span = error.span().unwrap_or_default();
    let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1;
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
