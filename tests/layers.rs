//! The house as docs/architecture.md draws it, held against the code: calls go downwards only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MAP: &str = "docs/architecture.md";

/// The layers from the top, each a set of modules, out of the block headed `layers` in the map.
fn layers(map: &str) -> Vec<Vec<String>> {
    let block = map.split("```layers\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.expect("docs/architecture.md has a block ```layers");
    block.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The modules below `root` that `text` names behind `root::`, comments aside.
fn named(text: &str, root: &str) -> BTreeSet<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: String = code.flat_map(|line| [line.trim(), "\n"]).collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(&format!("{root}::")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + root.len() + 2..];
        let name =
            |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => {
                found.insert(name(rest));
            }
            Some(group) => {
                // The names at the group's own depth.
                let mut depth = 0;
                let mut begins = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '}' if depth == 0 => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && c.is_alphanumeric() => {
                            found.insert(name(&group[at..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

/// The modules that `text` says lie in files of their own.
fn declared(text: &str) -> BTreeSet<&str> {
    let name = |line| {
        let rest: &str = str::trim(line);
        let rest = match rest.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1,
            Some(rest) => rest,
            None => rest,
        };
        rest.trim_start().strip_prefix("mod ")?.strip_suffix(';')
    };
    text.lines().filter_map(name).collect()
}

/// Whether Cargo compiles the file without being told by another: the library's root, or a program's.
fn is_root(file: &Path) -> bool {
    file == Path::new("src/lib.rs") || file.parent() == Some(Path::new("src/bin"))
}

/// The files that are compiled because `file`, which is one of `files`, is.
fn compiled_with(file: &Path, files: &BTreeSet<PathBuf>, found: &mut BTreeSet<PathBuf>) {
    found.insert(file.to_owned());
    let folder = match file.ends_with("mod.rs") || is_root(file) {
        true => file.parent().unwrap().to_owned(),
        false => file.with_extension(""),
    };
    for name in declared(&fs::read_to_string(file).unwrap()) {
        for child in [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")] {
            if files.contains(&child) && !found.contains(&child) {
                compiled_with(&child, files, found);
            }
        }
    }
}

/// The first part of a file's path below `src`: the module it belongs to, `bin` for the programs.
fn module(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().components().next().unwrap();
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Which modules each module names, with a file that does.
fn uses() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    let mut uses: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for path in files {
        let from = module(&path);
        if from == "lib" {
            continue;
        }
        let root = if from == "bin" { "spark" } else { "crate" };
        let of = uses.entry(from.clone()).or_default();
        for to in named(&fs::read_to_string(&path).unwrap(), root) {
            if to != from {
                of.entry(to).or_insert_with(|| path.clone());
            }
        }
    }
    uses
}

#[test]
fn calls_go_downwards_only() {
    let layers = layers(&fs::read_to_string(MAP).unwrap());
    let level = |module: &str| layers.iter().position(|layer| layer.iter().any(|it| it == module));
    let mut wrong = Vec::new();
    let uses = uses();
    for (from, tos) in &uses {
        let Some(here) = level(from) else {
            wrong.push(format!("`{from}` is in no layer of {MAP}"));
            continue;
        };
        for (to, path) in tos {
            match level(to) {
                // Macros and what the crate's root itself gives have no layer.
                None if !uses.contains_key(to) => {}
                Some(there) if there > here => {}
                // The ground's modules stand on one another, without going round: see below.
                Some(there) if there == here && there == layers.len() - 1 => {}
                _ => wrong.push(format!("`{from}` names `{to}`, which is not below it: {}", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_no_module_that_is_not_there() {
    let uses = uses();
    let layers = layers(&fs::read_to_string(MAP).unwrap());
    let gone: Vec<_> = layers.iter().flatten().filter(|module| !uses.contains_key(*module)).collect();
    assert!(gone.is_empty(), "{MAP} names {gone:?}");
}

#[test]
fn the_ground_does_not_go_round() {
    let layers = layers(&fs::read_to_string(MAP).unwrap());
    let ground = layers.last().unwrap();
    let uses = uses();
    let mut left: BTreeSet<&String> = ground.iter().collect();
    loop {
        let free: Vec<&String> = left
            .iter()
            .copied()
            .filter(|module| uses[*module].keys().all(|to| to == *module || !left.contains(to)))
            .collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            left.remove(module);
        }
    }
    assert!(left.is_empty(), "these need one another: {left:?}");
}

/// A file that no `mod` line names is never compiled, and its tests never run.
#[test]
fn every_file_is_compiled() {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    let files: BTreeSet<PathBuf> = files.into_iter().collect();
    let mut found = BTreeSet::new();
    for file in &files {
        if is_root(file) {
            compiled_with(file, &files, &mut found);
        }
    }
    let orphans: Vec<&PathBuf> = files.difference(&found).collect();
    assert!(orphans.is_empty(), "no `mod` line names {orphans:?}");
}

#[test]
fn only_commands_draw() {
    for (from, tos) in uses() {
        assert!(
            from == "commands" || !tos.contains_key("report"),
            "`{from}` names `report`: {:?}",
            tos["report"]
        );
    }
}

#[test]
fn names_are_read_out_of_every_form_of_use() {
    let text =
        "use crate::a::{B, c::D};\nuse crate::{e, f::{g, h}, i::J};\n// crate::k\nlet x = crate::l::m();";
    let found: Vec<String> = named(text, "crate").into_iter().collect();
    assert_eq!(found, ["a", "e", "f", "i", "l"]);
}

#[test]
fn modules_are_read_out_of_every_form_of_mod() {
    let text = "mod a;\npub mod b;\npub(crate) mod c;\npub(in crate::x) mod d;\n// mod e;\nmod f {\n    mod g;\n}\nmodest;";
    assert_eq!(declared(text).into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d", "g"]);
}

/// Whoever else needs an engine asks the folder that speaks to it.
#[test]
fn one_folder_alone_knows_the_engines_api() {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    let (at_home, elsewhere): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("bollard::"))
        .partition(|path| path.starts_with("src/host/engine"));
    assert!(!at_home.is_empty(), "nobody speaks to engines");
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}
