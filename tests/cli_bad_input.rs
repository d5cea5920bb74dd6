//! Everything that can be wrong, tried wrong: one clear message, exit code 2, nothing written.

mod support;

use serde_json::{Value, json};

use support::Sandbox;

/// Start a run with `more` arguments. Predicted, so that nothing compiles.
fn moe<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["moe", "--offline", "--evidence", "predicted", "--out", "run"], more].concat()
}

/// Refused by each command that takes a model, and nothing written.
#[track_caller]
fn model_refused(sandbox: &Sandbox, arguments: &[&str], words: &[&str]) {
    sandbox.refused(&moe(arguments), words);
    sandbox.refused(&[&["plan", "--offline"], arguments].concat(), words);
    sandbox.refused(&[&["space", "--offline"], arguments].concat(), words);
}

/// A sound Qwen3 MoE config.json.
fn qwen3() -> Value {
    json!({
        "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 2048, "moe_intermediate_size": 768,
        "num_experts": 128, "num_experts_per_tok": 8,
    })
}

#[track_caller]
fn config_refused(text: impl AsRef<[u8]>, words: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("model/config.json", text);
    let words = [&["config.json"], words].concat();
    model_refused(&sandbox, &["--model", "model/config.json"], &words);
    // A folder that holds the file is the same model.
    model_refused(&sandbox, &["--model", "model"], &words);
}

#[test]
fn the_config_the_others_are_broken_from_is_sound() {
    let sandbox = Sandbox::new();
    sandbox.write("model/config.json", qwen3().to_string());
    let plan = sandbox.json(&["plan", "--model", "model", "--json"]);
    assert_eq!(plan["shape"]["experts"], 128);
    assert_eq!(plan["shape"]["intermediate"], 768);
    assert_eq!(plan["shape"]["dtype"], "bfloat16");
}

#[test]
fn a_model_nobody_knows() {
    let sandbox = Sandbox::new();
    let words = ["unknown model `no-such-model`", "sparktune models", "organisation/name"];
    model_refused(&sandbox, &["--model", "no-such-model"], &words);
    model_refused(&sandbox, &["--model", "missing/config.json"], &["missing/config.json"]);
    model_refused(&sandbox, &["--model", ""], &["model"]);
}

#[test]
fn a_hub_model_that_may_not_be_fetched() {
    let sandbox = Sandbox::new();
    let message =
        sandbox.fails(3, &["plan", "--offline", "--model", "some-org/some-model"], &["some-org/some-model"]);
    assert!(message.contains("offline"), "{message}");
}

#[test]
fn a_folder_without_a_config() {
    let sandbox = Sandbox::new();
    sandbox.write("model/readme.txt", "weights are elsewhere");
    model_refused(&sandbox, &["--model", "./model"], &["./model"]);
}

#[test]
fn a_config_that_is_empty() {
    config_refused("", &["empty", "expected a JSON object"]);
}

#[test]
fn a_config_that_is_truncated() {
    let text = qwen3().to_string();
    config_refused(&text[..text.len() - 20], &["not valid JSON", "line 1 column"]);
}

#[test]
fn a_config_that_is_no_text() {
    config_refused([0xff, 0xfe, 0x00, 0x7b], &["not valid JSON"]);
}

#[test]
fn a_config_that_is_no_object() {
    config_refused("[1]", &["expected a JSON object", "list `[1]`"]);
    config_refused("\"text\"", &["expected a JSON object"]);
    config_refused("null", &["expected a JSON object"]);
}

#[test]
fn a_config_nested_beyond_reason() {
    config_refused("[".repeat(10_000), &["not valid JSON"]);
}

#[test]
fn a_config_that_lacks_a_field() {
    for (field, flag) in [
        ("num_experts", "--experts"),
        ("moe_intermediate_size", "--intermediate"),
        ("hidden_size", "--hidden"),
        ("num_experts_per_tok", "--top-k"),
    ] {
        let mut config = qwen3();
        config.as_object_mut().unwrap().remove(field);
        let words = ["Qwen3MoeForCausalLM", &format!("`{field}`"), "missing", flag];
        config_refused(config.to_string(), &words);
    }
}

