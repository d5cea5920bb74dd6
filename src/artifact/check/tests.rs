mod launches;
mod pairs;
mod reports;

use std::collections::BTreeSet;

use super::*;
use crate::artifact::manifest::tests::of_glm;
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::shape::KernelConfig;

const SGLANG_054: Option<Runtime> = Some(Runtime::Sglang054);
const SGLANG_0523: Option<Runtime> = Some(Runtime::Sglang0523);
const VLLM: Option<Runtime> = Some(Runtime::Vllm);

const GLM: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
const GLM_DOWN: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8_down.json";
const BLOCK: &str = "E=128,N=768,device_name=NVIDIA_GB10,dtype=fp8_w8a8,block_shape=[128, 128].json";

/// One case; the parts that matter are changed from a file nothing is wrong with.
struct Case<'a> {
    name: &'a str,
    folder: Option<&'a str>,
    text: String,
    manifest: Result<Option<Manifest>, ManifestError>,
    sibling: Option<ConfigFile>,
    device: Option<&'a str>,
    triton: Option<TritonVersion>,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            name: GLM,
            folder: Some("triton_3_5_0"),
            text: full(|_| config(16, 32, 64, 4, 2)).render(),
            manifest: Ok(None),
            sibling: None,
            device: None,
            triton: Some(TritonVersion::new(3, 5, 0)),
        }
    }
}

impl Case<'_> {
    fn named(name: &str) -> Case<'_> {
        Case { name, ..Case::default() }
    }

    fn report(&self, runtime: Option<Runtime>) -> FileReport {
        let device = self.device.map(|query| Device::find(query).unwrap());
        let rules = Rules {
            device: device.as_ref(),
            runtime,
            triton: self.triton,
            devices: DeviceCatalogue::embedded(),
        };
        let manifest = match &self.manifest {
            Ok(manifest) => Ok(manifest.clone()),
            Err(error) => Err(ManifestError::Bad { path: PathBuf::from("x"), message: error.to_string() }),
        };
        let subject = CheckSubject {
            path: Path::new(self.name),
            folder: self.folder,
            text: self.text.as_bytes(),
            manifest,
            sibling: self.sibling.as_ref(),
        };
        check(&subject, &rules)
    }

    /// The findings of one code.
    fn found(&self, runtime: Option<Runtime>, code: &str) -> Vec<Finding> {
        self.report(runtime).findings.into_iter().filter(|finding| finding.code == code).collect()
    }

    /// Hold the severities of `code` under 0.5.4, 0.5.23, vLLM and no named runtime.
    #[track_caller]
    fn holds(&self, code: &str, expected: [Option<Severity>; 4]) {
        let severities = [SGLANG_054, SGLANG_0523, VLLM, None].map(|runtime| {
            let found = self.found(runtime, code);
            assert!(found.len() <= 1, "{code} under {runtime:?}: {found:?}");
            found.first().map(|finding| finding.severity)
        });
        assert_eq!(severities, expected, "{code} of {}: {}", self.name, self.text);
    }
}

fn config(m: u32, n: u32, k: u32, num_warps: u32, num_stages: u32) -> KernelConfig {
    KernelConfig { block_size_m: m, block_size_n: n, block_size_k: k, group_size_m: 1, num_warps, num_stages }
}

/// A file with every key a tuner writes.
fn full(config: impl Fn(u32) -> KernelConfig) -> ConfigFile {
    ConfigFile::new(STANDARD_BATCH_SIZES.map(|key| (key, config(key))))
}

/// A file of one tile with these keys and values of BLOCK_SIZE_M.
fn blocks(entries: &[(u32, u32)]) -> ConfigFile {
    ConfigFile::new(entries.iter().map(|&(key, m)| (key, config(m, 32, 64, 4, 2))))
}

/// The sound text with something put into its entry for 64 tokens.
fn with_field(field: &str) -> String {
    let sound = Case::default().text;
    let (before, entry) = sound.split_once("\"64\": {").unwrap();
    format!("{before}\"64\": {{{field}, {entry}")
}

fn all(severity: Severity) -> [Option<Severity>; 4] {
    [Some(severity); 4]
}

