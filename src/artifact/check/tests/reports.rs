//! Reports as a whole: a verdict an entry, and no flood.

use super::*;

#[test]
fn every_sound_entry_has_a_verdict() {
    let text = full(|key| if key == 8 { config(128, 256, 128, 8, 4) } else { config(256, 256, 32, 8, 2) });
    let report = Case { text: text.render(), ..Case::default() }.report(None);
    let worst: Vec<(u32, Option<Severity>)> = report.by_entry().take(5).collect();
    let warning = Some(Severity::Warning);
    let crash = Some(Severity::Crash);
    assert_eq!(worst, [(1, warning), (2, warning), (4, warning), (8, crash), (16, warning)]);
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["entries"], 18);
    assert_eq!(value["verdicts"]["8"], "crash");
    assert_eq!(value["verdicts"]["16"], "ok");
    assert_eq!(value["verdicts"].as_object().unwrap().len(), 18);
}

#[test]
fn a_flood_of_problems_is_cut_and_fails_all_the_same() {
    let entries: Vec<String> = (1..=5000).map(|key| format!("\"{key}\": 0")).collect();
    let report = Case { text: format!("{{{}}}", entries.join(",")), ..Case::default() }.report(None);
    assert_eq!(report.findings.len(), 51);
    assert_eq!(report.findings[50].message, "and 4950 more like these");
    assert!(!report.passes());
    // What the rest would do counts too.
    let keys: Vec<String> = (1..=60).map(|_| "\"+1\": 0".to_owned()).collect();
    let text = format!("{{{}, \"x\": 0}}", keys.join(","));
    assert!(!Case { text, ..Case::default() }.report(None).passes());
}

#[test]
fn a_manifest_that_contradicts_itself_is_told() {
    let file = full(|_| config(16, 32, 64, 4, 2));
    let mut manifest = of_glm(&file, Runtime::Sglang054, Role::Up);
    manifest.entries.get_mut(&1).unwrap().shared_bytes = 147_456;
    let case = Case { manifest: Ok(Some(manifest)), ..Case::default() };
    case.holds("manifest-contradicts-itself", all(Severity::Warning));
}
