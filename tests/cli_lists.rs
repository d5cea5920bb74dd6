//! What the commands that only read print: plan, space, models, devices, help.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use support::{GLM_STEM, Sandbox};

const COLUMNS: [&str; 8] = [
    "BLOCK_SIZE_M",
    "BLOCK_SIZE_N",
    "BLOCK_SIZE_K",
    "GROUP_SIZE_M",
    "num_warps",
    "num_stages",
    "shared_bytes",
    "fits",
];

/// The value without the figures of the cost model, which may be refined.
fn contract(plan: &Value) -> Value {
    json!({
        "shape": plan["shape"], "files": plan["files"], "directory": plan["directory"],
        "space": plan["space"], "target": plan["target"], "model": plan["model"], "tp": plan["tp"],
    })
}

#[test]
fn the_plan_for_sglang_0_5_4() {
    let sandbox = Sandbox::new();
    let plan = sandbox.json(&["plan", "--model", "GLM-4.7-FP8", "--json"]);
    let shape = &plan["shape"];
    assert_eq!(shape["experts"], 160);
    assert_eq!(shape["intermediate"], 384);
    assert_eq!(shape["hidden"], 5120);
    assert_eq!(shape["top_k"], 8);
    assert_eq!(shape["dtype"], "fp8_w8a8");
    assert_eq!(shape["block_shape"], Value::Null);
    assert_eq!(shape["per_channel"], true);
    assert!(shape.as_object().unwrap().contains_key("block_shape"));
    let files = json!({ "up": format!("{GLM_STEM}.json"), "down": format!("{GLM_STEM}_down.json") });
    assert_eq!(plan["files"], files);
    assert_eq!(plan["directory"], "triton_3_5_0");
    assert_eq!(plan["space"], json!({ "configs": 1920, "tiles": 480, "fit": 364 }));
    insta::assert_snapshot!(format!("{:#}", contract(&plan)));
}

#[test]
fn the_plan_for_sglang_0_5_23() {
    let sandbox = Sandbox::new();
    let plan = sandbox.json(&["plan", "--model", "GLM-4.7-FP8", "--sglang", "0.5.23", "--json"]);
    assert_eq!(plan["shape"]["experts"], 161);
    assert_eq!(plan["shape"]["intermediate"], 384);
    let stem = "E=161,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8,per_channel_quant=True";
    let files = json!({ "up": format!("{stem}.json"), "down": format!("{stem}_down.json") });
    assert_eq!(plan["files"], files);
    assert_eq!(plan["directory"], "triton_3_8_0");
    assert_eq!(plan["space"], json!({ "configs": 1920, "tiles": 480, "fit": 364 }));
    insta::assert_snapshot!(format!("{:#}", contract(&plan)));
}

#[test]
fn the_plan_with_another_triton_and_device() {
    let sandbox = Sandbox::new();
    let arguments = ["plan", "--model", "GLM-4.7-FP8", "--triton", "3.7.1", "--device", "h200", "--json"];
    let plan = sandbox.json(&arguments);
    assert_eq!(plan["directory"], "triton_3_7_1");
    assert_eq!(plan["files"]["up"], "E=160,N=384,device_name=NVIDIA_H200,dtype=fp8_w8a8.json");
    assert!(plan["space"]["fit"].as_u64().unwrap() > 364, "{}", plan["space"]);
}

#[test]
fn the_plan_of_a_block_quantised_model() {
    let sandbox = Sandbox::new();
    let plan = sandbox.json(&["plan", "--model", "Qwen/Qwen3-30B-A3B-FP8", "--tp", "1", "--json"]);
    assert_eq!(plan["shape"]["block_shape"], json!([128, 128]));
    assert_eq!(plan["shape"]["per_channel"], false);
    let name = "E=128,N=768,device_name=NVIDIA_GB10,dtype=fp8_w8a8,block_shape=[128, 128].json";
    assert_eq!(plan["files"]["up"], name);
}

