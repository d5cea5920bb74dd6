//! What is kept of images, what is made of answers, and who is asked on this machine.

use std::path::Path;

use serde_json::json;

use super::kept::key_of;
use super::*;
use crate::cluster::connect::{connect_all, ssh};
use crate::cluster::inventory::Inventory;
use crate::failure::{Failure, Kind};
use crate::host::engine::Image;

fn image(id: &str, layers: &[&str]) -> Image {
    Image {
        id: id.to_owned(),
        tags: Vec::new(),
        repo_digests: Vec::new(),
        config_digest: None,
        layers: layers.iter().map(|it| (*it).to_owned()).collect(),
        start_digest: "s".into(),
        architecture: "arm64".into(),
        bytes: 1,
        labels: BTreeMap::new(),
    }
}

fn answer(python: &str) -> Answer {
    let installed = json!({ "python": python, "packages": {}, "folders": [], "variables": {} });
    Answer { installed: serde_json::from_value(installed).unwrap(), options: None }
}

fn python(answer: Result<Option<Answer>, String>) -> String {
    answer.unwrap().unwrap().installed.python
}

#[test]
fn an_image_is_known_by_what_is_in_it() {
    let key = key_of(&image("sha256:1", &["a", "b"]));
    assert_eq!(key_of(&image("sha256:2", &["a", "b"])), key, "an ID is its engine's");
    assert_ne!(key_of(&image("sha256:1", &["a"])), key);
    assert_ne!(key_of(&Image { start_digest: "t".into(), ..image("sha256:1", &["a", "b"]) }), key);
    assert_ne!(key_of(&Image { architecture: "amd64".into(), ..image("sha256:1", &["a", "b"]) }), key);
    assert_ne!(
        key_of(&image("sha256:1", &[])),
        key_of(&image("sha256:2", &[])),
        "nothing else tells them apart"
    );
    assert!(key.len() == 64 && key.bytes().all(|c| c.is_ascii_hexdigit()), "a name for a file: {key}");
}

#[test]
fn what_is_kept_comes_back_and_what_is_damaged_is_written_anew() {
    let cache = tempfile::tempdir().unwrap();
    let kept = Kept::below(cache.path());
    assert!(kept.get("a").unwrap().is_none());
    kept.put("a", "img:1", &answer("3.12")).unwrap();
    assert_eq!(python(kept.get("a")), "3.12");
    let path = cache.path().join("images/a.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    assert!(whole.contains("img:1"));
    let (other, lacking) = (whole.replace("\"a\"", "\"b\""), whole.replace("\"python\"", "\"pyth\""));
    for damaged in ["", "{", "{}", "null", &whole[..whole.len() / 2], &lacking, &other] {
        std::fs::write(&path, damaged).unwrap();
        let told = kept.get("a").unwrap_err();
        assert!(told.contains("images/a.json` is damaged ("), "{damaged}: {told}");
        kept.put("a", "img:1", &answer("3.13")).unwrap();
        assert_eq!(python(kept.get("a")), "3.13");
    }
    // Another version's is left to it until the image is asked anew.
    std::fs::write(&path, whole.replace("\"format\":1", "\"format\":2")).unwrap();
    assert!(kept.get("a").unwrap().is_none());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(kept.get("a").is_err());
    let told = kept.put("a", "img:1", &answer("3.13")).unwrap_err();
    assert!(told.contains("cannot be kept"), "{told}");
}

fn options(family: &str, help: Option<&str>, read: bool) -> Result<ServerOptions, String> {
    let read = if read {
        json!([{ "names": ["--a"], "values": "one", "choices": null, "default": null, "deprecated": false }])
    } else {
        json!([])
    };
    let answer = json!({ "family": family, "help": help, "trouble": help.is_none().then_some("no GPU"), "read": read, "positional": ["m"] });
    serde_json::from_value::<OptionsAnswer>(answer).unwrap().options()
}

#[test]
fn options_are_the_helps_else_the_sources_else_nobody_knows() {
    let help = "usage: x\n\noptions:\n  -h, --help  Help.\n  --b B  B.\n";
    let said = options("sglang", Some(help), true).unwrap();
    assert!(said.from == OptionsFrom::Help && said.list.option("--b").is_some() && !said.list.flexible);
    let read = options("vllm", None, true).unwrap();
    assert_eq!(read.from, OptionsFrom::Source { trouble: "no GPU".into() });
    assert!(read.list.flexible && read.list.option("--a").is_some() && read.list.option("--help").is_some());
    assert_eq!(read.list.positional, ["m"]);
    assert_eq!(options("vllm", None, false).unwrap_err(), "no GPU");
    assert_eq!(options("vllm", Some("usage: none"), false).unwrap_err(), "its help names no options");
    let family = json!(read)["family"].clone();
    assert_eq!(family, "vllm");
}

/// This machine twice, with the folder of a virtual environment each, and the way there.
async fn two(of: [&Path; 2]) -> Vec<Connected> {
    let node = |(at, dir): (usize, &Path)| {
        let role = if at == 0 { "head" } else { "worker" };
        let reach = if at == 0 { "local = true" } else { "ssh = \"nowhere\"" };
        format!(
            "[[nodes]]\nname = \"n{at}\"\nrole = \"{role}\"\n{reach}\n[nodes.bare]\nvirtualenv = \"{}\"\n",
            dir.display()
        )
    };
    let nodes: String = of.into_iter().enumerate().map(node).collect();
    let text = format!("name = \"lab\"\nengine = \"none\"\n{nodes}");
    let mut inventory = Inventory::parse(Path::new("/lab/sparks.toml"), &text).unwrap();
    // No second machine is at hand.
    let reach = inventory.nodes[0].reach.clone();
    inventory.nodes[1].reach = reach;
    connect_all(&inventory.nodes, &ssh(&inventory)).await.into_iter().map(Result::unwrap).collect()
}

/// A virtual environment whose interpreter answers with `text` whatever it is asked.
fn saying(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let python = dir.path().join("bin/python");
    std::fs::create_dir(dir.path().join("bin")).unwrap();
    std::fs::write(&python, format!("#!/bin/sh\ncat > /dev/null\n{text}\n")).unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

async fn asked(
    of: [&Path; 2],
    limit: Duration,
    cancel: &CancellationToken,
) -> Vec<Result<NodeRuntime, NoRuntime>> {
    let cache = tempfile::tempdir().unwrap();
    let nodes = two(of).await;
    let wish = Wish { cluster: "lab", cache: cache.path(), fresh: false, options: false, limit };
    let answers = runtimes(&nodes.iter().collect::<Vec<_>>(), &wish, cancel).await;
    assert!(!cache.path().join("images").exists(), "nothing is kept of a node's own Python");
    answers
}

const SGLANG: &str = r#"echo '{"python":"3.12.3","packages":{"sglang":{"version":"0.5.23","folder":"/s/sglang"},
"triton":{"version":"3.8.0","folder":"/s/triton"}},"folders":[["sglang","srt/layers/moe/moe_runner/triton_utils"]],
"variables":{},"tools":{"cuda":null,"nccl":null,"ptxas":[],"kernels":{},"no_kernels":null,"configs":{
"/s/sglang/srt/layers/moe/moe_runner/triton_utils":{"writable":false,"files":["configs/triton_3_8_0/E=1.json",
"configs/triton_3_5_0/E=2.json","x.json"]}}}}'"#;

