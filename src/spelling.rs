//! What somebody meant who wrote something else, and a deserialiser's messages in plain words.

/// The candidate spelled most like `text`, if any is near.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below this two words have little more in common than letters.
    const ALIKE: f64 = 0.5;
    let text = text.to_lowercase();
    // The beginning of a word means that word: `input` is `input_tokens` without its unit.
    let begins = |candidate: &str| !text.is_empty() && candidate.starts_with(&text);
    let alike = |candidate: &str| match begins(candidate) {
        true => 1.0,
        false => strsim::normalized_damerau_levenshtein(&text, candidate),
    };
    candidates
        .into_iter()
        .map(|candidate| (alike(candidate), candidate))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// A deserialiser's message without the names of Rust types, on one line; for a word nobody knows, the
/// known one most like it goes first.
pub fn plainly(message: &str) -> String {
    let message = message
        .trim()
        .replace('\n', "; ")
        .replace("expected u32", "expected a whole number from 0 to 4294967295")
        .replace("expected u64", "expected a whole number from 0")
        .replace("expected f64", "expected a number");
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return message;
    }
    // serde: "unknown field `a`, expected one of `b`, `c`".
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().unwrap_or_default();
    match nearest(unknown, quoted) {
        Some(near) => message.replacen(", expected", &format!(" (did you mean `{near}`?), expected"), 1),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["itl", "ttft", "input_tokens"];
        assert_eq!(nearest("itll", known), Some("itl"));
        assert_eq!(nearest("input", known), Some("input_tokens"), "the beginning of a word means it");
        assert_eq!(nearest("fault", known), None);
    }

    #[test]
    fn messages_name_what_was_meant_and_no_types_of_rust() {
        let message = "unknown field `itll`, expected one of `itl`, `ttft`\n";
        let plain = "unknown field `itll` (did you mean `itl`?), expected one of `itl`, `ttft`";
        assert_eq!(plainly(message), plain);
        let message = "invalid type: string \"5\", expected u32";
        assert_eq!(
            plainly(message),
            "invalid type: string \"5\", expected a whole number from 0 to 4294967295"
        );
    }
}
