//! The mock's toy tokenizer, and the words it says.
//!
//! A token is a word of up to six characters together with the blank before it; longer words are cut into
//! pieces of four characters; any other character that is not blank is a token of its own. Lengths in words
//! and in tokens therefore differ, and a client that must hit an exact length has something to find out.

use serde_json::Value;

/// Tokens that stand in no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// A completion's prompt begins with so many.
    pub bos: u32,
    /// Every message of a chat has so many beside its content.
    pub message: u32,
    /// The answer is begun with so many.
    pub answer: u32,
}

/// The longest word that is one token, characters.
const WHOLE_WORD: usize = 6;

/// The pieces a longer one is cut into.
const PIECE: usize = 4;

/// Ids begin here: those below are a tokenizer's special ones.
const FIRST_ID: u32 = 10;

/// And lie below `FIRST_ID + IDS`, as those of a model with a vocabulary of 32,000.
const IDS: u32 = 32_000 - FIRST_ID;

/// Calls `each` with a text's tokens, without the blanks before them.
fn walk<'t>(text: &'t str, mut each: impl FnMut(&'t str)) {
    let mut word_at = None;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() {
            word_at.get_or_insert(at);
            continue;
        }
        if let Some(start) = word_at.take() {
            cut(&text[start..at], &mut each);
        }
        if !c.is_whitespace() {
            each(&text[at..at + c.len_utf8()]);
        }
    }
    if let Some(start) = word_at {
        cut(&text[start..], &mut each);
    }
}

/// A word's tokens.
fn cut<'t>(word: &'t str, each: &mut impl FnMut(&'t str)) {
    if word.chars().nth(WHOLE_WORD).is_none() {
        return each(word);
    }
    let mut rest = word;
    while let Some((at, _)) = rest.char_indices().nth(PIECE) {
        each(&rest[..at]);
        rest = &rest[at..];
    }
    each(rest);
}

/// Tokens in a text.
pub fn count(text: &str) -> u32 {
    let mut tokens = 0;
    walk(text, |_| tokens += 1);
    tokens
}

/// A text's token ids: equal tokens have equal ones. Different ones may, too, as there are only 31,990.
pub fn ids(text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    // FNV-1a, 32 bits.
    let hash = |piece: &str| {
        piece.bytes().fold(0x811c_9dc5, |h: u32, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
    };
    walk(text, |piece| ids.push(FIRST_ID + hash(piece) % IDS));
    ids
}

/// Tokens in a completion's `prompt`: a text, token ids, or a list of one of these. None for anything else.
/// Token ids count as they are.
pub fn count_prompt(prompt: &Value, template: Template) -> Option<u32> {
    match prompt {
        Value::String(text) => Some(count(text) + template.bos),
        Value::Array(ids) if ids.iter().all(Value::is_u64) => u32::try_from(ids.len()).ok(),
        Value::Array(prompts) => match prompts.as_slice() {
            [Value::Array(ids)] if ids.iter().all(Value::is_u64) => u32::try_from(ids.len()).ok(),
            [Value::String(text)] => Some(count(text) + template.bos),
            _ => None,
        },
        _ => None,
    }
}

/// Tokens in a chat's `messages`. None where one is none.
pub fn count_messages(messages: &Value, template: Template) -> Option<u32> {
    let messages = messages.as_array().filter(|messages| !messages.is_empty())?;
    let mut tokens = template.answer;
    for message in messages {
        message.get("role")?.as_str()?;
        let content = message.get("content").unwrap_or(&Value::Null);
        let text = match content {
            Value::String(text) => count(text),
            Value::Null => 0,
            Value::Array(parts) => {
                parts.iter().filter_map(|part| part.get("text")?.as_str()).map(count).sum()
            }
            _ => return None,
        };
        tokens += text + template.message;
    }
    Some(tokens)
}

/// What it says, one token each, with what most parsers get wrong: characters of two, three and four bytes,
/// quotes and line ends.
const WORDS: [&str; 16] = [
    " the",
    " model",
    " says",
    " 火",
    " that",
    " naïve",
    " it",
    " 🔥",
    " costs",
    "\\n",
    " one",
    " \\\"so\\\"",
    " token",
    " more",
    ",",
    " over",
];

/// The n-th token of an answer, as it stands inside a JSON string. The seed says where in the list it begins.
pub fn word(seed: u64, n: u32) -> &'static str {
    WORDS[((seed.wrapping_add(n.into())) % WORDS.len() as u64) as usize]
}

/// What it says in tokens `from..to`, as text.
pub fn words(seed: u64, from: u32, to: u32) -> String {
    let quoted: String = (from..to).map(|n| word(seed, n)).collect();
    // The words stand escaped in the source, as they do inside JSON.
    serde_json::from_str(&format!("\"{quoted}\"")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_counted_as_documented() {
        for (text, tokens) in [
            ("", 0),
            ("word", 1),
            (" sixsix", 1),
            ("seventy", 2),
            ("ninebytes", 3),
            ("a b  c\n", 3),
            ("so, then!", 4),
            ("naïve 火火", 2),
            ("火災火災火災火", 2),
        ] {
            assert_eq!(count(text), tokens, "{text}");
        }
        let template = Template { bos: 1, message: 4, answer: 3 };
        let prompt = |prompt| count_prompt(&prompt, template);
        assert_eq!(prompt(json!([5, 6, 7])), Some(3));
        assert_eq!(prompt(json!([[5, 6, 7]])), Some(3));
        assert_eq!(prompt(json!("a b")), Some(3));
        assert_eq!(prompt(json!(["a b"])), Some(3));
        assert_eq!(prompt(json!(["a", "b"])), None);
        assert_eq!(prompt(json!([1.5])), None);
        let messages = |messages| count_messages(&messages, template);
        assert_eq!(messages(json!([{"role": "user", "content": "a b"}])), Some(2 + 4 + 3));
        assert_eq!(messages(json!([])), None);
        assert_eq!(messages(json!([{"content": "a"}])), None);
    }

    #[test]
    fn equal_tokens_have_equal_ids() {
        let ids = ids("one two, one");
        assert_eq!((ids.len(), ids[0], ids[0] == ids[1]), (4, ids[3], false));
        assert!(ids.iter().all(|id| (FIRST_ID..32_000).contains(id)));
    }

    #[test]
    fn what_it_says_is_json() {
        for n in 0..16 {
            let quoted = format!("\"{}\"", word(0, n));
            assert!(serde_json::from_str::<String>(&quoted).is_ok(), "{quoted}");
        }
    }
}
