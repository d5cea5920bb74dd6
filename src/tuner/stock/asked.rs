//! What a tuner's script is asked for, in the words of its runtime. Pure.

use super::folder;
use super::model_argument::ModelArgument;
use super::own_tuner::{OwnTuner, SEARCH_SPACE, Speech};
use super::script::{CannotAsk, Options};
use crate::shape::{Dtype, Quantization};

/// What a script is asked for, but for the batch size.
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
    /// The device, as files are named for it.
    pub device: &'a str,
}

impl Asked<'_> {
    /// The arguments for a script of `tuner` that has `options`, but for the batch size.
    pub(crate) fn arguments(&self, tuner: &OwnTuner, options: &Options) -> Result<Vec<String>, CannotAsk> {
        match tuner.speech {
            Speech::Sglang => sglang(tuner, options, self),
            Speech::Vllm => vllm(tuner, options, self),
        }
    }

    /// The words that both scripts have. Full names: `--tp` is an alias in some revisions only.
    fn common(&self, dtype: &str) -> Vec<String> {
        let tp = self.tp.to_string();
        let words = ["--tune", "--model", &self.model.word(), "--tp-size", &tp, "--dtype", dtype];
        words.map(str::to_owned).into()
    }
}

/// `option`, which `what` needs, where a script of `tuner` has it.
fn has(
    tuner: &OwnTuner,
    options: &Options,
    option: &'static str,
    what: impl FnOnce() -> String,
) -> Result<String, CannotAsk> {
    match options.have(option) {
        true => Ok(option.to_owned()),
        false => Err(CannotAsk::NoOption { file: tuner.file, option, what: what() }),
    }
}

fn sglang(tuner: &OwnTuner, options: &Options, asked: &Asked<'_>) -> Result<Vec<String>, CannotAsk> {
    let Asked { ep, quantization, no_fusion, model: _, tp: _, device: _ } = *asked;
    let dtype = match quantization.dtype {
        // Whatever the model's config says.
        Dtype::Bfloat16 | Dtype::Float16 | Dtype::Float32 => "auto",
        it @ (Dtype::Fp8W8a8 | Dtype::Int8W8a8 | Dtype::Int8W8a16 | Dtype::Int4W4a16) => it.name(),
    };
    let mut words = asked.common(dtype);
    if ep > 1 {
        let option = has(tuner, options, "--ep-size", || format!("expert parallelism {ep}"))?;
        words.extend([option, ep.to_string()]);
    }
    if quantization.per_channel {
        words.push(has(tuner, options, "--per-channel-quant", || "one scale a channel".to_owned())?);
    }
    if no_fusion {
        let what = || "tuning without fused shared experts".to_owned();
        words.push(has(tuner, options, "--disable-shared-experts-fusion", what)?);
    }
    if options.have(SEARCH_SPACE) {
        words.extend([SEARCH_SPACE.to_owned(), folder::path(folder::SEARCH_SPACE)]);
    }
    Ok(words)
}

/// vLLM runs shared experts apart, and its script reads scale blocks in the config. One scale a channel has no option
/// either: 0.33.0 reads it in the config, and 0.30.0 and before time one scale a tensor.
fn vllm(tuner: &OwnTuner, options: &Options, asked: &Asked<'_>) -> Result<Vec<String>, CannotAsk> {
    let Asked { model, tp, ep, quantization, no_fusion: _, device } = *asked;
    let cannot = |what: String| CannotAsk::Never { file: tuner.file, what };
    if device != H200 && device.split('_').any(|part| part == "H200") {
        return Err(cannot(format!("the device {device}, whose files vLLM calls {H200} since 0.11.2")));
    }
    let dtype = match quantization.dtype {
        Dtype::Bfloat16 | Dtype::Float16 | Dtype::Float32 => "auto",
        it @ (Dtype::Fp8W8a8 | Dtype::Int8W8a16) => it.name(),
        it @ Dtype::Int8W8a8 => return Err(cannot(it.name().to_owned())),
        it @ Dtype::Int4W4a16 => {
            let why = "whose files have a field SPLIT_K, which this program cannot write yet";
            return Err(cannot(format!("{}, {why}", it.name())));
        }
    };
    let mut words = asked.common(dtype);
    if ep > 1 {
        let parallel = || format!("expert parallelism {ep}");
        // Experts are dealt to all ranks or to none.
        if ep != tp {
            return Err(cannot(format!("{} with tensor parallelism {tp}, only with the same", parallel())));
        }
        words.push(has(tuner, options, "--enable-expert-parallel", parallel)?);
    }
    if model.has_own_code() {
        words.push("--trust-remote-code".to_owned());
    }
    Ok(words)
}

