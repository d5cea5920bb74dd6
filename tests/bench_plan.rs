//! `sparkbench models` and `sparkbench plan` as whole programs: the clusters of five people who run such, each with the
//! model that its document serves, and a plan's script read by a real shell.

#[path = "support/bench.rs"]
mod bench;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use bench::{PATIENCE, sparkbench};
use support::{Sandbox, stderr, stdout, write};

#[track_caller]
fn succeeds(sandbox: &Sandbox, arguments: &[&str]) -> String {
    stdout(&sparkbench(sandbox, arguments).assert().success().stderr(""))
}

#[track_caller]
fn refused(sandbox: &Sandbox, arguments: &[&str], words: &[&str]) -> String {
    let assert = sparkbench(sandbox, arguments).assert().code(2);
    let message = stderr(&assert);
    assert_eq!(stdout(&assert), "", "{arguments:?}");
    assert_eq!(message.matches("error:").count(), 1, "{message}");
    for word in words {
        assert!(message.contains(word), "{arguments:?}: `{word}` is not in: {message}");
    }
    message
}

/// An example inventory of the repository.
fn cluster(name: &str) -> String {
    format!("{}/profiles/clusters/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a plan's script behind its head, comments aside, as words that the last shell to read them makes of them.
fn lines(model: &str, inventory: &str) -> Vec<String> {
    let sandbox = Sandbox::new();
    let script =
        succeeds(&sandbox, &["plan", model, "--cluster", &cluster(inventory), "--offline", "--dry-run"]);
    let lines = script.lines().filter(|line| !line.starts_with('#') && *line != "set -eu");
    lines.map(|line| if line.starts_with("ssh ") { words(&words(line)) } else { words(line) }).collect()
}

/// What a shell makes of `line`.
fn words(line: &str) -> String {
    shlex::split(line).unwrap_or_else(|| panic!("no shell reads {line}")).join(" ")
}

#[track_caller]
fn has(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "`{word}` is not in: {line}");
    }
}

/// SGLang in Docker on four Sparks, `--tp 4`: containers, ranks 3 to 1, the head.
#[test]
fn the_guide_for_four_sparks() {
    let lines = lines("GLM-4.7-FP8", "s1-four-sparks");
    let container = [
        "docker run --detach --name sglang_node",
        "--network host --ipc host --gpus all",
        "memlock=-1",
        "stack=67108864",
        "--device /dev/infiniband --cap-add IPC_LOCK",
        "--volume ~/.cache/huggingface:/root/.cache/huggingface",
        "NCCL_SOCKET_IFNAME=enp1s0f1np1",
        "GLOO_SOCKET_IFNAME=enp1s0f1np1",
        "NCCL_DEBUG=WARN",
        "lmsysorg/sglang:spark sleep infinity",
    ];
    let server = [
        "docker exec --detach sglang_node",
        "python3 -m sglang.launch_server --model-path zai-org/GLM-4.7-FP8 --tp-size 4 --nnodes 4",
        "--dist-init-addr 192.168.12.227:50000 --host 0.0.0.0 --port 30000 --trust-remote-code",
        "--mem-fraction-static 0.85 --context-length 32000 --attention-backend flashinfer --disable-cuda-graph",
    ];
    let nodes = ["192.168.12.227", "192.168.12.224", "192.168.12.225", "192.168.12.226"];
    assert_eq!(lines.len(), 9, "{lines:#?}");
    for (line, node) in lines.iter().zip(nodes) {
        has(line, &container);
        has(line, &["ssh ", node]);
    }
    for (line, rank) in lines[4..].iter().zip([3, 2, 1, 0]) {
        has(line, &server);
        has(line, &["ssh ", nodes[rank], &format!("--node-rank {rank} ")]);
    }
    has(&lines[8], &["http://192.168.12.227:30000", "/health", "/v1/models", "zai-org/GLM-4.7-FP8"]);
}

