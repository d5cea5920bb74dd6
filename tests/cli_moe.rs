//! Runs without a compiler: where they go, how they go on, what stdout says.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use support::{GLM_STEM, Sandbox, stderr, stdout};

const PREDICTED: [&str; 6] = ["moe", "--model", "GLM-4.7-FP8", "--evidence", "predicted", "--out"];

fn predicted(out: &str) -> Vec<&str> {
    [&PREDICTED[..], &[out]].concat()
}

/// The files of a finished run of GLM-4.7-FP8.
fn files_of(run: &str) -> Vec<String> {
    ["", "_down"]
        .into_iter()
        .flat_map(|role| {
            ["json", "manifest.json"].map(|end| format!("{run}/triton_3_5_0/{GLM_STEM}{role}.{end}"))
        })
        .collect()
}

#[test]
fn a_predicted_run_writes_the_pair_and_nothing_else() {
    let sandbox = Sandbox::new();
    let text = sandbox.succeeds(&predicted("run"));
    for role in ["", "_down"] {
        assert!(text.contains(&format!("wrote triton_3_5_0/{GLM_STEM}{role}.json")), "{text}");
    }
    assert!(text.contains("1,920 configs -> 480 tiles -> 364 fit"), "{text}");
    assert!(text.contains("evidence: predicted"), "{text}");
    let mut expected: Vec<_> = files_of("run").iter().map(|file| sandbox.path(file)).collect();
    expected.extend(
        ["run", "run/journal.jsonl", "run/log.jsonl", "run/triton_3_5_0"].map(|file| sandbox.path(file)),
    );
    expected.sort();
    let found = sandbox.snapshot().into_keys().filter(|path| path.starts_with(sandbox.path("run")));
    assert_eq!(found.collect::<Vec<_>>(), expected);
    sandbox.succeeds(&["check", "run", "--for", "sglang-0.5.4", "--device", "gb10"]);
}

#[test]
fn every_entry_fits_and_the_default_is_kept_where_it_does() {
    let sandbox = Sandbox::new();
    let said = sandbox.json(&[&predicted("run")[..], &["--json"]].concat());
    assert_eq!(said["default_replaced_at"], json!([256, 512, 1024, 1536, 2048, 3072, 4096]));
    for (file, role) in [(format!("{GLM_STEM}.json"), "up"), (format!("{GLM_STEM}_down.json"), "down")] {
        let path = format!("run/triton_3_5_0/{}", file.replace(".json", ".manifest.json"));
        let manifest: Value = serde_json::from_str(&sandbox.read(path)).unwrap();
        assert_eq!(manifest["role"], role);
        assert_eq!(manifest["file"], file.as_str());
        assert_eq!(manifest["model"]["name"], "zai-org/GLM-4.7-FP8");
        let entries = manifest["entries"].as_object().unwrap();
        assert_eq!(entries.len(), 18);
        for (key, entry) in entries {
            assert_eq!(entry["evidence"], "predicted", "{key}");
            assert!(entry["shared_bytes"].as_u64().unwrap() <= 101_376, "{key}: {entry}");
        }
        let config: Value = serde_json::from_str(&sandbox.read(format!("run/triton_3_5_0/{file}"))).unwrap();
        assert_eq!(config.as_object().unwrap().len(), 18);
    }
}

#[test]
fn the_same_arguments_give_the_same_files() {
    let sandbox = Sandbox::new();
    sandbox.succeeds(&predicted("one"));
    sandbox.succeeds(&predicted("two"));
    for role in ["", "_down"] {
        let file = format!("triton_3_5_0/{GLM_STEM}{role}.json");
        assert_eq!(sandbox.read(format!("one/{file}")), sandbox.read(format!("two/{file}")));
    }
}

#[test]
fn a_name_of_the_model_is_as_good_as_another() {
    let sandbox = Sandbox::new();
    for name in ["glm-4.7-fp8", "zai-org/GLM-4.7-FP8", "ZAI-ORG/glm-4.7-fp8"] {
        let plan = sandbox.json(&["plan", "--model", name, "--json"]);
        assert_eq!(plan["model"], "zai-org/GLM-4.7-FP8", "{name}");
    }
}