#[test]
fn the_plan_for_people() {
    let sandbox = Sandbox::new();
    let text = sandbox.succeeds(&["plan", "--model", "GLM-4.7-FP8"]);
    for words in ["E=160 N=384 K=5120 top-8", "1,920", "480", "364", "triton_3_5_0", GLM_STEM] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let sizes = sandbox.json(&["plan", "--model", "GLM-4.7-FP8", "--batch-sizes", "1,7", "--json"]);
    let sizes: Vec<_> = sizes["batch_sizes"].as_array().unwrap().iter().map(|of| &of["batch_size"]).collect();
    assert_eq!(sizes, [&json!(1), &json!(7)]);
}

#[test]
fn more_nodes_take_less_time() {
    let sandbox = Sandbox::new();
    let hours = |nodes: &str| {
        let plan = sandbox.json(&["plan", "--model", "GLM-4.7-FP8", "--nodes", nodes, "--json"]);
        plan["estimates"][0]["seconds"].as_f64().unwrap()
    };
    assert!(hours("4") < hours("1"));
}

/// The space as rows of a JSON list.
fn rows(sandbox: &Sandbox, more: &[&str]) -> Vec<Value> {
    let list = sandbox.json(&[&["space", "--format", "json"], more].concat());
    list.as_array().unwrap().clone()
}

fn fitting(rows: &[Value]) -> usize {
    rows.iter().filter(|row| row["fits"] == true).count()
}

#[test]
fn the_space_as_json() {
    let sandbox = Sandbox::new();
    let glm = ["--model", "GLM-4.7-FP8"];
    let all = rows(&sandbox, &glm);
    assert_eq!(all.len(), 1920);
    for row in &all {
        let columns: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(columns, COLUMNS);
        assert_eq!(row["fits"], row["shared_bytes"].as_u64().unwrap() <= 101_376, "{row}");
    }
    let tiles = rows(&sandbox, &[&glm[..], &["--distinct"]].concat());
    assert_eq!((tiles.len(), fitting(&tiles)), (480, 364));
    assert!(tiles.iter().all(|tile| tile.get("GROUP_SIZE_M").is_none()));
    // --json says the same.
    assert_eq!(sandbox.json(&["space", "--model", "GLM-4.7-FP8", "--json"]), Value::Array(all));
}

#[test]
fn the_space_as_csv() {
    let sandbox = Sandbox::new();
    let arguments = ["space", "--model", "GLM-4.7-FP8", "--format", "csv"];
    let text = sandbox.succeeds(&arguments);
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), COLUMNS.join(","));
    let list = rows(&sandbox, &["--model", "GLM-4.7-FP8"]);
    assert_eq!(lines.clone().count(), list.len());
    for (line, row) in lines.zip(&list) {
        let cells: Vec<String> = COLUMNS.iter().map(|column| row[*column].to_string()).collect();
        assert_eq!(line, cells.join(","));
    }
    let distinct = sandbox.succeeds(&[&arguments[..], &["--distinct"]].concat());
    assert_eq!(distinct.lines().count(), 481);
    assert!(!distinct.contains("GROUP_SIZE_M"));
}

#[test]
fn the_space_as_a_table() {
    let sandbox = Sandbox::new();
    let text = sandbox.succeeds(&["space", "--model", "GLM-4.7-FP8"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), COLUMNS);
    assert_eq!(lines.len(), 1922);
    assert!(lines[1921].starts_with("1920 configs, 1456 fit NVIDIA GB10"), "{}", lines[1921]);
    let text = sandbox.succeeds(&["space", "--model", "GLM-4.7-FP8", "--distinct"]);
    assert!(text.lines().last().unwrap().starts_with("480 tiles, 364 fit NVIDIA GB10"), "{text}");
}

#[test]
fn the_space_of_a_quantisation_given_by_hand() {
    let sandbox = Sandbox::new();
    let plain = rows(&sandbox, &["--dtype", "fp8_w8a8", "--distinct"]);
    assert_eq!((plain.len(), fitting(&plain)), (480, 364));
    let block = rows(&sandbox, &["--dtype", "fp8_w8a8", "--block-shape", "128,128"]);
    assert!(block.len() < 1920 && !block.is_empty());
    for row in &block {
        // One scale covers whole blocks of K.
        assert_eq!(128 % row["BLOCK_SIZE_K"].as_u64().unwrap(), 0, "{row}");
    }
    let wide = rows(&sandbox, &["--dtype", "bfloat16", "--distinct"]);
    assert!(fitting(&wide) < fitting(&plain), "twice the bytes, fewer fit");
    let large = rows(&sandbox, &["--dtype", "bfloat16", "--distinct", "--device", "h200"]);
    assert!(fitting(&large) > fitting(&wide), "a larger device holds more");
    insta::assert_snapshot!(format!(
        "fp8_w8a8: {} tiles, {} fit\nfp8_w8a8 block 128,128: {} configs, {} fit\nbfloat16: {} tiles, {} fit\nbfloat16 on h200: {} fit",
        plain.len(),
        fitting(&plain),
        block.len(),
        fitting(&block),
        wide.len(),
        fitting(&wide),
        fitting(&large)
    ));
}