/// EAGLE on a dedicated fabric: ranks meet there, and every node says its own address there.
#[test]
fn the_post_on_a_dedicated_fabric() {
    let lines = lines("GLM-4.7-FP8:eagle", "s4-dedicated-fabric");
    let server = [
        "--tp-size 4 --nnodes 4",
        "--dist-init-addr 192.168.101.11:50000",
        "--dist-timeout 600",
        "--host 0.0.0.0 --port 30000 --trust-remote-code",
        "--tool-call-parser glm --reasoning-parser glm45",
        "--speculative-algorithm EAGLE --speculative-num-steps 3 --speculative-num-draft-tokens 8",
        "--speculative-eagle-topk 2",
        "--context-length 202752",
    ];
    for (at, line) in lines[..4].iter().enumerate() {
        has(line, &["ghcr.io/btankut/sglang-spark-glm47:latest", "NCCL_SOCKET_IFNAME=enP2p1s0f1np1"]);
        has(line, &[&format!("SGLANG_HOST_IP=192.168.101.{}", 11 + at)]);
    }
    for line in &lines[4..8] {
        has(line, &server);
        for not in ["--mem-fraction-static", "--attention-backend", "--disable-cuda-graph"] {
            assert!(!line.contains(not), "{line}");
        }
    }
}

/// Two Sparks and two Thors without containers: Ray by the virtual environment, then SGLang with `--use-ray`.
#[test]
fn the_guide_for_sparks_and_thors() {
    for (model, count, server) in [
        (
            "NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4",
            4,
            "--served-model-name nvidia/nemotron-3-super --tp-size 1 --pp-size 4 --nnodes 4 --use-ray --host 0.0.0.0 \
             --port 5000 --trust-remote-code --mem-fraction-static 0.85 --kv-cache-dtype fp8_e4m3 --dtype auto \
             --chunked-prefill-size 8192 --max-running-requests 512 --disable-cuda-graph",
        ),
        (
            "NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4:two-nodes",
            2,
            "--served-model-name nvidia/nemotron-3-super --tp-size 1 --pp-size 2 --nnodes 2 --use-ray --host 0.0.0.0 \
             --port 5000 --trust-remote-code --mem-fraction-static 0.85 --kv-cache-dtype fp8_e4m3 --dtype auto \
             --chunked-prefill-size 8192 --max-running-requests 512 --disable-cuda-graph",
        ),
        (
            "Qwen3.5-122B-A10B-FP8",
            4,
            "--served-model-name qwen3.5-122b --tp-size 1 --pp-size 4 --nnodes 4 --use-ray --host 0.0.0.0 --port 5000 \
             --trust-remote-code --mem-fraction-static 0.85 --context-length 32768 --max-running-requests 256 \
             --disable-cuda-graph",
        ),
    ] {
        let lines = lines(model, "s2-sparks-and-thors");
        assert_eq!(lines.len(), count + 3, "{lines:#?}");
        has(&lines[0], &["10.0.0.25", "Projects/sglang/.sglang/bin/ray start --node-ip-address=10.0.0.25"]);
        has(
            &lines[0],
            &["--block --head --port=6379", "NCCL_P2P_DISABLE=1", "GLOO_SOCKET_IFNAME=enp1s0f0np0"],
        );
        for (line, node) in lines[1..count].iter().zip(["10.0.0.22", "10.0.0.27", "10.0.0.26"]) {
            has(
                line,
                &[&format!("--node-ip-address={node}"), "--address=10.0.0.25:6379", "NCCL_IB_DISABLE=1"],
            );
            has(line, &["NCCL_SOCKET_IFNAME=", "^lo,docker,tailscale,veth", "NCCL_PROTO=Simple"]);
        }
        has(&lines[count], &["cluster_resources", &format!("-ge {count}")]);
        has(&lines[count + 1], &["Projects/sglang/.sglang/bin/python -m sglang.launch_server", server]);
    }
}