#[test]
fn json_is_one_object_and_nothing_else() {
    let sandbox = Sandbox::new();
    let run = sandbox.json(&[&predicted("run")[..], &["--json"]].concat());
    assert_eq!(run["run"], "run");
    let files = run["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    for file in files {
        assert!(sandbox.path("run").join(file["path"].as_str().unwrap()).exists(), "{file}");
        assert_eq!(file["evidence"], "predicted");
    }
    let resumed = sandbox.json(&["moe", "--resume", "run", "--json"]);
    assert_eq!(resumed["files"], run["files"]);
    assert_eq!(resumed["plan"], run["plan"]);
    for arguments in [
        &["plan", "--model", "GLM-4.7-FP8", "--json"][..],
        &["check", "run", "--json"],
        &["publish", "run", "--json"],
        &["moe", "--model", "GLM-4.7-FP8", "--dry-run", "--json"],
    ] {
        assert!(sandbox.json(arguments).is_object(), "{arguments:?}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = Sandbox::new();
    let before = sandbox.snapshot();
    let text = sandbox.succeeds(&["moe", "--model", "GLM-4.7-FP8", "--dry-run"]);
    assert!(text.contains("would write results/"), "{text}");
    let text = sandbox.succeeds(&["moe", "--model", "GLM-4.7-FP8", "--dry-run", "--out", "run"]);
    assert!(text.contains(&format!("would write run/triton_3_5_0/{GLM_STEM}.json")), "{text}");
    assert!(text.contains("would compile") && text.contains("sm_121a"), "{text}");
    assert!(sandbox.snapshot() == before, "a dry run wrote something");

    sandbox.predicted_run();
    let before = sandbox.snapshot();
    sandbox.succeeds(&["moe", "--resume", "run", "--dry-run"]);
    sandbox.succeeds(&["publish", "run", "--dry-run"]);
    assert!(sandbox.snapshot() == before, "a dry run wrote something");
}

#[test]
fn a_dry_run_with_an_image_says_which_container_it_would_make_and_asks_no_engine() {
    let sandbox = Sandbox::new();
    let inventory = "name = \"lab\"\nimage = \"a\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nengine_url = \
                     \"unix:///nowhere\"\n[env]\nA = \"b\"\n";
    sandbox.write("sparks.toml", inventory);
    let before = sandbox.snapshot();
    let arguments = ["moe", "--model", "GLM-4.7-FP8", "--image", "sglang:spark", "--dry-run", "--out", "run"];
    let text = sandbox.succeeds(&arguments);
    let line = text.lines().find(|line| line.contains("docker run")).unwrap_or_else(|| panic!("{text}"));
    for part in [
        "--detach",
        "--env 'A=b'",
        "--label 'sparktune.purpose=tune'",
        "sglang:spark python3 -I -c node/idle.py 900",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(line.contains(&format!(":{}", sandbox.path("run").display())), "{line}");
    let json = sandbox.json(&[&arguments[..], &["--json"]].concat());
    let [container] = &json["containers"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!(container["node"], "n1");
    assert!(container["command"].as_str().unwrap().starts_with("docker run --detach"), "{json}");
    assert!(sandbox.snapshot() == before, "a dry run wrote something");
}

#[test]
fn a_dry_run_over_a_cluster_says_what_each_node_would_do_and_asks_none() {
    let sandbox = Sandbox::new();
    let inventory = "name = \"lab\"\nimage = \"a\"\nexpect_gpu = \"NVIDIA GB10\"\n\
                     [[nodes]]\nname = \"n1\"\nrole = \"head\"\nssh = \"nowhere-1\"\n\
                     [[nodes]]\nname = \"n2\"\nssh = \"nowhere-2\"\nimage = \"b\"\n\
                     [[nodes]]\nname = \"n3\"\nssh = \"nowhere-3\"\nengine = \"none\"\n\
                     bare = { virtualenv = \"/srv/sglang\" }\n";
    sandbox.write("lab.toml", inventory);
    let before = sandbox.snapshot();
    let arguments = ["moe", "--model", "GLM-4.7-FP8", "--cluster", "lab.toml", "--dry-run", "--out", "run"];
    let text = sandbox.succeeds(&arguments);
    // Timed where the inventory says that the device is.
    for line in [
        "  n1: docker run --detach ",
        "  n2: docker run --detach ",
        "race it on every node's NVIDIA GB10",
        "would ask each GPU which processes of others compute on it, and refuse one that is not free",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    for (wait, says) in
        [(&["--wait"][..], "wait up to 1h until it is free"), (&["--wait", "90s"], "up to 1m 30s")]
    {
        let text = sandbox.succeeds(&[&arguments[..], wait].concat());
        assert!(text.contains(says), "{text}");
    }
    let told = |more: &[&str]| sandbox.json(&[&arguments[..], &["--json"], more].concat());
    assert_eq!(told(&[])["wait_s"], Value::Null, "refused at once");
    for (wait, seconds) in [(&["--wait"][..], 3600.0), (&["--wait", "90s"], 90.0)] {
        assert_eq!(told(wait)["wait_s"], seconds);
    }
    let compiled = told(&["--evidence", "compiled", "--wait"]);
    assert!(!compiled.as_object().unwrap().contains_key("wait_s"), "nothing is timed: {compiled}");
    assert!(told(&[]).as_object().unwrap().contains_key("wait_s"));
    assert!(text.contains(" a python3 -I -c ") && text.contains(" b python3 -I -c "), "{text}");
    assert!(text.contains("--gpus all"), "{text}");
    // A node without an engine is asked itself, the Python that the inventory names.
    let own = text.lines().find(|line| line.starts_with("  n3: ")).unwrap();
    assert!(
        own.contains("nowhere-3") && own.contains("/srv/sglang/bin/python -I -c node/runtime.py"),
        "{own}"
    );
    let compiled = sandbox.succeeds(&[&arguments[..], &["--evidence", "compiled"]].concat());
    assert!(!compiled.contains("--gpus") && !compiled.contains("race it"), "{compiled}");
    assert!(!compiled.contains("would ask each GPU"), "{compiled}");
    let deploys = [&arguments[..], &["--deploy", "--container", "serving"]].concat();
    let line = "  would deploy them: sparktune deploy --cluster 'lab.toml' --container 'serving' 'run'";
    assert!(sandbox.succeeds(&deploys).contains(line));
    let json = sandbox.json(&[&arguments[..], &["--deploy", "--json"]].concat());
    assert_eq!(json["deploys"], "sparktune deploy --cluster 'lab.toml' 'run'");
    let json = sandbox.json(&[&arguments[..], &["--image", "c:d", "--json"]].concat());
    let containers = json["containers"].as_array().unwrap();
    let of_image = |it: &&Value| it["command"].as_str().unwrap().contains(" c:d python3");
    assert_eq!((containers.len(), containers.iter().filter(of_image).count()), (3, 2), "{json}");
    assert!(sandbox.snapshot() == before, "a dry run wrote something");

    sandbox.fails(2, &["moe", "--model", "GLM-4.7-FP8", "--cluster", "missing.toml"], &["missing.toml"]);
    // A place for files that go nowhere, and files that go to no cluster.
    let nowhere = [&arguments[..], &["--host-dir", "/srv"]].concat();
    sandbox.fails(2, &nowhere, &["--host-dir", "--deploy brings the files"]);
    sandbox.fails(2, &["moe", "--model", "GLM-4.7-FP8", "--deploy"], &["--cluster <FILE>"]);
}

/// Who has exported it for the runs of this machine can use a cluster all the same.
#[test]
fn a_python_of_the_environment_is_in_no_containers_way() {
    let sandbox = Sandbox::new();
    let inventory =
        "name = \"lab\"\nimage = \"a\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nlocal = true\n";
    sandbox.write("lab.toml", inventory);
    let exported = |arguments: &[&str]| {
        let all = [&["moe", "--model", "GLM-4.7-FP8", "--dry-run"][..], arguments].concat();
        let mut command = sandbox.sparktune(&all);
        command.env("SPARKTUNE_PYTHON", "/nowhere/python").env("SPARKTUNE_SGLANG_ROOT", "/nowhere");
        command.assert()
    };
    for arguments in [&["--cluster", "lab.toml"][..], &["--image", "b:c"]] {
        assert!(stdout(&exported(arguments).success()).contains("docker run"), "{arguments:?}");
    }
    // Said with it, it is refused as ever.
    let refused = exported(&["--image", "b:c", "--python", "/nowhere/python"]).code(2);
    assert!(stderr(&refused).contains("--python"), "{}", stderr(&refused));
}

#[test]
fn reading_commands_write_nothing() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["plan", "--model", "GLM-4.7-FP8"][..],
        &["space", "--model", "GLM-4.7-FP8"],
        &["models"],
        &["devices"],
    ] {
        let before = sandbox.snapshot();
        sandbox.succeeds(arguments);
        assert!(sandbox.snapshot() == before, "{arguments:?}");
    }
}

#[test]
fn without_out_a_run_goes_to_results() {
    let sandbox = Sandbox::new();
    sandbox.succeeds(&PREDICTED[..5]);
    let runs: Vec<_> = std::fs::read_dir(sandbox.path("results")).unwrap().collect();
    assert_eq!(runs.len(), 1);
    let name = runs[0].as_ref().unwrap().file_name().into_string().unwrap();
    assert!(name.ends_with("-glm-4.7-fp8-tp4") && name.starts_with("20"), "{name}");
}

#[test]
fn an_out_that_cannot_be_a_run_directory() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "mine");
    sandbox.refused(&predicted("file"), &["`file`"]);
    // Permissions do not stop root: below a file, and where no folder can be made, nobody gets in.
    sandbox.refused(&predicted("file/run"), &["`file/run`"]);
    if Path::new("/proc/self").exists() {
        sandbox.refused(&predicted("/proc/sparktune-run"), &["`/proc/sparktune-run`"]);
    }
    sandbox.predicted_run();
    sandbox.refused(&predicted("run"), &["`run/journal.jsonl`", "already", "--resume run", "--out"]);
}

/// A file system with room for nothing, as long as it is mounted.
struct FullDisk<'a>(&'a Path);

