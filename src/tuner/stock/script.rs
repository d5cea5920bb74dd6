//! The script: where it lies, which one it is, and how it is asked. Pure.
//!
//! Read in SGLang's repository (commits e3008f6, before there was a 0.5, and 00e9659, of 0.5.23's time) and in four forks
//! between: its options grew (`--ep-size`, `--per-channel-quant`, `--disable-shared-experts-fusion`, last
//! `--search-space-file`), none that is used here changed its meaning. So it is asked by the options that it has itself,
//! not by a table of releases: it is in no wheel, and a checkout or an image may have any revision of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::folder;
use super::model_argument::ModelArgument;
use crate::failure::{Failure, Kind};
use crate::fs::sha256_hex;
use crate::shape::{Dtype, Quantization};

/// Where SGLang's repository has it.
pub(crate) const FOLDER: &str = "benchmark/kernels/fused_moe_triton";
/// Its name.
pub(crate) const FILE: &str = "tuning_fused_moe_triton.py";
/// What newer revisions import from beside it.
pub(crate) const HELPER: &str = "common_utils.py";
/// Nothing near this size is the script.
pub(crate) const MOST_BYTES: u64 = 1 << 20;

/// The option that says what is tried.
pub(super) const SEARCH_SPACE: &str = "--search-space-file";
/// The options that are used of those that every revision has.
const OF_EVERY: [&str; 5] = ["--model", "--tp-size", "--dtype", "--batch-size", "--tune"];
/// The others, as they came.
const OF_LATER: [&str; 4] =
    ["--ep-size", "--per-channel-quant", "--disable-shared-experts-fusion", SEARCH_SPACE];

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
    /// SHA-256 of [`HELPER`] beside it; none where there is none.
    pub helper_sha256: Option<String>,
}

/// What the script is asked for, but for the batch size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The model.
    pub model: &'a ModelArgument,
    /// Tensor parallelism.
    pub tp: u32,
    /// Expert parallelism.
    pub ep: u32,
    /// How weights and activations are stored.
    pub quantization: &'a Quantization,
    /// Whether shared experts are not to be fused, whatever the script would do.
    pub no_fusion: bool,
}

/// What a script cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotAsk {
    /// It is another script.
    #[error("it has no option `{missing}`, which every {FILE} has")]
    NotTheScript {
        /// The option.
        missing: &'static str,
    },
    /// It has no option for something.
    #[error("this {FILE} has no option `{option}`, which {what} needs")]
    NoOption {
        /// The option.
        option: &'static str,
        /// What needs it.
        what: String,
    },
    /// No revision has a word for the dtype.
    #[error("{FILE} has no word for {0}")]
    Dtype(Dtype),
}

impl Failure for CannotAsk {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Script {
    /// The script of this text, with its helper's.
    pub(crate) fn read(script: &[u8], helper: Option<&[u8]>) -> Result<Self, CannotAsk> {
        let options = options(&String::from_utf8_lossy(script));
        if let Some(missing) = OF_EVERY.into_iter().find(|option| !options.contains(*option)) {
            return Err(CannotAsk::NotTheScript { missing });
        }
        let identity = ScriptIdentity { sha256: sha256_hex(script), helper_sha256: helper.map(sha256_hex) };
        Ok(Self { identity, options: Options(options) })
    }
}

impl Options {
    /// Those of the newest revision read.
    pub(crate) fn newest() -> Self {
        Self(OF_EVERY.into_iter().chain(OF_LATER).map(str::to_owned).collect())
    }

    /// Whether it can be told what to try.
    pub(crate) fn takes_search_space(&self) -> bool {
        self.0.contains(SEARCH_SPACE)
    }

    /// Its arguments, but for the batch size.
    pub(crate) fn arguments(&self, asked: &Asked<'_>) -> Result<Vec<String>, CannotAsk> {
        let Asked { model, tp, ep, quantization, no_fusion } = *asked;
        let has = |option: &'static str, what: &dyn Fn() -> String| match self.0.contains(option) {
            true => Ok(option.to_owned()),
            false => Err(CannotAsk::NoOption { option, what: what() }),
        };
        let mut words = vec!["--tune".to_owned(), "--model".to_owned(), model.word()];
        // Full names: `--tp` is an alias in some revisions only.
        words.extend(["--tp-size".to_owned(), tp.to_string()]);
        if ep > 1 {
            words.extend([has("--ep-size", &|| format!("expert parallelism {ep}"))?, ep.to_string()]);
        }
        words.extend(["--dtype".to_owned(), dtype_word(quantization.dtype)?.to_owned()]);
        if quantization.per_channel {
            words.push(has("--per-channel-quant", &|| "one scale a channel".to_owned())?);
        }
        if no_fusion {
            let what = || "tuning without fused shared experts".to_owned();
            words.push(has("--disable-shared-experts-fusion", &what)?);
        }
        if self.takes_search_space() {
            words.extend([SEARCH_SPACE.to_owned(), folder::path(folder::SEARCH_SPACE)]);
        }
        Ok(words)
    }
}

