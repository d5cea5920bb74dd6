//! `sparktune moe --tuner stock --vllm` on this machine, with a stand-in for vLLM's script that fails in its ways.

#[path = "support/stock.rs"]
mod stock;
mod support;

use std::collections::BTreeMap;

use serde_json::Value;

use stock::{Bed, NAME, ended, until_tuned};

#[test]
fn every_batch_size_has_a_process_and_all_are_one_file_where_vllm_reads_it() {
    let bed = Bed::vllm();
    ended(&bed.run(&["--batch-sizes", "1,16,64", "--out", "run"]), 0);
    assert_eq!(bed.results(), BTreeMap::from([(1, 1), (16, 1), (64, 1)]));
    assert_eq!(bed.ran(), [64, 16, 1], "the largest first");
    let (keys, file) = bed.file("run");
    assert_eq!(keys, [1, 16, 64]);
    // As the script wrote it.
    let checkpoint: Value = serde_json::from_str(&bed.sandbox.read("run/batch-sizes/64.json")).unwrap();
    assert_eq!((&checkpoint["triton_version"], &checkpoint["64"]), (&"3.8.0".into(), &file["64"]));
    let manifest = NAME.replace(".json", ".manifest.json");
    let manifest: Value = serde_json::from_str(&bed.sandbox.read(format!("run/vllm/{manifest}"))).unwrap();
    assert_eq!((&manifest["policy"], &manifest["target"]["runtime"]), (&"stock".into(), &"vllm".into()));
    assert_eq!(manifest["stock"]["release"], "0.33.0");
    assert_eq!(manifest["entries"]["64"]["source"], "stock");
    bed.sandbox.sparktune(&["check", "run"]).assert().success();
    // Not into a folder in which SGLang would find it.
    bed.sandbox.sparktune(&["publish", "run", "--into", "collection"]).assert().success();
    assert!(bed.sandbox.path(format!("collection/vllm/{NAME}")).is_file());
    bed.nothing_is_left();
    // Once more is no work at all.
    ended(&bed.resume("run", &[]), 0);
    assert_eq!(bed.ran().len(), 3);
}

#[test]
fn a_layer_is_divided_as_vllm_divides_it() {
    let bed = Bed::vllm();
    for (out, more, name) in [
        ("experts", &["--tp", "4", "--ep", "4"][..], "E=2,N=256"),
        ("width", &["--tp", "4"], "E=8,N=64"),
        ("fp8", &["--tp", "2", "--dtype", "fp8_w8a8"], "E=8,N=128"),
    ] {
        let told = ended(&bed.run(&[&["--batch-sizes", "64", "--out", out], more].concat()), 0);
        assert!(!told.contains("calls its file"), "{told}");
        let files = std::fs::read_dir(bed.sandbox.path(format!("{out}/vllm"))).unwrap();
        let files: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert!(files.iter().all(|file| file.starts_with(name)), "{files:?}");
    }
}

#[test]
fn killed_dying_and_unsafe_it_ends_with_what_is_sound() {
    let bed = Bed::vllm();
    for (size, words) in [(64, "die exit"), (16, "broken"), (2, "over"), (1, "slow slow")] {
        bed.fault(size, words);
    }
    let arguments = bed.arguments(&["--batch-sizes", "1,2,16,64", "--out", "run"]);
    let mut child = bed.command(&arguments).spawn().unwrap();
    until_tuned(&bed.sandbox.path("run"), 1, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    bed.nothing_is_left();
    let told = ended(&bed.resume("run", &[]), 1);
    assert!(told.contains("batch size 2 is in no file, its config is unsafe: "), "{told}");
    assert_eq!(bed.file("run").0, [1, 16, 64]);
    // What was on disk when the program was killed is never run again.
    assert_eq!(bed.ran().iter().filter(|size| **size == 2).count(), 1);
    assert_eq!(bed.results()[&2], 1);
    bed.nothing_is_left();
}

#[test]
fn a_dry_run_prints_the_processes_and_does_nothing() {
    let bed = Bed::vllm();
    let output = bed.run(&["--batch-sizes", "1,64", "--out", "run", "--dry-run"]);
    ended(&output, 0);
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("--tune")).collect();
    assert!(lines[0].contains("/script/benchmark_moe.py' --tune"), "{said}");
    assert!(lines[0].ends_with("--dtype auto --batch-size 64)"), "{said}");
    assert!(lines[0].contains("unset RAY_ADDRESS") && lines[0].contains("RAY_AUTH_MODE=disabled"), "{said}");
    assert!(said.contains(&format!("would write run/vllm/{NAME}")), "{said}");
    assert!(!bed.sandbox.path("run").exists() && bed.ran().is_empty());
}

