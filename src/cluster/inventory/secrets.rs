//! Which variables hold what nobody may see.

/// Whether a variable's name or value says that it is a secret.
pub(super) fn looks_secret(name: &str, value: &str) -> bool {
    // Tokens of Hugging Face begin so, whatever the variable is called.
    if value.starts_with("hf_") {
        return true;
    }
    // A switch is no secret: HF_HUB_DISABLE_IMPLICIT_TOKEN=1.
    let switch =
        matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "1" | "true" | "false" | "yes" | "no");
    // The last word tells what the value is: HF_TOKEN, not HF_TOKEN_PATH.
    let last = name.rsplit('_').next().unwrap_or_default().to_ascii_uppercase();
    const SECRET: [&str; 11] = [
        "TOKEN",
        "KEY",
        "APIKEY",
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWD",
        "PASS",
        "PASSPHRASE",
        "CREDENTIAL",
        "CREDENTIALS",
    ];
    !switch && SECRET.contains(&last.as_str())
}

#[cfg(test)]
mod tests {
    use super::looks_secret;

    #[test]
    fn secrets_are_told_by_the_last_word_and_by_their_form() {
        for name in [
            "HF_TOKEN",
            "VLLM_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "hf_token",
            "DB_PASSWORD",
            "TOKEN",
            "OPENAI_APIKEY",
        ] {
            assert!(looks_secret(name, "x"), "{name}");
        }
        assert!(looks_secret("ANYTHING", "hf_abc"));
        for (name, value) in [
            ("HF_TOKEN_PATH", "/root/token"),
            ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
            ("TOKENIZERS_PARALLELISM", "false"),
            ("NCCL_DEBUG", "WARN"),
            ("MONKEY", "x"),
            ("HF_TOKEN", ""),
        ] {
            assert!(!looks_secret(name, value), "{name}");
        }
    }
}
