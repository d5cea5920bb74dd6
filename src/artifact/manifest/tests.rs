use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::artifact::ConfigName;
use crate::device::Device;
use crate::runtime::Runtime;
use crate::shape::{Dtype, Quantization};

fn config(block_size_m: u32) -> KernelConfig {
    KernelConfig {
        block_size_m,
        block_size_n: 32,
        block_size_k: 64,
        group_size_m: 1,
        num_warps: 4,
        num_stages: 2,
    }
}

const SPEEDUP: ManifestSpeedup = ManifestSpeedup { lower: 1.125, estimate: 1.25, upper: 1.375, pairs: 200 };

fn entry(config: KernelConfig) -> ManifestEntry {
    ManifestEntry {
        evidence: Evidence::Predicted,
        source: Source::RuntimeDefault,
        default_replaced: None,
        config,
        shared_bytes: 4096,
        registers: None,
        spill_bytes: None,
        binary_sha256: None,
        tuned: None,
        measured: None,
        predicted_us: None,
    }
}

/// The manifest of a GLM file for the GB10 that holds `file`.
pub(in crate::artifact) fn of_glm(file: &ConfigFile, runtime: Runtime, role: Role) -> Manifest {
    let device = Device::find("gb10").unwrap();
    let channel = Quantization { per_channel: true, ..Quantization::none(Dtype::Fp8W8a8) };
    let shape = MoeShape::glm(channel, 0);
    Manifest {
        format: FORMAT,
        file: ConfigName::for_shape(&shape, &device, runtime, role).file_name(runtime),
        sha256: sha256_hex(file.render().as_bytes()),
        role,
        model: ManifestModel { name: "zai-org/GLM-4.7-FP8".into(), architecture: None, tp: 4, ep: 1 },
        also_for: Vec::new(),
        shape,
        device: ManifestDevice {
            id: device.id,
            name: device.name,
            shared_memory_per_block: device.shared_memory_per_block,
        },
        target: Target::of(runtime),
        compiler: None,
        policy: "runtime-default".into(),
        stock: None,
        tool: "sparktune 0.0.0".into(),
        created: "2026-01-02T03:04:05Z".into(),
        entries: file.entries().iter().map(|(key, each)| (*key, entry(each.config))).collect(),
    }
}

fn sample() -> (ConfigFile, Manifest) {
    let file = ConfigFile::new([(1, config(16)), (64, config(64))]);
    let manifest = of_glm(&file, Runtime::Sglang054, Role::Up);
    (file, manifest)
}

/// What reading `text` as a manifest says.
fn read(text: &str) -> Result<Option<Manifest>, ManifestError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.manifest.json");
    std::fs::write(&path, text).unwrap();
    let read = Manifest::read(&path);
    if let Err(error) = &read {
        assert!(error.to_string().contains("a.manifest.json"), "{error}");
    }
    read
}

/// The refusal of the sample after `change`.
fn refusal(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut value = serde_json::to_value(sample().1).unwrap();
    change(&mut value);
    read(&value.to_string()).unwrap_err().to_string()
}

#[test]
fn manifests_lie_beside_their_files() {
    let path = path_beside(Path::new("a/E=1,N=2,device_name=X_down.json"));
    assert_eq!(path, Path::new("a/E=1,N=2,device_name=X_down.manifest.json"));
    assert!(is_manifest(&path));
    assert!(!is_manifest(Path::new("a.manifest.json/E=1,N=2,device_name=X.json")));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Manifest::read(&folder.path().join("a.manifest.json")).unwrap(), None);
    assert!(matches!(Manifest::read(folder.path()), Err(ManifestError::Read { .. })));
}

