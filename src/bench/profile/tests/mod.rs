mod arrival;
mod parse;
mod precedence;
mod workload;

use std::path::Path;

use super::datafile::BadDataFile;
use super::error::PlanError;
use super::parse::parse as parsed;
use super::*;
use crate::bench::plan::{Arrival, DataFile, Lengths, Workload};
use crate::failure::Failure;

/// A fingerprint without a file: its name, and its path where the hash would stand.
fn named(path: &Path) -> Result<DataFile, BadDataFile> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Ok(DataFile { name, sha256: path.display().to_string() })
}

fn profile(text: &str) -> Profile {
    parsed("folder/mine.toml", text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn with(profile: Option<&Profile>, flags: &Layer) -> Result<ResolvedPlan, PlanError> {
    let origin = Origin::Flag("--profile");
    resolve(Layers { profile: profile.map(|profile| (profile, &origin)), flags }, &named)
}

fn origin(resolved: &ResolvedPlan, path: &str) -> String {
    resolved.origins.of(path).unwrap_or_else(|| panic!("{path} has no origin")).to_string()
}

fn rated(rate: f64) -> ArrivalLayer {
    ArrivalLayer { rate: Some(Rate::PerSecond(rate)), ..ArrivalLayer::default() }
}

#[test]
fn the_built_in_profiles_are_what_the_documentation_says() {
    let profiles = Profiles::load(None).unwrap();
    let closed = Arrival::ClosedLoop;
    for (name, requests, input, output, arrival, concurrency) in [
        ("quick", 10, 128, 128, Arrival::AllAtOnce, None),
        ("short", 50, 256, 256, Arrival::AllAtOnce, None),
        ("medium", 100, 512, 512, Arrival::AllAtOnce, None),
        ("long", 200, 1024, 1024, Arrival::AllAtOnce, None),
        ("throughput", 500, 256, 256, closed.clone(), Some(64)),
        ("latency", 100, 128, 128, Arrival::Poisson { rate: 2.0 }, None),
        ("stress", 1000, 512, 512, closed, Some(128)),
    ] {
        let found = profiles.find(name).unwrap();
        assert!(!found.about.is_empty(), "{name}");
        let plan = with(Some(&found), &Layer::default()).unwrap().plan;
        let workload =
            Workload::Random { input_tokens: input, output_tokens: output, lengths: Lengths::Exact };
        assert_eq!((plan.profile.as_str(), plan.requests, plan.workload), (name, requests, workload));
        assert_eq!((plan.arrival, plan.concurrency), (arrival, concurrency), "{name}");
        assert!(plan.slo.ttft_ms.is_some() && plan.slo.tpot_ms.is_some(), "{name} has SLOs");
        assert!(plan.warmup > 0 && plan.limits.request_s >= plan.limits.first_token_s, "{name}");
    }
    assert_eq!(profiles.all().len(), 7);
    assert_eq!(profiles.all()[0].name, "quick", "the smallest comes first");
}

#[test]
fn a_bare_run_asks_for_the_medium_load() {
    let medium =
        with(Some(&Profiles::load(None).unwrap().find("medium").unwrap()), &Layer::default()).unwrap().plan;
    let bare = with(None, &Layer::default()).unwrap();
    assert_eq!((bare.plan.requests, &bare.plan.workload), (medium.requests, &medium.workload));
    assert_eq!((&bare.plan.arrival, bare.plan.concurrency), (&Arrival::AllAtOnce, None));
    assert_eq!(bare.plan.profile, "custom");
    assert!(bare.origins.paths().all(|path| origin(&bare, path) == "default"));
}

#[test]
fn a_model_that_was_given_is_asked_for_and_the_plan_has_the_servers_name() {
    let bare = with(None, &Layer::default()).unwrap().plan;
    assert_eq!(bare.model, None);
    assert_eq!(bare.with_model("served".to_owned()).model, "served");
    let given = with(None, &Layer { model: Some("given".into()), ..Layer::default() }).unwrap().plan;
    assert_eq!(given.model.as_deref(), Some("given"));
    assert_eq!(given.with_model("served".to_owned()).model, "served");
}

#[test]
fn only_the_files_of_the_plan_are_read() {
    let mine = profile(
        "[workload]\nkind = \"jsonl\"\nfile = \"a.jsonl\"\n[arrival]\nkind = \"trace\"\nfile = \"t\"",
    );
    let missing = |path: &Path| fingerprint(&Path::new("/nowhere").join(path));
    let origin = Origin::Flag("--profile");
    let all = |flags: &Layer| resolve(Layers { profile: Some((&mine, &origin)), flags }, &missing);
    let error = all(&Layer::default()).unwrap_err().to_string();
    assert!(
        error.contains("profile mine, field `workload.file`") && error.contains("folder/a.jsonl"),
        "{error}"
    );
    let turns = WorkloadLayer { turns: Some(2), ..WorkloadLayer::default() };
    let flags = Layer { workload: turns, arrival: rated(1.0), ..Layer::default() };
    assert_eq!(all(&flags).unwrap().files, Files::default());
}

#[test]
fn extra_fields_are_merged_key_by_key() {
    let mine = profile("[sampling.extra_body]\na = 1\nb = 2");
    let extra_body = serde_json::json!({ "b": 3, "c": null }).as_object().unwrap().clone();
    let flags = Layer { sampling: SamplingLayer { extra_body, ..Default::default() }, ..Layer::default() };
    let resolved = with(Some(&mine), &flags).unwrap();
    assert_eq!(
        serde_json::json!(resolved.plan.sampling.extra_body),
        serde_json::json!({ "a": 1, "b": 3, "c": null })
    );
    assert_eq!(origin(&resolved, "sampling.extra_body.a"), "profile mine");
    assert_eq!(origin(&resolved, "sampling.extra_body.b"), "flag --extra-body");
}

#[test]
fn own_profiles_are_found_by_folder_and_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Profiles::load(Some(folder.path())).unwrap();
    assert_eq!(empty, Profiles::load(None).unwrap(), "a folder need not have profiles");
    let bench = folder.path().join("bench");
    std::fs::create_dir(&bench).unwrap();
    crate::fs::write_atomic(&bench.join("quick.toml"), b"requests = 3").unwrap();
    crate::fs::write_atomic(&bench.join("mine.toml"), b"requests = 4").unwrap();
    let profiles = Profiles::load(Some(folder.path())).unwrap();
    let requests = |query: &str| profiles.find(query).unwrap().layer.requests;
    assert_eq!((requests("quick"), requests("mine"), requests("short")), (Some(3), Some(4), Some(50)));
    assert_eq!(requests(&bench.join("mine.toml").display().to_string()), Some(4));

    let error = profiles.find("mien").unwrap_err();
    assert!(error.to_string().contains("did you mean `mine`"), "{error}");
    assert!(error.hint().unwrap().contains("--profiles"));
    assert!(!profiles.find("qqqqqqqqqq").unwrap_err().to_string().contains("did you mean"));
    assert!(profiles.find("./nowhere.toml").unwrap_err().to_string().contains("./nowhere.toml"));
    assert!(Profiles::load(Some(&folder.path().join("missing"))).is_err());
    crate::fs::write_atomic(&bench.join("large.toml"), &vec![b'#'; 70_000]).unwrap();
    let error = Profiles::load(Some(folder.path())).unwrap_err().to_string();
    assert!(error.contains("large.toml") && error.contains("65536"), "{error}");
    crate::fs::write_atomic(&bench.join("large.toml"), b"\xff\xfe").unwrap();
    assert!(Profiles::load(Some(folder.path())).unwrap_err().to_string().contains("large.toml"));
}