#[test]
fn numbers_that_are_none() {
    for field in ["num_experts", "moe_intermediate_size", "hidden_size", "num_experts_per_tok"] {
        for wrong in [
            json!(-8),
            json!(0),
            json!(1.5),
            json!("8"),
            json!([8]),
            json!(true),
            json!(9_000_000_000_000_u64),
            json!(1e300),
        ] {
            let mut config = qwen3();
            config[field] = wrong.clone();
            let found = format!("`{field}`");
            config_refused(config.to_string(), &[&found, "expected an integer from 1 to"]);
        }
    }
    let text = qwen3().to_string().replace("768", "99999999999999999999999999");
    config_refused(text, &["`moe_intermediate_size`", "expected an integer from 1 to"]);
}

#[test]
fn a_text_config_that_is_a_list() {
    let config = json!({ "architectures": ["Qwen3VLMoeForConditionalGeneration"], "text_config": [1] });
    config_refused(config.to_string(), &["`text_config`", "expected an object", "list `[1]`"]);
}

#[test]
fn an_architecture_nobody_knows() {
    let mut config = qwen3();
    config["architectures"] = json!(["NoSuchForCausalLM"]);
    config_refused(config.to_string(), &["NoSuchForCausalLM", "--experts", "--intermediate"]);
}

#[test]
fn weights_whose_kernel_reads_no_config_files() {
    let mut config = qwen3();
    config["quantization_config"] = json!({ "quant_method": "mxfp4" });
    config_refused(config.to_string(), &["mxfp4"]);
}

#[test]
fn parallelism_that_does_not_divide() {
    let sandbox = Sandbox::new();
    let glm = ["--model", "GLM-4.7-FP8"];
    let refused = |more: &[&str], words: &[&str]| model_refused(&sandbox, &[&glm, more].concat(), words);
    refused(&["--tp", "7"], &["1536", "tp", "7", "1, 2, 3, 4, 6, 8, 12"]);
    refused(&["--tp", "3", "--ep", "3"], &["160 experts", "ep=3", "ep that works"]);
    refused(&["--tp", "4", "--ep", "3"], &["ep=3"]);
    refused(&["--tp", "0"], &["tp=0", "from 1 to"]);
    refused(&["--ep", "0"], &["ep=0", "from 1 to"]);
    refused(&["--tp", "-4"], &["-4"]);
    refused(&["--tp", "four"], &["four", "--tp"]);
}

#[test]
fn a_dtype_device_or_version_nobody_knows() {
    let sandbox = Sandbox::new();
    let hand = ["--experts", "8", "--intermediate", "512", "--hidden", "1024", "--top-k", "2"];
    let by_hand = [&hand[..], &["--dtype", "fp9"]].concat();
    model_refused(&sandbox, &by_hand, &["--dtype", "`fp9`", "fp8_w8a8", "bfloat16"]);
    let block = [&hand[..], &["--dtype", "fp8_w8a8", "--block-shape", "128"]].concat();
    model_refused(&sandbox, &block, &["--block-shape", "`128`", "128,128"]);

    let glm = ["--model", "GLM-4.7-FP8"];
    let refused = |more: &[&str], words: &[&str]| model_refused(&sandbox, &[&glm, more].concat(), words);
    refused(&["--device", "gtx-1080"], &["unknown device `gtx-1080`", "gb10", "rtx-5090"]);
    refused(&["--sglang", "9.9.9"], &["SGLang version `9.9.9`", "0.5.4.post2", "0.5.23"]);
    for wrong in ["banana", "3", "3.5", "3.5.0.1", "v3.5.0", "", "3.-5.0", "3.5.0 "] {
        refused(&["--triton", wrong], &["--triton", &format!("`{wrong}`"), "3.5.0"]);
    }
}

#[test]
fn a_version_or_device_nobody_knows_elsewhere() {
    let sandbox = Sandbox::new();
    sandbox.write("triton_3_5_0/f.json", "{}");
    sandbox.refused(&["setup", "--offline", "--sglang", "9.9.9"], &["`9.9.9`", "0.5.4.post2"]);
    sandbox.refused(&["setup", "--offline", "--triton", "x"], &["--triton", "`x`"]);
    sandbox.refused(&["check", "--for", "sglang-9", "triton_3_5_0"], &["`sglang-9`", "sglang-0.5.4", "vllm"]);
    sandbox.refused(&["check", "--triton", "x", "triton_3_5_0"], &["--triton", "`x`"]);
    sandbox.refused(&["check", "--device", "gtx", "triton_3_5_0"], &["`gtx`", "gb10"]);
    sandbox.refused(&["check", "nowhere"], &["nowhere"]);
}

