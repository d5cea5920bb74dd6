//! SGLang's own source, read for the options that its server takes: what nobody can run without torch is read.
//!
//! Ignored by default: the first run fetches SGLang's wheels from the package registry.

#[path = "support/real.rs"]
mod real;
mod support;

use serde_json::Value;
use spark::runtime::{Runtime, Target};

use support::Sandbox;

async fn listed(runtime: Runtime, command: &[&str]) -> (i32, Value) {
    let target = Target::of(runtime);
    let root = real::environment(target).await.package_root;
    let sandbox = Sandbox::new();
    // A line of a .pth file is one more folder of packages.
    let python = sandbox.virtualenv(&[("sglang.pth", root.as_str())]);
    let venv = python.ancestors().nth(2).unwrap().display().to_string();
    let inventory = format!(
        "name = \"lab\"\nengine = \"none\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nlocal = true\nbare = {{ virtualenv = \"{venv}\" }}\n"
    );
    sandbox.write("sparks.toml", inventory);
    let arguments = [&["nodes", "--options", "--json", "--"][..], command].concat();
    let output = sandbox.sparktune(&arguments).output().unwrap();
    let mut value: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), value["runtimes"][0].take())
}

/// The options as the look-alike's tables have them; `--help` is argparse's own.
fn table(options: &[Value]) -> String {
    let words = |value: &Value, between: &str| {
        let words: Vec<&str> =
            value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap()).collect();
        words.join(between)
    };
    let own = options.iter().filter(|option| option["names"][0] != "-h").map(|option| {
        let choices = Some(words(&option["choices"], ",")).filter(|choices| !choices.is_empty());
        let fields = [words(&option["names"], " "), option["values"].as_str().unwrap().to_owned()];
        fields.into_iter().chain(choices).collect::<Vec<_>>().join("\t") + "\n"
    });
    own.collect()
}

fn tabulated(runtime: Runtime) -> String {
    let release = runtime.sglang_version().unwrap();
    let path = format!("{}/tests/look_alike/releases/sglang-{release}.tsv", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
#[ignore = "fetches SGLang's wheels"]
async fn every_release_that_is_known_says_what_it_takes() {
    // As guides for these machines have it.
    let command = "python3 -m sglang.launch_server --model-path M --tp 4 --nnodes 4 --node-rank 0 --dist-init-addr a:1 \
                   --mem-fraction-static 0.8 --attention-backend triton --trust-remote-code --host 0.0.0.0 --port 30000";
    let command: Vec<&str> = command.split_whitespace().collect();
    for (runtime, count) in [(Runtime::Sglang054, 270), (Runtime::Sglang0523, 532)] {
        let (code, value) = listed(runtime, &command).await;
        assert_eq!(
            (code, &value["options"]["from"]),
            (0, &"source".into()),
            "{runtime}: {}",
            value["complaints"]
        );
        let options = value["options"]["options"].as_array().unwrap();
        assert_eq!(options.len(), count, "{runtime}");
        assert_eq!(table(options), tabulated(runtime), "{runtime}: tests/look_alike/releases");
        let named = |name: &str| {
            options
                .iter()
                .find(|option| option["names"].as_array().unwrap().iter().any(|own| own == name))
                .unwrap()
        };
        assert_eq!(named("--trust-remote-code")["values"], "none");
        assert_eq!(named("--tp-size")["values"], "one");
        assert!(named("--load-format")["choices"].as_array().unwrap().iter().any(|choice| choice == "dummy"));
        let (code, value) = listed(runtime, &["--mem-fraction-sttaic", "0.8", "--load-format", "dumy"]).await;
        let complaints = &value["complaints"];
        assert_eq!(code, 1, "{complaints}");
        assert_eq!(complaints[0]["near"], "--mem-fraction-static");
        assert_eq!(complaints[1]["near"], "dummy");
    }
}

/// The server's command in the plan of `model` on an example cluster.
fn planned(model: &str, cluster: &str) -> Vec<String> {
    let inventory = format!("{}/profiles/clusters/{cluster}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_sparkbench"));
    program.args(["plan", model, "--cluster", &inventory, "--offline", "--json"]);
    let output = program.output().unwrap();
    assert!(output.status.success(), "{model}: {}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stages = plan["stages"].as_array().unwrap();
    let server = stages.iter().find(|stage| stage["what"] == "server").unwrap();
    serde_json::from_value(server["steps"][0]["argv"].clone()).unwrap()
}

#[tokio::test]
#[ignore = "fetches SGLang's wheels"]
async fn every_plan_for_sglang_is_understood_by_its_release() {
    let numbers: Vec<String> = (1..=14).map(|number: u32| number.to_string()).collect();
    let mut plans: Vec<_> =
        numbers.iter().map(|number| (number.as_str(), "s3-two-sparks", Runtime::Sglang054)).collect();
    plans.extend([
        ("GLM-4.7-FP8", "s1-four-sparks", Runtime::Sglang054),
        ("GLM-4.7-FP8:eagle", "s4-dedicated-fabric", Runtime::Sglang054),
        ("NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4", "s2-sparks-and-thors", Runtime::Sglang0523),
        ("Qwen3.5-122B-A10B-FP8", "s2-sparks-and-thors", Runtime::Sglang0523),
    ]);
    for (model, cluster, runtime) in plans {
        let command = planned(model, cluster);
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let (code, value) = listed(runtime, &words).await;
        // What is deprecated works still, and old releases know no other name for it.
        assert_eq!(
            (code, &value["options"]["from"]),
            (0, &"source".into()),
            "{model}: {}",
            value["complaints"]
        );
    }
    // What a guide has for the cache's type is no choice.
    let (code, value) = listed(Runtime::Sglang0523, &["--kv-cache-dtype", "fp8"]).await;
    assert_eq!((code, &value["complaints"][0]["trouble"]), (1, &"no_choice".into()));
}
