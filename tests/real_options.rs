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
