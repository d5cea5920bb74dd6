//! Every quantisation a checkpoint may declare: how its experts are stored, or why it is refused.

use super::*;
use crate::failure::Failure;
use crate::model::quantization_config::scheme;
use crate::model::scheme::{QuantizationError, Scheme};
use crate::model::warning::GeometryWarning;

fn read(root: Value, runtime: Runtime) -> Result<Scheme, QuantizationError> {
    scheme(&ModelConfig::parse(root.to_string().as_bytes(), "c").unwrap(), runtime)
}

fn of(quantization: Value, runtime: Runtime) -> Result<Scheme, QuantizationError> {
    read(json!({"quantization_config": quantization}), runtime)
}

/// A compressed-tensors group for all linear layers.
fn group(weights: Value, activations: Value) -> Value {
    json!({"quant_method": "compressed-tensors", "config_groups": {"group_0": {
        "targets": ["Linear"], "weights": weights, "input_activations": activations}}})
}

fn act(bits: u32) -> Value {
    json!({"num_bits": bits, "type": "float", "strategy": "token", "dynamic": true})
}

#[test]
fn what_is_understood() {
    let fp8 = |strategy: &str| group(json!({"num_bits": 8, "type": "float", "strategy": strategy}), act(8));
    let mut block = fp8("block");
    block["config_groups"]["group_0"]["weights"]["block_structure"] = json!([128, 128]);
    let mut old_block = fp8("block");
    old_block["config_groups"]["group_0"]["weights"]["block_structure"] = json!("64x128");
    let int4 = json!({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128});
    let table = [
        (
            json!({"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"}),
            "fp8 block [128, 128]",
        ),
        (
            json!({"quant_method": "fp8", "weight_block_size": null, "activation_scheme": "dynamic"}),
            "fp8 per tensor",
        ),
        (json!({"quant_method": "FP8"}), "fp8 per tensor"),
        (fp8("channel"), "fp8 per channel"),
        (fp8("tensor"), "fp8 per tensor"),
        (block, "fp8 block [128, 128]"),
        (old_block, "fp8 block [64, 128]"),
        (json!({"quant_method": "w8a8_fp8"}), "fp8 per channel"),
        (json!({"quant_method": "w8a8_int8"}), "int8 per channel"),
        (json!({"quant_method": "blockwise_int8", "weight_block_size": [128, 128]}), "int8 block [128, 128]"),
        (group(json!({"num_bits": 8, "type": "int", "strategy": "channel"}), act(8)), "int8 per channel"),
        (group(json!({"num_bits": 8, "type": "int", "group_size": 64}), json!(null)), "int8 w8a16 group 64"),
        (group(int4, json!(null)), "int4 w4a16 group 128"),
        (
            json!({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false}),
            "int4 w4a16 group 128",
        ),
        (json!({"quant_method": "gptq", "bits": 8, "group_size": 32}), "int8 w8a16 group 32"),
        (json!({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}), "int4 w4a16 group 64"),
        (json!({"quant_method": "auto-round", "bits": 4, "group_size": 128}), "int4 w4a16 group 128"),
        (json!({"quant_method": "modelopt", "quant_algo": "FP8"}), "fp8 per tensor"),
        (json!({"quant_algo": "FP8"}), "fp8 per tensor"),
    ];
    for (config, expected) in table {
        let got = of(config.clone(), NEW).unwrap_or_else(|error| panic!("{config}: {error}"));
        assert_eq!(got.quantization.to_string(), expected, "{config}");
    }
}