impl<'a> FullDisk<'a> {
    /// None where this user may not mount.
    fn mount(path: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4k,nr_inodes=32", "tmpfs"])
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success());
        // Elsewhere a user may lack the right; CI must not read green without it.
        assert!(mounted || std::env::var_os("CI").is_none(), "CI cannot mount a tmpfs");
        mounted.then_some(Self(path))
    }
}

impl Drop for FullDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn an_out_on_a_full_disk() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("disk");
    let Some(_disk) = FullDisk::mount(&path) else {
        eprintln!("skipped: this user may not mount a tmpfs, so there is no full disk to write to");
        return;
    };
    support::write(&path.join("filler"), [0; 4096]);
    sandbox.refused(&predicted("disk/run"), &["disk/run", "No space left"]);
}

#[test]
fn a_disk_that_fills_up_leaves_a_run_that_goes_on() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("disk");
    let Some(disk) = FullDisk::mount(&path) else {
        eprintln!("skipped: this user may not mount a tmpfs, so there is no full disk to write to");
        return;
    };
    // Room for the journal, none for the files.
    let assert = sandbox.sparktune(&predicted("disk/run")).assert().code(3);
    let message = stderr(&assert);
    for words in ["No space left", "disk/run", "--resume 'disk/run'"] {
        assert!(message.contains(words), "{message}");
    }
    let remount = ["-o", "remount,size=1m"];
    assert!(Command::new("mount").args(remount).arg(&path).status().unwrap().success());
    sandbox.succeeds(&["moe", "--resume", "disk/run"]);
    for file in files_of("disk/run") {
        assert!(sandbox.path(&file).exists(), "{file}");
    }
    let left: Vec<_> =
        sandbox.snapshot().into_keys().filter(|path| path.display().to_string().contains(".tmp-")).collect();
    assert!(left.is_empty(), "half-written files: {left:?}");
    drop(disk);
}

