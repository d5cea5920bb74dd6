//! Each runtime's own tuner: what its script is called, where it lies, and how it is told of a layer. Pure.
//!
//! All that differs between the runtimes is here and in [`model_argument`](super::model_argument).
//!
//! SGLang's `tuning_fused_moe_triton.py` was read in its repository (commits e3008f6, before there was a 0.5, and
//! 00e9659, of 0.5.23's time) and in four forks between: its options grew (`--ep-size`, `--per-channel-quant`,
//! `--disable-shared-experts-fusion`, last `--search-space-file`), none that is used here changed its meaning.
//!
//! vLLM's `benchmark_moe.py` was read in the sources that PyPI has of 0.10.0, 0.10.1, 0.10.2, 0.11.0, 0.11.2, 0.14.1,
//! 0.16.0, 0.18.1, 0.22.1, 0.27.1, 0.30.0 and 0.33.0:
//!
//! - Options: `--enable-expert-parallel` and `--save-dir` since 0.10.1; the others that are used here in all.
//!   `--batch-size` takes one or several in all.
//! - It writes one file at its end, where it starts unless `--save-dir` says otherwise, under the name that the server
//!   looks for. Since 0.11.0 the key `triton_version` stands before the batch sizes.
//! - Its `ray.init()` has no address, and it has a worker on each GPU that Ray finds.
//! - On NVIDIA's it tries SGLang's 1,920 configs in another order: in all. With scale blocks it leaves out those whose
//!   tile is no multiple of the block until 0.22.1, and since 0.27.1 those of which neither is a multiple of the other.
//!   None has an option for what is tried.
//! - A config that takes more than the device has is passed over; any other error ends the script until 0.30.0, and is
//!   passed over in 0.33.0.
//! - int4 is tuned since 0.18.1, and not in 0.16.0 and before.

use super::folder;
use super::model_argument::ModelArgument;
use super::script::{CannotAsk, Options};
use crate::runtime::Runtime;
use crate::shape::{Dtype, Quantization};

/// The option that says what is tried.
pub(super) const SEARCH_SPACE: &str = "--search-space-file";

/// A runtime's own tuner.
#[derive(Debug)]
pub(crate) struct OwnTuner {
    /// The runtime, as its makers write it.
    pub runtime: &'static str,
    /// The script's name.
    pub file: &'static str,
    /// Where the runtime's repository has it.
    pub folder: &'static str,
    /// What newer revisions import from beside it.
    pub helper: Option<&'static str>,
    /// The folder of the repository that has the package; none where that is the repository itself.
    pub package_folder: Option<&'static str>,
    /// Where the runtime's own images have the repository, or so much of it.
    pub in_images: &'static str,
    /// Whether it takes the `group_size` of compressed-tensors' groups for a block's side, even where it is none.
    pub takes_group_size: bool,
    /// The options that are used of those that every revision has.
    pub(super) of_every: &'static [&'static str],
    /// The others, as they came.
    pub(super) of_later: &'static [&'static str],
    words: fn(&Self, &Options, &Asked<'_>) -> Result<Vec<String>, CannotAsk>,
}

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

static SGLANG: OwnTuner = OwnTuner {
    runtime: "SGLang",
    file: "tuning_fused_moe_triton.py",
    folder: "benchmark/kernels/fused_moe_triton",
    helper: Some("common_utils.py"),
    package_folder: Some("python"),
    in_images: "/sgl-workspace/sglang",
    takes_group_size: true,
    of_every: &["--model", "--tp-size", "--dtype", "--batch-size", "--tune"],
    of_later: &["--ep-size", "--per-channel-quant", "--disable-shared-experts-fusion", SEARCH_SPACE],
    words: sglang,
};

static VLLM: OwnTuner = OwnTuner {
    runtime: "vLLM",
    file: "benchmark_moe.py",
    folder: "benchmarks/kernels",
    helper: None,
    package_folder: None,
    // Its images have the folder `benchmarks` there, and the wheel (`docker/Dockerfile` of 0.10.0 and 0.33.0).
    in_images: "/vllm-workspace",
    takes_group_size: false,
    of_every: &["--model", "--tp-size", "--dtype", "--batch-size", "--tune", "--trust-remote-code"],
    of_later: &["--enable-expert-parallel"],
    words: vllm,
};

