//! `sparktune doctor` on the test cluster, of what is served there: the GPU in a container, the runtime's versions, a model
//! and its tuned files. GPUs and runtimes are look-alikes.
//!
//! Ignored by default: needs `tests/cluster/up`.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/doctor.rs"]
mod doctor;

use cluster::{Faults, TestNode, cluster};
use doctor::{Bench, Found, Laid, nothing_is_left};

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_gpu_that_the_engine_cannot_give_away_is_found_where_it_is() {
    let cluster = cluster();
    let _alone = Faults::new(&cluster);
    let node = &cluster.nodes[1];
    let asks = |it: &TestNode| if it.name == node.name { "container = { gpus = \"all\" }\n" } else { "" };
    let bench = Bench::with(&cluster, "gpus = \"none\"", asks);
    let mut laid = Laid::default();
    laid.nvidia_smi(node);
    bench.only("no GPU for containers", node, "gpu_visible", "could not select device driver", "nvidia-ctk");
    nothing_is_left(&cluster);
}

/// What `ptxas` says, as far as it is asked.
fn assembler(targets: &str) -> String {
    format!(
        "#!/bin/sh\ncase \"$1\" in\n--version) echo 'Cuda compilation tools, release 12.9, V12.9.86' ;;\n\
         *) echo \"Allowed values for this option: {targets}.\" ;;\nesac\n"
    )
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_node_that_serves_with_other_versions_is_found() {
    let cluster = cluster();
    let _alone = Faults::new(&cluster);
    let mut laid = Laid::default();
    let [_, node, ..] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut site = String::new();
    for each in &cluster.nodes {
        let made = cluster.ssh(
            each,
            "python3 -m venv --without-pip /root/serve && /root/serve/bin/python -c 'import sysconfig; \
             print(sysconfig.get_path(\"purelib\"))'",
        );
        assert!(made.status.success(), "{made:?}");
        site = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        laid.nvidia_smi(each);
        laid.file(each, &format!("{site}/sglang/srt/layers/moe/fused_moe_triton/__init__.py"), b"");
        for (package, version) in [("sglang", "0.5.4.post2"), ("triton", "3.5.0")] {
            laid.file(each, &format!("{site}/{package}/__init__.py"), b"");
            laid.package(each, &site, package, version);
        }
        laid.program(
            each,
            &format!("{site}/triton/backends/nvidia/bin/ptxas"),
            &assembler("'sm_120a','sm_121a'"),
        );
    }
    let bench = Bench::bare(&cluster, "/root/serve");
    let kinds = ["runtime", "triton", "ptxas"];
    let (all, code) = bench.found("nothing", &[], |item, state| kinds.contains(&item) && state == "ok");
    assert_eq!((all.len(), code), (12, Some(0)), "{all:#?}");
    laid.package(node, &site, "sglang", "0.5.10");
    bench.only("another SGLang", node, "runtime", "SGLang 0.5.10, and SGLang 0.5.4.post2 on n1", "pip list");
    laid.package(node, &site, "sglang", "0.5.4.post2");
    laid.package(node, &site, "triton", "3.5.1");
    bench.only("another Triton", node, "triton", "3.5.1, and 3.5.0 on n1", "pip list");
    laid.package(node, &site, "triton", "3.5.0");
    laid.program(node, &format!("{site}/triton/backends/nvidia/bin/ptxas"), &assembler("'sm_120a'"));
    bench.only("an old assembler", node, "ptxas", "does not know sm_121a", "TRITON_PTXAS_PATH");
    for each in &cluster.nodes {
        cluster.ssh(each, "rm -rf /root/serve");
    }
}

const MODEL: &str = "/root/.cache/huggingface/hub/models--zai-org--GLM-4.7-FP8";
const LOOK_ALIKE: &str = "/root/look-alike";
const CONFIGS: &str = "/root/look-alike/sglang/srt/layers/moe/fused_moe_triton/configs/triton_3_5_0";
const UP: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
const DOWN: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8_down.json";

/// A file of safetensors with one tensor of so many bytes.
fn tensors(bytes: usize) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + bytes, 0);
    file
}

