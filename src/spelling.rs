//! What somebody meant who wrote something else, and a deserialiser's messages in plain words.

/// The candidate spelled most like `text`, if any is near.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below this two words have little more in common than letters.
    const ALIKE: f64 = 0.5;
    closest(text, candidates.into_iter().map(|candidate| (candidate, candidate)), ALIKE).into_iter().next()
}

/// What the candidates that are at least so much `alike` stand for, the most alike first. As they come where
/// they are equally so.
pub(crate) fn closest<'a, T>(
    text: &str,
    candidates: impl IntoIterator<Item = (&'a str, T)>,
    alike: f64,
) -> Vec<T> {
    let mut scored: Vec<(f64, T)> = candidates
        .into_iter()
        .map(|(candidate, of)| (likeness(text, candidate), of))
        .filter(|(score, _)| *score >= alike)
        .collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    scored.into_iter().map(|(_, of)| of).collect()
}

/// How much two words are alike whatever their case, from 0 to 1.
fn likeness(text: &str, candidate: &str) -> f64 {
    let (text, candidate) = (text.to_lowercase(), candidate.to_lowercase());
    // The beginning of a word means that word: `input` is `input_tokens` without its unit.
    match !text.is_empty() && candidate.starts_with(&text) {
        true => 1.0,
        false => strsim::normalized_damerau_levenshtein(&text, &candidate),
    }
}

/// A deserialiser's message without the names of Rust types, on one line; for a word nobody knows, the
/// known one most like it goes first.
pub(crate) fn plainly(message: &str) -> String {
    let message = message
        .trim()
        .replace('\n', "; ")
        .replace("expected u16", "expected a whole number from 0 to 65535")
        .replace("expected u32", "expected a whole number from 0 to 4294967295")
        .replace("expected u64", "expected a whole number from 0")
        .replace("expected f64", "expected a number")
        .replace("expected a tuple of size 2", "expected two whole numbers");
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
        assert_eq!(nearest("TTF", known), Some("ttft"), "whatever its case");
    }

    #[test]
    fn the_closest_come_first_and_stand_for_something() {
        let known = [("one", 1), ("once", 2), ("two", 3), ("ones", 4)];
        assert_eq!(closest("onez", known, 0.7), [1, 4]);
        assert_eq!(closest("onez", known, 0.5), [1, 4, 2]);
        assert_eq!(closest("xxxx", known, 0.1), [0; 0]);
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