#[test]
fn nothing_is_wrong_with_a_sound_file() {
    for runtime in [SGLANG_054, SGLANG_0523, None] {
        let report = Case::default().report(runtime);
        assert_eq!(report.findings, [], "{runtime:?}");
        assert_eq!((report.entries, report.worst(), report.passes()), (18, None, true));
        let down = Case { name: GLM_DOWN, sibling: Some(blocks(&[(1, 16)])), ..Case::default() };
        assert_eq!(down.report(runtime).findings, [], "{runtime:?}");
    }
    let flat = Case { folder: Some("configs"), ..Case::default() };
    assert_eq!(flat.report(VLLM).findings, []);
}

#[test]
fn what_is_wrong_with_the_text_is_judged_as_the_server_meets_it() {
    use Severity::{Crash, Ignored, Warning};
    let sound = Case::default().text;
    let entry = r#"{"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1}"#;
    let added = |key: &str, value: &str| sound.replacen('{', &format!("{{\"{key}\": {value},"), 1);
    for (text, code, expected) in [
        (String::new(), "not-json", all(Crash)),
        ("{}".into(), "empty", all(Ignored)),
        (added("x", entry), "bad-key", all(Crash)),
        (added("1.0", entry), "bad-key", all(Crash)),
        // Python's int() takes these.
        (added("-1", entry), "bad-key", all(Warning)),
        (added(" 7", entry), "bad-key", all(Warning)),
        (added("1_0", entry), "bad-key", all(Warning)),
        (added("1__0", entry), "bad-key", all(Crash)),
        (added("64", entry), "duplicate-key", all(Ignored)),
        (added("7", "5"), "not-an-entry", all(Crash)),
        (added("-7", "5"), "not-an-entry", all(Crash)),
        (added("x", "5"), "not-an-entry", [None; 4]),
        (with_field("\"num_warps\": 8"), "duplicate-field", all(Ignored)),
        (with_field("\"SPLIT_K\": 1"), "unknown-field", all(Crash)),
        (added("7", &entry.replace("GROUP_SIZE_M", "num_stages")), "missing-field", all(Crash)),
        (added("7", &entry.replace("16", "16.0")), "bad-value", all(Crash)),
        // vLLM writes it and takes it out again; SGLang fails at int().
        (added("triton_version", "\"3.5.0\""), "bad-key", [Some(Crash), Some(Crash), None, Some(Crash)]),
        (added("triton_version", "\"3.5.0\""), "not-an-entry", [None; 4]),
    ] {
        Case { text, ..Case::default() }.holds(code, expected);
    }
}

/// Python keeps the last of two entries, so the last is the one that crashes.
#[test]
fn the_entry_that_counts_of_two_is_judged() {
    let sound = Case::default().text;
    let famous = r#""64": {"BLOCK_SIZE_M": 128, "BLOCK_SIZE_N": 256, "BLOCK_SIZE_K": 128, "GROUP_SIZE_M": 32, "num_warps": 8, "num_stages": 4}"#;
    let last = format!("{},{famous}}}", sound.trim_end().strip_suffix('}').unwrap());
    let first = sound.replacen('{', &format!("{{{famous},"), 1);
    for (text, count) in [(last, 1), (first, 0)] {
        let case = Case { text, ..Case::default() };
        assert_eq!(case.found(SGLANG_054, "duplicate-key").len(), 1);
        assert_eq!(case.found(SGLANG_054, "out-of-resources").len(), count);
    }
}

/// What the runtime launches on a GB10 for GLM at more tokens than experts if there is no file.
#[test]
fn the_famous_default_is_out_of_resources_on_a_gb10_only() {
    let text = full(|key| if key > 160 { config(128, 256, 128, 8, 4) } else { config(64, 128, 128, 4, 4) });
    let case = Case { text: text.render(), ..Case::default() };
    for runtime in [SGLANG_054, SGLANG_0523, VLLM, None] {
        let found = case.found(runtime, "out-of-resources");
        let keys: Vec<&str> = found.iter().filter_map(|finding| finding.key.as_deref()).collect();
        assert_eq!(keys, ["256", "512", "1024", "1536", "2048", "3072", "4096"]);
        assert!(found.iter().all(|finding| finding.severity == Severity::Crash));
        let message = &found[0].message;
        assert!(message.contains("takes 147456 bytes") && message.contains("101376"), "{message}");
        assert!(!case.report(runtime).passes());
    }
    let elsewhere = Case { device: Some("h100"), ..case };
    assert_eq!(elsewhere.found(None, "out-of-resources"), []);
    assert_eq!(elsewhere.found(None, "other-device")[0].severity, Severity::Note);
}

