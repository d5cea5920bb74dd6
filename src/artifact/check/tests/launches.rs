//! What a launch takes and what it computes, beyond the common six fields.

use super::*;

#[test]
fn eight_bit_operands_need_steps_of_32() {
    let step = |block_size_k, name: &'static str| Case {
        text: full(|_| config(16, 32, block_size_k, 4, 2)).render(),
        ..Case::named(name)
    };
    for (k, count) in [(16, 18), (32, 0), (64, 0)] {
        let found = step(k, GLM).found(None, "step-too-small");
        assert_eq!(found.len(), count, "{k}");
        assert!(found.iter().all(|finding| finding.severity == Severity::Crash));
    }
    assert_eq!(step(16, "E=8,N=7168,device_name=NVIDIA_GB10.json").found(None, "step-too-small"), []);
}

#[test]
fn amds_options_crash_on_every_device_that_nvidia_names() {
    let unknown = GLM.replace("NVIDIA_GB10", "NVIDIA_A100-SXM4-80GB");
    let case = Case { text: with_field("\"kpack\": 2"), ..Case::named(&unknown) };
    case.holds("amd-field", all(Severity::Crash));
    case.holds("unknown-device", all(Severity::Warning));
    let nameless = GLM.replace("NVIDIA_GB10", "");
    Case { text: with_field("\"kpack\": 2"), ..Case::named(&nameless) }.holds("amd-field", [None; 4]);
}

#[test]
fn launches_of_several_blocks_together_are_not_judged() {
    Case { text: with_field("\"num_ctas\": 2"), ..Case::default() }
        .holds("cluster-not-judged", all(Severity::Warning));
    Case { text: with_field("\"num_ctas\": 1"), ..Case::default() }.holds("cluster-not-judged", [None; 4]);
}

/// SGLang ships `E=256,N=128,device_name=NVIDIA_H20,block_shape=[128, 128].json`.
#[test]
fn a_block_shape_without_a_dtype_scales_nothing() {
    let odd = BLOCK.replace(",dtype=fp8_w8a8", "");
    let case = Case { text: full(|_| config(16, 64, 256, 4, 2)).render(), ..Case::named(&odd) };
    case.holds("block-shape-without-dtype", all(Severity::Warning));
    case.holds("scale-block", [None; 4]);
    Case::named(BLOCK).holds("block-shape-without-dtype", [None; 4]);
}

#[test]
fn a_folder_that_only_looks_like_tritons_is_a_mistake() {
    use Severity::{Ignored, Note};
    let lies_in = |folder| Case { folder: Some(folder), ..Case::default() };
    let sglang = |severity| [Some(severity), Some(severity), None, Some(severity)];
    for folder in ["triton-3.5.0", "triton3_5_0"] {
        lies_in(folder).holds("bad-folder", sglang(Ignored));
    }
    lies_in("triton-files").holds("no-triton-folder", sglang(Note));
    // `sorted(..., key=lambda v: tuple(int(x) for x in v.split(".")))` takes the first three.
    for (folder, stops) in [
        ("triton_3_5", false),
        ("triton_3.5.0", false),
        ("triton-3.5.0", false),
        ("triton_3_5_0rc1", true),
        ("triton_", true),
    ] {
        let message = lies_in(folder).found(None, "bad-folder")[0].message.clone();
        assert_eq!(message.contains("fails to start"), stops, "{message}");
    }
}

/// vLLM cuts the step to the scale block before it launches: neither wrong nor too large.
#[test]
fn vllm_cuts_steps_to_the_scale_block() {
    let name = BLOCK.replace("[128, 128]", "[128,128]");
    // 64 x 128 x 256 in four stages takes 147,456 bytes as it stands and half of it cut to 128.
    let case = Case { text: full(|_| config(64, 128, 256, 4, 4)).render(), ..Case::named(&name) };
    for code in ["scale-block", "out-of-resources"] {
        assert_eq!(case.found(Some(Runtime::Vllm), code), [], "{code}");
        assert_ne!(case.found(SGLANG_0523, code), [], "{code}");
    }
}
