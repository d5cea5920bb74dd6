//! What must not be kept of a server's own description of itself.
//!
//! SGLang's `/get_server_info` repeats every argument it was started with: `api_key`, `admin_api_key` and
//! `ssl_keyfile_password` among them, and from 0.5.23 on (`build_server_info` of its `srt/utils/common.py`)
//! the whole command line as `launch_command`.

use serde_json::Value;

use crate::bench::target::ApiKey;

/// Put in place of what was taken out of a text.
const HIDDEN: &str = "(hidden)";

/// Ends of field names, flags and variables that hold something secret.
const SECRET_ENDS: [&str; 11] = [
    "api_key",
    "apikey",
    "password",
    "passwd",
    "secret",
    "credentials",
    "private_key",
    "access_key",
    "auth_token",
    "hf_token",
    "authorization",
];

/// `value` without fields that hold secrets, and without `key` wherever it stands.
pub fn without_secrets(value: Value, key: Option<&ApiKey>) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(name, _)| !is_secret(name))
                .map(|(name, value)| (name, without_secrets(value, key)))
                .collect(),
        ),
        Value::Array(list) => {
            let mut hide = false;
            let clean = |item: Value| {
                let follows_flag = std::mem::replace(&mut hide, item.as_str().is_some_and(is_secret_flag));
                match follows_flag {
                    true => HIDDEN.into(),
                    false => without_secrets(item, key),
                }
            };
            Value::Array(list.into_iter().map(clean).collect())
        }
        Value::String(text) => Value::String(clean_text(text, key)),
        other => other,
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    name == "token" || name.starts_with("ssl_") || SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

/// `--api-key`, whose value is the next word.
fn is_secret_flag(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| !name.contains('=') && is_secret(name))
}

fn clean_text(text: String, key: Option<&ApiKey>) -> String {
    let text = match key.map(ApiKey::reveal).filter(|key| !key.is_empty()) {
        Some(key) => text.replace(key, HIDDEN),
        None => text,
    };
    // Only a text that could hold a secret is taken apart; a chat template is not.
    if !text.contains("--") && !text.contains('=') && !text.contains("://") {
        return text;
    }
    let mut hide = false;
    let clean = |word: &str| {
        let blank = word.trim().is_empty();
        if blank {
            return word.to_owned();
        }
        if std::mem::replace(&mut hide, is_secret_flag(word)) {
            return HIDDEN.to_owned();
        }
        match word.split_once('=') {
            Some((name, _)) if is_secret(name.trim_start_matches('-')) => format!("{name}={HIDDEN}"),
            _ => without_password(word),
        }
    };
    text.split_inclusive(char::is_whitespace)
        .flat_map(|piece| {
            let end = piece.trim_end().len();
            [&piece[..end], &piece[end..]]
        })
        .map(clean)
        .collect()
}

/// `http://user:password@host` without what stands before the `@`.
fn without_password(word: &str) -> String {
    match word.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
        Some((scheme, (before, host))) if !before.contains('/') => format!("{scheme}://{HIDDEN}@{host}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_go_and_everything_else_stays() {
        let info = json!({
            "api_key": "S1", "admin_api_key": "S2", "ssl_keyfile_password": "S3", "ssl_certfile": "S4",
            "tokenizer_path": "m", "max_total_num_tokens": 5, "chat_template": "{% if x  == 'a' %}\n  b",
            "launch_command": "python -m sglang --api-key S5 --tp 2 --admin-api-key=S6 HF_TOKEN=S7",
            "argv": ["--api-key", "S8", "--tp", "2"],
            "nested": [{"Authorization": "S9", "url": "http://me:S0@host/x", "said": "it is my-own-key."}],
        });
        let clean = without_secrets(info, Some(&ApiKey::new("my-own-key")));
        let text = clean.to_string();
        for secret in (0..10).map(|n| format!("S{n}")).chain(["my-own-key".to_owned()]) {
            assert!(!text.contains(&secret), "{secret}: {text}");
        }
        assert_eq!(clean["tokenizer_path"], "m");
        assert_eq!(clean["max_total_num_tokens"], 5);
        assert_eq!(clean["chat_template"], "{% if x  == 'a' %}\n  b");
        assert_eq!(
            clean["launch_command"],
            "python -m sglang --api-key (hidden) --tp 2 --admin-api-key=(hidden) HF_TOKEN=(hidden)"
        );
        assert_eq!(clean["argv"], json!(["--api-key", "(hidden)", "--tp", "2"]));
        assert_eq!(clean["nested"][0]["url"], "http://(hidden)@host/x");
    }
}
