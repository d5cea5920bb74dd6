//! `sparktune moe --tuner stock` on this machine, with a stand-in for SGLang's script that fails in its ways.

#[path = "support/stock.rs"]
mod stock;
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use stock::{Bed, NAME, ended, journal, until, until_tuned};

#[test]
fn every_batch_size_has_a_process_and_all_are_one_file_with_a_manifest() {
    let bed = Bed::sglang();
    let output = bed.run(&["--batch-sizes", "1,16,64", "--out", "run", "--json"]);
    ended(&output, 0);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["missing"], serde_json::json!([]));
    assert_eq!(said["entries"][2]["batch_size"], 64);
    assert_eq!(bed.results(), BTreeMap::from([(1, 1), (16, 1), (64, 1)]));
    // The largest first.
    assert_eq!(bed.ran(), [64, 16, 1]);
    let (keys, file) = bed.file("run");
    assert_eq!(keys, [1, 16, 64]);
    let manifest: Value = serde_json::from_str(
        &bed.sandbox.read(format!("run/triton_3_5_0/{}", NAME.replace(".json", ".manifest.json"))),
    )
    .unwrap();
    assert_eq!(manifest["policy"], "stock");
    assert_eq!(manifest["stock"]["script_sha256"].as_str().unwrap().len(), 64);
    let entry = &manifest["entries"]["64"];
    assert_eq!((&entry["source"], &entry["config"]), (&"stock".into(), &file["64"]));
    assert_eq!(entry["tuned"]["node"], "localhost");
    assert!(entry["tuned"]["seconds"].as_f64().unwrap() > 0.0);
    // As the script wrote it.
    let checkpoint: Value = serde_json::from_str(&bed.sandbox.read("run/batch-sizes/64.json")).unwrap();
    assert_eq!(checkpoint["64"], file["64"]);
    // What the checker says of it is what it says of any other.
    bed.sandbox.sparktune(&["check", "run"]).assert().success();
    bed.nothing_is_left();
    // Once more is no work at all.
    ended(&bed.resume("run", &[]), 0);
    assert_eq!(bed.notes("ran").len(), 3);
}