#[test]
fn the_script_is_found_beside_the_package_or_named() {
    let bed = Bed::vllm();
    let python = bed.python.to_str().unwrap();
    let own = ["moe", "--tuner", "stock", "--vllm", "0.33.0", "--model", "./model", "--python", python];
    let own = [&own[..], &["--batch-sizes", "8", "--out", "run"]].concat();
    let told = ended(&bed.command(&own).output().unwrap(), 3);
    for words in [
        "has no benchmark_moe.py; looked in `",
        "site-packages/benchmarks/kernels` and `/vllm-workspace/benchmarks/kernels`",
        "name a checkout of vLLM at the same version with --stock-script",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let checkout = bed.sandbox.path("checkout");
    let named = [&own[..], &["--stock-script", checkout.to_str().unwrap()]].concat();
    ended(&bed.command(&named).output().unwrap(), 0);
    // A repository has the package and the script beside it.
    let site =
        std::fs::read_dir(bed.python.parent().unwrap().join("../lib")).unwrap().next().unwrap().unwrap();
    let beside = site.path().join("site-packages/benchmarks/kernels/benchmark_moe.py");
    bed.sandbox.write(beside, stock::vllms_script());
    let again = own.iter().map(|word| if *word == "run" { "own" } else { word }).collect::<Vec<_>>();
    ended(&bed.command(&again).output().unwrap(), 0);
    assert_eq!(bed.file("own").0, [8]);
}

#[test]
fn what_is_not_for_vllm_is_refused() {
    let bed = Bed::vllm();
    let race = ["moe", "--vllm", "0.33.0", "--model", "./model"];
    bed.sandbox.refused(&race, &["--vllm is for --tuner stock", "SGLang's kernel", "benchmark_moe.py"]);
    for (version, words) in [
        ("0.9.2", "--vllm: unknown vLLM version `0.9.2`; known: 0.10.0 to 0.33"),
        ("newest", "unknown vLLM version `newest`"),
        ("", "unknown vLLM version ``"),
    ] {
        bed.sandbox.refused(&["moe", "--tuner", "stock", "--vllm", version, "--model", "./model"], &[words]);
    }
    let both = ["moe", "--tuner", "stock", "--vllm", "0.33.0", "--sglang", "0.5.23", "--model", "./model"];
    bed.sandbox.refused(&both, &["cannot be used with"]);
    let nowhere = ["moe", "--tuner", "stock", "--vllm", "0.33.0", "--model", "./model"];
    bed.sandbox.refused(&nowhere, &["runs where vLLM is", "the interpreter of this machine that vLLM is in"]);
    for (more, words) in [
        (
            &["--tp", "4", "--ep", "2"][..],
            "expert parallelism 2 with tensor parallelism 4, only with the same",
        ),
        (&["--dtype", "int8_w8a8"], "benchmark_moe.py cannot be asked for int8_w8a8"),
        (&["--dtype", "int4_w4a16"], "SPLIT_K, which this program cannot write yet"),
        (&["--shared-experts-fusion", "on"], "vLLM runs shared experts apart"),
        (&["--triton", "3.5.0"], "--triton says Triton 3.5.0"),
        (&["--block-shape", "128,128"], "--block-shape says nothing to it"),
    ] {
        bed.sandbox.refused(&bed.arguments(more), &[words]);
    }
    // The other runtime's script, and one of another release.
    let sglangs = Bed::sglang().script;
    let python = bed.python.to_str().unwrap();
    let of = |version: &'static str, script: &str| {
        let all = ["moe", "--tuner", "stock", "--model", "./model", "--python", python, "--vllm", version];
        bed.command(&[&all[..], &["--stock-script", script]].concat()).output().unwrap()
    };
    let told = ended(&of("0.33.0", &sglangs), 2);
    assert!(told.contains("no option `--trust-remote-code`, which every benchmark_moe.py has"), "{told}");
    let told = ended(&of("0.32.0", &bed.script), 2);
    assert!(told.contains("has vLLM 0.33.0+cu130, and the run is for 0.32.0"), "{told}");
    // An interpreter without vLLM.
    let other = Bed::sglang();
    let python = other.python.to_str().unwrap();
    let all = ["moe", "--tuner", "stock", "--model", "./model", "--python", python, "--vllm", "0.33.0"];
    let told =
        ended(&other.command(&[&all[..], &["--stock-script", &bed.script]].concat()).output().unwrap(), 3);
    assert!(told.contains("has no vLLM that its Python finds"), "{told}");
    assert!(bed.ran().is_empty() && other.ran().is_empty());
}

#[test]
fn a_run_goes_on_with_the_vllm_and_the_script_that_it_began_with() {
    let bed = Bed::vllm();
    bed.fault(1, "exit exit exit");
    ended(&bed.run(&["--batch-sizes", "1", "--out", "run"]), 4);
    for (more, words) in [
        (&["--vllm", "0.32.0"][..], "`release` was 0.33.0, now 0.32.0"),
        (&["--sglang", "0.5.23"], "`target.runtime` was "),
        (&["--tuner", "race"], "`tuner` was stock, now race"),
    ] {
        let told = ended(&bed.resume("run", more), 2);
        assert!(told.contains(words), "{told}");
    }
    let changed = bed.sandbox.write("newer.py", stock::vllms_script() + "\n# newer\n");
    let told = ended(&bed.resume("run", &["--stock-script", changed.to_str().unwrap()]), 2);
    assert!(told.contains("`script.sha256` was "), "{told}");
    ended(&bed.resume("run", &["--vllm", "0.33.0"]), 0);
    // Nor does a run of SGLang's go on for vLLM.
    let bed = Bed::sglang();
    bed.fault(1, "exit exit exit");
    ended(&bed.run(&["--batch-sizes", "1", "--out", "run"]), 4);
    let told = ended(&bed.resume("run", &["--vllm", "0.33.0"]), 2);
    assert!(told.contains("`target.runtime` was "), "{told}");
}