/// Steps below 64 and a single stage are known by a bound only: for the compiler to say.
#[test]
fn a_bound_above_the_limit_is_a_warning() {
    for (tile, severity) in [
        (config(256, 256, 32, 8, 2), Some(Severity::Warning)),
        (config(256, 256, 256, 8, 1), Some(Severity::Warning)),
        (config(128, 256, 256, 8, 1), None),
        (config(64, 64, 32, 8, 2), None),
        // One byte too many would be one too many: 101,376 bytes are there.
        (config(32, 128, 128, 4, 5), None),
        (config(32, 256, 128, 4, 4), Some(Severity::Crash)),
        (config(1024, 1024, 1024, 4, 32), Some(Severity::Crash)),
    ] {
        let case = Case { text: full(|_| tile).render(), ..Case::default() };
        let found = case.found(None, "out-of-resources");
        assert_eq!(found.first().map(|finding| finding.severity), severity, "{tile}");
        let bound = severity == Some(Severity::Warning);
        assert!(found.iter().all(|finding| finding.message.contains("may take up to") == bound), "{tile}");
        assert_eq!(case.report(None).passes(), severity != Some(Severity::Crash), "{tile}");
    }
}

#[test]
fn a_step_that_straddles_scale_blocks_computes_something_else() {
    for (tile, count) in [
        (config(16, 128, 128, 4, 2), 0),
        (config(16, 32, 64, 4, 2), 0),
        (config(16, 256, 128, 4, 2), 0),
        (config(16, 64, 256, 4, 2), 1),
    ] {
        for runtime in [SGLANG_054, SGLANG_0523, None] {
            let case = Case { name: BLOCK, text: full(|_| tile).render(), ..Case::default() };
            let found = case.found(runtime, "scale-block");
            assert_eq!(found.len(), 18 * count, "{tile}");
            assert!(found.iter().all(|finding| finding.severity == Severity::WrongResult), "{tile}");
        }
        // Per channel or per group there is nothing to straddle.
        let plain = Case { text: full(|_| tile).render(), ..Case::default() };
        assert_eq!(plain.found(None, "scale-block"), []);
    }
    // Blocks of 48 rows: a tile of 32 lies across two of them, one of 64 looks each row up.
    let odd = BLOCK.replace("[128, 128]", "[48, 128]");
    for (n, count) in [(16, 0), (32, 18), (64, 0)] {
        let case = Case { text: full(|_| config(16, n, 128, 4, 2)).render(), ..Case::named(&odd) };
        assert_eq!(case.found(None, "scale-block").len(), count, "{n}");
    }
}

#[test]
fn use_tma_is_taken_where_the_kernel_takes_it() {
    use Severity::{Crash, Warning};
    let up_file = |value| Case { text: with_field(&format!("\"USE_TMA\": {value}")), ..Case::default() };
    up_file("false").holds("use-tma", [Some(Crash), None, Some(Crash), None]);
    up_file("true").holds("use-tma", [Some(Crash), None, Some(Crash), None]);
    up_file("false").holds("tma-not-judged", [None; 4]);
    up_file("true").holds("tma-not-judged", [None, Some(Warning), None, Some(Warning)]);
    let down_file = |value| Case { name: GLM_DOWN, sibling: Some(blocks(&[(1, 16)])), ..up_file(value) };
    down_file("false").holds("use-tma", [None, None, Some(Crash), None]);
    down_file("true").holds("tma-not-judged", [Some(Warning), Some(Warning), None, Some(Warning)]);
    assert!(down_file("true").report(SGLANG_054).passes());
}