#[test]
fn what_dies_hangs_or_writes_nonsense_is_tried_again() {
    let bed = Bed::sglang();
    for (size, word) in [(1, "die exit"), (16, "broken empty"), (64, "hang")] {
        bed.fault(size, word);
    }
    let told = ended(&bed.run(&["--batch-sizes", "1,16,64", "--out", "run", "--stock-silence", "15s"]), 0);
    for words in [
        "batch size 1: signal: 9",
        "batch size 1: exit status: 1: RuntimeError: an illegal memory access was encountered; it is tried again",
        "batch size 16: it wrote a broken file",
        "batch size 16: it ended well and wrote no file",
        "batch size 64: killed, because it said nothing",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(bed.file("run").0, [1, 16, 64]);
    bed.nothing_is_left();
}

#[test]
fn what_fails_every_time_is_missing_keeps_nothing_else_and_can_be_tried_again_later() {
    let bed = Bed::sglang();
    bed.fault(64, "exit exit exit");
    bed.fault(16, "device device device");
    let output = bed.run(&["--batch-sizes", "1,16,64", "--out", "run"]);
    let told = ended(&output, 4);
    let of_device = "batch size 16 (it tuned for the device NVIDIA_H100, and the run is for NVIDIA_GB10)";
    assert!(told.contains("not tuned: ") && told.contains(of_device), "{told}");
    assert!(told.contains("batch size 64 (exit status: 1: RuntimeError"), "{told}");
    assert!(told.contains("sparktune moe --resume 'run'"), "{told}");
    // What has not failed goes before what has.
    assert_eq!(bed.ran(), [64, 16, 1, 64, 16, 64, 16]);
    assert_eq!(bed.file("run").0, [1]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(table.matches("missing").count(), 2, "{table}");
    ended(&bed.resume("run", &[]), 0);
    assert_eq!(bed.file("run").0, [1, 16, 64]);
    bed.nothing_is_left();
}

#[test]
fn a_machine_that_is_given_up_begins_with_what_it_did_not_get_to_once_the_run_goes_on() {
    let bed = Bed::sglang();
    for size in [64, 48, 32, 24] {
        bed.fault(size, "exit exit");
    }
    let told = ended(&bed.run(&["--batch-sizes", "1,2,24,32,48,64", "--out", "run"]), 4);
    assert!(told.contains("batch sizes 1, 2 (no node was left to run it)"), "{told}");
    assert_eq!(bed.ran(), [64, 48, 32, 24]);
    assert!(!bed.sandbox.path("run/triton_3_5_0").exists());
    ended(&bed.resume("run", &[]), 4);
    assert_eq!(bed.ran()[4..], [2, 1, 64, 48, 32, 24]);
    assert_eq!(bed.file("run").0, [1, 2]);
    ended(&bed.resume("run", &[]), 0);
    assert_eq!(bed.file("run").0, [1, 2, 24, 32, 48, 64]);
    bed.nothing_is_left();
}

#[test]
fn an_unsafe_config_is_told_and_not_shipped() {
    let bed = Bed::sglang();
    bed.fault(16, "over");
    let output = bed.run(&["--batch-sizes", "1,16", "--out", "run", "--json"]);
    let told = ended(&output, 1);
    assert!(
        told.contains("batch size 16 is in no file, its config is unsafe: ") && told.contains("bytes"),
        "{told}"
    );
    assert_eq!(bed.file("run").0, [1]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["entries"][1]["left_out"].as_str().unwrap().contains("bytes of shared memory"), "{said}");
    // It was tuned: nothing is to be run again.
    ended(&bed.resume("run", &[]), 1);
    assert_eq!(bed.notes("ran").len(), 2);
}

#[test]
fn what_is_not_deployed_because_of_an_unsafe_config_is_told() {
    let bed = Bed::sglang();
    let inventory = bed.cluster_of_this_machine("NVIDIA GB10");
    bed.fault(16, "over");
    let deploys = ["--cluster", &inventory, "--deploy", "--out", "run"];
    let told = ended(&bed.run_on_nodes(&[&["--batch-sizes", "1,16"], &deploys[..]].concat()), 1);
    let says = "not deployed, because something unsafe was left out; to deploy what is there: \
                sparktune deploy --cluster 'lab.toml' 'run'";
    assert!(told.contains(says), "{told}");
    // Nothing is there to be deployed.
    bed.fault(16, "over");
    let deploys = ["--cluster", &inventory, "--deploy", "--out", "none"];
    let told = ended(&bed.run_on_nodes(&[&["--batch-sizes", "16"], &deploys[..]].concat()), 1);
    assert!(told.contains("something unsafe was left out and there is no file"), "{told}");
    assert!(!told.contains("to deploy what is there"), "{told}");
    let watched = bed.command(&["watch", "none", "--once", "--json"]).output().unwrap();
    ended(&watched, 0);
    let watched: Value = serde_json::from_slice(&watched.stdout).unwrap();
    assert_eq!((&watched["state"], &watched["files"]), (&"ended".into(), &serde_json::json!([])));
    assert_eq!(watched["nodes"][0]["left"]["how"], "drained");
}

#[test]
fn killed_at_any_moment_a_run_goes_on_where_it_was() {
    let bed = Bed::sglang();
    let mut arguments = bed.arguments(&["--batch-sizes", "1,2,4,8,16,24,32,48", "--out", "run"]);
    // Each session lives until it has tuned one more.
    for session in 1..=4 {
        let mut child = bed.command(&arguments).spawn().unwrap();
        until_tuned(&bed.sandbox.path("run"), 2 * session - 1, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        bed.nothing_is_left();
        arguments = vec!["moe", "--resume", "run"];
    }
    ended(&bed.resume("run", &[]), 0);
    assert_eq!(bed.file("run").0, [1, 2, 4, 8, 16, 24, 32, 48]);
    let tuned = journal(&bed.sandbox.path("run")).into_iter().filter(|line| line["record"] == "tuned");
    let mut sizes: Vec<u64> = tuned.map(|line| line["batch_size"].as_u64().unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2, 4, 8, 16, 24, 32, 48], "each once");
    // What was on disk when the program was killed is never run again.
    let ran = bed.notes("ran").len();
    assert!((8..=12).contains(&ran), "{ran} processes of 8 batch sizes in 5 sessions");
    bed.nothing_is_left();
}

#[test]
fn ctrl_c_leaves_nothing_behind_and_says_how_to_go_on() {
    let bed = Bed::sglang();
    bed.fault(1, "slow");
    let mut child = bed.command(&bed.arguments(&["--batch-sizes", "1,64", "--out", "run"])).spawn().unwrap();
    until_tuned(&bed.sandbox.path("run"), 1, &mut child);
    until("the second batch size begins", &mut child, || bed.ran().len() == 2);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let told = ended(&child.wait_with_output().unwrap(), 130);
    assert!(told.contains("sparktune moe --resume 'run'"), "{told}");
    // At once, and not soon.
    for line in bed.notes("ran") {
        assert!(!Path::new(&line[3]).exists(), "{line:?}");
    }
    bed.nothing_is_left();
    ended(&bed.resume("run", &[]), 0);
    assert_eq!(bed.results(), BTreeMap::from([(1, 1), (64, 1)]));
}

#[test]
fn a_machine_with_another_gpu_is_refused_before_anything_runs() {
    let bed = Bed::sglang();
    bed.gpu("echo 'NVIDIA H100'");
    let told = ended(&bed.run(&["--batch-sizes", "1", "--out", "run"]), 3);
    assert!(told.contains("localhost has the GPU NVIDIA H100, and the run is for the NVIDIA GB10"), "{told}");
    assert!(bed.notes("ran").is_empty() && !bed.sandbox.path("run").exists());
    // Nor does a run go on there.
    bed.gpu("echo 'NVIDIA GB10'");
    bed.fault(1, "exit exit exit");
    ended(&bed.run(&["--batch-sizes", "1", "--out", "run"]), 4);
    bed.gpu("echo 'NVIDIA H100'");
    assert!(ended(&bed.resume("run", &[]), 3).contains("the GPU NVIDIA H100"));
    assert_eq!(bed.ran(), [1, 1, 1]);
    // One that does not say what it has is let try.
    bed.gpu("exit 9");
    ended(&bed.resume("run", &[]), 0);
    // A node of a cluster is asked as well.
    let inventory = bed.cluster_of_this_machine("NVIDIA H100");
    let more = ["--batch-sizes", "1", "--cluster", &inventory, "--out", "nodes"];
    assert!(ended(&bed.run_on_nodes(&more), 3).contains("n1 has the GPU NVIDIA H100"));
}

/// A GPU on which a process of somebody else's computes while the file `busy` of the home is there.
fn others_on_the_gpu(bed: &Bed) -> std::path::PathBuf {
    let busy = bed.sandbox.home().join("busy");
    std::fs::write(&busy, "").unwrap();
    let (busy_at, name) = (busy.display(), "echo 'NVIDIA GB10'");
    bed.gpu(&format!("case $1 in *compute-apps*) test -e {busy_at} && echo 4711; exit 0;; esac; {name}"));
    busy
}

#[test]
fn a_gpu_that_others_use_is_refused_before_anything_runs() {
    let bed = Bed::sglang();
    let busy = others_on_the_gpu(&bed);
    let told = ended(&bed.run(&["--batch-sizes", "1", "--out", "run"]), 3);
    let says = "localhost: other processes compute on its GPU (process ids [4711])";
    assert!(told.contains(says) && told.contains("--wait waits until it is free"), "{told}");
    assert!(bed.ran().is_empty() && !bed.sandbox.path("run").exists());
    std::fs::remove_file(&busy).unwrap();
    bed.fault(1, "exit exit exit");
    ended(&bed.run(&["--batch-sizes", "1", "--out", "run"]), 4);
    // Nor does a run go on there.
    std::fs::write(&busy, "").unwrap();
    assert!(ended(&bed.resume("run", &[]), 3).contains(says));
    assert_eq!(bed.ran(), [1, 1, 1]);
}

#[test]
fn a_gpu_that_others_use_is_waited_for_and_no_longer_than_was_said() {
    let bed = Bed::sglang();
    let busy = others_on_the_gpu(&bed);
    let output = bed.run(&["--batch-sizes", "1", "--out", "run", "--wait", "1s"]);
    let told = ended(&output, 4);
    let waiting = "waiting for localhost to be free: other processes compute on its GPU (process ids [4711])";
    assert!(told.contains(waiting), "{told}");
    assert!(told.contains("not tuned: batch size 1 (no node was left to run it)"), "{told}");
    assert!(bed.ran().is_empty());
    let mut child = bed.command(&["moe", "--resume", "run", "--wait"]).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none() && bed.ran().is_empty());
    std::fs::remove_file(&busy).unwrap();
    let told = ended(&child.wait_with_output().unwrap(), 0);
    assert_eq!(told.matches("waiting for localhost").count(), 1, "{told}");
    assert_eq!(bed.file("run").0, [1]);
    bed.nothing_is_left();
    // The user's word is heard meanwhile.
    std::fs::write(&busy, "").unwrap();
    let arguments = bed.arguments(&["--batch-sizes", "1", "--out", "stopped", "--wait", "10m"]);
    let mut child = bed.command(&arguments).spawn().unwrap();
    let journal_there = || bed.sandbox.path("stopped/journal.jsonl").exists();
    until("the run is there", &mut child, journal_there);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    ended(&child.wait_with_output().unwrap(), 130);
    assert_eq!(bed.ran(), [1]);
}

#[test]
fn a_dry_run_prints_the_processes_and_does_nothing() {
    let bed = Bed::sglang();
    let output = bed.run(&["--batch-sizes", "1,64", "--out", "run", "--dry-run"]);
    ended(&output, 0);
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("--tune")).collect();
    assert!(lines[0].contains("--batch-size 64") && lines[1].contains("--batch-size 1"), "{said}");
    assert!(lines[0].contains("unset RAY_ADDRESS") && lines[0].contains("RAY_AUTH_MODE=disabled"), "{said}");
    assert!(said.contains(&format!("would write run/triton_3_5_0/{NAME}")), "{said}");
    assert!(said.contains("compute on it, and refuse one that is not free"), "{said}");
    let waiting = bed.run(&["--batch-sizes", "1", "--out", "run", "--dry-run", "--wait", "90s", "--json"]);
    let waiting: Value = serde_json::from_slice(&waiting.stdout).unwrap();
    assert_eq!(waiting["wait_s"], 90.0);
    assert!(!bed.sandbox.path("run").exists() && bed.notes("ran").is_empty());
}

