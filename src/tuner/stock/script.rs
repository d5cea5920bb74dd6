//! A script: which one it is, and which options it has. Pure.
//!
//! It is asked by the options that it has itself, not by a table of releases: it is in no wheel, and a checkout or an image
//! may have any revision of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::own_tuner::OwnTuner;
use crate::failure::{Failure, Kind};
use crate::fs::sha256_hex;

/// Nothing near this size is a script.
pub(crate) const MOST_BYTES: u64 = 1 << 20;

/// A script, as its text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// Which one.
    pub identity: ScriptIdentity,
    /// How it can be asked.
    pub options: Options,
}

/// The options that a script has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options(BTreeSet<String>);

/// Which script it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScriptIdentity {
    /// SHA-256 of the script.
    pub sha256: String,
    /// SHA-256 of the helper beside it; none where there is none.
    pub helper_sha256: Option<String>,
}

/// What a script cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotAsk {
    /// It is another script.
    #[error("it has no option `{missing}`, which every {file} has")]
    NotTheScript {
        /// Which script was expected.
        file: &'static str,
        /// The option.
        missing: &'static str,
    },
    /// It has no option for something.
    #[error("this {file} has no option `{option}`, which {what} needs")]
    NoOption {
        /// Which script it is.
        file: &'static str,
        /// The option.
        option: &'static str,
        /// What needs it.
        what: String,
    },
    /// No revision can be asked for something.
    #[error("{file} cannot be asked for {what}")]
    Never {
        /// Which script it is.
        file: &'static str,
        /// For what.
        what: String,
    },
}

impl Failure for CannotAsk {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Script {
    /// The script of this text, with its helper's, which is to be `tuner`'s.
    pub(crate) fn read(script: &[u8], helper: Option<&[u8]>, tuner: &OwnTuner) -> Result<Self, CannotAsk> {
        let options = Options(options(&String::from_utf8_lossy(script)));
        if let Some(missing) = tuner.of_every.iter().find(|option| !options.have(option)) {
            return Err(CannotAsk::NotTheScript { file: tuner.file, missing });
        }
        let identity = ScriptIdentity { sha256: sha256_hex(script), helper_sha256: helper.map(sha256_hex) };
        Ok(Self { identity, options })
    }
}

impl Options {
    /// Those of the newest revision read.
    pub(crate) fn newest(tuner: &OwnTuner) -> Self {
        Self::of(tuner.of_every.iter().chain(tuner.of_later).copied())
    }

    /// These.
    pub(super) fn of(names: impl IntoIterator<Item = &'static str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// Whether `name` is one.
    pub(super) fn have(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// The names that a script's calls of `add_argument` begin with.
fn options(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for call in text.split("add_argument(").skip(1) {
        let mut rest = call.trim_start();
        while let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let Some((name, after)) = rest[1..].split_once(quote) else { break };
            if !name.starts_with('-') {
                break;
            }
            found.insert(name.to_owned());
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;

    /// As an argparse has them: on one line, on several, with aliases and with either quote.
    const OLD: &str = "parser.add_argument(\n    \"--model\", type=str, default=\"--not-one\"\n)\n\
        parser.add_argument(\"--tp-size\", '-tp', type=int)\nparser.add_argument('--dtype', choices=[\"auto\"])\n\
        parser.add_argument(\"--batch-size\", type=int)\nparser.add_argument(\n    \"--tune\",\n    action=\"store_true\")\n";

    #[test]
    fn options_are_the_names_that_calls_begin_with() {
        let found: Vec<_> = options(OLD).into_iter().collect();
        assert_eq!(found, ["--batch-size", "--dtype", "--model", "--tp-size", "--tune", "-tp"]);
    }

    #[test]
    fn another_script_is_told_by_an_option_it_lacks() {
        let [sglang, vllm] = [Runtime::Sglang0523, Runtime::Vllm].map(OwnTuner::of);
        let error = Script::read(b"print('hello')", None, sglang).unwrap_err().to_string();
        assert!(error.contains("no option `--model`, which every tuning_fused_moe_triton.py has"), "{error}");
        // The one runtime's is not the other's.
        assert!(Script::read(OLD.as_bytes(), None, sglang).is_ok());
        let error = Script::read(OLD.as_bytes(), None, vllm).unwrap_err().to_string();
        assert!(
            error.contains("no option `--trust-remote-code`, which every benchmark_moe.py has"),
            "{error}"
        );
    }

    #[test]
    fn which_one_it_is_stands_in_its_bytes_and_its_helper_s() {
        let tuner = OwnTuner::of(Runtime::Sglang054);
        let of = |helper: Option<&[u8]>| Script::read(OLD.as_bytes(), helper, tuner).unwrap().identity;
        assert_eq!(of(None).sha256, sha256_hex(OLD.as_bytes()));
        assert_eq!(of(None).helper_sha256, None);
        assert_ne!(of(Some(b"a")), of(Some(b"b")));
    }
}
