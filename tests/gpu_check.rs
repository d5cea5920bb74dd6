//! What of `scripts/gpu-check` can be tried without a GPU: the commands it would run, and its complaints.

use std::collections::HashSet;
use std::process::{Command, Output};

const SPARKTUNE: &str = env!("CARGO_BIN_EXE_sparktune");

fn gpu_check(arguments: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/gpu-check");
    Command::new("python3").arg(script).args(arguments).output().unwrap()
}

#[test]
fn every_command_it_would_run_is_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sglang")).unwrap();
    let root = folder.path().display().to_string();
    let out = folder.path().join("out").display().to_string();
    let arguments =
        ["--sglang-root", &root, "--sparktune", SPARKTUNE, "--triton", "3.6.0", "--out", &out, "--dry-run"];
    let said = gpu_check(&arguments);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{text}");
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(commands.len(), 9, "three layers: record, race, replay\n{text}");
    for command in commands {
        let mut words = command.split(' ').skip(1);
        let name = words.next().unwrap();
        let help = Command::new(SPARKTUNE).args([name, "--help"]).output().unwrap();
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        let known: HashSet<&str> = help
            .split(|c: char| c.is_whitespace() || ",=[".contains(c))
            .filter(|it| it.starts_with("--"))
            .collect();
        for flag in words.filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap();
            assert!(known.contains(flag), "{name} has no {flag}");
        }
    }
}

#[test]
fn what_it_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let complaint = |arguments: &[&str]| {
        let said = gpu_check(arguments);
        assert_eq!(said.status.code(), Some(2));
        String::from_utf8_lossy(&said.stderr).into_owned()
    };
    let said = complaint(&["--sglang-root", &root, "--sparktune", SPARKTUNE]);
    assert!(said.contains("holds no sglang package"), "{said}");
    std::fs::create_dir(folder.path().join("sglang")).unwrap();
    let said = complaint(&["--sglang-root", &root, "--sparktune", "/gone/sparktune"]);
    assert!(said.contains("/gone/sparktune is no program; cargo build --release makes it"), "{said}");
}
