//! The main job with the real compiler: to the end, killed half-way, interrupted.
//!
//! Ignored by default: the first run fetches Triton and SGLang from the package registry.

#[path = "support/real.rs"]
mod real;
mod support;

use std::collections::HashSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use spark::runtime::{Runtime, Target};

use support::{GLM_STEM, Sandbox};

/// A cache with the real environments, and with results of its own: everything is compiled anew.
async fn fresh_results(sandbox: &Sandbox) -> PathBuf {
    real::environment(Target::of(Runtime::Sglang054)).await;
    let shared = std::path::absolute(real::cache()).unwrap();
    let cache = sandbox.home().join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    for part in ["environments", "sglang"] {
        symlink(shared.join(part), cache.join(part)).unwrap();
    }
    cache
}

fn sparktune(sandbox: &Sandbox, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
    command.args(arguments).current_dir(sandbox.work()).envs(sandbox.environment());
    command.env("SPARKTUNE_CACHE", cache).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn done(output: &Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {message}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A run with many kernels to compile.
fn start_many(sandbox: &Sandbox, cache: &Path) -> Child {
    let many = ["moe", "--model", "GLM-4.7-FP8", "--policy", "best-predicted", "--out", "run"];
    sparktune(sandbox, cache, &many).spawn().unwrap()
}

/// Whole lines of the journal that are results.
fn proofs(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.path("run/journal.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["record"] == "proof")
        .map(|record| format!("{} {}", record["role"], record["tile"]))
        .collect()
}

/// Wait until the run has `count` results, and is still at it.
fn wait_for_proofs(sandbox: &Sandbox, child: &mut Child, count: usize) {
    let began = Instant::now();
    while proofs(sandbox).len() < count {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("ended with {status} before {count} results");
        }
        assert!(began.elapsed() < Duration::from_secs(50), "no {count} results in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Running processes that were started from `cache`, or work for it.
fn processes_of(cache: &Path) -> Vec<String> {
    let cache = cache.display().to_string();
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for process in all.filter_map(Result::ok) {
        let path = process.path();
        if !process.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // Both are empty for a process that has ended.
        let read = |file: &str| {
            let bytes = std::fs::read(path.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        if read("cmdline").contains(&cache) || read("environ").contains(&cache) {
            found.push(format!("{} {}", path.display(), read("cmdline")));
        }
    }
    found
}

/// Workers end on their own once nobody listens; give them a moment.
#[track_caller]
fn no_process_is_left(cache: &Path) {
    let began = Instant::now();
    loop {
        let left = processes_of(cache);
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "still there: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The run is finished by `--resume`: every kernel once, both files, all compiled.
#[track_caller]
fn resumes_to_the_end(sandbox: &Sandbox, cache: &Path) {
    let before = proofs(sandbox);
    done(&sparktune(sandbox, cache, &["moe", "--resume", "run"]).output().unwrap());
    let after = proofs(sandbox);
    assert_eq!(after[..before.len()], before, "what was recorded stays");
    let distinct: HashSet<&String> = after.iter().collect();
    assert_eq!(distinct.len(), after.len(), "a kernel is in the journal twice");
    for role in ["", "_down"] {
        let path = format!("run/triton_3_5_0/{GLM_STEM}{role}.manifest.json");
        let manifest: Value = serde_json::from_str(&sandbox.read(path)).unwrap();
        for (key, entry) in manifest["entries"].as_object().unwrap() {
            assert_eq!(entry["evidence"], "compiled", "{key}");
            assert!(entry["shared_bytes"].as_u64().unwrap() <= 101_376, "{key}");
        }
    }
    no_process_is_left(cache);
}

#[tokio::test]
#[ignore = "fetches Triton 3.5.0 and SGLang 0.5.4.post2; CI runs it"]
async fn the_main_job_end_to_end() {
    real::environment(Target::of(Runtime::Sglang054)).await;
    let cache = std::path::absolute(real::cache()).unwrap();
    let sandbox = Sandbox::new();
    let job = ["moe", "--model", "GLM-4.7-FP8", "--out", "run", "--offline"];
    let text = done(&sparktune(&sandbox, &cache, &job).output().unwrap());
    for role in ["", "_down"] {
        let line = format!("wrote triton_3_5_0/{GLM_STEM}{role}.json");
        assert!(text.lines().any(|of| of.contains(&line) && of.ends_with("evidence: compiled")), "{text}");
    }
    assert!(text.contains("1,920 configs -> 480 tiles -> 364 fit"), "{text}");
    let check = ["check", "--compile", "--offline", "--for", "sglang-0.5.4", "--device", "gb10", "run"];
    let text = done(&sparktune(&sandbox, &cache, &check).output().unwrap());
    assert!(text.contains("2 files, 2 ok, 0 not"), "{text}");
    let text = done(&sparktune(&sandbox, &cache, &["publish", "run"]).output().unwrap());
    assert!(text.contains("evidence: compiled"), "{text}");
}

#[tokio::test]
#[ignore = "fetches Triton 3.5.0 and SGLang 0.5.4.post2; CI runs it"]
async fn a_run_killed_half_way_goes_on() {
    let sandbox = Sandbox::new();
    let cache = fresh_results(&sandbox).await;
    let mut child = start_many(&sandbox, &cache);
    wait_for_proofs(&sandbox, &mut child, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    no_process_is_left(&cache);
    assert!(!sandbox.path("run/triton_3_5_0").exists(), "it was to be killed before it had finished");
    resumes_to_the_end(&sandbox, &cache);
}

#[tokio::test]
#[ignore = "fetches Triton 3.5.0 and SGLang 0.5.4.post2; CI runs it"]
async fn an_interrupted_run_says_how_to_go_on() {
    let sandbox = Sandbox::new();
    let cache = fresh_results(&sandbox).await;
    let mut child = start_many(&sandbox, &cache);
    wait_for_proofs(&sandbox, &mut child, 1);
    let asked = Instant::now();
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    // A second, and what a busy machine adds.
    assert!(asked.elapsed() < Duration::from_secs(2), "it left after {:?}", asked.elapsed());
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("sparktune moe --resume 'run'"), "{message}");
    assert!(!message.contains("Traceback"), "{message}");
    no_process_is_left(&cache);
    resumes_to_the_end(&sandbox, &cache);
}