/// What vLLM calls every board of the family (`get_config_file_name`, 0.11.2 to 0.33.0).
const H200: &str = "NVIDIA_H200";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::stock::own_tuner::{SGLANG, VLLM};

    fn having(tuner: &OwnTuner, more: &[&'static str]) -> Options {
        Options::of(tuner.of_every.iter().chain(more).copied())
    }

    fn quantized(dtype: Dtype, per_channel: bool) -> Quantization {
        Quantization { per_channel, ..Quantization::none(dtype) }
    }

    fn asked<'a>(model: &'a ModelArgument, quantization: &'a Quantization) -> Asked<'a> {
        Asked { model, tp: 4, ep: 1, quantization, no_fusion: false, device: "NVIDIA_GB10" }
    }

    fn id() -> ModelArgument {
        ModelArgument::Id("org/m".into())
    }

    #[test]
    fn sglangs_is_asked_by_the_options_it_has() {
        let (model, tuner) = (id(), &SGLANG);
        let fp8 = quantized(Dtype::Fp8W8a8, true);
        let options = having(tuner, &["--per-channel-quant", "--ep-size"]);
        let words = asked(&model, &fp8).arguments(tuner, &options).unwrap();
        assert_eq!(words.join(" "), "--tune --model org/m --tp-size 4 --dtype fp8_w8a8 --per-channel-quant");
        let bf16 = quantized(Dtype::Bfloat16, false);
        let all = Asked { ep: 2, no_fusion: true, ..asked(&model, &bf16) };
        let words = all.arguments(tuner, &having(tuner, tuner.of_later)).unwrap().join(" ");
        assert_eq!(
            words,
            "--tune --model org/m --tp-size 4 --dtype auto --ep-size 2 --disable-shared-experts-fusion \
             --search-space-file {folder}/search-space.json"
        );
    }

    #[test]
    fn what_sglangs_has_no_option_for_is_refused_and_not_left_out() {
        let (model, tuner) = (id(), &SGLANG);
        let (fp8, bf16) = (quantized(Dtype::Fp8W8a8, true), quantized(Dtype::Bfloat16, false));
        for (asked, option) in [
            (asked(&model, &fp8), "--per-channel-quant"),
            (Asked { ep: 2, ..asked(&model, &bf16) }, "--ep-size"),
            (Asked { no_fusion: true, ..asked(&model, &bf16) }, "--disable-shared-experts-fusion"),
        ] {
            let error = asked.arguments(tuner, &having(tuner, &[])).unwrap_err().to_string();
            assert!(error.contains(&format!("no option `{option}`")), "{error}");
        }
    }

    #[test]
    fn vllms_is_told_in_its_own_words() {
        let (model, tuner) = (id(), &VLLM);
        let fp8 = quantized(Dtype::Fp8W8a8, true);
        let oldest = having(tuner, &[]);
        // It reads scales in the config, and fuses nothing.
        let all = Asked { no_fusion: true, ..asked(&model, &fp8) };
        let words = all.arguments(tuner, &oldest).unwrap().join(" ");
        assert_eq!(words, "--tune --model org/m --tp-size 4 --dtype fp8_w8a8");
        let all = Asked { ep: 4, ..asked(&model, &fp8) };
        let words = all.arguments(tuner, &having(tuner, tuner.of_later)).unwrap().join(" ");
        assert!(words.ends_with(" --dtype fp8_w8a8 --enable-expert-parallel"), "{words}");
        let own = ModelArgument::OwnCode("org/m".into());
        let words = asked(&own, &fp8).arguments(tuner, &oldest).unwrap().join(" ");
        assert!(words.ends_with(" --trust-remote-code"), "{words}");
        let h200 = Asked { device: "NVIDIA_H200", ..asked(&model, &fp8) };
        assert!(h200.arguments(tuner, &oldest).is_ok());
    }

    #[test]
    fn what_vllms_cannot_tune_is_refused_with_why() {
        let (model, tuner) = (id(), &VLLM);
        let of = |dtype| quantized(dtype, false);
        let (fp8, int8, int4) = (of(Dtype::Fp8W8a8), of(Dtype::Int8W8a8), of(Dtype::Int4W4a16));
        for (asked, more, words) in [
            (asked(&model, &int8), tuner.of_later, "int8_w8a8"),
            (asked(&model, &int4), tuner.of_later, "SPLIT_K"),
            (
                Asked { ep: 2, ..asked(&model, &fp8) },
                tuner.of_later,
                "parallelism 2 with tensor parallelism 4",
            ),
            (Asked { ep: 4, ..asked(&model, &fp8) }, &[], "no option `--enable-expert-parallel`"),
            (Asked { device: "NVIDIA_H200_NVL", ..asked(&model, &fp8) }, &[], "calls NVIDIA_H200"),
        ] {
            let error = asked.arguments(tuner, &having(tuner, more)).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("benchmark_moe.py"), "{error}");
        }
    }
}