/// A tree with a kernel the worker gets as far as reading.
fn fake_sglang(sandbox: &Sandbox) {
    let kernel = "import triton\nimport triton.language as tl\n\n\n@triton.jit\ndef fused_moe_kernel(a_ptr, \
                  BLOCK_SIZE_M: tl.constexpr):\n    pass\n";
    sandbox.write("tree/sglang/__init__.py", "");
    sandbox.write("tree/sglang/srt/layers/moe/fused_moe_triton/fused_moe_triton_kernels.py", kernel);
}

/// What is left below the working folder, apart from what the test put there.
fn left_in(sandbox: &Sandbox, name: &str) -> bool {
    sandbox.path(name).exists()
}

/// Waiting for a worker that says nothing is no reason to be deaf.
#[test]
fn a_python_that_says_nothing_can_be_interrupted() {
    let sandbox = Sandbox::new();
    fake_sglang(&sandbox);
    let silent = sandbox.write("silent", "#!/bin/sh\ntouch started\nexec sleep 120\n");
    std::fs::set_permissions(&silent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
    command
        .args(["moe", "--model", "GLM-4.7-FP8", "--offline", "--out", "run", "--python"])
        .arg(&silent)
        .args(["--sglang-root", "tree"])
        .current_dir(sandbox.work())
        .envs(sandbox.environment())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !sandbox.path("started").exists() {
        assert!(std::time::Instant::now() < deadline, "the worker was never started");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("interrupted"), "{message}");
    assert!(!left_in(&sandbox, "run"), "a run that never began is there");
}

#[test]
fn a_python_without_triton() {
    let sandbox = Sandbox::new();
    fake_sglang(&sandbox);
    let made =
        Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(sandbox.path("venv")).output();
    assert!(made.unwrap().status.success(), "python3 -m venv");
    let assert = sandbox
        .sparktune(&["moe", "--model", "GLM-4.7-FP8", "--offline", "--out", "run"])
        .args(["--python", "venv/bin/python", "--sglang-root", "tree"])
        .assert();
    let message = stderr(&assert);
    assert_eq!(assert.get_output().status.code(), Some(2), "{message}");
    assert!(message.contains("venv/bin/python") && message.to_lowercase().contains("triton"), "{message}");
    assert!(!message.contains("Traceback"), "{message}");
    assert_eq!(stdout(&assert), "");
    assert!(!left_in(&sandbox, "run"), "a run that never began is there");
}

#[test]
fn a_python_that_is_none() {
    let sandbox = Sandbox::new();
    fake_sglang(&sandbox);
    sandbox.write("text", "no program");
    for python in ["/nowhere/python", "text"] {
        let assert = sandbox
            .sparktune(&["moe", "--model", "GLM-4.7-FP8", "--offline", "--out", "run"])
            .args(["--python", python, "--sglang-root", "tree"])
            .assert();
        let message = stderr(&assert);
        assert!(matches!(assert.get_output().status.code(), Some(2 | 3)), "{message}");
        assert!(message.contains(python), "{message}");
    }
}

#[test]
fn an_sglang_root_that_is_none() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("tree")).unwrap();
    for root in ["tree", "nowhere"] {
        let assert = sandbox
            .sparktune(&["moe", "--model", "GLM-4.7-FP8", "--offline", "--out", "run"])
            .args(["--python", "python3", "--sglang-root", root])
            .assert();
        let message = stderr(&assert);
        assert_eq!(assert.get_output().status.code(), Some(2), "{message}");
        assert!(message.contains(root), "{message}");
        assert_eq!(stdout(&assert), "");
        assert!(!left_in(&sandbox, "run"), "a run that never began is there");
    }
}

