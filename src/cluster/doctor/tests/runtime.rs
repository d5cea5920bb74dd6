//! Verdicts over what serves on nodes.

use super::*;
use crate::cluster::installed::Installed;
use crate::cluster::runtimes::{NoRuntime, NodeRuntime};
use crate::host::HostPath;

/// As NVIDIA's packages of Triton 3.5.0 and of CUDA 13 say it.
fn installed(change: impl FnOnce(&mut Value)) -> Installed {
    let mut value = json!({
        "python": "3.12.3",
        "packages": {
            "sglang": { "version": "0.5.4.post2", "folder": "/s/sglang" },
            "triton": { "version": "3.5.0", "folder": "/s/triton" },
        },
        "folders": [],
        "variables": {},
        "tools": {
            "cuda": "13.0",
            "nccl": null,
            "ptxas": [
                { "of": "triton", "path": "/s/triton/ptxas", "version": "12.9.86", "targets": ["sm_120a", "sm_121a"] },
                { "of": "cuda", "path": "/usr/local/cuda/bin/ptxas", "version": "13.0.88", "targets": ["sm_121a"] },
            ],
            "kernels": {},
            "no_kernels": null,
            "configs": {},
        },
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn runtime(installed: Installed) -> NodeRuntime {
    let image = Some(("lmsysorg/sglang:spark".to_owned(), "sha256:0".to_owned()));
    NodeRuntime {
        image,
        python: HostPath::new("python3"),
        installed,
        options: None,
        kept: false,
        notes: Vec::new(),
    }
}

/// Three nodes that serve alike, and node b as the test has it.
fn with(change: impl FnOnce(&mut Value)) -> Examined {
    let mut examined = healthy();
    for node in &mut examined.nodes {
        node.runtime = Some(Ok(runtime(installed(|_| ()))));
    }
    examined.nodes[1].runtime = Some(Ok(runtime(installed(change))));
    examined
}

#[test]
fn nodes_that_serve_alike() {
    let examined = with(|_| ());
    assert_eq!(wrong(&examined), []);
    let of_b = examined.findings().into_iter().filter(|it| it.node.as_str() == "b");
    let says = of_b.filter(|it| ["runtime", "triton", "ptxas"].contains(&it.item)).map(|it| it.says);
    assert_eq!(
        says.collect::<Vec<_>>(),
        ["SGLang 0.5.4.post2", "3.5.0", "/s/triton/ptxas (12.9.86) knows sm_121a"]
    );
}

#[test]
fn another_release_or_another_triton() {
    let release = with(|value| value["packages"]["sglang"]["version"] = json!("0.5.10"));
    let says = "SGLang 0.5.10, and SGLang 0.5.4.post2 on a";
    is(&only(&release), "b", "runtime", State::Failed, says, "image sync --from a");
    let other = with(|value| {
        let packages = value["packages"].as_object_mut().unwrap();
        packages.remove("sglang");
        packages.insert("vllm".into(), json!({ "version": "0.11.2", "folder": "/s/vllm" }));
    });
    is(&only(&other), "b", "runtime", State::Failed, "vLLM 0.11.2, and SGLang", "image sync");
    let triton = with(|value| value["packages"]["triton"]["version"] = json!("3.5.1"));
    is(&only(&triton), "b", "triton", State::Failed, "3.5.1, and 3.5.0 on a", "image sync");
}

#[test]
fn an_assembler_that_does_not_know_the_gpu() {
    let old = |value: &mut Value| value["tools"]["ptxas"][0]["targets"] = json!(["sm_120a"]);
    let says = "/s/triton/ptxas (12.9.86) does not know sm_121a";
    let fix = "TRITON_PTXAS_PATH = \"/usr/local/cuda/bin/ptxas\"";
    is(&only(&with(old)), "b", "ptxas", State::Failed, says, fix);
    // As the inventory has it, where somebody did what was said.
    let named = |path: &str| {
        let mut examined = with(old);
        let env = format!("ssh = \"b\"\nenv = {{ TRITON_PTXAS_PATH = \"{path}\" }}\n");
        let text = INVENTORY.replacen("ssh = \"b\"\n", &env, 1);
        assert_ne!(text, INVENTORY);
        examined.nodes[1].node = of(&text).nodes.remove(1).node;
        examined
    };
    assert_eq!(wrong(&named("/usr/local/cuda/bin/ptxas")), []);
    is(&only(&named("/opt/ptxas")), "b", "ptxas", State::Unknown, "/opt/ptxas, which nobody asked", "");
    let alone = with(|value| {
        old(value);
        value["tools"]["ptxas"].as_array_mut().unwrap().pop();
    });
    is(&only(&alone), "b", "ptxas", State::Failed, says, "newer CUDA");
    let none = with(|value| value["tools"]["ptxas"] = json!([]));
    is(&only(&none), "b", "ptxas", State::Failed, "no ptxas that runs", "TRITON_PTXAS_PATH");
    // Since 3.7 Triton takes another one for such GPUs, and has a variable for it.
    let newer = with(|value| value["tools"]["ptxas"][0]["of"] = json!("triton_blackwell"));
    assert_eq!(wrong(&newer), []);
    let newer = with(|value| {
        old(value);
        value["tools"]["ptxas"][0]["of"] = json!("triton_blackwell");
    });
    is(&only(&newer), "b", "ptxas", State::Failed, says, "TRITON_PTXAS_BLACKWELL_PATH");
    // Nobody knows what it would have to know.
    let mut no_gpu = with(old);
    no_gpu.nodes[1].read = Some(Ok(read(&spark(|value| {
        value["commands"]["nvidia_smi"]["exit"]["stdout"] =
            json!("NVIDIA GB10, [N/A], 580.1, 507, 3003, 41, 4\n");
    }))));
    assert_eq!(wrong(&no_gpu), []);
}

#[test]
fn nodes_of_which_it_is_not_known_what_serves() {
    let failing = |error: NoRuntime| {
        let mut examined = with(|_| ());
        examined.nodes[1].runtime = Some(Err(error));
        examined
    };
    let on = || "b".parse().unwrap();
    let neither = failing(NoRuntime::Neither { on: on(), image: "debian".into() });
    is(&only(&neither), "b", "runtime", State::Warning, "neither SGLang nor vLLM", "name an image");
    let late = failing(NoRuntime::Late { on: on(), seconds: 60 });
    is(&only(&late), "b", "runtime", State::Unknown, "within 60 s", "try again");
    // The image is an item of its own.
    let image = failing(NoRuntime::NotThere { on: on(), engine: EngineKind::Docker, image: "i".into() });
    assert_eq!(wrong(&image), []);
}
