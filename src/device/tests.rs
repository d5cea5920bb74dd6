use std::collections::BTreeSet;
use std::path::Path;

use super::profile::{SOURCED, parse};
use super::*;
use crate::failure::{Failure, Kind};

const GB10: &str = include_str!("../../profiles/devices/gb10.toml");

/// The GB10 profile with one piece of text replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(GB10.contains(from), "the profile has no {from:?}");
    GB10.replacen(from, to, 1)
}

/// The message with which the GB10 profile is refused after a change.
fn refusal(from: &str, to: &str) -> String {
    let error = parse("my/gb10.toml", &changed(from, to)).expect_err(to);
    assert_eq!(error.kind(), Kind::Input);
    error.to_string()
}

/// A folder as `--profiles` takes it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("devices")).expect("a folder in it");
    for (name, text) in files {
        std::fs::write(folder.path().join("devices").join(name), text).expect("a file in it");
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Result<DeviceCatalogue, DeviceProfileError> {
    DeviceCatalogue::with_profiles(folder(files).path())
}

#[test]
fn the_embedded_devices_are_those_promised_in_order() {
    let ids: Vec<&str> = Device::all().iter().map(|device| device.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "b200",
            "gb10",
            "h100",
            "h100-nvl",
            "h100-pcie",
            "h200",
            "h200-nvl",
            "rtx-4090",
            "rtx-5090",
            "rtx-pro-6000-blackwell",
            "rtx-pro-6000-blackwell-max-q",
            "rtx-pro-6000-blackwell-server",
            "thor",
        ]
    );
}

#[test]
fn every_figure_has_a_source() {
    for device in Device::all() {
        let sourced: BTreeSet<&str> = device.sources.keys().map(String::as_str).collect();
        assert_eq!(sourced, BTreeSet::from(SOURCED), "{}", device.id);
    }
    // What has to be sourced is every field but those that name the device, so that a field added
    // to the struct cannot be forgotten here.
    let device = serde_json::to_value(&Device::all()[0]).unwrap();
    let mut fields = BTreeSet::new();
    for (field, value) in device.as_object().unwrap() {
        match value.as_object() {
            Some(parts) if field != "sources" => fields.extend(parts.keys().map(|p| format!("{field}.{p}"))),
            _ => _ = fields.insert(field.clone()),
        }
    }
    for naming in ["id", "other_names", "aliases", "sources"] {
        assert!(fields.remove(naming), "no field {naming}");
    }
    assert_eq!(fields, SOURCED.iter().map(|s| s.to_string()).collect());
}

/// Name in config files, capability, target and limit, as SGLang and vLLM ship files for them and
/// as the CUDA programming guide has the limits.
#[test]
fn names_targets_and_limits_are_the_published_ones() {
    let small = (101_376, 102_400);
    let large = (232_448, 233_472);
    let expected = [
        ("gb10", "NVIDIA_GB10", 121, "sm_121a", small, 48),
        ("thor", "NVIDIA_Thor", 110, "sm_110a", large, 20),
        ("rtx-4090", "NVIDIA_GeForce_RTX_4090", 89, "sm_89", small, 128),
        ("rtx-5090", "NVIDIA_GeForce_RTX_5090", 120, "sm_120a", small, 170),
        (
            "rtx-pro-6000-blackwell",
            "NVIDIA_RTX_PRO_6000_Blackwell_Workstation_Edition",
            120,
            "sm_120a",
            small,
            188,
        ),
        (
            "rtx-pro-6000-blackwell-max-q",
            "NVIDIA_RTX_PRO_6000_Blackwell_Max-Q_Workstation_Edition",
            120,
            "sm_120a",
            small,
            188,
        ),
        (
            "rtx-pro-6000-blackwell-server",
            "NVIDIA_RTX_PRO_6000_Blackwell_Server_Edition",
            120,
            "sm_120a",
            small,
            188,
        ),
        ("h100", "NVIDIA_H100_80GB_HBM3", 90, "sm_90a", large, 132),
        ("h100-pcie", "NVIDIA_H100_PCIe", 90, "sm_90a", large, 114),
        ("h100-nvl", "NVIDIA_H100_NVL", 90, "sm_90a", large, 132),
        ("h200", "NVIDIA_H200", 90, "sm_90a", large, 132),
        ("h200-nvl", "NVIDIA_H200_NVL", 90, "sm_90a", large, 132),
        ("b200", "NVIDIA_B200", 100, "sm_100a", large, 148),
    ];
    assert_eq!(expected.len(), Device::all().len());
    for (id, name, capability, target, (block, sm), sms) in expected {
        let device = Device::find(id).unwrap();
        assert_eq!(device.file_name(), name);
        assert_eq!(device.capability(), capability, "{id}");
        assert_eq!(device.compile_target, target, "{id}");
        assert_eq!((device.shared_memory_per_block, device.shared_memory_per_sm), (block, sm), "{id}");
        assert_eq!(device.sms, sms, "{id}");
        assert_eq!(Device::by_file_name(name), Some(device), "{id}");
    }
}