#[test]
fn an_environment_that_may_not_be_fetched() {
    let sandbox = Sandbox::new();
    let assert =
        sandbox.sparktune(&["moe", "--model", "GLM-4.7-FP8", "--offline", "--out", "run"]).assert().code(3);
    let message = stderr(&assert);
    for words in ["Triton 3.5.0", "--offline", "sparktune setup"] {
        assert!(message.contains(words), "{message}");
    }
}

/// A stand-in for the driver's tool that says a GB10 is here.
#[test]
fn a_device_that_is_here_and_cannot_be_measured_on_is_told_of() {
    let sandbox = Sandbox::new();
    let tool = sandbox.write("bin/nvidia-smi", "#!/bin/sh\necho 'NVIDIA GB10'\n");
    let mut executable = std::fs::metadata(&tool).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut executable, 0o755);
    std::fs::set_permissions(&tool, executable).unwrap();
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| {
        let arguments = [&["moe", "--model", "GLM-4.7-FP8", "--dry-run"], arguments].concat();
        let run = sandbox.sparktune(&arguments).env("PATH", &path).assert().success();
        let output = run.get_output();
        [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned())
    };
    let [out, err] = run(&[]);
    assert!(err.contains("this machine has the device, and nothing is measured"), "{err}");
    assert!(out.contains("would compile each chosen kernel"), "{out}");
    let [out, err] = run(&["--python", "/usr/bin/python3"]);
    assert!(
        out.contains("would compile what fits and race it on a local NVIDIA GB10 at 18 batch sizes"),
        "{out}"
    );
    assert!(!err.contains("nothing is measured"), "{err}");
    let [_, err] = run(&["--device", "h200"]);
    assert!(!err.contains("nothing is measured"), "{err}");
}