#[test]
fn the_catalogue_of_models() {
    let sandbox = Sandbox::new();
    let list = sandbox.json(&["models", "--json"]);
    let list = list.as_array().unwrap();
    let glm = list.iter().find(|model| model["id"] == "zai-org/GLM-4.7-FP8").unwrap();
    assert_eq!(glm["tp"], 4);
    assert_eq!(glm["shape"]["experts"], 160);
    assert_eq!(glm["target"], json!({ "runtime": "sglang-0.5.4.post2", "triton": "3.5.0" }));
    let table = sandbox.succeeds(&["models"]);
    for model in list {
        let id = model["id"].as_str().unwrap();
        assert!(table.contains(id), "{id}");
        // Everything that is listed can be planned.
        let plan = sandbox.sparktune(&["plan", "--offline", "--json", "--model", id]).assert();
        assert!(matches!(plan.get_output().status.code(), Some(0 | 2)), "{id}");
        if model["shape"].is_object() {
            let plan: Value = serde_json::from_slice(&plan.get_output().stdout).unwrap();
            assert_eq!(plan["shape"], model["shape"], "{id}");
        }
    }
}

#[test]
fn the_catalogue_of_devices() {
    let sandbox = Sandbox::new();
    let list = sandbox.json(&["devices", "--json"]);
    let list = list.as_array().unwrap();
    let gb10 = list.iter().find(|device| device["id"] == "gb10").unwrap();
    assert_eq!(gb10["name"], "NVIDIA GB10");
    assert_eq!(gb10["shared_memory_per_block"], 101_376);
    assert_eq!(gb10["sms"], 48);
    assert_eq!(gb10["compile_target"], "sm_121a");
    let table = sandbox.succeeds(&["devices"]);
    for device in list {
        assert!(table.contains(device["id"].as_str().unwrap()), "{device}");
        assert!(device["sources"].as_object().is_some_and(|sources| !sources.is_empty()), "{device}");
    }
    for id in ["thor", "rtx-4090", "rtx-5090", "rtx-pro-6000-blackwell", "h100", "h200", "b200"] {
        assert!(list.iter().any(|device| device["id"] == id), "{id}");
    }
}

#[test]
fn help_shows_examples() {
    let sandbox = Sandbox::new();
    for command in ["moe", "plan", "space", "check", "publish", "merge", "setup", "init"] {
        let text = sandbox.succeeds(&[command, "--help"]);
        let example = format!("Examples:\n  sparktune {command}");
        assert!(text.contains(&example), "{command}: {text}");
        let short = sandbox.succeeds(&[command, "-h"]);
        assert!(short.contains("Usage:"), "{command}");
    }
    let all = sandbox.succeeds(&["--help"]);
    assert!(all.contains("Examples:\n  sparktune moe") && all.contains("Exit codes:"), "{all}");
    assert!(sandbox.succeeds(&["--version"]).starts_with("sparktune "));
}

#[test]
fn a_reader_that_goes_away_is_a_success() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["space", "--dtype", "fp8_w8a8"][..],
        &["space", "--dtype", "fp8_w8a8", "--format", "csv"],
        &["space", "--dtype", "fp8_w8a8", "--format", "json"],
        &["models"],
        &["devices", "--json"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
        command.args(arguments).current_dir(sandbox.work()).envs(sandbox.environment());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        // One line, then the pipe is closed, as `| head -1` does it.
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let mut message = String::new();
        child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
        assert!(child.wait().unwrap().success(), "{arguments:?}: {message}");
        assert_eq!(message, "", "{arguments:?}");
        assert!(!first.is_empty());
    }
}