#[test]
fn what_is_written_is_read_back_with_every_field_set() {
    let (_, mut manifest) = sample();
    assert_eq!(read(&manifest.render()).unwrap().as_ref(), Some(&manifest));
    assert!(!manifest.render().contains("registers"));
    assert!(manifest.render().ends_with("}\n"));

    manifest.model.architecture = Some("Glm4MoeForCausalLM".into());
    manifest.also_for = vec![ManifestModel { tp: 8, ep: 2, ..manifest.model.clone() }];
    manifest.compiler = Some(ManifestCompiler {
        kernel_digest: "0a".into(),
        sglang_version: Some("0.5.4.post2".into()),
        triton: "3.5.0".into(),
        ptxas: None,
    });
    *manifest.entries.get_mut(&64).unwrap() = ManifestEntry {
        evidence: Evidence::Compiled,
        source: Source::BestPredicted,
        default_replaced: Some("needs more".into()),
        registers: Some(255),
        spill_bytes: Some(0),
        binary_sha256: Some("0b".into()),
        measured: Some(ManifestMeasurement {
            time_us: 80.0,
            default_us: Some(100.0),
            speedup: Some(SPEEDUP),
            confirmed_on: Some(2),
            disputed: Some(ManifestDispute { first: SPEEDUP, second: Some(SPEEDUP) }),
        }),
        predicted_us: Some(12.5),
        ..entry(config(64))
    };
    assert_eq!(read(&manifest.render()).unwrap(), Some(manifest));
}

#[test]
fn what_is_not_known_is_refused_with_its_path() {
    assert!(refusal(|m| m["owner"] = json!(1)).contains("unknown field `owner`"));
    let message = refusal(|m| m["entries"]["64"]["speed"] = json!(1));
    assert!(message.contains("entries.64") && message.contains("unknown field `speed`"), "{message}");
    assert!(refusal(|m| m["model"]["pp"] = json!(1)).contains("model.pp: unknown field `pp`"));
    assert!(refusal(|m| m["entries"]["64"]["evidence"] = json!("hoped")).contains("entries.64.evidence: "));
    assert!(
        refusal(|m| m["entries"]["64"]["shared_bytes"] = json!(-1)).contains("entries.64.shared_bytes: ")
    );
    assert!(refusal(|m| m["entries"]["big"] = json!({})).contains("entries"));
    assert!(refusal(|m| m["target"]["runtime"] = json!("sglang-0.4")).contains("target.runtime: "));
    assert!(refusal(|m| m["sha256"] = json!(null)).contains("sha256: "));
    assert!(refusal(|m| drop(m.as_object_mut().unwrap().remove("role"))).contains("missing field `role`"));
}

/// Of a key given twice serde keeps the last without a word.
#[test]
fn keys_are_batch_sizes_and_each_is_there_once() {
    for key in ["+1", "01", " 1", "0", "-1", "x"] {
        let message = refusal(|m| m["entries"][key] = m["entries"]["1"].clone());
        assert!(message.contains(&format!("key \"{key}\" is no batch size")), "{message}");
    }
    let twice = sample().1.render().replacen("\"64\": {", "\"1\": {", 1);
    assert!(read(&twice).unwrap_err().to_string().contains("key \"1\" is there twice"));
}

#[test]
fn a_confirmation_says_on_how_many_nodes_and_is_not_disputed() {
    let (_, mut manifest) = sample();
    manifest.compiler = Some(ManifestCompiler {
        kernel_digest: "0a".into(),
        sglang_version: None,
        triton: "3.5.0".into(),
        ptxas: None,
    });
    let mut said = |evidence, confirmed_on, disputed: bool| {
        let disputed = disputed.then_some(ManifestDispute { first: SPEEDUP, second: None });
        let speedup = Some(SPEEDUP);
        let measured =
            ManifestMeasurement { time_us: 80.0, default_us: None, speedup, confirmed_on, disputed };
        let entry = manifest.entries.get_mut(&64).unwrap();
        (entry.evidence, entry.measured) = (evidence, Some(measured));
        manifest.contradiction()
    };
    // One that was written before nodes were counted says nothing of them.
    for nodes in [None, Some(1), Some(2)] {
        assert_eq!(said(Evidence::Confirmed, nodes, false), None);
    }
    assert_eq!(said(Evidence::Measured, None, true), None);
    for (evidence, nodes, disputed, says) in [
        (Evidence::Confirmed, Some(0), false, "key \"64\" is confirmed and says confirmed on 0 nodes"),
        (Evidence::Measured, Some(1), false, "key \"64\" is measured and says confirmed on 1 nodes"),
        (Evidence::Confirmed, Some(2), true, "key \"64\" is confirmed and carries a dispute"),
    ] {
        assert_eq!(said(evidence, nodes, disputed).as_deref(), Some(says));
    }
}

