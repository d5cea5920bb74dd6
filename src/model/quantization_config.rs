//! `quantization_config` -> how the experts are stored, or why these config files do not apply.
//!
//! Sources: the quantisation methods under `sglang/srt/layers/quantization/` of SGLang 0.5.4.post2
//! and 0.5.23, each read for the question "which kernel does its MoE method run, with which block
//! shape and per-channel flag". The Triton fused-MoE kernel is the only one that reads these files.

use serde_json::Value;

use super::compressed_tensors;
use super::config_json::{ConfigError, ModelConfig, count_of, shorten};
use super::config_section::ConfigSection;
use super::excluded::{Excluded, excluded, names};
use super::scheme::{
    KNOWN_METHODS, MXFP4, MXFP8, NVFP4, QuantizationError, QuantizationMethod, Scheme, W4AFP8, plain_dtype,
};
use super::warning::GeometryWarning;
use crate::runtime::Runtime;
use crate::shape::{BlockShape, Dtype, Quantization};

/// Methods that never read these files, with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("mxfp4", MXFP4),
    ("mxfp_w4a8", MXFP4),
    ("quark_mxfp4", MXFP4),
    ("mxfp8", MXFP8),
    ("modelopt_fp4", NVFP4),
    ("modelopt_mixed", NVFP4),
    ("petit_nvfp4", NVFP4),
    ("minimax_m3_nvfp4", NVFP4),
    ("nvfp4", NVFP4),
    ("nvfp4_online", NVFP4),
    ("w4afp8", W4AFP8),
    (
        "bitsandbytes",
        "bitsandbytes weights are unpacked by their own kernels; no fused-MoE config file is read",
    ),
    ("gguf", "GGUF weights run through llama.cpp's kernels; no fused-MoE config file is read"),
    ("quark", "AMD Quark checkpoints are not covered: most are mxfp4, which reads no fused-MoE config files"),
    ("qoq", "qoq has no fused-MoE method"),
    ("fbgemm_fp8", "fbgemm_fp8 has no fused-MoE method"),
];

/// How the experts of `config` are stored, as `runtime` reads the checkpoint.
pub(super) fn scheme(config: &ModelConfig, runtime: Runtime) -> Result<Scheme, QuantizationError> {
    // Some multimodal checkpoints carry it in the text part only; `compression_config` is what old
    // compressed-tensors checkpoints call it (SGLang's `_parse_quant_hf_config`).
    let found = ["quantization_config", "compression_config"].into_iter().find_map(|name| {
        let at_root = config.root_field(name).map(|value| (name.to_owned(), value));
        at_root.or_else(|| config.text_field(name).map(|value| (config.text_name(name), value)))
    });
    let Some((name, value)) = found else {
        return Ok(Scheme::new(QuantizationMethod::None, Quantization::none(plain_dtype(config)?)));
    };
    if !value.is_object() {
        return Err(config.bad(&name, "an object", value).into());
    }
    let section = ConfigSection { config, name, value };
    let scheme = section.scheme(runtime)?;
    match section.excluded_experts() {
        Excluded::Nothing => Ok(scheme),
        Excluded::SomeLayers(pattern) => {
            Ok(scheme.warn(GeometryWarning::SomeLayersUnquantised { pattern: shorten(&pattern) }))
        }
        Excluded::Everything(pattern) => {
            Ok(Scheme::new(QuantizationMethod::None, Quantization::none(plain_dtype(config)?))
                .warn(GeometryWarning::ExpertsUnquantised { pattern: shorten(&pattern) }))
        }
    }
}

