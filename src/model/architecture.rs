//! Which fields of a `config.json` describe the experts, by architecture: a table.
//!
//! Sources, read for this table: the rules of SGLang's own tuner
//! (`benchmark/kernels/fused_moe_triton/common_utils.py`, 0.5.23 era) for the rows marked
//! `tuner`, and the model classes under `sglang/srt/models/` of SGLang 0.5.4.post2 and 0.5.23 for
//! everything else, including which version has the class at all.

use super::fusion::SharedExperts;
use crate::runtime::Runtime;

/// Where a config keeps the numbers. Each entry lists the names to try, the first one present wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Routed experts of the whole model.
    pub experts: &'static [&'static str],
    /// Experts the router picks for a token.
    pub top_k: &'static [&'static str],
    /// Intermediate size of one expert.
    pub intermediate: &'static [&'static str],
    /// Width of the vectors that enter and leave the experts.
    pub hidden: &'static [&'static str],
}

/// What is known about one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Architecture {
    /// The name in `architectures`.
    pub name: &'static str,
    /// Where its numbers are.
    pub fields: Fields,
    /// Gated activation: the up projection is twice as wide as the intermediate size.
    pub gated: bool,
    /// Whether SGLang's own tuner has a rule of its own for it, and if so whether it adds an expert
    /// for the shared one.
    pub tuner: Tuner,
    /// When the server appends the shared experts to the routed ones.
    pub shared: SharedExperts,
    /// The SGLang versions that have a model class of this name.
    served: Served,
    /// Something a user of this architecture must know.
    pub note: Option<&'static str>,
}

/// What SGLang's own tuner (0.5.23 era) does with an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tuner {
    /// It names this architecture and takes the routed experts.
    Routed,
    /// It names this architecture and adds one expert unless told not to.
    PlusShared,
    /// It does not name it: its Mixtral branch applies, right or wrong.
    Fallback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    Both,
    Since0523,
    Neither,
}

impl Architecture {
    /// The row for an architecture name.
    pub(crate) fn find(name: &str) -> Option<&'static Architecture> {
        TABLE.iter().find(|row| row.name == name)
    }

    /// Every row.
    pub(crate) fn all() -> &'static [Architecture] {
        TABLE
    }

    /// Whether `runtime` has a model class of this name. Nobody has read vLLM's registry for this
    /// table, so for vLLM the answer is yes.
    pub(crate) fn is_served_by(&self, runtime: Runtime) -> bool {
        match (self.served, runtime) {
            (_, Runtime::Vllm) | (Served::Both, _) | (Served::Since0523, Runtime::Sglang0523) => true,
            (Served::Since0523, Runtime::Sglang054) | (Served::Neither, _) => false,
        }
    }

    const fn gateless(mut self) -> Self {
        self.gated = false;
        self
    }

    const fn shared(mut self, rule: SharedExperts) -> Self {
        self.shared = rule;
        self
    }

    const fn since_0523(mut self) -> Self {
        self.served = Served::Since0523;
        self
    }

    const fn unserved(mut self) -> Self {
        self.served = Served::Neither;
        self
    }

    const fn note(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }
}

const HIDDEN: &[&str] = &["hidden_size"];
const PER_TOKEN: &[&str] = &["num_experts_per_tok"];
const MOE_INTERMEDIATE: &[&str] = &["moe_intermediate_size"];

/// `num_experts`, `moe_intermediate_size`: Qwen's names, used by many.
const QWEN: Fields =
    Fields { experts: &["num_experts"], top_k: PER_TOKEN, intermediate: MOE_INTERMEDIATE, hidden: HIDDEN };
/// `n_routed_experts`, `moe_intermediate_size`: DeepSeek's names.
const DEEPSEEK: Fields = Fields { experts: &["n_routed_experts"], ..QWEN };
/// `num_local_experts`, `intermediate_size`: Mixtral's names, the fallback of SGLang's tuner.
const MIXTRAL: Fields =
    Fields { experts: &["num_local_experts"], intermediate: &["intermediate_size"], ..QWEN };
/// `num_experts`, `intermediate_size`.
const JAMBA: Fields = Fields { intermediate: &["intermediate_size"], ..QWEN };
/// Grok-1 has `moe_intermediate_size` only in newer configs; the server falls back to
/// `intermediate_size` (`grok.py`, `Grok1DecoderLayer`).
const GROK: Fields = Fields {
    experts: &["num_local_experts"],
    intermediate: &["moe_intermediate_size", "intermediate_size"],
    ..QWEN
};
const HUNYUAN_V3: Fields = Fields { intermediate: &["expert_hidden_dim"], ..QWEN };
/// The experts of Nemotron-H may work in a narrower latent space (`nemotron_h.py`,
/// `moe_hidden_size`).
const NEMOTRON: Fields = Fields { hidden: &["moe_latent_size", "hidden_size"], ..DEEPSEEK };
const GEMMA4: Fields = Fields { top_k: &["top_k_experts"], ..QWEN };
/// DBRX nests its experts, and calls its width `d_model` (transformers maps `hidden_size` to it).
const DBRX: Fields = Fields {
    experts: &["ffn_config.moe_num_experts"],
    top_k: &["ffn_config.moe_top_k"],
    intermediate: &["ffn_config.ffn_hidden_size"],
    hidden: &["hidden_size", "d_model"],
};
const ERNIE: Fields = Fields { experts: &["moe_num_experts"], top_k: &["moe_k"], ..QWEN };
const KIMI_LINEAR: Fields = Fields { top_k: &["num_experts_per_token"], ..QWEN };