#[test]
fn fields_of_amd_crash_an_nvidia_launch() {
    for field in ["waves_per_eu", "matrix_instr_nonkdim", "kpack"] {
        let case = Case { text: with_field(&format!("\"{field}\": 2")), ..Case::default() };
        case.holds("amd-field", all(Severity::Crash));
        assert_eq!(case.found(None, "amd-field")[0].key.as_deref(), Some("64"));
        let amd = GLM.replace("NVIDIA_GB10", "AMD_Instinct_MI300X");
        let at_home = Case { name: &amd, text: case.text.clone(), ..Case::default() };
        at_home.holds("amd-field", [None; 4]);
        at_home.holds("unknown-device", all(Severity::Warning));
        Case { device: Some("gb10"), ..at_home }.holds("amd-field", all(Severity::Crash));
    }
    Case { text: with_field("\"num_ctas\": 1"), ..Case::default() }.holds("amd-field", [None; 4]);
}

#[test]
fn a_name_nobody_asks_for_is_never_looked_at() {
    use Severity::Ignored;
    Case::named("config.json").holds("bad-name", all(Ignored));
    Case::named("E=1,N=2,device_name=NVIDIA GB10.json").holds("bad-name", all(Ignored));
    let per_channel = GLM.replace(".json", ",per_channel_quant=True.json");
    Case::named(&per_channel).holds("name-not-looked-up", [Some(Ignored), None, Some(Ignored), None]);
    Case::named(BLOCK).holds("name-not-looked-up", [None, None, Some(Ignored), None]);
    let narrow = BLOCK.replace("[128, 128]", "[128,128]");
    Case::named(&narrow).holds("name-not-looked-up", [Some(Ignored), Some(Ignored), None, None]);
    Case::named(GLM_DOWN).holds("name-not-looked-up", [None, None, Some(Ignored), None]);
}

#[test]
fn the_shape_in_the_manifest_says_which_name_is_asked_for() {
    let file = full(|_| config(16, 32, 64, 4, 2));
    let manifest = || Ok(Some(of_glm(&file, Runtime::Sglang054, Role::Up)));
    let glm = Case { manifest: manifest(), ..Case::default() };
    assert_eq!(glm.report(SGLANG_054).findings, []);
    // The manifest's own runtime where none is named.
    assert_eq!(glm.report(None).findings, []);
    // 0.5.23 asks for the suffix.
    let found = glm.found(SGLANG_0523, "name-not-looked-up");
    assert_eq!(found[0].severity, Severity::Ignored);
    assert!(found[0].message.contains(",per_channel_quant=True.json"), "{}", found[0].message);

    let wider = GLM.replace("N=384", "N=768");
    let other = Case { name: &wider, manifest: manifest(), ..Case::default() };
    assert_eq!(other.found(None, "name-not-looked-up")[0].severity, Severity::Ignored);
    assert_eq!(other.found(None, "manifest-disagrees")[0].severity, Severity::Warning);
    // Another board's name is no other shape.
    let renamed = GLM.replace("NVIDIA_GB10", "NVIDIA_H200");
    let other = Case { name: &renamed, manifest: manifest(), ..Case::default() };
    assert_eq!(other.found(None, "name-not-looked-up"), []);
}

#[test]
fn a_manifest_that_is_unreadable_or_lies_is_told_and_not_fatal() {
    let bad = ManifestError::Bad { path: PathBuf::from("m"), message: "no".into() };
    Case { manifest: Err(bad), ..Case::default() }.holds("manifest-unreadable", all(Severity::Warning));
    let file = full(|_| config(16, 32, 64, 4, 2));
    let mut manifest = of_glm(&file, Runtime::Sglang054, Role::Up);
    manifest.sha256 = "0".into();
    let case = Case { manifest: Ok(Some(manifest)), ..Case::default() };
    case.holds("manifest-disagrees", all(Severity::Warning));
    assert!(case.report(None).passes());
}