#[test]
fn what_reads_no_config_files() {
    let float4 =
        |size: u32| json!({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": size});
    let table = [
        (json!({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}), "mxfp4"),
        (json!({"quant_method": "modelopt", "quant_algo": "NVFP4"}), "NVFP4"),
        (json!({"quant_method": "modelopt_fp4"}), "NVFP4"),
        (json!({"quant_algo": "MIXED_PRECISION"}), "differ in precision"),
        (group(float4(16), json!({"num_bits": 4})), "NVFP4"),
        (group(float4(32), json!(null)), "mxfp4"),
        (
            group(json!({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}), act(8)),
            "CUTLASS",
        ),
        (group(json!({"num_bits": 4, "type": "int", "strategy": "channel"}), json!(null)), "Marlin only"),
        (group(json!({"num_bits": 8, "type": "float", "strategy": "channel"}), json!(null)), "no such path"),
        (
            group(json!({"num_bits": 8, "type": "float", "strategy": "group", "group_size": 128}), act(8)),
            "per block",
        ),
        (json!({"quant_method": "bitsandbytes", "load_in_4bit": true}), "bitsandbytes"),
        (json!({"quant_method": "gguf"}), "GGUF"),
        (json!({"quant_method": "quark"}), "Quark"),
        (json!({"quant_method": "w4afp8"}), "fp8 activations"),
        (json!({"quant_method": "mxfp8"}), "groups of 32"),
        (json!({"quant_method": "fp8", "weight_block_size": [1, 32]}), "groups of 32"),
        (json!({"quant_method": "fp8", "routed_experts_quant_method": "mxfp4"}), "mxfp4"),
        (json!({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": true}), "Marlin only"),
    ];
    for (config, reason) in table {
        let error = of(config.clone(), NEW).unwrap_err();
        assert!(matches!(error, QuantizationError::NoConfigFiles { .. }), "{config}: {error}");
        assert!(error.to_string().contains(reason), "{config}: {error}");
        assert!(error.hint().unwrap().contains("--dtype"));
    }
    let v4 = json!({"expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}});
    assert!(read(v4, NEW).unwrap_err().to_string().contains("fp8 with fp4 experts"));
}

#[test]
fn what_is_wrong_names_the_field() {
    let weights = json!({"num_bits": 8, "type": "float", "strategy": "channel"});
    let table = [
        (json!([1]), "`quantization_config`: expected an object"),
        (json!({}), "`quantization_config.quant_method` is missing"),
        (
            json!({"quant_method": 8}),
            "`quantization_config.quant_method`: expected the name of a method, found `8`",
        ),
        (
            json!({"quant_method": "new"}),
            "unknown quantisation `new` (field `quantization_config.quant_method`)",
        ),
        (json!({"quant_method": "modelopt", "quant_algo": "INT2"}), "unknown quantisation `INT2`"),
        (json!({"quant_method": "fp8", "weight_block_size": [128]}), "two block sizes"),
        (json!({"quant_method": "fp8", "weight_block_size": [128, 0]}), "two block sizes"),
        (json!({"quant_method": "fp8", "weight_block_size": "128"}), "two block sizes"),
        (json!({"quant_method": "blockwise_int8"}), "`quantization_config.weight_block_size` is missing"),
        (
            json!({"quant_method": "awq", "bits": 3, "group_size": 64}),
            "`quantization_config.bits`: expected 4, found `3`",
        ),
        (
            json!({"quant_method": "gptq", "group_size": 64}),
            "`quantization_config.bits` is missing; expected 4 or 8",
        ),
        (
            json!({"quant_method": "gptq", "bits": 4, "group_size": -1}),
            "group size of 32 or more, found `-1`",
        ),
        (json!({"quant_method": "compressed-tensors"}), "`quantization_config.config_groups` is missing"),
        (json!({"quant_method": "compressed-tensors", "config_groups": {}}), "one group or more"),
        (json!({"quant_method": "compressed-tensors", "config_groups": {"g": 3}}), "config_groups"),
        (group(json!(null), act(8)), "`quantization_config.config_groups.group_0.weights` is missing"),
        (
            group(json!({"num_bits": "8"}), act(8)),
            "group_0.weights.num_bits`: expected 4 or 8, found the string `8`",
        ),
        (group(json!({"num_bits": 8, "type": "complex"}), act(8)), "weights.type`: expected float or int"),
        (group(json!({"num_bits": 8, "type": "float", "strategy": "odd"}), act(8)), "weights.strategy`"),
        (
            group(json!({"num_bits": 8, "type": "float", "strategy": "block"}), act(8)),
            "block_structure` is missing",
        ),
        (group(weights, json!({"num_bits": null})), "input_activations.num_bits`"),
    ];
    for (config, says) in table {
        let error = of(config.clone(), NEW).unwrap_err().to_string();
        assert!(error.starts_with("c: ") && error.contains(says), "{config}: {error}");
    }
}

#[test]
fn plain_weights_take_the_configs_dtype() {
    for (root, expected) in [
        (json!({}), "bf16"),
        (json!({"torch_dtype": "float16"}), "fp16"),
        (json!({"dtype": "torch.float32"}), "fp32"),
        (json!({"torch_dtype": null, "quantization_config": null}), "bf16"),
        (json!({"torch_dtype": "float32", "text_config": {"dtype": "bfloat16"}}), "bf16"),
        (json!({"torch_dtype": "float16", "text_config": {}}), "fp16"),
    ] {
        assert_eq!(read(root.clone(), OLD).unwrap().quantization.to_string(), expected, "{root}");
    }
    let error = read(json!({"torch_dtype": "int64"}), OLD).unwrap_err().to_string();
    assert_eq!(
        error,
        "c: field `torch_dtype`: expected bfloat16, float16 or float32, found the string `int64`"
    );
}

#[test]
fn the_section_may_be_nested_or_have_its_old_name() {
    let fp8 = json!({"quant_method": "fp8"});
    for root in [json!({"text_config": {"quantization_config": fp8}}), json!({"compression_config": fp8})] {
        assert_eq!(read(root, NEW).unwrap().quantization.to_string(), "fp8 per tensor");
    }
}

#[test]
fn the_group_of_the_experts_decides() {
    let channel = json!({"weights": {"num_bits": 8, "type": "float", "strategy": "channel"}, "input_activations": act(8)});
    let nvfp4 = json!({"weights": {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
                       "input_activations": {"num_bits": 4}});
    let targeted = |mut group: Value, target: &str| {
        group["targets"] = json!([target]);
        group
    };
    let two = |a: &str, b: &str| {
        json!({"quant_method": "compressed-tensors", "config_groups":
               {"group_0": targeted(nvfp4.clone(), a), "group_1": targeted(channel.clone(), b)}})
    };
    assert_eq!(
        of(two("Linear", "re:.*mlp.experts.*"), NEW).unwrap().quantization.to_string(),
        "fp8 per channel"
    );
    assert_eq!(
        of(two("re:.*self_attn.*", "Linear"), NEW).unwrap().quantization.to_string(),
        "fp8 per channel"
    );
    assert!(of(two("re:.*experts.*", "Linear"), NEW).unwrap_err().to_string().contains("NVFP4"));
    // No group is for the experts.
    assert_eq!(of(two("re:.*q_proj", "re:.*k_proj"), NEW).unwrap().quantization.to_string(), "bf16");
}

#[test]
fn experts_left_unquantised_are_plain() {
    let with_ignored =
        |entry: &str| json!({"quant_method": "fp8", "modules_to_not_convert": ["lm_head", entry]});
    let all = of(with_ignored("re:.*experts.*"), NEW).unwrap();
    assert_eq!(all.quantization.to_string(), "bf16");
    assert!(matches!(all.warnings[..], [GeometryWarning::ExpertsUnquantised { .. }]));
    let some = of(with_ignored("model.layers.0."), NEW).unwrap();
    assert_eq!(some.quantization.to_string(), "fp8 per tensor");
    assert!(matches!(some.warnings[..], [GeometryWarning::SomeLayersUnquantised { .. }]));
    assert_eq!(of(with_ignored("model.layers.0.mlp.gate"), NEW).unwrap().warnings, []);
}

#[test]
fn marlin_and_missing_paths_are_mentioned() {
    let marlin = |config: &Value, runtime| match &of(config.clone(), runtime).unwrap().warnings[..] {
        [] => None,
        [GeometryWarning::Marlin { remedy, .. }] => Some(remedy.is_some()),
        other => panic!("{other:?}"),
    };
    let gptq = json!({"quant_method": "gptq", "bits": 4, "group_size": 128});
    assert_eq!((marlin(&gptq, OLD), marlin(&gptq, NEW)), (Some(true), Some(true)));
    let round = json!({"quant_method": "auto-round", "bits": 4, "group_size": 128, "packing_format": "auto_round:auto_gptq"});
    assert_eq!((marlin(&round, OLD), marlin(&round, NEW)), (None, Some(false)));
    let packed =
        group(json!({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}), json!(null));
    assert_eq!((marlin(&packed, OLD), marlin(&packed, NEW)), (Some(false), Some(true)));
    let int8 = group(json!({"num_bits": 8, "type": "int", "strategy": "channel"}), act(8));
    for runtime in [OLD, NEW] {
        let warnings = of(int8.clone(), runtime).unwrap().warnings;
        assert!(matches!(warnings[..], [GeometryWarning::SchemeNotServed { .. }]), "{warnings:?}");
    }
    assert_eq!(of(int8, Runtime::Vllm).unwrap().warnings, []);
}