#[test]
fn rates_accumulate_in_fp32() {
    // On GeForce fp8 accumulating in fp32 runs at half of int8; on the others at the same rate.
    for device in Device::all() {
        let DenseRates { fp8, int8, bf16, tf32 } = device.dense_tflops;
        let factor = if device.name.contains("GeForce") { 2.0 } else { 1.0 };
        assert_eq!(int8 / fp8, factor, "{}", device.id);
        for ratio in [fp8 / bf16, bf16 / tf32] {
            assert!((1.99..=2.05).contains(&ratio), "{}: {ratio}", device.id);
        }
    }
}

#[test]
fn a_device_is_found_however_it_is_written() {
    for query in
        ["gb10", "GB10", "NVIDIA GB10", "NVIDIA_GB10", "nvidia_gb10", "nvidia-gb10", " gb10 ", "DGX Spark"]
    {
        assert_eq!(Device::find(query).map(|device| device.id), Ok("gb10".to_owned()), "{query:?}");
    }
    let server = "NVIDIA RTX PRO 6000 Blackwell Server Edition";
    assert_eq!(Device::find(server).unwrap().name, server);
    assert_eq!(Device::find("RTX 4090").unwrap().id, "rtx-4090");
    assert_eq!(Device::find("NVIDIA H100").unwrap().file_name(), "NVIDIA_H100_80GB_HBM3");
}

#[test]
fn a_file_name_is_matched_exactly() {
    for other in ["gb10", "nvidia_gb10", "NVIDIA GB10", "NVIDIA_GB10 ", "NVIDIA_A100-SXM4-80GB", ""] {
        assert_eq!(Device::by_file_name(other), None, "{other:?}");
    }
}

#[test]
fn an_unknown_device_is_answered_with_the_known_ones() {
    for query in ["gb1O", "", "NVIDIA", "nvidia-"] {
        let error = Device::find(query).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.hint().unwrap().contains("--profiles"));
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("unknown device `{query}`; known: b200, gb10, h100, ")),
            "{message}"
        );
    }
}

#[test]
fn unverified_figures_say_so() {
    let gb10 = Device::find("gb10").unwrap();
    let unverified: Vec<&str> = gb10.unverified().collect();
    assert_eq!(
        unverified,
        ["dense_tflops.bf16", "dense_tflops.fp8", "dense_tflops.int8", "dense_tflops.tf32"]
    );
    assert_eq!(Device::find("h100").unwrap().unverified().count(), 0);
    // What decides whether a kernel fits is never a guess.
    for device in Device::all() {
        assert!(!device.unverified().any(|field| field.starts_with("shared_memory")), "{}", device.id);
    }
}

#[test]
fn a_profile_survives_the_trip_through_json() {
    for device in Device::all() {
        let text = serde_json::to_string(device).unwrap();
        assert_eq!(&serde_json::from_str::<Device>(&text).unwrap(), device);
    }
}