const fn row(name: &'static str, fields: Fields, tuner: Tuner) -> Architecture {
    Architecture {
        name,
        fields,
        gated: true,
        tuner,
        shared: SharedExperts::Separate,
        served: Served::Both,
        note: None,
    }
}

use SharedExperts as Shared;
use Tuner::{Fallback, PlusShared, Routed};

const GPT_OSS_NOTE: &str = "an unquantised gpt-oss is served by the `triton_kernels` package, which reads no config files, \
     unless the server is started with `--moe-runner-backend triton`";

const DEEPSEEK_V4_NOTE: &str = "SGLang looks at the weights to see whether the routed experts are fp4 (the default, with kernels \
     that read no config files) or fp8; this shape is right for fp8 experts only";

/// One row an architecture, families together.
static TABLE: &[Architecture] = &[
    // Qwen and kin.
    row("Qwen2MoeForCausalLM", QWEN, Routed),
    row("Qwen3MoeForCausalLM", QWEN, Routed),
    row("Qwen3NextForCausalLM", QWEN, Routed).shared(Shared::Qwen3Next),
    row("Qwen3VLMoeForConditionalGeneration", QWEN, Routed),
    row("Qwen3_5MoeForCausalLM", QWEN, Routed).since_0523(),
    row("Qwen3_5MoeForConditionalGeneration", QWEN, Routed).since_0523(),
    row("Qwen4ExpForCausalLM", QWEN, Routed).unserved(),
    row("Qwen4ExpForConditionalGeneration", QWEN, Routed).since_0523(),
    row("InternS2PreviewForConditionalGeneration", QWEN, Routed).since_0523(),
    row("MellumForCausalLM", QWEN, Routed).since_0523(),
    row("SDARMoeForCausalLM", QWEN, Fallback).since_0523(),
    row("ExaoneMoEForCausalLM", QWEN, Fallback).since_0523(),
    // DeepSeek and kin.
    row("DeepseekV2ForCausalLM", DEEPSEEK, Routed),
    row("DeepseekV3ForCausalLM", DEEPSEEK, PlusShared).shared(Shared::DeepseekV3),
    row("DeepseekV32ForCausalLM", DEEPSEEK, PlusShared),
    row("DeepseekV4ForCausalLM", DEEPSEEK, Routed).since_0523().note(DEEPSEEK_V4_NOTE),
    row("DeepseekOCRForCausalLM", DEEPSEEK, Routed),
    row("UnlimitedOCRForCausalLM", DEEPSEEK, Routed).since_0523(),
    row("KimiVLForConditionalGeneration", DEEPSEEK, Routed),
    // The wrapper builds a DeepseekV3ForCausalLM from `text_config` and asks its rule.
    row("KimiK25ForConditionalGeneration", DEEPSEEK, Fallback).since_0523().shared(Shared::DeepseekV3),
    row("MistralLarge3ForCausalLM", DEEPSEEK, PlusShared).since_0523(),
    row("MiMoV2FlashForCausalLM", DEEPSEEK, Fallback).since_0523(),
    row("KimiLinearForCausalLM", KIMI_LINEAR, Fallback),
    // GLM.
    row("Glm4MoeForCausalLM", DEEPSEEK, PlusShared).shared(Shared::Glm4Moe),
    row("Glm4MoeLiteForCausalLM", DEEPSEEK, PlusShared).since_0523().shared(Shared::ExactlyOne),
    row("Glm4vMoeForConditionalGeneration", DEEPSEEK, Fallback).shared(Shared::ExactlyOne),
    row("GlmMoeDsaForCausalLM", DEEPSEEK, PlusShared).since_0523().shared(Shared::DeepseekV3),
    // MiniMax.
    row("MiniMaxM2ForCausalLM", MIXTRAL, Fallback),
    row("MiniMaxM3SparseForCausalLM", MIXTRAL, Fallback).since_0523().shared(Shared::ExactlyOne),
    row("MiniMaxM3SparseForConditionalGeneration", MIXTRAL, PlusShared)
        .since_0523()
        .shared(Shared::ExactlyOne),
    // Mixtral and those that share its field names.
    row("MixtralForCausalLM", MIXTRAL, Fallback),
    row("PhiMoEForCausalLM", MIXTRAL, Fallback),
    row("GraniteMoeForCausalLM", MIXTRAL, Fallback),
    row("GraniteMoeSharedForCausalLM", MIXTRAL, Fallback).since_0523(),
    row("GraniteMoeHybridForCausalLM", MIXTRAL, Fallback).since_0523(),
    row("GptOssForCausalLM", MIXTRAL, Fallback).note(GPT_OSS_NOTE),
    // Llama 4: neither server version fuses the shared expert, though the tuner counts it.
    row("Llama4ForConditionalGeneration", MIXTRAL, PlusShared),
    row("Llama4ForCausalLM", MIXTRAL, Fallback),
    // Grok-1. The last two names are the tuner's; no server class has them.
    row("Grok1ForCausalLM", GROK, Routed),
    row("Grok1ImgGen", GROK, Routed).unserved(),
    row("Grok1AForCausalLM", GROK, Routed).unserved(),
    // Bailing (Ling).
    row("BailingMoEForCausalLM", QWEN, Routed),
    row("BailingMoeForCausalLM", QWEN, Routed),
    row("BailingMoeV2ForCausalLM", QWEN, Routed),
    row("BailingMoeV2_5ForCausalLM", QWEN, Fallback).since_0523(),
    row("BailingMoeV3ForCausalLM", QWEN, Routed).since_0523().shared(Shared::BailingV3),
    // Everyone else.
    row("HYV3ForCausalLM", HUNYUAN_V3, Routed).since_0523(),
    // relu2, no gate (`is_gated=False`); 0.5.4.post2 has the class, but only its dense layers.
    row("NemotronHForCausalLM", NEMOTRON, Routed).gateless().since_0523(),
    row("Gemma4ForConditionalGeneration", GEMMA4, Routed).since_0523(),
    row("Gemma4ForCausalLM", GEMMA4, Fallback).since_0523(),
    row("Lfm2MoeForCausalLM", QWEN, Routed).since_0523(),
    row("JambaForCausalLM", JAMBA, Routed).unserved(),
    row("OlmoeForCausalLM", JAMBA, Fallback),
    row("DbrxForCausalLM", DBRX, Routed),
    row("Ernie4_5_MoeForCausalLM", ERNIE, Fallback),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_field_has_a_name() {
        for (i, row) in TABLE.iter().enumerate() {
            assert!(TABLE[i + 1..].iter().all(|other| other.name != row.name), "{} twice", row.name);
            let Fields { experts, top_k, intermediate, hidden } = row.fields;
            assert!([experts, top_k, intermediate, hidden].iter().all(|names| !names.is_empty()));
        }
    }

    /// Every architecture the tuner names (`common_utils.py`) has a row that says so, and no other.
    #[test]
    fn the_tuners_architectures_are_covered() {
        let routed = [
            "DbrxForCausalLM",
            "JambaForCausalLM",
            "Qwen2MoeForCausalLM",
            "Qwen3MoeForCausalLM",
            "Qwen3NextForCausalLM",
            "Qwen3VLMoeForConditionalGeneration",
            "Qwen3_5MoeForCausalLM",
            "Qwen3_5MoeForConditionalGeneration",
            "Qwen4ExpForCausalLM",
            "Qwen4ExpForConditionalGeneration",
            "InternS2PreviewForConditionalGeneration",
            "MellumForCausalLM",
            "DeepseekV2ForCausalLM",
            "DeepseekV4ForCausalLM",
            "DeepseekOCRForCausalLM",
            "KimiVLForConditionalGeneration",
            "Grok1ForCausalLM",
            "Grok1ImgGen",
            "Grok1AForCausalLM",
            "BailingMoEForCausalLM",
            "BailingMoeForCausalLM",
            "BailingMoeV2ForCausalLM",
            "BailingMoeV3ForCausalLM",
            "HYV3ForCausalLM",
            "NemotronHForCausalLM",
            "Gemma4ForConditionalGeneration",
            "Lfm2MoeForCausalLM",
            "UnlimitedOCRForCausalLM",
        ];
        let plus_shared = [
            "DeepseekV3ForCausalLM",
            "DeepseekV32ForCausalLM",
            "Glm4MoeForCausalLM",
            "Glm4MoeLiteForCausalLM",
            "GlmMoeDsaForCausalLM",
            "MistralLarge3ForCausalLM",
            "Llama4ForConditionalGeneration",
            "MiniMaxM3SparseForConditionalGeneration",
        ];
        for row in TABLE {
            let expected = match row.name {
                name if routed.contains(&name) => Routed,
                name if plus_shared.contains(&name) => PlusShared,
                _ => Fallback,
            };
            assert_eq!(row.tuner, expected, "{}", row.name);
        }
        assert!(routed.iter().chain(&plus_shared).all(|name| Architecture::find(name).is_some()));
    }
}