#[test]
fn a_claim_without_its_backing_is_a_contradiction() {
    let sound = sample().1;
    assert_eq!(sound.contradiction(), None);
    let mut unproven = sound.clone();
    unproven.entries.get_mut(&64).unwrap().evidence = Evidence::Compiled;
    assert_eq!(unproven.contradiction().unwrap(), "key \"64\" is compiled and no compiler is named");
    let mut large = sound.clone();
    large.entries.get_mut(&64).unwrap().shared_bytes = 147_456;
    assert_eq!(
        large.contradiction().unwrap(),
        "key \"64\" takes 147456 bytes of shared memory and its device has 101376"
    );
    let down = Manifest { role: Role::Down, ..sound.clone() };
    assert!(down.contradiction().unwrap().starts_with("its role is down and E=160,"));
    let undated = Manifest { created: "yesterday".into(), ..sound };
    assert!(undated.contradiction().unwrap().contains("created is \"yesterday\""));
}

#[test]
fn another_format_is_refused_as_such_whatever_else_it_says() {
    for format in [json!(0), json!(2), json!(u64::from(u32::MAX) + 1)] {
        let message = refusal(|m| m["format"] = format.clone());
        assert!(message.ends_with(&format!("format is {format}, this version reads 1")), "{message}");
    }
    let message = read(r#"{"format": 2, "anything": []}"#).unwrap_err().to_string();
    assert!(message.ends_with("format is 2, this version reads 1"), "{message}");
    assert!(refusal(|m| m["format"] = json!("1")).contains("format: invalid type"));
}

#[test]
fn text_that_is_no_manifest_is_refused() {
    let (_, manifest) = sample();
    for text in ["", "null", "[]", "{", "\u{feff}{}", &"[".repeat(10_000), &(manifest.render() + "x")] {
        assert!(matches!(read(text), Err(ManifestError::Bad { .. })), "{text:.20}");
    }
    let padded = manifest.render() + &" ".repeat(usize::try_from(MAX_BYTES).unwrap());
    assert!(read(&padded).unwrap_err().to_string().contains("larger than 1048576 bytes"));
}

#[test]
fn a_manifest_agrees_with_its_own_file_only() {
    let (file, manifest) = sample();
    let name = manifest.file.clone();
    let said = |manifest: &Manifest, name: &str, file: &ConfigFile| {
        manifest.disagreement(name, file.render().as_bytes(), file)
    };
    assert_eq!(said(&manifest, &name, &file), None);
    let told = said(&manifest, "other.json", &file).unwrap();
    assert_eq!(told, format!("it is about a file called {name}"));
    let more = ConfigFile::new([(1, config(16)), (2, config(16)), (64, config(64))]);
    assert_eq!(said(&manifest, &name, &more).unwrap(), "it says nothing of key \"2\"");
    let fewer = ConfigFile::new([(1, config(16))]);
    assert_eq!(said(&manifest, &name, &fewer).unwrap(), "key \"64\" is not in the file");
    let changed = ConfigFile::new([(1, config(16)), (64, config(128))]);
    assert_eq!(
        said(&manifest, &name, &changed).unwrap(),
        "key \"64\" is 64x32x64 g1 w4 s2 there and 128x32x64 g1 w4 s2 in the file"
    );
    // The same entries in other bytes: somebody wrote the file anew.
    let text = file.render() + "\n";
    let told = manifest.disagreement(&name, text.as_bytes(), &file).unwrap();
    assert_eq!(told, "the file's bytes are not those it was written for");
}

const LADDER: [Evidence; 4] =
    [Evidence::Predicted, Evidence::Compiled, Evidence::Measured, Evidence::Confirmed];

#[test]
fn an_entry_may_rise_on_the_ladder_and_never_fall() {
    for (old_rung, old_evidence) in LADDER.into_iter().enumerate() {
        for (new_rung, new_evidence) in LADDER.into_iter().enumerate() {
            let (_, mut old) = sample();
            let mut new = old.clone();
            old.entries.get_mut(&64).unwrap().evidence = old_evidence;
            new.entries.get_mut(&64).unwrap().evidence = new_evidence;
            let answer = old.may_be_replaced_by(&new);
            if new_rung >= old_rung {
                assert_eq!(answer, Ok(()));
            } else {
                let why = format!("batch size 64 is {old_evidence} and would become {new_evidence}");
                assert_eq!(answer, Err(why));
            }
        }
    }
    let (_, old) = sample();
    let mut new = old.clone();
    new.entries.insert(128, entry(config(16)));
    assert_eq!(old.may_be_replaced_by(&new), Ok(()));
    assert_eq!(new.may_be_replaced_by(&old), Err("batch size 128 would be lost".into()));
}

#[test]
fn the_weakest_entry_is_the_files_evidence() {
    let (_, mut manifest) = sample();
    manifest.entries.get_mut(&1).unwrap().evidence = Evidence::Confirmed;
    assert_eq!(manifest.evidence(), Some(Evidence::Predicted));
    manifest.entries.get_mut(&64).unwrap().evidence = Evidence::Measured;
    assert_eq!(manifest.evidence(), Some(Evidence::Measured));
    manifest.entries.clear();
    assert_eq!(manifest.evidence(), None);
}

#[test]
fn models_are_taken_over_once_and_in_order() {
    let (_, first) = sample();
    let named = |name: &str| Manifest {
        model: ManifestModel { name: name.into(), ..first.model.clone() },
        ..first.clone()
    };
    let (mut b, mut a, mut c) = (named("b"), named("a"), named("c"));
    b.take_over_models(&named("b"));
    assert_eq!(b.also_for, []);
    a.take_over_models(&b);
    c.take_over_models(&a);
    let names: Vec<&str> = c.also_for.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let mut again = named("a");
    again.take_over_models(&c);
    let names: Vec<&str> = again.also_for.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["b", "c"]);
}

proptest! {
    #[test]
    fn figures_round_trip(
        shared_bytes: u32,
        registers: Option<u32>,
        tenths in proptest::option::of(0u32..),
        rung in 0usize..4,
        policy in ".{0,40}",
    ) {
        let (_, mut manifest) = sample();
        manifest.policy = policy;
        let entry = manifest.entries.get_mut(&1).unwrap();
        entry.shared_bytes = shared_bytes;
        entry.registers = registers;
        entry.predicted_us = tenths.map(|tenths| f64::from(tenths) / 10.0);
        entry.evidence = LADDER[rung];
        prop_assert_eq!(read(&manifest.render()).unwrap(), Some(manifest));
    }
}

/// The flattened quantisation cannot refuse unknown fields by itself.
#[test]
fn a_misspelt_field_of_the_shape_is_refused() {
    let said = refusal(|manifest| {
        let shape = manifest["shape"].as_object_mut().unwrap();
        shape.remove("block_shape");
        shape.insert("blok_shape".into(), serde_json::json!([128, 128]));
    });
    assert!(said.contains("shape.blok_shape: unknown field, [128,128]"), "{said}");
}