/// The metadata of a package of this name and version.
fn metadata(name: &str, version: &str) -> (String, String) {
    let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    (format!("{name}-{version}.dist-info/METADATA"), text)
}

fn installation(sandbox: &Sandbox, sglang: &str, triton: &str) -> String {
    let both = [metadata("sglang", sglang), metadata("triton", triton)];
    let mut files: Vec<(&str, &str)> =
        both.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    files.extend([("sglang/__init__.py", "raise SystemExit"), ("triton/__init__.py", "raise SystemExit")]);
    sandbox.virtualenv(&files).display().to_string()
}

#[test]
fn files_are_for_the_installation_that_is_named() {
    let sandbox = Sandbox::new();
    let python = installation(&sandbox, "0.5.23", "3.8.0");
    let plan = ["plan", "--model", "GLM-4.7-FP8", "--offline"];
    let own = sandbox.json(&[&plan[..], &["--json"]].concat());
    assert_eq!(own["target"]["runtime"], "sglang-0.5.4.post2", "what the catalogue says");
    let arguments = [&plan[..], &["--json", "--python", &python]].concat();
    let output = sandbox.sparktune(&arguments).assert().success();
    let value: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(value["target"], serde_json::json!({ "runtime": "sglang-0.5.23", "triton": "3.8.0" }));
    let told = stderr(&output);
    assert!(
        told.contains("has SGLang 0.5.23: files are for that") && told.contains("has Triton 3.8.0"),
        "{told}"
    );
    let moe = ["moe", "--model", "GLM-4.7-FP8", "--offline", "--python", &python];
    let dry = sandbox.sparktune(&[&moe[..], &["--dry-run"]].concat()).assert().success();
    assert!(stderr(&dry).contains("has SGLang 0.5.23: files are for that"), "{}", stderr(&dry));
    for (flags, words) in [
        (["--sglang", "0.5.4"], "--sglang says SGLang 0.5.4.post2, `"),
        (["--triton", "3.5.0"], "--triton says Triton 3.5.0, `"),
    ] {
        sandbox.fails(
            2,
            &[&plan[..], &["--python", &python], &flags].concat(),
            &[words, "leave --sglang and --triton out"],
        );
        sandbox.fails(2, &[&moe[..], &["--out", "run"], &flags].concat(), &[words]);
        // Where nothing is compiled the interpreter has no say.
        sandbox.succeeds(&[&moe[..], &["--dry-run", "--evidence", "predicted"], &flags].concat());
    }
    assert!(!left_in(&sandbox, "run"), "a run that never began is there");
}

#[test]
fn an_installation_that_nobody_read_needs_a_word() {
    let sandbox = Sandbox::new();
    let python = installation(&sandbox, "0.5.17", "3.6.0");
    let plan = ["plan", "--model", "GLM-4.7-FP8", "--offline", "--python", &python];
    sandbox.fails(3, &plan, &["has SGLang 0.5.17, whose rules are not known", "say --sglang"]);
    let output = sandbox.sparktune(&[&plan[..], &["--sglang", "0.5.23"]].concat()).assert().success();
    assert!(stderr(&output).contains("made by the rules of SGLang 0.5.23"), "{}", stderr(&output));
}
