//! Every architecture, both SGLang versions, whole and split, against shapes worked out by hand from
//! the servers' sources.

use super::*;
use crate::model::architecture::Architecture;

/// (config, E without and with ep 2 on 0.5.4.post2, the same on 0.5.23), all at tp 2: N is 256, or
/// 512 under ep 2; K 1024; top-6.
#[rustfmt::skip]
fn table() -> Vec<(Value, [u32; 2], [u32; 2])> {
    let grok = |arch| with(mixtral(arch), json!({"intermediate_size": 999, "moe_intermediate_size": 512}));
    let dbrx = json!({"architectures": ["DbrxForCausalLM"], "d_model": 1024,
                      "ffn_config": {"moe_num_experts": 64, "moe_top_k": 6, "ffn_hidden_size": 512}});
    let jamba = |arch| json!({"architectures": [arch], "num_experts": 64, "num_experts_per_tok": 6,
                        "intermediate_size": 512, "hidden_size": 1024});
    let hunyuan = with(qwen("HYV3ForCausalLM"), json!({"moe_intermediate_size": 3, "expert_hidden_dim": 512}));
    let nemotron = with(deepseek("NemotronHForCausalLM", 64), json!({"hidden_size": 4096, "moe_latent_size": 1024}));
    let gemma = json!({"num_experts": 64, "top_k_experts": 6, "moe_intermediate_size": 512, "hidden_size": 1024});
    let gemma_text = with(gemma.clone(), json!({"architectures": ["Gemma4ForCausalLM"]}));
    let ernie = json!({"architectures": ["Ernie4_5_MoeForCausalLM"], "moe_num_experts": 64, "moe_k": 6,
                       "moe_intermediate_size": 512, "hidden_size": 1024});
    let kimi = json!({"architectures": ["KimiLinearForCausalLM"], "num_experts": 64, "num_experts_per_token": 6,
                      "moe_intermediate_size": 512, "hidden_size": 1024});
    let m3 = with(mixtral("x"), json!({"n_shared_experts": 1}));
    let bailing = with(qwen("BailingMoeV3ForCausalLM"), json!({"num_shared_experts": 1}));
    let qwen_next = with(qwen("Qwen3NextForCausalLM"), json!({"shared_expert_intermediate_size": 512}));
    let plain = [64, 32];
    let same = |json: Value| (json, plain, plain);
    vec![
        same(qwen("Qwen2MoeForCausalLM")), same(qwen("Qwen3MoeForCausalLM")),
        (qwen_next, plain, [65, 33]),
        (with(qwen("Qwen3NextForCausalLM"), json!({"shared_expert_intermediate_size": 1024})), plain, plain),
        same(nested("Qwen3VLMoeForConditionalGeneration", "text_config", qwen("x"))),
        same(qwen("Qwen3_5MoeForCausalLM")),
        same(nested("Qwen3_5MoeForConditionalGeneration", "text_config",
                    with(qwen("x"), json!({"shared_expert_intermediate_size": 512})))),
        same(qwen("Qwen4ExpForCausalLM")),
        same(nested("Qwen4ExpForConditionalGeneration", "text_config", qwen("x"))),
        same(nested("InternS2PreviewForConditionalGeneration", "text_config", qwen("x"))),
        same(qwen("MellumForCausalLM")), same(qwen("SDARMoeForCausalLM")), same(qwen("ExaoneMoEForCausalLM")),
        same(deepseek("DeepseekV2ForCausalLM", 64)),
        same(deepseek("DeepseekV3ForCausalLM", 64)),
        (deepseek("DeepseekV3ForCausalLM", 256), [257, 128], [257, 128]),
        (with(deepseek("DeepseekV3ForCausalLM", 256), json!({"n_shared_experts": 2})), [256, 128], [256, 128]),
        (deepseek("DeepseekV32ForCausalLM", 256), [256, 128], [256, 128]),
        (deepseek("DeepseekV4ForCausalLM", 256), [256, 128], [256, 128]),
        same(nested("DeepseekOCRForCausalLM", "language_config", deepseek("DeepseekV2ForCausalLM", 64))),
        same(nested("UnlimitedOCRForCausalLM", "language_config", deepseek("x", 64))),
        same(nested("KimiVLForConditionalGeneration", "text_config", deepseek("x", 64))),
        (nested("KimiK25ForConditionalGeneration", "text_config", deepseek("x", 384)), [384, 192], [384, 192]),
        (deepseek("MistralLarge3ForCausalLM", 256), [256, 128], [256, 128]),
        same(deepseek("MiMoV2FlashForCausalLM", 64)), same(kimi),
        (deepseek("Glm4MoeForCausalLM", 64), plain, [65, 32]),
        (with(deepseek("Glm4MoeForCausalLM", 64), json!({"n_shared_experts": 2})), plain, [66, 32]),
        (with(deepseek("Glm4MoeForCausalLM", 64), json!({"n_shared_experts": null})), plain, plain),
        (deepseek("Glm4MoeLiteForCausalLM", 64), plain, [65, 32]),
        (nested("Glm4vMoeForConditionalGeneration", "text_config", deepseek("x", 64)), plain, [65, 32]),
        (deepseek("GlmMoeDsaForCausalLM", 256), [257, 128], [257, 128]),
        same(mixtral("MiniMaxM2ForCausalLM")),
        (with(m3.clone(), json!({"architectures": ["MiniMaxM3SparseForCausalLM"]})), plain, [65, 32]),
        (nested("MiniMaxM3SparseForConditionalGeneration", "text_config", m3), plain, [65, 32]),
        same(mixtral("MixtralForCausalLM")), same(mixtral("PhiMoEForCausalLM")),
        same(mixtral("GraniteMoeForCausalLM")), same(mixtral("GraniteMoeSharedForCausalLM")),
        same(mixtral("GraniteMoeHybridForCausalLM")), same(mixtral("GptOssForCausalLM")),
        same(nested("Llama4ForConditionalGeneration", "text_config", mixtral("x"))),
        same(mixtral("Llama4ForCausalLM")),
        same(grok("Grok1ForCausalLM")), same(mixtral("Grok1ForCausalLM")),
        same(grok("Grok1ImgGen")), same(grok("Grok1AForCausalLM")),
        same(qwen("BailingMoEForCausalLM")), same(qwen("BailingMoeForCausalLM")),
        same(with(qwen("BailingMoeV2ForCausalLM"), json!({"num_shared_experts": 1}))),
        same(qwen("BailingMoeV2_5ForCausalLM")),
        (bailing.clone(), plain, [65, 33]),
        (with(bailing, json!({"moe_shared_expert_intermediate_size": 1024})), plain, plain),
        same(hunyuan), same(nemotron),
        same(nested("Gemma4ForConditionalGeneration", "text_config", gemma)),
        same(gemma_text), same(qwen("Lfm2MoeForCausalLM")),
        same(jamba("JambaForCausalLM")), same(jamba("OlmoeForCausalLM")), same(dbrx), same(ernie),
    ]
}

#[test]
fn every_architecture_in_both_versions() {
    let mut seen: Vec<String> = Vec::new();
    for (json, old, new) in table() {
        let name = json["architectures"][0].as_str().unwrap().to_owned();
        for (runtime, [whole, halved]) in [(OLD, old), (NEW, new)] {
            let routed = shape(&json, 2, 1, Runtime::Vllm).shape.experts;
            let got = shape(&json, 2, 1, runtime);
            let s = got.shape;
            assert_eq!(
                (s.experts, s.intermediate, s.hidden, s.top_k),
                (whole, 256, 1024, 6),
                "{name} {runtime}"
            );
            assert_eq!(s.fused_shared_experts, whole - routed, "{name} {runtime}");
            assert_eq!(s.gated, name != "NemotronHForCausalLM", "{name}");
            assert_eq!(got.model_intermediate, 512, "{name}");
            let s = shape(&json, 2, 2, runtime).shape;
            assert_eq!((s.experts, s.intermediate), (halved, 512), "{name} {runtime} under ep 2");
        }
        seen.push(name);
    }
    for row in Architecture::all() {
        assert!(seen.iter().any(|name| name == row.name), "{} has no test", row.name);
    }
}
