//! `sparktune deploy` on this machine alone, as a user calls it.

mod support;

#[path = "support/deployment.rs"]
mod deployment;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use deployment::{
    TRITON, files, held, moment_within, soon, stages, start, text, time, virtualenv, write_files,
};
use support::{GLM_STEM, Sandbox, entry_with, file_of, stderr, stdout};

/// Where SGLang of the virtual environment looks, below the working folder.
const FOLDER: &str = "venv/site/sglang/srt/layers/moe/fused_moe_triton/configs/triton_3_5_0";

/// A virtual environment with SGLang in `venv`, one file of GLM-4.7-FP8 in `tuned`, and a look-alike of a GB10.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    gpu(&sandbox, "echo 'NVIDIA GB10, 12.1, 580.95.05, 208, 3003, 45, 12.5'");
    virtualenv(&sandbox);
    sandbox.write(format!("tuned/{TRITON}/{GLM_STEM}.json"), text(3));
    sandbox
}

/// Let `nvidia-smi` do this.
fn gpu(sandbox: &Sandbox, script: &str) {
    let path = sandbox.home().join("bin/nvidia-smi");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    support::write(&path, format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// `deploy` into the virtual environment, with `more`.
fn deploy<'a>(sandbox: &'a Sandbox, more: &[&'a str]) -> Vec<String> {
    let venv = sandbox.path("venv").to_str().unwrap().to_owned();
    ["deploy", "--virtualenv", &venv].iter().chain(more).map(|word| (*word).to_owned()).collect()
}

#[track_caller]
fn succeeds(sandbox: &Sandbox, more: &[&str]) -> String {
    let arguments = deploy(sandbox, more);
    sandbox.succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn fails(sandbox: &Sandbox, code: i32, more: &[&str], words: &[&str]) -> String {
    let arguments = deploy(sandbox, more);
    sandbox.fails(code, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), words)
}

/// What `deploy` says with `--json`, and its exit code.
#[track_caller]
fn json_of(sandbox: &Sandbox, more: &[&str], code: i32) -> Value {
    let arguments = deploy(sandbox, &[more, &["--json"]].concat());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let assert = sandbox.sparktune(&arguments).assert().code(code);
    let value: Value = serde_json::from_str(&stdout(&assert)).unwrap();
    assert_eq!(value["nodes"].as_array().unwrap().len(), 1, "{value}");
    value
}

fn deployed_text(sandbox: &Sandbox) -> Option<String> {
    std::fs::read_to_string(sandbox.path(FOLDER).join(format!("{GLM_STEM}.json"))).ok()
}

#[test]
fn files_go_where_that_runtime_looks_and_back() {
    let sandbox = sandbox();
    let said = succeeds(&sandbox, &["tuned"]);
    assert!(said.contains("deployed") && said.contains(FOLDER), "{said}");
    assert!(said.contains("SGLang 0.5.4.post2 has its own there") && said.contains("restart it"), "{said}");
    assert_eq!(deployed_text(&sandbox), Some(text(3)));
    assert!(succeeds(&sandbox, &["--status"]).contains("as deployed"));

    let before = sandbox.snapshot();
    let again = succeeds(&sandbox, &["tuned"]);
    assert!(again.contains("had them") && !again.contains("restart"), "{again}");
    assert!(sandbox.snapshot() == before, "there was nothing to do");

    sandbox.write(format!("newer/{TRITON}/{GLM_STEM}.json"), text(4));
    succeeds(&sandbox, &["newer"]);
    assert_eq!(deployed_text(&sandbox), Some(text(4)));
    assert!(succeeds(&sandbox, &["--rollback"]).contains("restored"));
    assert_eq!(deployed_text(&sandbox), Some(text(3)));
    let status = json_of(&sandbox, &["--status"], 0);
    assert_eq!(status["nodes"][0]["deployed"]["from"], "tuned");
    // What the older one took the place of is not kept.
    let arguments = deploy(&sandbox, &["--rollback"]);
    let assert = sandbox.sparktune(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).assert();
    let message = stderr(&assert.code(3));
    for words in ["nothing was restored", "localhost: nothing is left to undo in `"] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(deployed_text(&sandbox), Some(text(3)));
}

#[test]
fn what_was_deployed_is_told_and_whether_somebody_changed_it() {
    let sandbox = sandbox();
    assert!(succeeds(&sandbox, &["--status"]).contains("nothing was deployed"));
    assert!(succeeds(&sandbox, &["--rollback"]).contains("nothing to restore"));
    let name = format!("{GLM_STEM}.json");
    let value = json_of(&sandbox, &["tuned"], 0);
    let node = &value["nodes"][0];
    assert_eq!((&node["node"], &node["outcome"]), (&json!("localhost"), &json!("deployed")));
    assert_eq!((&node["files"], &node["container"]), (&json!([name]), &Value::Null));

    let path = sandbox.path(FOLDER).join(&name);
    support::write(&path, "{}");
    let value = json_of(&sandbox, &["--status"], 1);
    assert_eq!((&value["sound"], &value["nodes"][0]["changed"]), (&json!(false), &json!([name])));
    let assert =
        sandbox.sparktune(&["deploy", "--status", "--virtualenv"]).arg(sandbox.path("venv")).assert();
    assert!(stdout(&assert.code(1)).contains("changed since: E=160"));
    // What somebody wrote by hand is not thrown away.
    let arguments = deploy(&sandbox, &["--rollback"]);
    let assert =
        sandbox.sparktune(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).assert().code(3);
    assert!(stderr(&assert).contains("somebody changed it after it was deployed"));
    assert_eq!(deployed_text(&sandbox).as_deref(), Some("{}"));

    std::fs::remove_file(&path).unwrap();
    let value = json_of(&sandbox, &["--status"], 1);
    assert_eq!(value["nodes"][0]["missing"], json!([name]));
    succeeds(&sandbox, &["tuned"]);
    assert_eq!(json_of(&sandbox, &["--status"], 0)["sound"], true);
}

/// Nothing is deployed to some of the nodes; what some of them say is told all the same.
#[test]
fn a_node_out_of_reach_keeps_others_from_changing_and_not_from_telling() {
    let sandbox = sandbox();
    succeeds(&sandbox, &["tuned"]);
    sandbox.write("ssh_config", "Host away\n HostName 127.0.0.1\n Port 1\n");
    let inventory = "name = \"lab\"\nengine = \"none\"\nssh_config = \"ssh_config\"\n\
                     [[nodes]]\nname = \"here\"\nrole = \"head\"\nlocal = true\n\
                     [[nodes]]\nname = \"gone\"\nssh = \"away\"\n";
    sandbox.write("lab.toml", inventory);
    let log = sandbox.write("server.log", "").to_str().unwrap().to_owned();
    let lab = ["--cluster", "lab.toml"];
    for more in [&["--status"][..], &["--verify", "--log", &log]] {
        let arguments = deploy(&sandbox, &[&lab[..], more].concat());
        let assert = sandbox.sparktune(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).assert();
        let assert = assert.code(3);
        assert!(stdout(&assert).contains("here"), "{more:?}: {}", stdout(&assert));
        let said = stderr(&assert);
        assert!(said.contains("1 of 2 nodes could not be asked:\n  gone: "), "{more:?}: {said}");
    }
    let before = sandbox.snapshot();
    sandbox.write(format!("newer/{TRITON}/{GLM_STEM}.json"), text(4));
    for more in [&["newer"][..], &["--rollback"]] {
        fails(&sandbox, 3, &[&lab[..], more].concat(), &["nothing was changed on any node", "gone: "]);
    }
    std::fs::remove_dir_all(sandbox.path("newer")).unwrap();
    assert!(sandbox.snapshot() == before, "a node was changed");
}

#[test]
fn a_dry_run_says_the_commands_and_does_nothing() {
    let sandbox = sandbox();
    let before = sandbox.snapshot();
    let said = succeeds(&sandbox, &["--dry-run", "tuned"]);
    assert!(sandbox.snapshot() == before, "a dry run did something");
    let said = said.replace(sandbox.work().canonicalize().unwrap().to_str().unwrap(), "WORK");
    insta::assert_snapshot!(said.replace(&text(3).len().to_string(), "SIZE"));
    // They do what a deployment does.
    let script = succeeds(&sandbox, &["--dry-run", "tuned"]);
    let ran =
        std::process::Command::new("sh").args(["-ec", &script]).current_dir(sandbox.work()).status().unwrap();
    assert!(ran.success(), "{script}");
    assert_eq!(deployed_text(&sandbox), Some(text(3)));
}

#[test]
fn what_no_node_should_read_is_refused() {
    let sandbox = sandbox();
    let bad = format!("bad/{TRITON}/{GLM_STEM}.json");
    sandbox.write(&bad, file_of(&[("8", entry_with("num_warps", json!(3)))]));
    fails(&sandbox, 1, &["bad"], &[GLM_STEM, "entry 8", "num_warps"]);
    fails(&sandbox, 1, &["tuned", "bad"], &[GLM_STEM, "entry 8"]);

    sandbox.write(format!("other/triton_3_8_0/{GLM_STEM}.json"), text(3));
    let words = ["nothing was changed", "none of the files", "Triton 3.5.0", "Triton 3.8.0"];
    fails(&sandbox, 2, &["other"], &words);

    std::fs::create_dir(sandbox.path("empty")).unwrap();
    fails(&sandbox, 2, &["empty"], &["no config files", "`empty`"]);
    fails(&sandbox, 2, &["nowhere"], &["nowhere"]);

    sandbox.write(format!("twice/{TRITON}/{GLM_STEM}.json"), text(4));
    fails(&sandbox, 2, &["tuned", "twice"], &["`tuned/", "`twice/", "one name"]);
    // The same bytes twice are one file.
    sandbox.write(format!("twice/{TRITON}/{GLM_STEM}.json"), text(3));
    succeeds(&sandbox, &["tuned", "twice"]);
}

#[test]
fn a_node_gets_the_files_of_the_gpu_that_it_has() {
    let sandbox = sandbox();
    let names = [GLM_STEM.to_owned(), GLM_STEM.replace("GB10", "Thor")].map(|stem| format!("{stem}.json"));
    names.iter().for_each(|name| drop(sandbox.write(format!("both/{TRITON}/{name}"), text(3))));
    sandbox.write(format!("thor/{TRITON}/{}", names[1]), text(3));
    let node = &json_of(&sandbox, &["both"], 0)["nodes"][0];
    assert_eq!((&node["files"], &node["gpus"]), (&json!([names[0]]), &json!(["NVIDIA GB10"])));
    fails(&sandbox, 2, &["thor"], &["none of the files is for SGLang", "on NVIDIA_GB10", "NVIDIA_Thor"]);
    assert_eq!(held(&sandbox.path(FOLDER)).into_keys().collect::<Vec<_>>(), [names[0].clone()]);

    // A node that says nothing of its GPU gets all of them, and that is said.
    gpu(&sandbox, "echo 'NVIDIA-SMI has failed'; exit 9");
    let words = "localhost: no GPU is seen there and none expected (`expect_gpu`): files of every GPU";
    assert!(succeeds(&sandbox, &["--dry-run", "both"]).starts_with(&format!("# {words}\n")));
    let said = succeeds(&sandbox, &["both"]);
    assert!(said.contains(&format!("\n  {words}\n")), "{said}");
    assert_eq!(held(&sandbox.path(FOLDER)).into_keys().collect::<Vec<_>>(), names);
}

#[test]
fn a_folder_without_a_runtime_is_named() {
    let sandbox = sandbox();
    let none = sandbox.write("none/bin/python", "#!/bin/sh\nexec python3 \"$@\"\n");
    std::fs::set_permissions(&none, std::fs::Permissions::from_mode(0o755)).unwrap();
    let none = sandbox.path("none");
    let refused = ["deploy", "tuned", "--virtualenv", none.to_str().unwrap()];
    sandbox.fails(3, &refused, &["nothing was changed", "neither SGLang nor vLLM", "--host-dir"]);
}

#[test]
fn a_folder_of_the_host_is_told_to_the_runtime() {
    let sandbox = sandbox();
    let dir = sandbox.path("mounted").to_str().unwrap().to_owned();
    sandbox.fails(3, &["deploy", "tuned", "--host-dir", &dir], &["is no folder there", "mounted"]);
    sandbox.refused(&["deploy", "tuned", "--host-dir", "mounted"], &["--host-dir", "`mounted`"]);
    for action in ["--status", "--rollback"] {
        let assert = sandbox.sparktune(&["deploy", action, "--host-dir", "/none/there"]).assert().code(3);
        assert!(stderr(&assert).contains("localhost: `/none/there` is no folder there"), "{action}");
    }

    std::fs::create_dir(&dir).unwrap();
    let said = sandbox.succeeds(&["deploy", "tuned", "--host-dir", &dir]);
    assert!(said.contains(&format!("for SGLANG_MOE_CONFIG_DIR={dir}")), "{said}");
    let folder = sandbox.path("mounted/configs").join(TRITON);
    assert_eq!(held(&folder).into_values().collect::<Vec<_>>(), [text(3)]);
    // Without the files it is found by what lies there.
    let said = sandbox.succeeds(&["deploy", "--status", "--host-dir", &dir]);
    assert!(said.contains("as deployed") && said.contains(&format!("configs/{TRITON}")), "{said}");
    sandbox.write(format!("other/triton_3_8_0/{GLM_STEM}.json"), text(3));
    sandbox.succeeds(&["deploy", "other", "--host-dir", &dir]);
    let words = ["several folders", "configs/triton_3_5_0`", "configs/triton_3_8_0`"];
    sandbox.refused(&["deploy", "--status", "--host-dir", &dir], &words);
    sandbox.succeeds(&["deploy", "--rollback", "--host-dir", &format!("{dir}/configs/triton_3_8_0")]);
    assert!(sandbox.succeeds(&["deploy", "--rollback", "--host-dir", &dir]).contains("restored"));
    assert!(held(&folder).is_empty());
}

/// A line of SGLang's, written after now.
fn said_by(rank: &str, words: &str) -> String {
    let later = jiff::Zoned::now() + jiff::SignedDuration::from_secs(1);
    format!("[{}{rank}] {words}\n", later.strftime("%Y-%m-%d %H:%M:%S"))
}

#[test]
fn a_servers_log_says_whether_it_has_loaded_the_files() {
    let sandbox = sandbox();
    let log = sandbox.write("server.log", "");
    let verify = ["--verify", "--log", log.to_str().unwrap()];
    let said = json_of(&sandbox, &verify, 1);
    assert_eq!(said["nodes"][0]["problem"], "nothing was deployed here");
    succeeds(&sandbox, &["tuned"]);
    let name = format!("{GLM_STEM}.json");
    let path = sandbox.path(FOLDER).join(&name);
    let loaded = format!("Using MoE kernel config from {}.", path.display());
    let server = |text: String| support::write(&log, text);

    // A server that is older than the files.
    server(format!("[2020-01-01 00:00:00] {loaded}\n"));
    let said = json_of(&sandbox, &verify, 1);
    assert_eq!(said["nodes"][0]["files"][0]["state"], "read before it was deployed");
    assert!(said["nodes"][0]["problem"].as_str().unwrap().contains("restart it"), "{said}");

    let both = said_by(" TP0", &loaded) + &said_by(" TP1", &loaded);
    server(both.clone());
    let said = succeeds(&sandbox, &verify);
    assert!(said.contains(&name) && said.contains(" loaded"), "{said}");
    let said = json_of(&sandbox, &verify, 0);
    let node = &said["nodes"][0];
    assert_eq!(
        (&said["sound"], &node["sound"], &node["problem"]),
        (&json!(true), &json!(true), &Value::Null)
    );
    assert_eq!(node["files"], json!([{ "name": name, "state": "loaded" }]));
    assert_eq!(node["log"]["files"], json!([log.to_str().unwrap()]));

    // A shape that nobody has tuned fails nothing; the file that is missing is named.
    let default = |path: &str| {
        let words =
            "Using default MoE kernel config. Performance might be sub-optimal! Config file not found at";
        said_by(" TP1", &format!("{words} {path}, you can create them with https://github.com"))
    };
    server(both.clone() + &default("/srv/E=8,N=64_down.json"));
    let said = succeeds(&sandbox, &verify);
    assert!(said.contains("wanted, and not deployed: E=8,N=64_down.json"), "{said}");
    // One that was deployed does.
    let line = default(path.to_str().unwrap());
    server(both.clone() + &line);
    let arguments = deploy(&sandbox, &verify);
    let assert = sandbox.sparktune(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).assert();
    let said = stdout(&assert.code(1));
    assert!(said.contains("default used") && said.contains(line.trim()), "{said}");
    // So does a rank that says nothing, and a file that is another since.
    server(both.clone() + &said_by(" TP2", "Load weight begin."));
    let said = json_of(&sandbox, &verify, 1);
    assert_eq!(said["nodes"][0]["files"][0]["silent_ranks"], json!(["TP2"]));
    server(both);
    support::write(&path, "{}");
    assert_eq!(json_of(&sandbox, &verify, 1)["nodes"][0]["files"][0]["state"], "changed since");
}

#[test]
fn a_log_that_cannot_be_read_is_named() {
    let sandbox = sandbox();
    succeeds(&sandbox, &["tuned"]);
    for (path, words) in
        [("/none/there.log", "No such file"), ("/dev/zero", "is no regular file"), ("/tmp", "is no regular")]
    {
        let words = ["localhost", path, words, "1 of 1 nodes could not say"];
        let arguments = deploy(&sandbox, &["--verify", "--log", path]);
        let assert = sandbox.sparktune(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).assert();
        let message = stderr(&assert.code(3));
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
    fails(&sandbox, 2, &["--verify", "--log", "server.log"], &["--log", "`server.log`", "absolute path"]);
    fails(&sandbox, 2, &["--verify"], &["localhost", "no container of it is named", "--log"]);
    sandbox.refused(&["deploy", "--log", "/a"], &["--verify"]);
    for other in ["tuned", "--status", "--rollback"] {
        sandbox.refused(&["deploy", "--log", "/a", other], &["cannot be used with"]);
    }
    sandbox.refused(&["deploy", "--verify", "tuned"], &["cannot be used with"]);
}

#[test]
fn a_look_and_a_way_back_are_said_as_commands_too() {
    let sandbox = sandbox();
    let run = |script: &str| {
        let ran = std::process::Command::new("sh").args(["-c", script]).current_dir(sandbox.work()).output();
        String::from_utf8(ran.unwrap().stdout).unwrap()
    };
    assert_eq!(succeeds(&sandbox, &["--rollback", "--dry-run"]), "# localhost: nothing to restore\n");
    sandbox.write(format!("tuned/{TRITON}/E=8,N=64,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json"), text(3));
    sandbox.write(format!("{FOLDER}/{GLM_STEM}.json"), "{}");
    succeeds(&sandbox, &["tuned"]);
    let log = sandbox.write("server.log", "one\nUsing MoE kernel config from /a/E=1.json.\n");
    let before = sandbox.snapshot();
    let status = succeeds(&sandbox, &["--status", "--dry-run"]);
    let verify = succeeds(&sandbox, &["--verify", "--dry-run", "--log", log.to_str().unwrap()]);
    let rollback = succeeds(&sandbox, &["--rollback", "--dry-run"]);
    assert!(sandbox.snapshot() == before, "a dry run did something");
    let said = run(&status);
    assert!(said.contains(GLM_STEM) && said.contains("\"from\": \"tuned\""), "{said}");
    let said = run(&verify);
    assert!(said.contains("Using MoE kernel config from /a/E=1.json.") && !said.contains("one"), "{said}");
    // What was there comes back, and what was not goes.
    run(&rollback);
    assert_eq!(held(&sandbox.path(FOLDER)).into_values().collect::<Vec<_>>(), ["{}"], "{rollback}");
}

#[test]
fn what_cannot_be_said_together_is_bad_input() {
    let sandbox = sandbox();
    let help = sandbox.succeeds(&["deploy", "--help"]);
    for word in ["--host-dir <DIR>", "--rollback", "Exit codes: 0 done", "SGLANG_MOE_CONFIG_DIR"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    for (arguments, words) in [
        (&["deploy"][..], &["<PATH>..."][..]),
        (&["deploy", "--status", "tuned"], &["cannot be used with"]),
        (&["deploy", "--status", "--rollback"], &["cannot be used with"]),
        (&["deploy", "--dry-run", "--json", "tuned"], &["cannot be used with"]),
        (&["deploy", "--container", "a", "--host-dir", "/b", "tuned"], &["cannot be used with"]),
        (&["deploy", "--cluster", "none.toml", "tuned"], &["none.toml"]),
    ] {
        sandbox.refused(arguments, words);
    }
}

/// Ended between any two of its steps the program leaves all old files or all new ones, and the next one is not in the
/// way of what was left.
#[test]
fn killed_at_any_moment_it_leaves_all_old_files_or_all_new_ones() {
    let sandbox = Sandbox::new();
    virtualenv(&sandbox);
    let (old, new) = (files(50, 3), files(50, 4));
    write_files(&sandbox, "old", &old);
    write_files(&sandbox, "new", &new);
    let folder = sandbox.path(FOLDER);
    succeeds(&sandbox, &["old"]);
    let whole = time(|| drop(succeeds(&sandbox, &["new"])));
    succeeds(&sandbox, &["--rollback"]);
    assert_eq!(held(&folder), old);
    let mut renamed = 0;
    for turn in 0..20 {
        let arguments = deploy(&sandbox, &["new"]);
        let mut program = start(&sandbox, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        // Half of the moments are where most can go wrong.
        let moment = if turn % 2 == 0 {
            moment_within(whole)
        } else {
            soon("nothing is staged", || stages(&folder));
            moment_within(Duration::from_millis(200))
        };
        std::thread::sleep(moment);
        program.kill().unwrap();
        program.wait().unwrap();
        soon(&format!("killed after {moment:?} of {whole:?}: neither all old nor all new"), || {
            let held = held(&folder);
            held == old || held == new
        });
        renamed += usize::from(held(&folder) == new);
        succeeds(&sandbox, &["new"]);
        assert_eq!(held(&folder), new, "killed after {moment:?}");
        succeeds(&sandbox, &["--rollback"]);
        assert_eq!(held(&folder), old, "killed after {moment:?}");
    }
    eprintln!("killed 20 times within {whole:?}: new files after {renamed}");
}
