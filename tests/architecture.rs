//! Nothing here is for one processor architecture: neither our own code nor, unseen, the C and the assembly below it.
//! `.ci/run aarch64` type-checks everything for aarch64 where it can; this holds everywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Words that code for one architecture contains.
const SIGNS: [&str; 18] = [
    "target_arch",
    "target_feature",
    "target_pointer_width",
    "target_endian",
    "core::arch",
    "std::arch",
    "consts::ARCH",
    "asm!",
    "_mm_",
    "x86",
    "amd64",
    "aarch64",
    "arm64",
    "neon",
    "avx",
    "platform.machine",
    "platform.processor",
    "os.uname",
];

/// Lines that contain a sign and depend on nothing: what they contain, and why.
const MENTIONS: [(&str, &str); 4] = [
    (
        "--platform=manylinux",
        "the wheel of SGLang that a machine without one of its own reads Python sources from; none of its binaries is used",
    ),
    ("name = os.uname()", "what a node says of itself, to be shown"),
    ("\"x86_64\" => \"amd64\"", "one word for what images and nodes name differently, to compare them"),
    ("\"aarch64\" => \"arm64\"", "the same"),
];

/// What is compiled, embedded or run on the user's machine.
const PLACES: [&str; 6] =
    ["src", "build.rs", "worker/spark_worker", "worker/node", "examples", "fuzz/fuzz_targets"];

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        found.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().unwrap_or_default();
        if path.is_dir() || ending == "rs" || ending == "py" {
            files(&path, found);
        }
    }
}

/// A file's text without its tests, which run on no user's machine.
fn without_tests(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    if name == "tests.rs" || name == "fixture.rs" {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// A line without its comment, where the comment is all of the line or stands behind code.
fn code<'a>(line: &'a str, path: &Path) -> &'a str {
    let mark = if path.extension().is_some_and(|ending| ending == "py") { "#" } else { "//" };
    line.split(mark).next().unwrap_or_default()
}

/// The signs in `line`, unless it is one of [`MENTIONS`].
fn signs(line: &str) -> Vec<&'static str> {
    if MENTIONS.iter().any(|(mention, _)| line.contains(mention)) {
        return Vec::new();
    }
    SIGNS.into_iter().filter(|sign| line.contains(sign)).collect()
}

#[test]
fn nothing_of_ours_is_for_one_architecture() {
    let mut paths = Vec::new();
    for place in PLACES {
        files(Path::new(place), &mut paths);
    }
    assert!(paths.len() > 100, "{paths:?}");
    let mut found = Vec::new();
    for path in paths {
        for (number, line) in without_tests(&path).lines().enumerate() {
            for sign in signs(code(line, &path)) {
                found.push(format!("{}:{}: {sign}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "see docs/releasing.md, Architectures:\n{}", found.join("\n"));
}

#[test]
fn signs_are_seen_in_code_and_not_in_comments() {
    let rust = Path::new("a.rs");
    for line in [
        "#[cfg(target_arch = \"x86_64\")]",
        "use std::arch::asm;",
        "if cfg!(target_pointer_width = \"64\") {",
    ] {
        assert!(!signs(code(line, rust)).is_empty(), "{line}");
    }
    let python = Path::new("a.py");
    assert_eq!(signs(code("if platform.machine() == \"arm64\":", python)), ["arm64", "platform.machine"]);
    assert!(signs(code("//! measured on two x86 cores", rust)).is_empty());
    assert!(signs(code("pass  # aarch64 has no such flag", python)).is_empty());
    assert!(signs("\"--platform=manylinux2014_x86_64\",").is_empty());
}

/// Packages of Cargo.lock that compile C or assembly, or look for a library of the system: those that depend on what
/// does it for them.
fn native() -> BTreeSet<String> {
    const BUILDERS: [&str; 7] = ["cc", "cmake", "nasm-rs", "bindgen", "pkg-config", "vcpkg", "autotools"];
    let lock: toml::Table = include_str!("../Cargo.lock").parse().unwrap();
    let depends = |package: &toml::Value| {
        let on = package.get("dependencies").and_then(toml::Value::as_array).into_iter().flatten();
        // A version stands behind a name that is there more than once.
        let mut names = on.filter_map(|it| it.as_str()?.split(' ').next());
        names.any(|name| BUILDERS.contains(&name))
    };
    let packages = lock["package"].as_array().unwrap();
    let native = packages.iter().filter(|package| depends(package));
    native.map(|package| package["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_crates_with_native_code_are_those_that_were_looked_at() {
    let text = include_str!("../docs/releasing.md");
    let table = text.split("| crate |").nth(1).expect("docs/releasing.md has the table of native crates");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let listed: BTreeSet<String> =
        rows.map(|row| row.split('|').nth(1).unwrap().trim().replace('`', "")).collect();
    assert_eq!(
        native(),
        listed,
        "docs/releasing.md says of each that it builds for aarch64, and how that is known"
    );
}