#[test]
fn what_is_for_the_other_tuner_or_not_for_this_run_is_refused() {
    let bed = Bed::sglang();
    for (more, words) in [
        (&["--policy", "best-predicted"][..], "--policy is for this program's own race"),
        (&["--budget", "10m"], "--budget is for"),
        (&["--evidence", "compiled"], "--evidence is for"),
        (&["--block-shape", "128,128"], "--block-shape says nothing to it"),
        (&["--stock-silence", "soon"], "--stock-silence: `soon` is no time"),
    ] {
        let arguments = bed.arguments(more);
        bed.sandbox.refused(&arguments, &[words]);
    }
    bed.sandbox.refused(
        &["moe", "--model", "GLM-4.7-FP8", "--stock-script", &bed.script],
        &["--stock-script is for --tuner stock"],
    );
    bed.sandbox.refused(
        &["moe", "--tuner", "stock", "--model", "./model"],
        &["nothing says where that is", "--python"],
    );
    bed.sandbox.refused(
        &["moe", "--tuner", "stock", "--dtype", "bfloat16", "--python", "python3"],
        &["needs --model"],
    );
    let python = bed.python.to_str().unwrap();
    let without = ["moe", "--tuner", "stock", "--model", "./model", "--python", python];
    let told = ended(&bed.command(&without).output().unwrap(), 3);
    assert!(
        told.contains("has no tuning_fused_moe_triton.py; looked in") && told.contains("--stock-script"),
        "{told}"
    );
    let other = bed.sandbox.write("other.py", "print()");
    let other = other.to_str().unwrap();
    bed.sandbox.refused(&[&without[..], &["--stock-script", other]].concat(), &["no option `--model`"]);
    ended(&bed.run(&["--batch-sizes", "1", "--out", "run"]), 0);
    for (more, words) in [
        (&["--tuner", "race"][..], "`tuner` was stock, now race"),
        (&["--batch-sizes", "2"], "`batch_sizes` was [1], now [2]"),
        (&["--tp", "2"], "`model.tp` was 1, now 2"),
        (&["--policy", "best-predicted"], "--policy is for"),
    ] {
        let told = ended(&bed.resume("run", more), 2);
        assert!(told.contains(words), "{told}");
    }
    let changed = std::fs::read_to_string(&bed.script).unwrap() + "\n# newer\n";
    let changed = bed.sandbox.write("newer.py", changed);
    let told = ended(&bed.resume("run", &["--stock-script", changed.to_str().unwrap()]), 2);
    assert!(told.contains("`script.sha256` was "), "{told}");
}