/// One command for each of fourteen models on two Sparks.
#[test]
fn the_fourteen_models_of_two_sparks() {
    let sandbox = Sandbox::new();
    for number in 1..=14 {
        let text = succeeds(
            &sandbox,
            &["plan", &number.to_string(), "--cluster", &cluster("s3-two-sparks"), "--offline", "--json"],
        );
        let plan: Value = serde_json::from_str(&text).unwrap();
        let stages = plan["stages"].as_array().unwrap();
        let server =
            stages.iter().find(|stage| stage["what"] == "server").unwrap()["steps"][0]["argv"].to_string();
        for word in ["\"--tp-size\",\"2\"", "\"--mem-fraction-static\",\"0.9\"", "\"--port\",\"30000\""] {
            assert!(server.contains(word), "{word}: {server}");
        }
        assert!(server.contains("--disable-cuda-graph"), "{server}");
        // The guide sets it for every model; it is for this architecture alone.
        assert_eq!(server.contains("--enable-dp-attention"), number <= 2, "{server}");
    }
}

/// vLLM on Ray in Podman, in three modes of two models.
#[test]
fn the_page_on_podman_and_ray() {
    for (model, server) in [
        ("Qwen3-Coder-30B-int4:pp", "--tensor-parallel-size 1 --pipeline-parallel-size 2"),
        ("Qwen3-Coder-30B-int4", "--tensor-parallel-size 2"),
        ("Qwen3-Coder-30B-int4:ep", "--tensor-parallel-size 2 --enable-expert-parallel"),
        ("Qwen3-Coder-30B-int4:eagle3", "--speculative-config {\"method\":\"eagle3\""),
        ("MiniMax-M2.5-int4:pp", "--tensor-parallel-size 1 --pipeline-parallel-size 2"),
        ("MiniMax-M2.5-int4", "--tensor-parallel-size 2"),
        ("MiniMax-M2.5-int4:ep", "--tensor-parallel-size 2 --enable-expert-parallel"),
    ] {
        let lines = lines(model, "s5-podman-ray");
        assert_eq!(lines.len(), 7, "{lines:#?}");
        for line in &lines[..2] {
            has(line, &["podman run --detach", "--device nvidia.com/gpu=all", "localhost/vllm-next"]);
            has(line, &["--device /dev/infiniband/uverbs0 --device /dev/infiniband/rdma_cm"]);
            has(line, &["NCCL_IB_DISABLE=0", "NCCL_IB_HCA=rocep1s0f0", "NCCL_SOCKET_IFNAME=enp1s0f0np0"]);
        }
        has(&lines[1], &["flash@192.168.1.116"]);
        has(&lines[2], &["podman exec", "ray start", "--block --head --port=6380", "Ray runtime started."]);
        has(&lines[3], &["flash@192.168.1.116", "ray start", "--block --address=192.168.0.117:6380"]);
        has(&lines[5], &["podman exec --detach", "vllm serve Intel/", "--port 8011", server]);
        has(&lines[5], &["--distributed-executor-backend ray", "--gpu-memory-utilization 0.05"]);
        has(&lines[5], &["--kv-cache-memory-bytes 10737418240"]);
    }
}