impl ConfigSection<'_> {
    fn scheme(&self, runtime: Runtime) -> Result<Scheme, QuantizationError> {
        let per_tensor = Quantization { dtype: Dtype::Fp8W8a8, block_shape: None, per_channel: false };
        let method = self.method()?;
        // Mixed checkpoints: fp8 everywhere, routed experts in mxfp4 (0.5.23 `ModelConfig`;
        // DeepSeek V4 says it with `expert_dtype`).
        let says_fp4 = |value: Option<&Value>| {
            value.and_then(Value::as_str).is_some_and(|text| text.to_ascii_lowercase().contains("fp4"))
        };
        if says_fp4(self.get("routed_experts_quant_method"))
            || says_fp4(self.get("store_dtype"))
            || says_fp4(self.config.text_field("expert_dtype"))
            || says_fp4(self.config.root_field("expert_dtype"))
        {
            return Err(self.refuse(&format!("{method} with fp4 experts"), MXFP4));
        }
        match method.as_str() {
            "fp8" => {
                let block = self.weight_block_size()?;
                if block.is_some_and(|block| block.n == 1) {
                    return Err(self.refuse("fp8 with 1-row blocks", MXFP8));
                }
                Ok(Scheme::new(QuantizationMethod::Fp8, Quantization { block_shape: block, ..per_tensor }))
            }
            "compressed-tensors" | "compressed_tensors" => compressed_tensors::scheme(self, runtime),
            "w8a8_fp8" => {
                Ok(Scheme::new(QuantizationMethod::Other, Quantization { per_channel: true, ..per_tensor }))
            }
            "w8a8_int8" => Ok(Scheme::new(
                QuantizationMethod::Other,
                Quantization { dtype: Dtype::Int8W8a8, block_shape: None, per_channel: true },
            )),
            "blockwise_int8" => match self.weight_block_size()? {
                Some(block) => Ok(Scheme::new(
                    QuantizationMethod::Other,
                    Quantization { dtype: Dtype::Int8W8a8, block_shape: Some(block), per_channel: false },
                )),
                None => Err(self.missing("weight_block_size", "two block sizes, such as [128, 128]").into()),
            },
            "gptq" | "gptq_marlin" | "awq" | "awq_marlin" | "moe_wna16" | "auto-round" | "auto_round" => {
                self.weight_only(&method, runtime)
            }
            "modelopt" | "modelopt_fp8" => {
                self.modelopt(&method).map(|()| Scheme::new(QuantizationMethod::Other, per_tensor))
            }
            other => match REFUSED.iter().find(|(name, _)| *name == other) {
                Some((_, reason)) => Err(self.refuse(other, reason)),
                None => Err(QuantizationError::Unknown {
                    origin: self.config.origin().to_owned(),
                    field: self.field("quant_method"),
                    method: shorten(other),
                }),
            },
        }
    }

    fn method(&self) -> Result<String, QuantizationError> {
        match self.get("quant_method") {
            Some(Value::String(method)) => Ok(method.to_ascii_lowercase()),
            Some(other) => Err(self.bad("quant_method", "the name of a method", other).into()),
            // ModelOpt exports may leave it out; so do old compressed-tensors ones.
            None if self.get("quant_algo").is_some() => Ok("modelopt".to_owned()),
            None if self.get("config_groups").is_some() => Ok("compressed-tensors".to_owned()),
            None => Err(self.missing("quant_method", &format!("one of {KNOWN_METHODS}")).into()),
        }
    }

    /// ModelOpt: only plain FP8 runs through Triton (`ModelOptFp8MoEMethod`, one scale a tensor).
    fn modelopt(&self, method: &str) -> Result<(), QuantizationError> {
        match self.get("quant_algo") {
            None if method == "modelopt_fp8" => Ok(()),
            None => Err(self.missing("quant_algo", "FP8").into()),
            Some(Value::String(algo)) => match algo.to_ascii_uppercase().as_str() {
                "FP8" => Ok(()),
                "MXFP8" => Err(self.refuse("modelopt MXFP8", MXFP8)),
                upper if upper.contains("FP4") => Err(self.refuse(&format!("modelopt {upper}"), NVFP4)),
                "MIXED_PRECISION" => Err(self.refuse(
                    "modelopt MIXED_PRECISION",
                    "layers differ in precision; the experts are int4 or NVFP4, whose kernels read no fused-MoE \
                     config files",
                )),
                _ => Err(QuantizationError::Unknown {
                    origin: self.config.origin().to_owned(),
                    field: self.field("quant_algo"),
                    method: shorten(algo),
                }),
            },
            Some(other) => Err(self.bad("quant_algo", "FP8", other).into()),
        }
    }

    /// GPTQ, AWQ and AutoRound: 4 or 8 bit weights in groups, 16-bit activations.
    fn weight_only(&self, method: &str, runtime: Runtime) -> Result<Scheme, QuantizationError> {
        let awq = method.starts_with("awq");
        let (bits_field, bits) = self.first(&["bits", "w_bit"]);
        let (group_field, group) = self.first(&["group_size", "q_group_size"]);
        let dtype = match bits.and_then(Value::as_u64) {
            Some(4) => Dtype::Int4W4a16,
            Some(8) if !awq => Dtype::Int8W8a16,
            _ => return Err(self.wrong(bits_field, if awq { "4" } else { "4 or 8" }, bits).into()),
        };
        if let Some(Value::Bool(true)) = self.get("desc_act") {
            return Err(self.refuse(
                &format!("{method} with desc_act"),
                "activation reordering runs through Marlin only, which reads no fused-MoE config files",
            ));
        }
        let Some(group) = group.and_then(count_of).filter(|group| *group >= 32) else {
            return Err(self.wrong(group_field, "a group size of 32 or more", group).into());
        };
        let quantization =
            Quantization { dtype, block_shape: Some(BlockShape { n: 0, k: group }), per_channel: false };
        let scheme = Scheme::new(QuantizationMethod::Other, quantization);
        let remedy = match method {
            "moe_wna16" => return Ok(scheme),
            // AutoRound picks its own MoE method. 0.5.4.post2 runs symmetric GPTQ packing through
            // MoeWNA16Method, the Triton one (`apply_gptq_quant_layer`); 0.5.23 runs Marlin.
            "auto-round" | "auto_round" => {
                let packing = self.get("packing_format").and_then(Value::as_str).unwrap_or("auto_gptq");
                if runtime == Runtime::Sglang054 && !packing.contains("awq") {
                    return Ok(scheme);
                }
                None
            }
            _ => Some("starting it with `--quantization moe_wna16`"),
        };
        Ok(scheme.warn(GeometryWarning::Marlin { method: method.to_owned(), remedy }))
    }

    fn excluded_experts(&self) -> Excluded {
        let lists = ["modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules", "exclude"];
        excluded(lists.iter().flat_map(|list| names(self.get(list))))
    }

    fn weight_block_size(&self) -> Result<Option<BlockShape>, ConfigError> {
        self.get("weight_block_size").map(|value| self.block("weight_block_size", value)).transpose()
    }
}
