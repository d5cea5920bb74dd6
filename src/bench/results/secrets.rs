//! Secrets never reach a file: they are taken out of command lines and of what servers say of themselves.

use serde_json::Value;

use crate::bench::target::ApiKey;

/// Stands where a secret stood.
const HIDDEN: &str = "(hidden)";

/// A name with one of these words holds a secret. (`tokens` is none of them: it is a count.)
const SECRET: [&str; 9] =
    ["key", "token", "secret", "password", "auth", "authorization", "bearer", "header", "credential"];

fn is_secret(name: &str) -> bool {
    name.to_ascii_lowercase().split(['-', '_', '.']).any(|word| SECRET.contains(&word))
}

/// A command line with the values of secret flags, the key itself and passwords in URLs hidden.
pub fn hide_in_arguments(arguments: impl IntoIterator<Item = String>, key: Option<&ApiKey>) -> Vec<String> {
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
            Some((flag, _)) if flag.starts_with('-') && is_secret(flag) => format!("{flag}={HIDDEN}"),
            None if argument == "-H" || (argument.starts_with("--") && is_secret(&argument)) => {
                after_secret_flag = true;
                argument
            }
            _ => without_password(&argument),
        }
    };
    arguments.into_iter().map(hide).collect()
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

/// What a server says of itself, texts under secret names hidden: SGLang's description holds `api_key` and
/// `admin_api_key`.
pub fn without_secrets(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| match value {
                    Value::String(text) if is_secret(&name) && !text.is_empty() => (name, HIDDEN.into()),
                    value => (name, without_secrets(value)),
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_secrets).collect()),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        assert_eq!(without_secrets(info), expected);
    }
}