#[test]
fn the_folder_must_be_that_of_the_triton_that_runs() {
    use Severity::{Fallback, Ignored, Note};
    let lies_in = |folder| Case { folder, ..Case::default() };
    let sglang = |severity| [Some(severity), Some(severity), None, Some(severity)];
    lies_in(Some("triton_3_5_0")).holds("other-triton", [None; 4]);
    // 0.5.4.post2 falls back on a fixed list, 0.5.23 on whatever is there.
    lies_in(Some("triton_3_4_0")).holds("other-triton", sglang(Fallback));
    lies_in(Some("triton_3_1_0")).holds("other-triton", sglang(Fallback));
    for folder in ["triton_3_6_0", "triton_3_3_0", "triton_3_5_1"] {
        lies_in(Some(folder)).holds("other-triton", [Some(Ignored), Some(Fallback), None, Some(Fallback)]);
    }
    for folder in ["triton_3_5", "triton_3_5_0_rc1", "triton_3.5.0", "triton_", "triton_3_05_0"] {
        lies_in(Some(folder)).holds("bad-folder", sglang(Ignored));
    }
    for folder in [None, Some("configs"), Some("Triton_3_5_0"), Some("")] {
        lies_in(folder).holds("no-triton-folder", sglang(Note));
    }
}

#[test]
fn which_triton_runs_is_said_or_the_runtimes_or_the_manifests() {
    let file = full(|_| config(16, 32, 64, 4, 2));
    let mut manifest = of_glm(&file, Runtime::Sglang054, Role::Up);
    manifest.target.triton = TritonVersion::new(3, 4, 0);
    let case = |triton, folder| {
        let manifest = Ok(Some(manifest.clone()));
        Case { triton, folder: Some(folder), manifest, ..Case::default() }
    };
    // Without any, no folder is the wrong one.
    Case { triton: None, folder: Some("triton_9_9_9"), ..Case::default() }
        .holds("other-triton", [Some(Severity::Ignored), Some(Severity::Fallback), None, None]);
    assert_eq!(case(None, "triton_3_4_0").found(None, "other-triton"), []);
    assert_eq!(case(None, "triton_3_5_0").found(SGLANG_054, "other-triton"), []);
    assert_eq!(case(Some(TritonVersion::new(3, 1, 0)), "triton_3_1_0").found(None, "other-triton"), []);
}

#[test]
fn devices_are_known_by_the_files_name_or_said() {
    let unknown = GLM.replace("NVIDIA_GB10", "NVIDIA_A100-SXM4-80GB");
    Case::named(&unknown).holds("unknown-device", all(Severity::Warning));
    let said = Case { device: Some("gb10"), ..Case::named(&unknown) };
    said.holds("unknown-device", [None; 4]);
    said.holds("other-device", all(Severity::Note));
    Case { device: Some("gb10"), ..Case::default() }.holds("other-device", [None; 4]);
}