/// A program of the sandbox's home that does as `text` says.
fn stub(sandbox: &Sandbox, name: &str, text: &str) {
    let path = sandbox.write(format!("../home/{name}"), format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What becomes of a plan's script in the sandbox's own shell.
fn by_hand(sandbox: &Sandbox, script: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).current_dir(sandbox.work());
    for (name, value) in sandbox.environment() {
        shell.env(name, value);
    }
    shell.output().unwrap()
}

/// What the file says once it has so many lines: who writes them may begin after the script has ended.
#[track_caller]
fn heard_in(file: &Path, lines: usize) -> String {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.matches('\n').count() >= lines {
            return text;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing was started");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_script_starts_what_the_plan_says_when_a_shell_reads_it() {
    let sandbox = Sandbox::new();
    let heard = sandbox.path("heard");
    let say =
        |what: &str| format!("printf '%s|' {what} \"$SPACED\" \"$@\" >> {0}; echo >> {0}", heard.display());
    stub(&sandbox, "my venv/bin/python", &say("python"));
    // The health check fails once.
    let curl = format!(
        "case \"$*\" in *health*) [ -e {0} ] || {{ touch {0}; exit 1; }} ;; *) echo '{{\"id\":\"it'\"'\"'s m\"}}' ;; esac",
        sandbox.path("asked").display()
    );
    stub(&sandbox, "bin/curl", &curl);
    stub(&sandbox, "bin/sleep", "exit 0");
    sandbox.write(
        "sparks.toml",
        "name = \"lab\"\nengine = \"none\"\nbare = { virtualenv = \"~/my venv\" }\nenv = { SPACED = \"a 'b' $HOME\" }\n\
         [[nodes]]\nname = \"n1\"\nrole = \"head\"\nlocal = true\n",
    );
    sandbox.write(
        "own/models/m.toml",
        "id = \"me/model\"\nsources = {}\n[serve]\nengine = \"sglang\"\nserved_name = \"it's m\"\n\
         arguments = [\"--chat-template\", \"a b;c\"]\n",
    );
    let script = succeeds(&sandbox, &["plan", "me/model", "--profiles", "own", "--offline", "--dry-run"]);
    let output = by_hand(&sandbox, &script);
    assert!(output.status.success(), "{script}\n{output:?}");
    assert_eq!(
        heard_in(&heard, 1),
        "python|a 'b' $HOME|-m|sglang.launch_server|--model-path|me/model|--served-model-name|it's m|--tp-size|1|--host|\
         0.0.0.0|--port|30000|--chat-template|a b;c|\n"
    );
    assert!(Path::new(&sandbox.path("asked")).exists());
}

/// Ray's own words, as 2.60.0 writes them.
const RAY_IS_UP: &str = "SUCC scripts.py:1085 -- \\033[32mRay runtime started.\\033[39m\\n";

/// One after the other: both write where Ray's words go on a machine.
#[test]
fn a_script_goes_on_only_when_ray_is_up_and_stops_where_it_ends() {
    let sandbox = Sandbox::new();
    let heard = sandbox.path("heard");
    let say = |what: &str| {
        format!("printf '%s|' {what} \"$RAY_ADDRESS\" \"$@\" >> {0}; echo >> {0}", heard.display())
    };
    // It is ended with the sandbox.
    let stay = format!("while [ -e {} ]; do sleep 0.1; done", sandbox.work().display());
    stub(&sandbox, "venv/bin/ray", &format!("sleep 1; {}; printf '{RAY_IS_UP}'; {stay}", say("ray")));
    stub(&sandbox, "venv/bin/python", "echo 2");
    stub(&sandbox, "venv/bin/vllm", &say("vllm"));
    stub(&sandbox, "bin/curl", "echo '{\"id\":\"me/model\"}'");
    // The last word is for a shell of the other node.
    stub(&sandbox, "bin/ssh", "for line; do :; done; exec sh -c \"$line\"");
    sandbox.write(
        "sparks.toml",
        "name = \"lab\"\nengine = \"none\"\nbare = { virtualenv = \"~/venv\" }\n\
         [[nodes]]\nname = \"n1\"\nrole = \"head\"\nlocal = true\nfabric = [\"10.1.0.1\"]\n\
         [[nodes]]\nname = \"n2\"\nssh = \"n2\"\nfabric = [\"10.1.0.2\"]\n",
    );
    sandbox.write(
        "own/models/m.toml",
        "id = \"me/model\"\nsources = {}\n[serve]\nengine = \"vllm\"\ntp = 2\nray = {}\n",
    );
    let script = succeeds(&sandbox, &["plan", "me/model", "--profiles", "own", "--offline", "--dry-run"]);
    let output = by_hand(&sandbox, &script);
    assert!(output.status.success(), "{script}\n{output:?}");
    let head = "10.1.0.1:6379";
    assert_eq!(
        heard_in(&heard, 3),
        format!(
            "ray|{head}|start|--node-ip-address=10.1.0.1|--num-gpus=1|--block|--head|--port=6379|\
             --dashboard-host=127.0.0.1|\nray|{head}|start|--node-ip-address=10.1.0.2|--num-gpus=1|--block|\
             --address={head}|\nvllm|{head}|serve|me/model|--host|0.0.0.0|--port|8000|--tensor-parallel-size|2|\
             --distributed-executor-backend|ray|\n"
        )
    );

    // The log still says that Ray is up: of the start before.
    std::fs::remove_file(&heard).unwrap();
    stub(&sandbox, "venv/bin/ray", "sleep 1; echo 'ConnectionError: Ray is already running'; exit 1");
    let output = by_hand(&sandbox, &script);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), message.as_str()),
        (Some(1), "it has ended; see /tmp/sparktune-ray.log\n")
    );
    assert!(!heard.exists(), "{}", std::fs::read_to_string(&heard).unwrap());
}