/// The word of `--dtype`. `auto` is whatever the model's config says, 16 or 32 bits.
fn dtype_word(dtype: Dtype) -> Result<&'static str, CannotAsk> {
    match dtype {
        Dtype::Bfloat16 | Dtype::Float16 | Dtype::Float32 => Ok("auto"),
        Dtype::Fp8W8a8 | Dtype::Int8W8a8 | Dtype::Int8W8a16 | Dtype::Int4W4a16 => {
            dtype.file_selector().ok_or(CannotAsk::Dtype(dtype))
        }
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

    /// As an argparse has them: on one line, on several, with aliases and with either quote.
    const OLD: &str = "parser.add_argument(\n    \"--model\", type=str, default=\"--not-one\"\n)\n\
        parser.add_argument(\"--tp-size\", '-tp', type=int)\nparser.add_argument('--dtype', choices=[\"auto\"])\n\
        parser.add_argument(\"--batch-size\", type=int)\nparser.add_argument(\n    \"--tune\",\n    action=\"store_true\")\n";

    fn with(more: &[&str]) -> Script {
        let more: String = more.iter().map(|name| format!("parser.add_argument(\"{name}\")\n")).collect();
        Script::read(format!("{OLD}{more}").as_bytes(), None).unwrap()
    }

    fn quantized(dtype: Dtype, per_channel: bool) -> Quantization {
        Quantization { per_channel, ..Quantization::none(dtype) }
    }

    fn asked<'a>(model: &'a ModelArgument, quantization: &'a Quantization) -> Asked<'a> {
        Asked { model, tp: 4, ep: 1, quantization, no_fusion: false }
    }

    #[test]
    fn options_are_the_names_that_calls_begin_with() {
        let found: Vec<_> = options(OLD).into_iter().collect();
        assert_eq!(found, ["--batch-size", "--dtype", "--model", "--tp-size", "--tune", "-tp"]);
    }

    #[test]
    fn another_script_is_told_by_an_option_it_lacks() {
        let error = Script::read(b"print('hello')", None).unwrap_err().to_string();
        assert!(error.contains("no option `--model`"), "{error}");
    }

    #[test]
    fn which_one_it_is_stands_in_its_bytes_and_its_helper_s() {
        let of = |helper: Option<&[u8]>| Script::read(OLD.as_bytes(), helper).unwrap().identity;
        assert_eq!(of(None).sha256, sha256_hex(OLD.as_bytes()));
        assert_eq!(of(None).helper_sha256, None);
        assert_ne!(of(Some(b"a")), of(Some(b"b")));
    }

    #[test]
    fn a_script_is_asked_by_the_options_it_has() {
        let model = ModelArgument::Id("org/m".into());
        let fp8 = quantized(Dtype::Fp8W8a8, true);
        let words =
            with(&["--per-channel-quant", "--ep-size"]).options.arguments(&asked(&model, &fp8)).unwrap();
        assert_eq!(words.join(" "), "--tune --model org/m --tp-size 4 --dtype fp8_w8a8 --per-channel-quant");
        let bf16 = quantized(Dtype::Bfloat16, false);
        let every = ["--ep-size", "--disable-shared-experts-fusion", SEARCH_SPACE];
        let all = Asked { ep: 2, no_fusion: true, ..asked(&model, &bf16) };
        let words = with(&every).options.arguments(&all).unwrap().join(" ");
        assert_eq!(
            words,
            "--tune --model org/m --tp-size 4 --ep-size 2 --dtype auto --disable-shared-experts-fusion \
             --search-space-file {folder}/search-space.json"
        );
    }

    #[test]
    fn what_it_has_no_option_for_is_refused_and_not_left_out() {
        let model = ModelArgument::Id("org/m".into());
        let (fp8, bf16) = (quantized(Dtype::Fp8W8a8, true), quantized(Dtype::Bfloat16, false));
        for (asked, option) in [
            (asked(&model, &fp8), "--per-channel-quant"),
            (Asked { ep: 2, ..asked(&model, &bf16) }, "--ep-size"),
            (Asked { no_fusion: true, ..asked(&model, &bf16) }, "--disable-shared-experts-fusion"),
        ] {
            let error = with(&[]).options.arguments(&asked).unwrap_err().to_string();
            assert!(error.contains(&format!("no option `{option}`")), "{error}");
        }
    }
}
