//! The mock's toy tokenizer, and the words it says.
//!
//! A token is a word of up to six characters together with the blank before it; longer words are cut into
//! pieces of four characters; any other character that is not blank is a token of its own. Lengths in words
//! and in tokens therefore differ, and a client that must hit an exact length has something to find out.

use serde_json::Value;

/// A completion's prompt begins with one token of its own.
pub const BOS: u32 = 1;

/// A chat template adds so many tokens to every message.
pub const PER_MESSAGE: u32 = 4;

/// And so many to begin the answer.
pub const ANSWER_HEAD: u32 = 3;

/// The longest word that is one token, characters.
const WHOLE_WORD: usize = 6;

/// The pieces a longer one is cut into.
const PIECE: usize = 4;

/// Tokens in a text.
pub fn count(text: &str) -> u32 {
    let mut tokens = 0;
    let mut word = 0_usize;
    let close = |word: &mut usize| {
        let length = std::mem::take(word);
        match length {
            0 => 0,
            1..=WHOLE_WORD => 1,
            _ => length.div_ceil(PIECE) as u32,
        }
    };
    for c in text.chars() {
        if c.is_alphanumeric() {
            word += 1;
        } else {
            tokens += close(&mut word) + u32::from(!c.is_whitespace());
        }
    }
    tokens + close(&mut word)
}

/// Tokens in a completion's `prompt`: a text or token ids. None for anything else.
pub fn count_prompt(prompt: &Value) -> Option<u32> {
    match prompt {
        Value::String(text) => Some(count(text) + BOS),
        Value::Array(ids) if ids.iter().all(Value::is_u64) => u32::try_from(ids.len()).ok(),
        _ => None,
    }
}

/// Tokens in a chat's `messages`. None where one is none.
pub fn count_messages(messages: &Value) -> Option<u32> {
    let messages = messages.as_array().filter(|messages| !messages.is_empty())?;
    let mut tokens = ANSWER_HEAD;
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
        tokens += text + PER_MESSAGE;
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

/// The n-th token of an answer, as it stands inside a JSON string.
pub fn word(n: u32) -> &'static str {
    WORDS[n as usize % WORDS.len()]
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
        ] {
            assert_eq!(count(text), tokens, "{text}");
        }
        assert_eq!(count_prompt(&json!([5, 6, 7])), Some(3));
        assert_eq!(count_prompt(&json!("a b")), Some(3));
        assert_eq!(count_prompt(&json!([1.5])), None);
        assert_eq!(count_messages(&json!([{"role": "user", "content": "a b"}])), Some(2 + 4 + 3));
        assert_eq!(count_messages(&json!([])), None);
        assert_eq!(count_messages(&json!([{"content": "a"}])), None);
    }

    #[test]
    fn what_it_says_is_json() {
        for n in 0..16 {
            let quoted = format!("\"{}\"", word(n));
            assert!(serde_json::from_str::<String>(&quoted).is_ok(), "{quoted}");
        }
    }
}
