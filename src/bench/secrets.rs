//! Secrets never reach a file: they are taken out of command lines and of what servers say of themselves.
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

/// A word in the name of a text that may be secret. (`tokens` is none of them: it is a count.)
const SECRET_WORDS: [&str; 9] =
    ["key", "token", "secret", "password", "auth", "authorization", "bearer", "header", "credential"];

/// What a server says of itself: what is secret by its name is hidden, and `key` wherever it stands. Empty texts
/// and nulls stay, which say that there is none.
pub(crate) fn without_secrets(value: Value, key: Option<&ApiKey>) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(name, value)| {
                    let hidden = match &value {
                        Value::Null => false,
                        Value::String(text) => !text.is_empty() && (is_secret(&name) || sounds_secret(&name)),
                        _ => is_secret(&name),
                    };
                    let value = if hidden { HIDDEN.into() } else { without_secrets(value, key) };
                    (name, value)
                })
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

/// For texts that stand alone: a word in a chat template must be taken for a secret less easily.
fn sounds_secret(name: &str) -> bool {
    name.to_ascii_lowercase().split(['-', '_', '.']).any(|word| SECRET_WORDS.contains(&word))
}

/// `--api-key`, whose value is the next word.
fn is_secret_flag(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| !name.contains('=') && is_secret(name))
}

/// A command line with the values of secret flags, the key itself and passwords in URLs hidden.
pub(crate) fn hide_in_arguments(
    arguments: impl IntoIterator<Item = String>,
    key: Option<&ApiKey>,
) -> Vec<String> {
    let mut after_secret_flag = false;
    let hide = |argument: String| {
        let hidden = std::mem::take(&mut after_secret_flag);
        let argument = match key.map(ApiKey::reveal).filter(|key| !key.is_empty()) {
            Some(key) => argument.replace(key, HIDDEN),
            None => argument,
        };
        if hidden {
            return HIDDEN.to_owned();
        }
        match argument.split_once('=') {
            Some((flag, _)) if flag.starts_with('-') && sounds_secret(flag) => format!("{flag}={HIDDEN}"),
            None if argument == "-H" || (argument.starts_with("--") && sounds_secret(&argument)) => {
                after_secret_flag = true;
                argument
            }
            _ => without_password(&argument),
        }
    };
    arguments.into_iter().map(hide).collect()
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
fn without_password(argument: &str) -> String {
    let Some((scheme, rest)) = argument.split_once("://") else { return argument.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{path}"),
        None => argument.to_owned(),
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

    #[test]
    fn secrets_do_not_stay_in_a_command_line() {
        let given = [
            "sparkbench",
            "run",
            "--api-key",
            "hunter2",
            "--api-key=hunter2",
            "--header",
            "X-Key: hunter2",
            "-H",
            "A: hunter2",
            "--base-url",
            "http://me:hunter2@head/v1",
            "--model=hunter2-7b",
            "--input-tokens",
            "1024",
            "--ignore-eos",
        ];
        let key = ApiKey::new("hunter2");
        let hidden = hide_in_arguments(given.map(str::to_owned), Some(&key));
        assert!(!hidden.join(" ").contains("hunter2"), "{hidden:?}");
        assert!(hidden.join(" ").ends_with("--input-tokens 1024 --ignore-eos"), "{hidden:?}");
        assert_eq!(hidden[10], "http://(hidden)@head/v1");
        let without_key = hide_in_arguments(given.map(str::to_owned), None);
        assert_eq!(
            without_key.iter().filter(|argument| argument.contains("hunter2")).count(),
            1,
            "the model"
        );
    }

    #[test]
    fn secrets_do_not_stay_in_a_servers_description() {
        let info = json!({"api_key": "x", "max_total_num_tokens": 7, "tokenizer_path": "t",
            "a": [{"admin_api_key": "x", "hf_token": "x", "api_key": null}]});
        let expected = json!({"api_key": HIDDEN, "max_total_num_tokens": 7, "tokenizer_path": "t",
            "a": [{"admin_api_key": HIDDEN, "hf_token": HIDDEN, "api_key": null}]});
        assert_eq!(without_secrets(info, None), expected);
    }
}
