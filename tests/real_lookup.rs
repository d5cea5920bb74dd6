//! SGLang's own look-up code reading the files we write: it must pick ours and return our entries.
//!
//! Ignored by default: the first run fetches SGLang's wheels from the package registry.

#[path = "support/real.rs"]
mod real;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use spark::runtime::{Runtime, Target};

/// What SGLang's look-up answered.
struct Answer {
    log: Vec<String>,
    /// Up and down config for 1, 2, ... tokens; down is null where the up config is used for both.
    configs: Vec<(Value, Value)>,
}

/// Ask `target`'s look-up code for every M from 1 to 8192.
async fn look_up(target: Target, config_dir: &Path, layer: &Value) -> Answer {
    let environment = real::environment(target).await;
    let module =
        environment.package_root.join(target.runtime.config_module_dir()).join("fused_moe_triton_config.py");
    let mut spec = layer.clone();
    spec["module"] = json!(module);
    spec["config_dir"] = json!(config_dir);
    spec["triton"] = json!(target.triton.to_string());
    spec["device"] = json!("NVIDIA GB10");
    spec["shared_memory"] = json!(101_376);
    spec["largest"] = json!(8192);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sglang_lookup.py");
    let output = Command::new("python3").arg(script).arg(spec.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    Answer {
        log: serde_json::from_value(answer["log"].clone()).unwrap(),
        configs: serde_json::from_value(answer["configs"].clone()).unwrap(),
    }
}

/// Write files for a model without compiling: the look-up does not care how sure they are.
fn write_files(out: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_sparktune"))
        .args(["moe", "--evidence", "predicted", "--out"])
        .arg(out)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The entries of the file called `name` below the run's folder for `target`.
fn entries(out: &Path, target: Target, name: &str) -> serde_json::Map<String, Value> {
    let path = out.join(target.triton.directory()).join(name);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// The entry with the key nearest to `tokens`; of two equally near the first, as SGLang does it.
fn nearest(entries: &serde_json::Map<String, Value>, tokens: u64) -> &Value {
    let distance = |key: &String| key.parse::<u64>().unwrap().abs_diff(tokens);
    entries.iter().min_by_key(|(key, _)| distance(key)).unwrap().1
}

async fn our_files_are_picked(runtime: Runtime, arguments: &[&str], stem: &str, layer: Value) {
    let target = Target::of(runtime);
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("configs");
    write_files(&out, &[arguments, &["--sglang", runtime.sglang_version().unwrap()]].concat());
    let (up_name, down_name) = (format!("{stem}.json"), format!("{stem}_down.json"));
    let (up, down) = (entries(&out, target, &up_name), entries(&out, target, &down_name));

    let answer = look_up(target, root.path(), &layer).await;
    let folder = out.join(target.triton.directory());
    for name in [&up_name, &down_name] {
        let line = format!("Using MoE kernel config from {}.", folder.join(name).display());
        assert!(answer.log.contains(&line), "{name} was not picked: {:#?}", answer.log);
    }
    assert_eq!(answer.log.len(), 2, "a fallback or a warning: {:#?}", answer.log);
    assert_eq!(answer.configs.len(), 8192);
    for (tokens, (got_up, got_down)) in (1..).zip(&answer.configs) {
        assert_eq!(got_up, nearest(&up, tokens), "up at M={tokens}");
        assert_eq!(got_down, nearest(&down, tokens), "down at M={tokens}");
    }
}

#[tokio::test]
#[ignore = "fetches SGLang 0.5.4.post2; CI runs it"]
async fn sglang_0_5_4_picks_our_glm_files() {
    let layer = json!({
        "experts": 160, "intermediate": 384, "hidden": 5120, "gated": true, "top_k": 8,
        "dtype": "fp8_w8a8", "block_shape": null, "per_channel": true,
    });
    let stem = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8";
    our_files_are_picked(Runtime::Sglang054, &["--model", "GLM-4.7-FP8"], stem, layer).await;
}

#[tokio::test]
#[ignore = "fetches SGLang 0.5.23; CI runs it"]
async fn sglang_0_5_23_picks_our_glm_files() {
    let layer = json!({
        "experts": 161, "intermediate": 384, "hidden": 5120, "gated": true, "top_k": 9,
        "dtype": "fp8_w8a8", "block_shape": null, "per_channel": true,
    });
    let stem = "E=161,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8,per_channel_quant=True";
    our_files_are_picked(Runtime::Sglang0523, &["--model", "GLM-4.7-FP8"], stem, layer).await;
}

#[tokio::test]
#[ignore = "fetches both SGLang wheels; CI runs it"]
async fn block_scales_and_plain_weights_are_found_too() {
    for runtime in [Runtime::Sglang054, Runtime::Sglang0523] {
        let block = json!({
            "experts": 128, "intermediate": 768, "hidden": 2048, "gated": true, "top_k": 8,
            "dtype": "fp8_w8a8", "block_shape": [128, 128], "per_channel": false,
        });
        let stem = "E=128,N=768,device_name=NVIDIA_GB10,dtype=fp8_w8a8,block_shape=[128, 128]";
        let arguments = ["--model", "Qwen/Qwen3-30B-A3B-FP8", "--tp", "1"];
        our_files_are_picked(runtime, &arguments, stem, block).await;

        let plain = json!({
            "experts": 8, "intermediate": 3584, "hidden": 4096, "gated": true, "top_k": 2,
            "dtype": null, "block_shape": null, "per_channel": false,
        });
        let stem = "E=8,N=3584,device_name=NVIDIA_GB10";
        let arguments = ["--model", "Mixtral-8x7B-Instruct-v0.1", "--tp", "4"];
        our_files_are_picked(runtime, &arguments, stem, plain).await;
    }
}
