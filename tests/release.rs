//! What a release publishes: its workflow, the script that packs the archives, and where `cargo binstall` looks for
//! them say the same names.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Plain;

use assert_cmd::Command;
use assert_cmd::assert::Assert;

#[path = "support/mod.rs"]
mod support;
use support::{stderr, stdout};

const WORKFLOW: &str = include_str!("../.github/workflows/release.yml");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/release-archive");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The machines a release is for: DGX Sparks, and the desks in front of them.
const TARGETS: [&str; 2] = ["aarch64-unknown-linux-musl", "x86_64-unknown-linux-musl"];

fn manifest() -> toml::Table {
    include_str!("../Cargo.toml").parse().unwrap()
}

/// A template of `[package.metadata.binstall]`, filled in.
fn binstall(key: &str, target: &str, bin: &str) -> String {
    let manifest = manifest();
    let template = manifest["package"]["metadata"]["binstall"][key].as_str().unwrap();
    let name = env!("CARGO_PKG_NAME");
    let values = [("name", name), ("version", VERSION), ("target", target), ("bin", bin), ("binary-ext", "")];
    let mut filled = template.to_owned();
    for (key, value) in values {
        filled = filled.replace(&format!("{{ {key} }}"), value);
    }
    filled
}

/// The programs that cargo builds out of this package.
fn programs() -> BTreeSet<String> {
    let manifest = manifest();
    let bins = manifest["bin"].as_array().unwrap();
    bins.iter().map(|bin| bin["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_profile_that_releases_are_built_with_optimises_everything() {
    let manifest = manifest();
    let dist = &manifest["profile"]["dist"];
    assert_eq!((dist["inherits"].as_str(), dist["lto"].as_str()), (Some("release"), Some("thin")));
    assert_eq!(dist["package"]["*"]["opt-level"].as_integer(), Some(3));
}

fn archive_name(target: &str) -> String {
    stdout(&Command::new("bash").args([SCRIPT, "--name", target]).assert().success()).trim().to_owned()
}

/// What runs in front of cargo in [`pack`]: it leaves `program` where cargo would leave each of the two.
fn pack(folder: &Path, program: &Path, target: &str) -> Assert {
    let cargo = folder.join("cargo");
    let text = format!(
        "#!/bin/sh\necho \"$@\" >> '{calls}'\nmkdir -p \"$CARGO_TARGET_DIR/{target}/dist\"\n\
         for name in sparktune sparkbench; do cp '{program}' \"$CARGO_TARGET_DIR/{target}/dist/$name\"; done\n",
        calls = folder.join("calls").display(),
        program = program.display()
    );
    support::write(&cargo, text);
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.args([SCRIPT, target]).arg(folder.join("out"));
    command
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("CARGO_TARGET_DIR", folder.join("target"));
    command.env("SOURCE_DATE_EPOCH", "1").assert()
}

/// A program that no dynamic loader has a part in. It is never run.
fn static_program(folder: &Path) -> PathBuf {
    let source = folder.join("static.c");
    support::write(&source, "void _start(void) { for (;;) {} }\n");
    let program = folder.join("static");
    let mut cc = Plain::new("cc");
    cc.args(["-static", "-nostdlib", "-ffreestanding", "-o"]).arg(&program).arg(&source);
    assert!(cc.status().unwrap().success());
    program
}

#[test]
fn the_workflow_builds_for_each_target_with_the_script() {
    let targets: Vec<_> =
        WORKFLOW.lines().filter_map(|line| line.trim().strip_prefix("- target: ")).collect();
    assert_eq!(targets, TARGETS);
    assert!(WORKFLOW.contains("scripts/release-archive ${{ matrix.target }} archives"));
    assert!(WORKFLOW.contains(r#"tags: ["v*"]"#));
    let tag = stdout(&Command::new("bash").args([SCRIPT, "--tag"]).assert().success());
    assert_eq!(tag.trim(), format!("v{VERSION}"));
}

#[test]
fn binstall_looks_for_what_the_script_packs() {
    for target in TARGETS {
        let name = archive_name(target);
        let wanted = format!("{{ repo }}/releases/download/v{VERSION}/{name}.tgz");
        assert_eq!(binstall("pkg-url", target, ""), wanted);
        for program in programs() {
            assert_eq!(binstall("bin-dir", target, &program), format!("{name}/{program}"));
        }
    }
    assert_eq!(manifest()["package"]["metadata"]["binstall"]["pkg-fmt"].as_str(), Some("tgz"));
}

#[test]
fn an_archive_holds_both_programs_and_has_its_checksum_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = static_program(folder.path());
    let target = TARGETS[0];
    pack(folder.path(), &program, target).success();

    let out = folder.path().join("out");
    let name = archive_name(target);
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", &format!("{name}.tgz.sha256")]).current_dir(&out).assert().success();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(out.join(format!("{name}.tgz"))).current_dir(&out).assert().success();
    let found = fs::read_dir(out.join(&name)).unwrap();
    let found: BTreeSet<_> = found.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    let mut wanted = programs();
    wanted.extend(["CHANGELOG.md", "LICENSE", "README.md"].map(str::to_owned));
    assert_eq!(found, wanted);
    for program in programs() {
        let mode = fs::metadata(out.join(&name).join(program)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
    let asked = fs::read_to_string(folder.path().join("calls")).unwrap();
    assert_eq!(asked.trim(), format!("build --locked --bins --profile dist --target {target}"));

    // Packed again, later: the same bytes.
    let before = fs::read(out.join(format!("{name}.tgz"))).unwrap();
    pack(folder.path(), &program, target).success();
    assert!(fs::read(out.join(format!("{name}.tgz"))).unwrap() == before);
}

#[test]
fn a_program_that_needs_its_machines_libraries_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let dynamic = Path::new(env!("CARGO_BIN_EXE_sparktune"));
    let assert = pack(folder.path(), dynamic, TARGETS[1]).code(1);
    assert!(stderr(&assert).contains("error: sparktune is not static"), "{}", stderr(&assert));
    assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 0);
}

#[test]
fn a_script_that_is_not_told_the_target_says_how_it_is_called() {
    for arguments in [&[][..], &["--targets"]] {
        let assert = Command::new("bash").arg(SCRIPT).args(arguments).assert().code(2);
        assert!(stderr(&assert).contains("scripts/release-archive TARGET"), "{}", stderr(&assert));
    }
}
