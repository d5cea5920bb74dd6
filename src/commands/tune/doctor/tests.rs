//! What is shown of findings, and whose nodes are asked.

use super::*;
use crate::commands::shown::Shown;

/// Nothing said.
pub(super) fn settings() -> DoctorSettings {
    DoctorSettings {
        cluster: None,
        nodes: Vec::new(),
        models: Vec::new(),
        tp: None,
        profiles: None,
        load: false,
        cache: PathBuf::from("/nowhere"),
        dry_run: false,
        verbose: false,
        json: false,
    }
}

fn finding(node: &str, item: &'static str, state: State, says: &str, fix: Option<&str>) -> NodeFinding {
    NodeFinding { node: node.parse().unwrap(), item, state, says: says.into(), fix: fix.map(str::to_owned) }
}

fn findings() -> Vec<NodeFinding> {
    vec![
        finding("a", "reachable", State::Ok, "it is this machine", None),
        finding("a", "ports", State::Unknown, "did not\nanswer", None),
        finding("b", "engine", State::Failed, "refused", Some("sudo systemctl start docker")),
        finding("b", "swap", State::Warning, "2.0 GiB of 16.0 GiB are swapped out", None),
    ]
}

fn shown(findings: &[NodeFinding], verbose: bool, json: bool) -> String {
    let settings = DoctorSettings { verbose, json, ..settings() };
    let mut out = Shown::default();
    show(findings, 2, &settings, &mut out).unwrap();
    out.0
}

#[test]
fn what_is_not_fine_is_a_line_and_the_counts_are_of_all() {
    assert_eq!(
        shown(&findings(), false, false),
        "node | item | state | found | fix\n\
         a | ports | unknown | did not answer | \n\
         b | engine | FAILED | refused | sudo systemctl start docker\n\
         b | swap | warning | 2.0 GiB of 16.0 GiB are swapped out | \n\
         2 nodes: 1 failed, 1 warning, 1 unknown, 1 fine\n"
    );
    let all = shown(&findings(), true, false);
    assert!(all.contains("\na | reachable | ok | it is this machine | \n"), "{all}");
    assert_eq!(shown(&findings()[..1], false, false), "2 nodes: 0 failed, 0 warnings, 0 unknown, 1 fine\n");
}

#[test]
fn json_has_all_of_it() {
    let value: serde_json::Value = serde_json::from_str(&shown(&findings(), false, true)).unwrap();
    assert_eq!((&value["nodes"], &value["failed"], &value["ok"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(value["findings"].as_array().unwrap().len(), 4);
    assert_eq!(
        value["findings"][2],
        json!({
            "node": "b",
            "item": "engine",
            "state": "failed",
            "says": "refused",
            "fix": "sudo systemctl start docker",
        })
    );
}