#[test]
fn the_list_of_models() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(succeeds(&sandbox, &["models", "--cluster", &cluster("s3-two-sparks")]));
    let list: Value = serde_json::from_str(&succeeds(&sandbox, &["models", "--json"])).unwrap();
    let first = &list[0];
    assert_eq!((first["number"].as_u64(), first["model"].as_str()), (Some(1), Some("openai/gpt-oss-120b")));
    assert!(first.get("fits").is_none());
}

#[test]
fn a_plan_for_people() {
    let sandbox = Sandbox::new();
    let text =
        succeeds(&sandbox, &["plan", "gpt-oss-120b", "--cluster", &cluster("s3-two-sparks"), "--offline"]);
    // Whose the containers are differs from run to run.
    insta::with_settings!({ filters => [("sparktune.owner=[^']*", "sparktune.owner=O")] }, {
        insta::assert_snapshot!(text);
    });
}

#[test]
fn a_token_is_named_and_never_shown() {
    let sandbox = Sandbox::new();
    for (number, needs_it) in [("9", false), ("10", true), ("11", true), ("12", false), ("13", true)] {
        for kind in [&["--dry-run"][..], &["--json"], &[]] {
            let plan = ["plan", number, "--cluster", &cluster("s5-podman-ray"), "--offline"];
            let mut program = sparkbench(&sandbox, &[&plan[..], kind].concat());
            let text = stdout(&program.env("HF_TOKEN", "hf_hush").assert().success());
            assert_eq!(text.contains("--env HF_TOKEN "), needs_it, "{number}: {text}");
            assert!(!text.contains("hf_hush"), "{text}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_before_anything_is_asked() {
    let sandbox = Sandbox::new();
    let s3 = &cluster("s3-two-sparks");
    let plan = |model: &str, words: &[&str]| {
        refused(&sandbox, &["plan", model, "--cluster", s3, "--offline"], words);
    };
    plan("GLM-4.7-FP9", &["unknown model `GLM-4.7-FP9`", "did you mean zai-org/GLM-4.7-FP8"]);
    plan("99", &["unknown model `99`", "sparkbench models"]);
    plan("GLM-4.7-FP8:egle", &["zai-org/GLM-4.7-FP8 has no variant `egle`; it has eagle"]);
    plan("GLM-4.7-FP8", &["takes 4 nodes, one GPU each, and there are 2"]);
    plan("DeepSeek-V3", &["has no [serve]"]);
    refused(&sandbox, &["plan", "1", "--cluster", s3, "--offline", "--node", "nobody"], &["nobody"]);
    refused(&sandbox, &["plan", "1", "--cluster", "none.toml", "--offline"], &["none.toml"]);
    refused(
        &sandbox,
        &["plan", "1", "--cluster", s3, "--offline", "--release", "new"],
        &["`new` is no release"],
    );
    refused(&sandbox, &["plan", "1", "--cluster", s3, "--dry-run", "--json"], &["--json"]);

    sandbox
        .write("own/models/a.toml", "id = \"me/a\"\nsources = {}\n[serve]\nengine = \"vllm\"\nnumber = 3\n");
    refused(
        &sandbox,
        &["plan", "3", "--cluster", s3, "--offline", "--profiles", "own"],
        &["number 3 is me/a's and Qwen/Qwen2.5-7B-Instruct's"],
    );
    sandbox.write("own/models/a.toml", "id = \"me/a\"\nsources = {}\n[serve]\nengine = \"vllm\"\nprt = 3\n");
    refused(&sandbox, &["models", "--profiles", "own"], &["a.toml", "unknown field `prt`", "`port`"]);
    sandbox.write("own/models/a.toml", "id = \"me/a\"\nsources = {}\n[serve]\nengine = \"vllm\"\n");
    sandbox.write("own/rules/r.toml", "[[rule]]\nid = 3\n");
    refused(&sandbox, &["models", "--profiles", "own"], &["rules/r.toml", "id"]);
}

#[test]
fn what_releases_cannot_do_is_refused_with_its_source() {
    let sandbox = Sandbox::new();
    let s5 = &cluster("s5-podman-ray");
    sandbox.write(
        "own/models/m.toml",
        "id = \"me/model\"\nsources = {}\n[serve]\nengine = \"vllm\"\npp = 2\nray = {}\n\
         speculative = { method = \"eagle3\", model = \"me/draft\", draft_tokens = 3 }\n",
    );
    let plan = ["plan", "me/model", "--profiles", "own", "--cluster", s5, "--offline"];
    refused(
        &sandbox,
        &[&plan[..], &["--release", "0.17.0"]].concat(),
        &["EAGLE3 with pipeline parallelism ends with NotImplementedError", "rule `eagle3-in-a-pipeline`"],
    );
    succeeds(&sandbox, &[&plan[..], &["--release", "0.33.0"]].concat());
    let unknown = succeeds(&sandbox, &plan);
    assert!(
        unknown.contains("warning: EAGLE3 with pipeline") && unknown.contains("if it is that"),
        "{unknown}"
    );
}

/// A config as GLM-4.7-FP8 has it, where no recipe knows the model.
const UNKNOWN: &str = r#"{"architectures": ["Glm4MoeForCausalLM"], "num_hidden_layers": 92, "num_attention_heads": 96,
    "num_key_value_heads": 8, "head_dim": 128, "hidden_size": 5120, "n_routed_experts": 160,
    "max_position_embeddings": 32000}"#;

fn index(gigabytes: u64) -> String {
    format!("{{\"metadata\": {{\"total_size\": {gigabytes}000000000}}, \"weight_map\": {{}}}}")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_model_without_a_recipe_is_planned_by_its_config() {
    let sandbox = Sandbox::new();
    sandbox.write("mine/config.json", UNKNOWN);
    sandbox.write("mine/model.safetensors.index.json", index(150));
    let s1 = cluster("s1-four-sparks");
    let plan = |model: &str, more: &[&str]| {
        succeeds(&sandbox, &[&["plan", model, "--cluster", &s1, "--offline"], more].concat())
    };
    // A Spark may take 115.2 of its 128 GB: two do, with a cache of 12.06 GB over both.
    let derived = json(&plan("./mine", &["--json"]));
    assert_eq!((&derived["derived"], derived["split"]["tp"].as_u64()), (&Value::Bool(true), Some(2)));
    assert_eq!(derived["engine"], "sglang");
    assert_eq!(derived["served_name"], "mine");
    let folder = sandbox.path("mine").display().to_string();
    assert_eq!(derived["name"], folder);
    assert_eq!(derived["memory"][0]["weights_gb"], 75.0);
    assert_eq!(derived["derivation"]["from"], "./mine/config.json");
    let by_file = json(&plan("./mine/config.json", &["--json"]));
    assert_eq!((&by_file["name"], &by_file["split"]), (&derived["name"], &derived["split"]));

    let text = plan("./mine", &[]);
    has(
        &text,
        &[
            "no recipe says how it is served: derived from config.json (./mine/config.json)\n",
            &format!("{folder} has to be there on every node, and in its containers\n"),
            &format!("--model-path {folder} "),
            "--served-model-name mine ",
            "--tp-size 2 --nnodes 2",
        ],
    );
    // Neither is said of a model that has a recipe.
    let known = json(&plan("GLM-4.7-FP8", &["--json"]));
    assert_eq!((&known["derived"], &known["derivation"]), (&Value::Bool(false), &Value::Null));
    assert!(!plan("GLM-4.7-FP8", &[]).contains("derived"));
    // The image says vLLM.
    let vllm = ["plan", "./mine", "--cluster", &cluster("s5-podman-ray"), "--offline", "--json"];
    assert_eq!(json(&succeeds(&sandbox, &vllm))["engine"], "vllm");
}

#[test]
fn a_model_of_the_hub_is_derived_from_what_the_cache_has() {
    let sandbox = Sandbox::new();
    let snapshot = sandbox.home().join(".cache/huggingface/hub/models--me--new/snapshots/abc");
    let own_code = UNKNOWN.replace("\"hidden_size\"", "\"auto_map\": {}, \"hidden_size\"");
    std::fs::create_dir_all(&snapshot).unwrap();
    write(&snapshot.join("config.json"), own_code);
    let s1 = cluster("s1-four-sparks");
    let plan = ["plan", "me/new", "--cluster", &s1, "--offline"];
    let text = succeeds(&sandbox, &plan);
    has(
        &text,
        &[
            "me/new by SGLang, tp 1, on ",
            "derived from config.json (Hugging Face cache, ",
            "nothing says how large its weights are",
            "its class is code of its repository, which the engine refuses unless a recipe says `trust_remote_code`",
            "--model-path me/new ",
        ],
    );
    assert!(!text.contains("--trust-remote-code"), "{text}");
    write(&snapshot.join("model.safetensors.index.json"), index(400));
    assert_eq!(json(&succeeds(&sandbox, &[&plan[..], &["--json"]].concat()))["split"]["tp"], 4);
    // A recipe of one's own wins.
    sandbox.write("own/models/a.toml", "id = \"me/new\"\nsources = {}\n[serve]\nengine = \"vllm\"\n");
    let own = json(&succeeds(&sandbox, &[&plan[..], &["--json", "--profiles", "own"]].concat()));
    assert_eq!((&own["derived"], &own["engine"]), (&Value::Bool(false), &Value::from("vllm")));
}

#[test]
fn a_model_that_cannot_be_derived_says_why() {
    let sandbox = Sandbox::new();
    let s3 = &cluster("s3-two-sparks");
    let plan = |model: &str, words: &[&str]| {
        refused(&sandbox, &["plan", model, "--cluster", s3, "--offline"], words);
    };
    sandbox.write("mine/config.json", UNKNOWN);
    sandbox.write("mine/model.safetensors.index.json", index(360));
    plan(
        "./mine",
        &[
            "has no recipe, and by its config.json does not go on any number of the nodes there are:",
            "tp 1: 360.0 GB of weights + 12.1 GB of cache for 32000 tokens on head, of which 115.2 GB may be taken",
            "tp 2: 180.0 GB of weights",
            "`context_length`",
        ],
    );
    plan("./mine:eagle", &["./mine has no variant `eagle`; it has none"]);
    sandbox.write("mine/model.safetensors.index.json", "{");
    plan("./mine", &["model.safetensors.index.json: not valid JSON"]);
    sandbox.write("mine/model.safetensors.index.json", index(360));
    sandbox.write("mine/config.json", UNKNOWN.replace("96", "-1"));
    plan("./mine", &["mine/config.json: field `num_attention_heads`: expected an integer from 1", "`-1`"]);
    sandbox.write("mine/config.json", "{}");
    plan("./mine", &["mine/config.json: field `num_attention_heads` is missing"]);
    plan("./none", &["cannot read `./none`"]);
    plan("none", &["unknown model `none`"]);
    plan("zai-org/GLM-4.7-FP9", &["unknown model `zai-org/GLM-4.7-FP9`", "did you mean zai-org/GLM-4.7-FP8"]);
    plan("a b/c", &["unknown model `a b/c`"]);
    let away = sparkbench(&sandbox, &["plan", "me/away", "--cluster", s3, "--offline"]).assert().code(3);
    let message = stderr(&away);
    assert!(message.contains("`me/away` is not on this machine and --offline is set"), "{message}");
    // Nobody listens there.
    let mut away = sparkbench(&sandbox, &["plan", "me/away", "--cluster", s3]);
    let message = stderr(&away.env("HF_ENDPOINT", "http://127.0.0.1:9").assert().code(3));
    assert!(message.contains("cannot reach http://127.0.0.1:9"), "{message}");
}
