//! A kernel with a parameter nobody knows: refused by name before anything is compiled with it.
//!
//! Ignored by default: needs Triton and SGLang's kernel from the package registry.

#[path = "support/real.rs"]
mod real;
mod support;

use spark::runtime::{Runtime, Target};

use support::{Sandbox, stderr, stdout, write};

/// The kernel's file in a tree of 0.5.4.post2.
const KERNEL: &str = "sglang/srt/layers/moe/fused_moe_triton/fused_moe_triton_kernels.py";

#[tokio::test]
#[ignore = "fetches Triton 3.5.0 and SGLang 0.5.4.post2; CI runs it"]
async fn a_kernel_file_with_an_unknown_parameter() {
    let environment = real::environment(Target::of(Runtime::Sglang054)).await;
    let text = std::fs::read_to_string(environment.package_root.join(KERNEL).as_str()).unwrap();
    let start = "def fused_moe_kernel(\n";
    assert_eq!(text.matches(start).count(), 1);
    let sandbox = Sandbox::new();
    let changed = text.replace(start, &format!("{start}    warp_of_doom,\n"));
    let path = sandbox.path("tree").join(KERNEL);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write(&path, changed);
    // Everything the file imports stays as it is in the wheel.
    let assert = sandbox
        .sparktune(&["moe", "--model", "GLM-4.7-FP8", "--out", "run", "--sglang-root", "tree"])
        .env("SPARKTUNE_CACHE", std::path::absolute(real::cache()).unwrap())
        .assert();
    let message = stderr(&assert);
    assert_eq!(assert.get_output().status.code(), Some(2), "{message}");
    assert!(message.contains("warp_of_doom"), "{message}");
    assert!(!message.contains("Traceback"), "{message}");
    assert_eq!(stdout(&assert), "");
    assert!(!sandbox.path("run").exists(), "a run that cannot be is there");
}
