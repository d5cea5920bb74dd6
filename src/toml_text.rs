//! TOML into plain data, with errors that say where it is wrong.

use serde::de::DeserializeOwned;

use crate::spelling::plainly;

/// Text that is no TOML, an unknown field, or a value of the wrong form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadToml {
    /// The field and the line, as far as they are known.
    pub place: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// What `text` holds.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, BadToml> {
    let line = |error: &toml::de::Error| {
        let start = error.span().unwrap_or_default().start;
        format!("line {}", text.get(..start).map_or(0, |before| before.matches('\n').count()) + 1)
    };
    let bad = |place: String, error: &toml::de::Error| BadToml { place, message: plainly(error.message()) };
    let document = toml::Deserializer::parse(text).map_err(|error| bad(line(&error), &error))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        let place = match field.as_str() {
            "." => line(&inner),
            _ => format!("field `{field}`, {}", line(&inner)),
        };
        bad(place, &inner)
    })
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
        assert_eq!(place("[a]\nb = 1\n\nc = \"x\"\n"), "field `a.c`, line 4");
    }
}