impl OwnTuner {
    /// That of `runtime`.
    pub(crate) fn of(runtime: Runtime) -> &'static Self {
        match runtime {
            Runtime::Sglang054 | Runtime::Sglang0523 => &SGLANG,
            Runtime::Vllm => &VLLM,
        }
    }

    /// The arguments for a script that has `options`, but for the batch size.
    pub(crate) fn arguments(&self, options: &Options, asked: &Asked<'_>) -> Result<Vec<String>, CannotAsk> {
        (self.words)(self, options, asked)
    }

    fn has(
        &self,
        options: &Options,
        option: &'static str,
        what: impl FnOnce() -> String,
    ) -> Result<String, CannotAsk> {
        match options.have(option) {
            true => Ok(option.to_owned()),
            false => Err(CannotAsk::NoOption { file: self.file, option, what: what() }),
        }
    }

    /// The words that both scripts have. Full names: `--tp` is an alias in some revisions only.
    fn common(asked: &Asked<'_>, dtype: &str) -> Vec<String> {
        let tp = asked.tp.to_string();
        let words = ["--tune", "--model", &asked.model.word(), "--tp-size", &tp, "--dtype", dtype];
        words.map(str::to_owned).into()
    }
}

fn sglang(tuner: &OwnTuner, options: &Options, asked: &Asked<'_>) -> Result<Vec<String>, CannotAsk> {
    let Asked { ep, quantization, no_fusion, model: _, tp: _, device: _ } = *asked;
    let dtype = match quantization.dtype {
        // Whatever the model's config says.
        Dtype::Bfloat16 | Dtype::Float16 | Dtype::Float32 => "auto",
        it @ (Dtype::Fp8W8a8 | Dtype::Int8W8a8 | Dtype::Int8W8a16 | Dtype::Int4W4a16) => it.name(),
    };
    let mut words = OwnTuner::common(asked, dtype);
    if ep > 1 {
        let option = tuner.has(options, "--ep-size", || format!("expert parallelism {ep}"))?;
        words.extend([option, ep.to_string()]);
    }
    if quantization.per_channel {
        words.push(tuner.has(options, "--per-channel-quant", || "one scale a channel".to_owned())?);
    }
    if no_fusion {
        let what = || "tuning without fused shared experts".to_owned();
        words.push(tuner.has(options, "--disable-shared-experts-fusion", what)?);
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
    let mut words = OwnTuner::common(asked, dtype);
    if ep > 1 {
        let parallel = || format!("expert parallelism {ep}");
        // Experts are dealt to all ranks or to none.
        if ep != tp {
            return Err(cannot(format!("{} with tensor parallelism {tp}, only with the same", parallel())));
        }
        words.push(tuner.has(options, "--enable-expert-parallel", parallel)?);
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
        let words = tuner.arguments(&options, &asked(&model, &fp8)).unwrap();
        assert_eq!(words.join(" "), "--tune --model org/m --tp-size 4 --dtype fp8_w8a8 --per-channel-quant");
        let bf16 = quantized(Dtype::Bfloat16, false);
        let all = Asked { ep: 2, no_fusion: true, ..asked(&model, &bf16) };
        let words = tuner.arguments(&having(tuner, tuner.of_later), &all).unwrap().join(" ");
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
            let error = tuner.arguments(&having(tuner, &[]), &asked).unwrap_err().to_string();
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
        let words = tuner.arguments(&oldest, &all).unwrap().join(" ");
        assert_eq!(words, "--tune --model org/m --tp-size 4 --dtype fp8_w8a8");
        let all = Asked { ep: 4, ..asked(&model, &fp8) };
        let words = tuner.arguments(&having(tuner, tuner.of_later), &all).unwrap().join(" ");
        assert!(words.ends_with(" --dtype fp8_w8a8 --enable-expert-parallel"), "{words}");
        let own = ModelArgument::OwnCode("org/m".into());
        let words = tuner.arguments(&oldest, &asked(&own, &fp8)).unwrap().join(" ");
        assert!(words.ends_with(" --trust-remote-code"), "{words}");
        let h200 = Asked { device: "NVIDIA_H200", ..asked(&model, &fp8) };
        assert!(tuner.arguments(&oldest, &h200).is_ok());
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
            let error = tuner.arguments(&having(tuner, more), &asked).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("benchmark_moe.py"), "{error}");
        }
    }
}
