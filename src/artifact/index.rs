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
pub(crate) fn render(manifests: &[(String, Manifest)]) -> String {
    let mut manifests: Vec<&(String, Manifest)> = manifests.iter().collect();
    manifests.sort_by_key(|(folder, manifest)| (folder, &manifest.file));
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
    // Rows that say the same of model, device and split stay in the order of their files.
    rows.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut page = String::from(HEADER);
    for row in &rows {
        let first = row.manifests[0];
        let files: Vec<String> = row
            .manifests
            .iter()
            .map(|manifest| {
                let slash = if row.folder.is_empty() { "" } else { "/" };
                format!("[{}](<{}{slash}{}>)", manifest.role, row.folder, manifest.file)
            })
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(&models(first)),
            split(first),
            first.shape,
            cell(&first.device.name),
            first.target,
            evidence(&row.manifests),
            cell(first.created.get(..10).unwrap_or(&first.created)),
            files.join(" "),
        );
    }
    page
}

/// Whether a page that begins with these bytes is one of ours. [`TELLING_BYTES`] of them are enough.
pub(crate) fn is_ours(beginning: &[u8]) -> bool {
    beginning.starts_with(TITLE.as_bytes())
}

/// How much of a page tells whose it is.
pub(crate) const TELLING_BYTES: u64 = TITLE.len() as u64;

const TITLE: &str = "# Tuned configs";

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

/// Text from a manifest as one table cell: a bar or a line break would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::artifact::ConfigFile;
    use crate::artifact::manifest::tests::of_glm;
    use crate::runtime::Runtime;
    use crate::shape::{Role, Tile};

    fn manifest(runtime: Runtime, role: Role) -> Manifest {
        let tile = Tile { block_size_m: 16, block_size_n: 32, block_size_k: 64, num_warps: 4, num_stages: 2 };
        of_glm(&ConfigFile::new([(1, tile.with_group(1)), (64, tile.with_group(1))]), runtime, role)
    }

    /// Two runtimes, two models, two folders: in both roles, but for the last.
    fn collection() -> Vec<(String, Manifest)> {
        let mut all = Vec::new();
        for role in Role::BOTH {
            all.push(("triton_3_5_0".to_owned(), manifest(Runtime::Sglang054, role)));
            all.push(("triton_3_5_0".to_owned(), manifest(Runtime::Sglang0523, role)));
            all.push(("triton_3_8_0".to_owned(), manifest(Runtime::Sglang0523, role)));
            let mut other = manifest(Runtime::Sglang054, role);
            other.model.name = "Another/Model".into();
            other.model.ep = 2;
            other.shape.experts = 80;
            other.file = other.file.replace("E=160", "E=80");
            all.push(("apart/triton_3_5_0".to_owned(), other));
        }
        all.pop();
        all
    }

    fn rows(page: &str) -> Vec<&str> {
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| model |")).collect()
    }

    #[test]
    fn a_pair_is_one_row_and_a_single_file_another() {
        let mut all = collection();
        let down = &mut all[4].1;
        assert_eq!((down.role, down.target.runtime), (Role::Down, Runtime::Sglang054));
        let entry = down.entries.get_mut(&64).unwrap();
        (entry.source, entry.evidence) = (Source::BestPredicted, Evidence::Compiled);
        let page = render(&all);
        let rows = rows(&page);
        assert_eq!(rows.len(), 4, "{page}");
        assert!(rows[0].starts_with("| Another/Model | tp 4 ep 2 | E=80 N=384 K=5120 top-8 "), "{page}");
        assert!(rows[0].contains("| predicted (2 entries, 0 replaced) |"), "{page}");
        assert_eq!(
            rows[2],
            "| zai-org/GLM-4.7-FP8 | tp 4 | E=160 N=384 K=5120 top-8  fp8 per channel | NVIDIA GB10 | \
             SGLang 0.5.4.post2 with Triton 3.5.0 | predicted (2 + 2 entries, 1 replaced) | 2026-01-02 | \
             [up](<triton_3_5_0/E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json>) \
             [down](<triton_3_5_0/E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8_down.json>) |"
        );
    }

    #[test]
    fn every_model_of_a_layer_is_named_and_none_breaks_the_table() {
        let mut manifest = manifest(Runtime::Sglang054, Role::Up);
        let mut other = manifest.model.clone();
        other.name = "a|b".into();
        manifest.also_for.push(other);
        let page = render(&[("x".to_owned(), manifest)]);
        assert!(rows(&page)[0].starts_with("| a\\|b, zai-org/GLM-4.7-FP8 | tp 4 |"), "{page}");
    }

    #[test]
    fn no_line_break_ends_a_row_and_no_folder_is_no_slash() {
        let mut manifest = manifest(Runtime::Sglang054, Role::Up);
        manifest.model.name = "a\nb".into();
        let page = render(&[(String::new(), manifest)]);
        assert!(rows(&page)[0].starts_with("| a b | tp 4 |"), "{page}");
        assert!(page.contains("[up](<E=160,"), "{page}");
    }

    #[test]
    fn nothing_gives_the_header_alone() {
        assert_eq!(render(&[]), HEADER);
        let mut empty = manifest(Runtime::Sglang054, Role::Up);
        empty.entries.clear();
        empty.created = "?".into();
        assert!(render(&[("x".to_owned(), empty)]).contains("| none (0 entries, 0 replaced) | ? |"));
    }

    proptest! {
        #[test]
        fn the_order_of_the_manifests_does_not_matter(shuffled in Just(collection()).prop_shuffle()) {
            prop_assert_eq!(render(&shuffled), render(&collection()));
        }
    }
}
