//! Splitting, fusion, warnings, refusals, and shapes said by hand.

use super::*;
use crate::failure::{Failure, Kind};
use crate::model::geometry_error::GeometryError;
use crate::model::warning::GeometryWarning;

#[test]
fn glm_4_7_as_both_servers_look_it_up() {
    let glm = json!({"architectures": ["Glm4MoeForCausalLM"], "n_routed_experts": 160, "n_shared_experts": 1,
        "num_experts_per_tok": 8, "moe_intermediate_size": 1536, "hidden_size": 5120,
        "quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {
            "targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
            "input_activations": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": true}}}}});
    let old = shape(&glm, 4, 1, OLD);
    assert_eq!(old.shape.to_string(), "E=160 N=384 K=5120 top-8  fp8 per channel");
    assert_eq!(old.warnings, []);
    let new = shape(&glm, 4, 1, NEW);
    assert_eq!(new.shape.to_string(), "E=161 N=384 K=5120 top-8+1 shared  fp8 per channel");
    assert_eq!(new.warnings, []);
}

#[test]
fn the_user_overrides_fusion_and_is_told_what_that_takes() {
    let glm = config(deepseek("Glm4MoeForCausalLM", 64));
    let fused = |runtime, choice| {
        let geometry = moe_shape(&glm, split(1, 1), runtime, choice).unwrap();
        (geometry.shape.experts, geometry.warnings.iter().map(ToString::to_string).collect::<String>())
    };
    assert_eq!(fused(NEW, FusionChoice::On), (65, String::new()));
    let (experts, warning) = fused(NEW, FusionChoice::Off);
    assert_eq!(experts, 64);
    assert!(warning.ends_with("start the server with --disable-shared-experts-fusion"), "{warning}");
    let (experts, warning) = fused(OLD, FusionChoice::On);
    assert_eq!(experts, 65);
    assert!(warning.ends_with("this version has no flag for that"), "{warning}");
    let none = config(qwen("Qwen3MoeForCausalLM"));
    for (model, runtime) in [(&none, NEW), (&glm, Runtime::Vllm)] {
        let error = moe_shape(model, split(1, 1), runtime, FusionChoice::On).unwrap_err();
        assert!(matches!(error, GeometryError::NothingToFuse { .. }), "{error}");
    }
}

#[test]
fn the_tuners_other_count_is_mentioned() {
    for (json, server, tuner) in [
        (with(qwen("Qwen3NextForCausalLM"), json!({"shared_expert_intermediate_size": 512})), 65, 64),
        (nested("Llama4ForConditionalGeneration", "text_config", mixtral("x")), 64, 65),
        (deepseek("DeepseekV32ForCausalLM", 256), 256, 257),
        (deepseek("MistralLarge3ForCausalLM", 256), 256, 257),
    ] {
        let warnings = shape(&json, 1, 1, NEW).warnings;
        assert!(
            warnings.contains(&GeometryWarning::TunerDisagrees { server, tuner }),
            "{json}: {warnings:?}"
        );
    }
    let glm = shape(&deepseek("Glm4MoeForCausalLM", 64), 2, 2, NEW).warnings;
    assert!(glm.contains(&GeometryWarning::TunerDisagrees { server: 32, tuner: 33 }), "{glm:?}");
}

#[test]
fn versions_without_the_model_class_are_mentioned() {
    let old = shape(&qwen("Qwen3_5MoeForCausalLM"), 1, 1, OLD).warnings;
    assert_eq!(
        old,
        [GeometryWarning::ArchitectureNotServed { runtime: OLD, architecture: "Qwen3_5MoeForCausalLM" }]
    );
    assert_eq!(shape(&qwen("Qwen3_5MoeForCausalLM"), 1, 1, NEW).warnings, []);
}

#[test]
fn a_block_that_does_not_divide_the_slice_is_mentioned() {
    let qwen = json!({"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 128, "num_experts_per_tok": 8,
        "moe_intermediate_size": 768, "hidden_size": 2048,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}});
    let geometry = shape(&qwen, 4, 1, OLD);
    assert_eq!(geometry.shape.intermediate, 192);
    let text = geometry.warnings[0].to_string();
    assert!(text.starts_with("N=192 is no multiple of the weight block [128, 128]"), "{text}");
    assert!(text.ends_with("tp / ep that fits: 1, 2, 3 or 6"), "{text}");
    assert_eq!(shape(&qwen, 2, 1, OLD).warnings, []);
}

#[test]
fn groups_are_halved_as_the_server_does() {
    let awq = |n: u32| {
        with(
            qwen("Qwen3MoeForCausalLM"),
            json!({"moe_intermediate_size": n,
        "quantization_config": {"quant_method": "moe_wna16", "bits": 4, "group_size": 128}}),
        )
    };
    let geometry = shape(&awq(192), 1, 1, OLD);
    assert_eq!(geometry.shape.quantization.block_shape, Some(BlockShape { n: 0, k: 64 }));
    assert_eq!(geometry.warnings, [GeometryWarning::GroupHalved { declared: 128, effective: 64 }]);
    let geometry = shape(&awq(100), 1, 1, OLD);
    assert!(matches!(geometry.warnings[..], [GeometryWarning::GroupTooSmall { .. }]));
}

#[test]
fn what_does_not_divide_is_refused_with_what_would() {
    let model = config(qwen("Qwen3MoeForCausalLM"));
    let error = |tp, ep| {
        let parallelism = match Parallelism::new(tp, ep) {
            Ok(parallelism) => parallelism,
            Err(error) => return error.to_string(),
        };
        let error = moe_shape(&model, parallelism, OLD, FusionChoice::Auto).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        error.to_string()
    };
    assert_eq!(
        error(3, 1),
        "intermediate size 512 is not divisible by tp / ep = 3; tp that works with ep=1: 1, 2, 4, 8, 16, 32 or 64"
    );
    assert_eq!(error(6, 3), "64 experts are not divisible by ep=3; ep that works with tp=6: 1 or 2");
    assert_eq!(
        error(4, 3),
        "tp=4 is not divisible by ep=3: expert parallelism splits the tensor-parallel group; ep that works: 1, 2 or 4"
    );
    assert_eq!(error(0, 1), "tp=0 is no parallelism; expected an integer from 1 to 1024");
}

#[test]
fn what_cannot_be_read_is_named() {
    let error = |json: Value| {
        let error = moe_shape(&config(json), split(1, 1), OLD, FusionChoice::Auto).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        (error.to_string(), error.hint())
    };
    let (text, hint) = error(with(qwen("NewMoeForCausalLM"), json!({"n_routed_experts": null})));
    assert!(text.starts_with(
        "config.json: unknown architecture `NewMoeForCausalLM`; looked for num_experts (present), "
    ));
    assert!(
        text.contains("n_routed_experts (absent)") && text.contains("ffn_config.moe_num_experts (absent)"),
        "{text}"
    );
    assert!(hint.unwrap().contains("--experts --intermediate --hidden --top-k"));

    let (text, _) =
        error(json!({"architectures": ["LlamaForCausalLM"], "hidden_size": 1, "intermediate_size": 2}));
    assert_eq!(
        text,
        "config.json: `LlamaForCausalLM` has no experts: a dense model has no fused-MoE kernel to tune"
    );

    let mut lacking = qwen("Qwen3MoeForCausalLM");
    lacking.as_object_mut().unwrap().remove("num_experts");
    let (text, hint) = error(nested("Qwen3VLMoeForConditionalGeneration", "text_config", lacking));
    assert_eq!(
        text,
        "config.json: `Qwen3VLMoeForConditionalGeneration` needs the field `text_config.num_experts`, which says \
         how many routed experts there are; it is missing"
    );
    assert!(hint.is_some());

    for bad in
        [json!(-5), json!(0), json!(1.5), json!(4_000_000_000u64), json!("64"), json!([64]), json!(1e300)]
    {
        let (text, _) = error(with(qwen("Qwen3MoeForCausalLM"), json!({"num_experts": bad})));
        assert!(
            text.starts_with(
                "config.json: field `num_experts`: expected an integer from 1 to 1000000, found "
            )
        );
    }
    let (text, _) = error(with(qwen("Qwen3MoeForCausalLM"), json!({"num_experts_per_tok": 65})));
    assert_eq!(text, "65 experts per token, but the model has 64");
}

#[test]
fn a_shape_by_hand() {
    let full = ByHand {
        experts: Some(160),
        intermediate: Some(1536),
        hidden: Some(5120),
        top_k: Some(8),
        dtype: Some(Dtype::Fp8W8a8),
        per_channel: Some(true),
        ..ByHand::default()
    };
    let by_hand = |values: ByHand| Geometry::by_hand(&values, split(4, 1), OLD, FusionChoice::Auto);
    assert_eq!(by_hand(full).unwrap().shape.to_string(), "E=160 N=384 K=5120 top-8  fp8 per channel");
    let fused = Geometry::by_hand(&full, split(4, 1), NEW, FusionChoice::On).unwrap();
    assert_eq!((fused.shape.experts, fused.shape.fused_shared_experts), (161, 1));
    let text = by_hand(ByHand { hidden: None, dtype: None, ..full }).unwrap_err().to_string();
    assert!(text.ends_with("missing: --hidden, --dtype"), "{text}");
    for (wrong, says) in [
        (ByHand { experts: Some(0), ..full }, "--experts 0: expected an integer from 1 to 1000000"),
        (
            ByHand { block_shape: Some(BlockShape { n: 0, k: 128 }), per_channel: None, ..full },
            "block shape [0, 128]",
        ),
        (ByHand { dtype: Some(Dtype::Bfloat16), ..full }, "per-channel scales do not go with bfloat16"),
        (ByHand { block_shape: Some(BlockShape { n: 128, k: 128 }), ..full }, "fp8_w8a8 in blocks"),
    ] {
        let text = by_hand(wrong).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn single_numbers_by_hand_replace_the_models() {
    let unknown = config(qwen("NewMoeForCausalLM"));
    let all = ByHand {
        experts: Some(8),
        intermediate: Some(64),
        hidden: Some(32),
        top_k: Some(2),
        ..ByHand::default()
    };
    let got = |model: &ModelConfig, values| {
        Geometry::resolve(Some(model), &values, split(1, 1), OLD, FusionChoice::Auto)
    };
    assert_eq!(got(&unknown, all).unwrap().shape.to_string(), "E=8 N=64 K=32 top-2  bf16");
    assert!(got(&unknown, ByHand { top_k: None, ..all }).is_err());

    let blocks = json!({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}});
    let known = config(with(qwen("Qwen3MoeForCausalLM"), blocks));
    let shape = |values| got(&known, values).unwrap().shape.to_string();
    assert_eq!(
        shape(ByHand { experts: Some(8), ..ByHand::default() }),
        "E=8 N=512 K=1024 top-6  fp8 block [128, 128]"
    );
    let channel = ByHand { per_channel: Some(true), ..ByHand::default() };
    assert_eq!(shape(channel), "E=64 N=512 K=1024 top-6  fp8 per channel");
    let bf16 = ByHand { dtype: Some(Dtype::Bfloat16), ..ByHand::default() };
    assert_eq!(shape(bf16), "E=64 N=512 K=1024 top-6  bf16");
    let smaller = ByHand { block_shape: Some(BlockShape { n: 64, k: 64 }), ..ByHand::default() };
    assert_eq!(shape(smaller), "E=64 N=512 K=1024 top-6  fp8 block [64, 64]");
}

#[test]
fn block_shapes_are_read_from_text() {
    for text in ["128,64", "[128, 64]", "128x64", " [128,64] "] {
        assert_eq!(text.parse(), Ok(BlockShape { n: 128, k: 64 }), "{text}");
    }
    for bad in ["", "128", "128,", "a,b", "-1,2", "+1,2", "1,2,3", "1.5,2", "99999999999,1", "[1,2"] {
        assert!(bad.parse::<BlockShape>().is_err(), "{bad}");
    }
}
