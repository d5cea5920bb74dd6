//! The page that lists a collection of config files, made from their manifests.

use std::fmt::Write as _;

use super::manifest::{Evidence, Manifest, Source};

/// One model on one device and target: the manifests of its files.
#[derive(Debug)]
struct Row<'a> {
    folder: &'a str,
    manifests: Vec<&'a Manifest>,
}

/// The index of a collection: a table of the manifests, each with the folder its file lies in, relative
/// to the page.
///
/// The same manifests always give the same page, in whatever order they come.
pub fn render(manifests: &[(String, Manifest)]) -> String {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (folder, manifest) in manifests {
        let same = |row: &&mut Row<'_>| {
            row.folder == folder
                && row.manifests.iter().any(|other| {
                    other.shape == manifest.shape
                        && other.device == manifest.device
                        && other.target == manifest.target
                        && other.role != manifest.role
                })
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.manifests.push(manifest),
            None => rows.push(Row { folder, manifests: vec![manifest] }),
        }
    }
    for row in &mut rows {
        row.manifests.sort_by_key(|manifest| manifest.role);
    }
    rows.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut page = String::from(HEADER);
    for row in &rows {
        let first = row.manifests[0];
        let files: Vec<String> = row
            .manifests
            .iter()
            .map(|manifest| format!("[{}](<{}/{}>)", manifest.role, row.folder, manifest.file))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            models(first),
            split(first),
            first.shape,
            first.device.name,
            first.target,
            evidence(&row.manifests),
            first.created.get(..10).unwrap_or(&first.created),
            files.join(" "),
        );
    }
    page
}

/// Whether a page is one of ours: it begins as they all do.
pub fn is_ours(page: &str) -> bool {
    page.starts_with(HEADER.lines().next().unwrap_or_default())
}

const HEADER: &str = "# Tuned configs

Made by `sparktune publish` from the manifests beside the files; do not edit. The rung of the evidence says
how sure an entry is: `predicted` (fits by the exact rule), `compiled` (also compiled by Triton for the
device, its allocation read back), `measured` and `confirmed` (timed on the device). Below `measured` the
runtime's own default is kept wherever it fits: *replaced* counts the entries where it would crash.

| model | split | shape | device | runtime | evidence | date | files |
|---|---|---|---|---|---|---|---|
";

/// Every model the layer was published for.
fn models(manifest: &Manifest) -> String {
    let mut names: Vec<&str> =
        std::iter::once(&manifest.model).chain(&manifest.also_for).map(|model| model.name.as_str()).collect();
    names.sort_unstable();
    names.join(", ")
}

fn key<'a>(row: &Row<'a>) -> (String, &'a str, String, &'a str) {
    let first = row.manifests[0];
    (models(first).to_lowercase(), &first.device.id, split(first), row.folder)
}

fn split(manifest: &Manifest) -> String {
    let model = &manifest.model;
    if model.ep > 1 { format!("tp {} ep {}", model.tp, model.ep) } else { format!("tp {}", model.tp) }
}

/// `compiled (18 + 18 entries, 14 replaced)`
fn evidence(manifests: &[&Manifest]) -> String {
    let weakest = manifests.iter().filter_map(|manifest| manifest.evidence()).min();
    let counts: Vec<String> = manifests.iter().map(|manifest| manifest.entries.len().to_string()).collect();
    let replaced: usize = manifests
        .iter()
        .flat_map(|manifest| manifest.entries.values())
        .filter(|entry| entry.source != Source::RuntimeDefault)
        .count();
    let rung = weakest.map_or("none", Evidence::name);
    format!("{rung} ({} entries, {replaced} replaced)", counts.join(" + "))
}
