//! Where two JSON values first differ.

use serde_json::Value;

/// The first place where two values differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Dotted path to it.
    pub path: String,
    /// What stands there in the first, as JSON.
    pub first: String,
    /// What stands there in the second, as JSON.
    pub second: String,
}

/// The first difference, in the first value's order of fields. A field that is absent is as good as null.
pub(crate) fn first_difference(first: &Value, second: &Value) -> Option<Difference> {
    below(String::new(), first, second)
}

fn below(path: String, first: &Value, second: &Value) -> Option<Difference> {
    match (first, second) {
        (Value::Object(a), Value::Object(b)) => {
            let absent = Value::Null;
            a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).find_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                below(path, a.get(key).unwrap_or(&absent), b.get(key).unwrap_or(&absent))
            })
        }
        _ if first == second => None,
        _ => Some(Difference { path, first: first.to_string(), second: second.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_path_leads_to_the_first_difference() {
        let (a, b) = (json!({"x": 1, "s": {"e": 160, "n": null}}), json!({"s": {"e": 161}, "x": 1}));
        let found = first_difference(&a, &b).unwrap();
        assert_eq!((found.path.as_str(), found.first.as_str(), found.second.as_str()), ("s.e", "160", "161"));
        assert_eq!(first_difference(&json!({"a": null}), &json!({})), None);
        assert_eq!(first_difference(&json!({}), &json!({"new": 2})).unwrap().path, "new");
    }
}