/// On a node a model in Hugging Face's cache, a look-alike of SGLang with its Triton, and config files for the model.
fn lay_out(laid: &mut Laid, node: &TestNode) {
    laid.nvidia_smi(node);
    let snapshot = format!("{MODEL}/snapshots/0123abcd");
    laid.file(node, &format!("{MODEL}/refs/main"), b"0123abcd");
    let index =
        br#"{"metadata":{"total_size":1000},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#;
    laid.file(node, &format!("{snapshot}/model.safetensors.index.json"), index);
    laid.file(node, &format!("{snapshot}/one.safetensors"), &tensors(400));
    laid.file(node, &format!("{snapshot}/two.safetensors"), &tensors(600));
    laid.file(node, &format!("{snapshot}/config.json"), b"{}");
    for (package, version) in [("sglang", "0.5.4.post2"), ("triton", "3.5.0")] {
        laid.file(node, &format!("{LOOK_ALIKE}/{package}/__init__.py"), b"");
        laid.package(node, LOOK_ALIKE, package, version);
    }
    for file in [UP, DOWN] {
        laid.file(node, &format!("{CONFIGS}/{file}"), b"{}");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_model_that_one_node_cannot_serve_is_found_on_that_node() {
    let cluster = cluster();
    let _alone = Faults::new(&cluster);
    let mut laid = Laid::default();
    for node in &cluster.nodes {
        lay_out(&mut laid, node);
    }
    let site = "/usr/lib/python3/dist-packages";
    let mounts = ["sglang", "sglang-1.dist-info", "triton", "triton-1.dist-info"]
        .map(|name| format!("\"{LOOK_ALIKE}/{name}:{site}/{name}\""));
    let volumes = format!(
        "gpus = \"none\", volumes = [\"~/.cache/huggingface:/root/.cache/huggingface\", {}]",
        mounts.join(", ")
    );
    let bench = Bench::with(&cluster, &volumes, |_| "");
    let of_models = |item: &str| item.starts_with("model_") || item == "tuned_files";
    let look = |fault: &str| {
        let arguments = ["--model", "glm-4.7-fp8"];
        bench.found(fault, &arguments, |item, state| of_models(item) && state != "ok")
    };
    let (all, code) = bench.found("nothing", &["--model", "glm-4.7-fp8"], |item, _| of_models(item));
    assert_eq!((all.len(), code), (12, Some(0)), "{all:#?}");
    let (wrong, _) = look("nothing");
    assert_eq!(wrong, []);
    nothing_is_left(&cluster);
    let [_, node, ..] = &cluster.nodes[..] else { panic!("two nodes") };
    let only = |fault: &str, item: &str, code: i32, says: &str, fix: &str| {
        let (found, exit) = look(fault);
        let [one] = &found[..] else { panic!("{fault}: {found:#?}") };
        assert_eq!(
            (one.node.as_str(), one.item.as_str(), exit),
            (node.name.as_str(), item, Some(code)),
            "{one:#?}"
        );
        assert!(one.says.contains(says) && one.fix.contains(fix), "{fault}: {one:#?}");
    };
    let at = |path: &str| node.root.join(path.trim_start_matches('/'));
    let file = at(&format!("{CONFIGS}/{DOWN}"));
    std::fs::remove_file(&file).unwrap();
    only("no _down file", "tuned_files", 0, DOWN, "sparktune moe --model zai-org/GLM-4.7-FP8 --tp 4");
    std::fs::write(&file, "{}").unwrap();
    let file = at(&format!("{MODEL}/snapshots/0123abcd/two.safetensors"));
    std::fs::write(&file, &tensors(600)[..500]).unwrap();
    let fetch = "hf download zai-org/GLM-4.7-FP8 --cache-dir /root/.cache/huggingface/hub";
    let (found, code) = look("a file that is cut");
    assert_eq!(code, Some(1));
    let files: Vec<&Found> = found.iter().filter(|it| it.item == "model_files").collect();
    let [one] = &files[..] else { panic!("{found:#?}") };
    assert!(
        one.node == node.name && one.says.contains("two.safetensors has 500 of") && one.fix == fetch,
        "{one:#?}"
    );
    std::fs::write(&file, tensors(600)).unwrap();
    let snapshots = at(&format!("{MODEL}/snapshots"));
    std::fs::rename(snapshots.join("0123abcd"), snapshots.join("fedc9876")).unwrap();
    std::fs::write(at(&format!("{MODEL}/refs/main")), "fedc9876").unwrap();
    only("another revision", "model_files", 0, "revision fedc9876, and 0123abcd on n1", "on every node");
    std::fs::remove_dir_all(at(MODEL)).unwrap();
    only("no model", "model_files", 1, "is not in /root/.cache/huggingface/hub", fetch);
}