#[test]
fn refusals_name_file_field_value_and_what_is_accepted() {
    let cases = [
        ("id = \"gb10\"", "id = \"gb11\"", "field `id`: \"gb11\"", "`gb10`"),
        ("sms = 48", "sms = 0", "field `sms`: 0", "1 to 1024"),
        ("sms = 48", "sms = -1", "field `sms`", "-1"),
        ("sms = 48", "sms = 4.5", "field `sms`", "4.5"),
        ("sms = 48", "sms = \"48\"", "field `sms`", "whole number"),
        ("sms = 48", "", "missing field `sms`", "top level"),
        ("sms = 48", "sms = 48\nsms = 48", "line 13 at `sms`", "duplicate key"),
        ("sms = 48", "sms = 48\ncores = 6144", "unknown field `cores`", "`shared_memory_per_sm`"),
        ("= 101_376", "= 99", "field `shared_memory_per_block`: 99", "49152 to 102400"),
        ("= 101_376", "= 232_448", "field `shared_memory_per_block`: 232448", "49152 to 102400"),
        ("= 102_400", "= 5_000_000_000", "field `shared_memory_per_sm`", "5000000000"),
        ("gb_s = 273", "gb_s = 0.273", "field `bandwidth_gb_s`: 0.273", "10 to 100000"),
        ("gb_s = 273", "gb_s = nan", "field `bandwidth_gb_s`: NaN", "10 to 100000"),
        ("memory_gb = 128", "memory_gb = inf", "field `memory_gb`: inf", "1 to 10000"),
        ("l2_mib = 24", "l2_mib = 25_165_824", "field `l2_mib`: 25165824", "0.25 to 4096"),
        ("bf16 = 125", "bf16 = -125", "field `dense_tflops.bf16`: -125", "0.1 to 1000000"),
        ("bf16 = 125", "bf16 = 125\nfp4 = 500", "unknown field `fp4`", "`tf32`"),
        ("[12, 1]", "[12]", "field `compute_capability`", "two whole numbers"),
        ("[12, 1]", "[121, 0]", "field `compute_capability[0]`: 121", "7 to 19"),
        ("[12, 1]", "[12, 10]", "field `compute_capability[1]`: 10", "0 to 9"),
        ("sm_121a", "sm_121", "field `compile_target`: \"sm_121\"", "`sm_121a`"),
        ("name = \"NVIDIA GB10\"", "name = \" \"", "field `name`: \" \"", "torch.cuda.get_device_name()"),
        ("name = \"NVIDIA GB10\"", "name = \"a/b\"", "field `name`: \"a/b\"", "printable"),
        ("\"spark\"", "\"My Spark\"", "field `aliases[1]`: \"My Spark\"", "lower-case"),
        ("l2_mib = \"Hot", "l2 = \"Hot", "field `sources.\"l2_mib\"`: nothing", "where the figure is from"),
        ("[sources]", "[sources]\nprice = \"a shop\"", "field `sources.\"price\"`", "one of name, "),
        ("[sources]", "[sources", "line 23", "expected `]`"),
    ];
    for (from, to, what, accepted) in cases {
        let message = refusal(from, to);
        for part in ["device profile `my/gb10.toml`", what, accepted] {
            assert!(message.contains(part), "{to:?}: no {part:?} in: {message}");
        }
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn what_is_no_profile_at_all_is_refused() {
    for text in ["", "[]", "{}", "\u{0}", "id", &"[".repeat(10_000), &"a = [".repeat(5_000)] {
        let error = parse("x.toml", text).unwrap_err();
        assert!(error.to_string().contains("`x.toml`"), "{error}");
    }
}

#[test]
fn a_folder_replaces_and_adds_devices() {
    let added = changed("id = \"gb10\"", "id = \"gb99\"")
        .replacen("\"NVIDIA GB10\"", "\"NVIDIA GB99\"\nother_names = [\"NVIDIA GB99 Lite\"]", 1)
        .replacen("\"dgx-spark\", \"spark\"", "\"big-spark\"", 1);
    let replaced = changed("sms = 48", "sms = 40");
    let catalogue =
        load(&[("gb99.toml", &added), ("gb10.toml", &replaced), ("README.md", "not a profile")]).unwrap();

    assert_eq!(catalogue.all().len(), Device::all().len() + 1);
    assert!(catalogue.all().is_sorted_by_key(|device| &device.id));
    assert_eq!(catalogue.find("spark").unwrap().sms, 40);
    assert_eq!(Device::find("spark").unwrap().sms, 48);
    assert_eq!(catalogue.find("NVIDIA_GB99").unwrap().id, "gb99");

    let lite = catalogue.find("nvidia gb99 lite").unwrap();
    assert_eq!(lite.file_name(), "NVIDIA_GB99_Lite");
    assert_eq!(lite.other_names, ["NVIDIA GB99"]);
    assert_eq!(catalogue.by_file_name("NVIDIA_GB99_Lite"), Some(lite));
    assert_eq!(catalogue.find("gb99").unwrap().file_name(), "NVIDIA_GB99");
}

#[test]
fn two_devices_cannot_answer_to_one_name() {
    let twin = changed("id = \"gb10\"", "id = \"a-twin\"");
    let message = load(&[("a-twin.toml", &twin)]).unwrap_err().to_string();
    assert!(
        message.contains("a-twin.toml`, field `name`: `NVIDIA GB10` already means the device `gb10`"),
        "{message}"
    );
}

#[test]
fn a_folder_that_cannot_be_read_is_an_error_and_one_without_devices_is_not() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(DeviceCatalogue::with_profiles(empty.path()).unwrap(), *DeviceCatalogue::embedded());

    let missing = empty.path().join("missing");
    let error = DeviceCatalogue::with_profiles(&missing).unwrap_err();
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");

    let file = empty.path().join("devices");
    std::fs::write(&file, "a file").unwrap();
    let error = DeviceCatalogue::with_profiles(empty.path()).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn files_that_are_no_text_or_far_too_long_are_refused_by_name() {
    let folder = folder(&[("long.toml", &" ".repeat(70_000))]);
    let refuse = |path: &Path, part: &str| {
        let error = DeviceCatalogue::with_profiles(path).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains("long.toml") && error.to_string().contains(part), "{error}");
    };
    refuse(folder.path(), "70000 bytes; a device profile has at most 65536");
    std::fs::write(folder.path().join("devices/long.toml"), b"\xff\xfe").unwrap();
    refuse(folder.path(), "utf-8");
}