#[tokio::test]
async fn a_node_without_containers_is_asked_itself_and_harms_no_other() {
    let (good, bad) = (saying(SGLANG), saying("echo hello"));
    let never = CancellationToken::new();
    let answers = asked([good.path(), bad.path()], Duration::from_secs(30), &never).await;
    let runtime = answers[0].as_ref().unwrap();
    assert_eq!((runtime.installed.version("sglang"), runtime.image.as_ref()), (Some("0.5.23"), None));
    let nodes = two([good.path(), bad.path()]).await;
    let place = runtime.place(&nodes[0].node).unwrap();
    let files = runtime.config_files(&place).unwrap();
    assert_eq!((files.files, files.writable), (vec!["E=1.json".to_owned()], false));
    let error = answers[1].as_ref().unwrap_err();
    assert!(error.to_string().starts_with("n1: ") && error.problem().contains("answers `hello`"), "{error}");
    assert_eq!(error.kind(), Kind::Environment);
}

#[tokio::test]
async fn a_node_that_hangs_has_its_limit_and_one_that_has_nothing_says_so() {
    let (slow, none) = (
        saying("exec sleep 60"),
        saying("echo '{\"python\":\"3\",\"packages\":{},\"folders\":[],\"variables\":{}}'"),
    );
    let begun = std::time::Instant::now();
    let never = CancellationToken::new();
    let answers = asked([slow.path(), none.path()], Duration::from_secs(1), &never).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    let problems: Vec<String> = answers.iter().map(|it| it.as_ref().unwrap_err().problem()).collect();
    assert_eq!(problems[0], "what serves there was not said within 1 s");
    assert!(problems[1].ends_with("has neither SGLang nor vLLM"), "{problems:?}");
    assert!(answers[1].as_ref().unwrap_err().hint().unwrap().contains("virtualenv"));
    let stopped = CancellationToken::new();
    stopped.cancel();
    let answers = asked([slow.path(), none.path()], Duration::from_secs(30), &stopped).await;
    assert!(answers.iter().all(|it| matches!(it, Err(NoRuntime::Interrupted))), "{answers:?}");
}

#[test]
fn what_equals_asking_an_image_needs_no_node() {
    let text = "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"n\"\nrole = \"head\"\nssh = \"n\"\n";
    let inventory = Inventory::parse(Path::new("/lab/sparks.toml"), text).unwrap();
    let lines = probe_lines(&inventory.nodes[0], "lab", true);
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let [run, runtime, options, remove] = &lines[..] else { panic!("{lines:?}") };
    assert!(
        run.starts_with("docker run --detach --name sparktune-lab-probe-n-")
            && run.contains(" --network none "),
        "{run}"
    );
    assert!(
        run.ends_with(" a:b python3 -I -c node/idle.py 900")
            && !run.contains("--gpus")
            && run.contains("sparktune.purpose=probe"),
        "{run}"
    );
    let name = run.split(' ').nth(4).unwrap();
    assert_eq!(*runtime, format!("docker exec --interactive {name} python3 -I -c node/runtime.py"));
    assert!(options.ends_with("node/options.py"));
    assert_eq!(*remove, format!("docker rm --force {name}"));
    assert_eq!(probe_lines(&inventory.nodes[0], "lab", false).len(), 3);
    assert!(probe_lines(&Inventory::this_machine().nodes[0], "lab", true).is_empty());
}