#[test]
fn up_and_down_must_share_block_size_m_wherever_both_are_looked_up() {
    use Severity::{Crash, Ignored};
    let pair = |up: &[(u32, u32)], down: &[(u32, u32)]| Case {
        text: blocks(down).render(),
        sibling: Some(blocks(up)),
        ..Case::named(GLM_DOWN)
    };
    let differs = [Some(Crash), Some(Ignored), None, Some(Crash)];
    let at = |case: &Case<'_>| case.found(SGLANG_054, "block-size-m")[0].message.clone();

    pair(&[(1, 16), (64, 64)], &[(1, 16), (64, 64)]).holds("block-size-m", [None; 4]);
    let case = pair(&[(1, 16), (64, 64)], &[(1, 16), (64, 32)]);
    case.holds("block-size-m", differs);
    // 32 is nearer to 1, 33 to 64.
    assert!(
        at(&case).contains("at M=33 and above BLOCK_SIZE_M is 64 in the up file and 32 here"),
        "{}",
        at(&case)
    );

    // Equal at every key of either and still apart between them.
    let case = pair(&[(1, 16), (2, 16), (4, 32)], &[(1, 16), (8, 32)]);
    case.holds("block-size-m", differs);
    assert!(at(&case).contains("at M=4 BLOCK_SIZE_M is 32 in the up file and 16 here"), "{}", at(&case));
    // With the same block everywhere the keys do not matter.
    pair(&[(1, 16), (2, 16), (4, 16)], &[(1, 16), (8, 16)]).holds("block-size-m", [None; 4]);
    // Of two equally near keys the first in the file counts, in each file for itself.
    let text = blocks(&[(1, 16), (3, 32)]).render();
    let reordered = ConfigFile::parse(
        br#"{"3": {"BLOCK_SIZE_M": 32, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1},
             "1": {"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1}}"#,
    );
    let case = Case { text, sibling: Some(reordered.0), ..Case::named(GLM_DOWN) };
    assert!(at(&case).contains("at M=2 BLOCK_SIZE_M is 32 in the up file and 16 here"), "{}", at(&case));
    // The up file is not told twice.
    let up = Case { text: blocks(&[(1, 16)]).render(), sibling: Some(blocks(&[(1, 32)])), ..Case::default() };
    up.holds("block-size-m", [None; 4]);
    // An empty up file is as good as none.
    let empty = pair(&[], &[(1, 16)]);
    let none = Case { sibling: None, text: empty.text.clone(), ..Case::named(GLM_DOWN) };
    for runtime in [SGLANG_054, SGLANG_0523, VLLM, None] {
        assert_eq!(empty.report(runtime).findings, none.report(runtime).findings);
    }
}

#[test]
fn a_down_file_wants_its_up_file() {
    let alone = Case { text: blocks(&[(1, 16)]).render(), ..Case::named(GLM_DOWN) };
    // Where the runtime is known so is the default it meets: see `pairs`.
    alone.holds("no-up-file", [None, None, None, Some(Severity::Warning)]);
    Case::default().holds("no-up-file", [None; 4]);
}

#[test]
fn keys_that_are_not_there_are_noted() {
    let text = blocks(&[(1, 16), (64, 16)]).render();
    let case = Case { text, ..Case::default() };
    case.holds("missing-keys", all(Severity::Note));
    let message = &case.found(None, "missing-keys")[0].message;
    assert!(message.starts_with("no entry for 2, 4, 8, 16, 24, 32, 48, 96, 128,"), "{message}");
    assert!(case.report(SGLANG_054).passes());
}

#[test]
fn the_worst_comes_first_and_the_rest_in_file_order() {
    let text = full(|key| if key == 8 { config(128, 256, 128, 8, 4) } else { config(256, 256, 32, 8, 2) });
    let case = Case { text: text.render(), folder: Some("triton_3_4_0"), ..Case::default() };
    let report = case.report(SGLANG_054);
    let severities: Vec<Severity> = report.findings.iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
    assert_eq!(report.worst(), Some(Severity::Crash));
    assert_eq!(report.findings[0].key.as_deref(), Some("8"));
    let keys: Vec<u32> =
        report.findings.iter().filter_map(|finding| finding.key.as_ref()?.parse().ok()).collect();
    assert!(keys[1..].is_sorted(), "{keys:?}");
}

#[test]
fn from_fallback_on_a_finding_fails() {
    use Severity::{Crash, Fallback, Ignored, Note, Warning, WrongResult};
    let all = [Note, Warning, Fallback, Ignored, WrongResult, Crash];
    assert!(all.is_sorted());
    assert_eq!(all.map(Severity::fails), [false, false, true, true, true, true]);
    assert_eq!(all.map(Severity::name).into_iter().collect::<BTreeSet<_>>().len(), all.len());
    let report = unreadable(Path::new("x"), "unreadable", "no".into());
    assert_eq!((report.worst(), report.passes(), report.entries), (Some(Crash), false, 0));
}

/// Reports are for programs too.
#[test]
fn a_finding_serialises_under_stable_names() {
    let case = Case { text: "{}".into(), ..Case::default() };
    let value = serde_json::to_value(case.report(None)).unwrap();
    assert_eq!(
        value["findings"][0],
        serde_json::json!({ "severity": "ignored", "code": "empty", "key": null, "message": "no entries" })
    );
    assert_eq!(serde_json::to_value(Severity::WrongResult).unwrap(), "wrong_result");
}