#[test]
fn an_environment_that_is_not_there_is_no_bad_input() {
    let sandbox = Sandbox::new();
    let assert = sandbox.sparktune(&["setup", "--offline"]).assert().code(3);
    let message = support::stderr(&assert);
    for words in ["Triton 3.5.0", "--offline", "hint: run `sparktune setup`"] {
        assert!(message.contains(words), "{message}");
    }
    assert!(std::fs::read_dir(sandbox.work()).unwrap().next().is_none());
}

#[test]
fn batch_sizes_that_are_none() {
    let sandbox = Sandbox::new();
    for (list, words) in [
        ("", ["no batch sizes given", "1,16,256"]),
        (",", ["batch size", "--batch-sizes"]),
        ("0", ["batch size `0`", "from 1 to"]),
        ("1,0", ["batch size `0`", "from 1 to"]),
        ("1,2,1", ["batch size 1", "twice"]),
        ("one", ["batch size `one`", "from 1 to"]),
        ("1.5", ["batch size `1.5`", "from 1 to"]),
        ("-1", ["batch size `-1`", "from 1 to"]),
        ("1,,2", ["batch size", "from 1 to"]),
        ("99999999999999999999", ["batch size `99999999999999999999`", "from 1 to"]),
    ] {
        let flag = format!("--batch-sizes={list}");
        let words = [&["--batch-sizes"], &words[..]].concat();
        sandbox.refused(&moe(&["--model", "GLM-4.7-FP8", &flag]), &words);
        sandbox.refused(&["plan", "--model", "GLM-4.7-FP8", &flag], &words);
    }
}

#[test]
fn arguments_clap_refuses() {
    let sandbox = Sandbox::new();
    sandbox.refused(&["mo"], &["mo", "moe"]);
    sandbox.refused(&["plan", "--modell", "x"], &["--modell", "--model"]);
    sandbox.refused(&moe(&["--model", "GLM-4.7-FP8", "--policy", "guess"]), &["guess", "runtime-default"]);
    sandbox.refused(&["moe", "--out", "a", "--resume", "b"], &["--out", "--resume"]);
    sandbox.refused(&["moe", "--model", "GLM-4.7-FP8", "--evidence", "measured"], &["measured", "compiled"]);
    sandbox.refused(&moe(&["--model", "GLM-4.7-FP8", "--jobs", "0"]), &["--jobs"]);
    sandbox.refused(&moe(&["--model", "GLM-4.7-FP8", "--compile-timeout", "0"]), &["--compile-timeout"]);
    sandbox.refused(&["plan", "--model", "GLM-4.7-FP8", "--nodes", "0"], &["--nodes", "1..=1024"]);
}

#[test]
fn no_model_at_all() {
    let sandbox = Sandbox::new();
    sandbox.refused(&moe(&[]), &["--model"]);
    sandbox.refused(&["plan"], &["--model"]);
    let half = ["--experts", "8", "--dtype", "bfloat16"];
    sandbox.refused(&moe(&half), &["--intermediate", "--hidden", "--top-k"]);
}

#[test]
fn profiles_that_do_not_read() {
    let sandbox = Sandbox::new();
    sandbox.refused(&["models", "--profiles", "nowhere"], &["nowhere"]);
    sandbox.write("broken/devices/mine.toml", "id = ");
    sandbox.refused(&["devices", "--profiles", "broken"], &["mine.toml"]);
    sandbox.write("broken/models/mine.toml", "id = 7");
    sandbox.refused(&["models", "--profiles", "broken"], &["mine.toml"]);
}

#[test]
fn an_image_that_cannot_be_asked_of_an_engine() {
    let sandbox = Sandbox::new();
    let glm = ["--model", "GLM-4.7-FP8"];
    let refused = |more: &[&str], words: &[&str]| {
        sandbox.refused(&moe(&[&glm[..], more].concat()), words);
    };
    refused(&["--image", "a?b"], &["--image", "`a?b` is no image's name"]);
    refused(&["--image", "a:b", "--python", "/usr/bin/python3"], &["--image", "--python"]);
    refused(&["--image", "a:b", "--sglang-root", "/opt"], &["--image", "--sglang-root"]);
    refused(&["--cluster", "lab.toml", "--python", "/usr/bin/python3"], &["--cluster", "--python"]);
    refused(&["--cluster", "lab.toml"], &["cannot read the inventory `lab.toml`", "sparktune init"]);
    refused(&["--image", "a:b", "--cluster", "lab.toml"], &["lab.toml"]);
    // A mistyped model is told of before an engine is looked for.
    sandbox.refused(&moe(&["--model", "GLM-4.7-FP", "--image", "a:b"]), &["GLM-4.7-FP"]);
}
