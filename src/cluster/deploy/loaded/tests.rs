use serde_json::json;

use super::*;

const FOLDER: &str = "/opt/sglang/configs/triton_3_5_0";
const A: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
const B: &str = "E=128,N=768,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
const DOWN: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8_down.json";

/// When the files were deployed, seconds since 1970.
const DEPLOYED: i64 = 1_800_000_000;

/// A folder to which `A` and `B` were deployed, with what `change` makes of it.
fn held(folder: &str, change: impl FnOnce(&mut serde_json::Value)) -> FolderContents {
    let file = |name: &str| json!({ "name": name, "sha256": "aa", "replaced": false });
    let mut value = json!({
        "folder": folder,
        "files": { A: "aa", B: "aa", "other.json": "bb" },
        "deployed": {
            "id": "one", "from": "a run", "at": "2026-11-30T12:00:00Z", "tool_version": "1.0.0",
            "files": [file(A), file(B)],
        },
        "changed_ns": DEPLOYED * 1_000_000_000,
        "unfinished": false,
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(DEPLOYED + seconds).unwrap()
}

/// The log of a server that was started ten seconds after the deployment.
fn log(lines: &[&str]) -> ServerLog {
    log_from(10, lines)
}

fn log_from(seconds: i64, lines: &[&str]) -> ServerLog {
    let mut log = ServerLog { began: Some(at(seconds)), whole: true, ..ServerLog::default() };
    lines.iter().for_each(|line| log.add(line, Some(at(seconds))));
    log
}

fn uses(rank: &str, path: &str) -> String {
    format!("[2026-11-30 12:00:00{rank}] Using MoE kernel config from {path}.")
}

fn default_line(path: &str) -> String {
    format!(
        "[2026-11-30 12:00:00] Using default MoE kernel config. Performance might be sub-optimal! Config file not \
         found at {path}, you can create them with https://github.com"
    )
}

fn judge(held: &FolderContents, log: &ServerLog) -> Loading {
    let served = Served { held, folders: vec![held.folder.to_string()], log };
    loading(&[served]).remove(0)
}

/// What the server of a node with `A` and `B` makes of `A`, by its log.
fn judged(lines: &[&str]) -> (FileUse, bool) {
    let loading = judge(&held(FOLDER, |_| {}), &log(lines));
    assert_eq!(loading.files[B], FileUse::NotMentioned);
    (loading.files[A].clone(), loading.is_sound())
}

#[test]
fn the_path_that_was_deployed_is_loaded_and_another_shape_need_not_be() {
    let path = format!("{FOLDER}/{A}");
    assert_eq!(judged(&[&uses("", &path)]), (FileUse::Loaded, true));
    let lines = [uses(" TP0", &path), uses(" TP1", &path)];
    assert_eq!(judged(&[&lines[0], &lines[1]]), (FileUse::Loaded, true));
}

#[test]
fn a_rank_that_says_nothing_is_named() {
    let path = format!("{FOLDER}/{A}");
    let other = "[2026-11-30 12:00:00 TP1] Load weight begin.";
    let silent = FileUse::OnSomeRanks { silent: vec!["TP1".into()] };
    assert_eq!(judged(&[&uses(" TP0", &path), other]), (silent, false));
}

#[test]
fn whatever_is_used_instead_fails_with_its_line() {
    let wanted = format!("{FOLDER}/{A}");
    let used = wanted.replace("3_5_0", "3_4_0");
    let fallback = format!(
        "[2026-11-30 12:00:00 TP1] Config file not found at {wanted}. Fallback to triton version 3.4.0 and use MoE \
         kernel config from {used}. Performance might be sub-optimal!"
    );
    let ranks = uses(" TP0", &wanted);
    let elsewhere = uses("", &format!("/usr/lib/{A}"));
    let default = default_line(&wanted);
    for (lines, instead, line) in [
        (vec![ranks.as_str(), &fallback], Instead::Fallback, &fallback),
        (vec![elsewhere.as_str()], Instead::OtherFolder, &elsewhere),
        (vec![default.as_str()], Instead::Default, &default),
        // What was said last holds.
        (vec![uses("", &wanted).as_str(), &default], Instead::Default, &default),
    ] {
        assert_eq!(judged(&lines), (FileUse::NotUsed { instead, line: line.clone() }, false));
    }
    assert_eq!(judged(&[&default, &uses("", &wanted)]), (FileUse::Loaded, true));
}

#[test]
fn a_shape_that_was_not_deployed_is_told_and_fails_nothing() {
    let path = format!("{FOLDER}/{A}");
    let down = format!(
        "[2026-11-30 12:00:00] Down MoE config file not found at {FOLDER}/{DOWN}; reusing the tuned up-projection \
         config without TMA. Performance might be sub-optimal."
    );
    let loading = judge(&held(FOLDER, |_| {}), &log(&[&uses("", &path), &down]));
    assert!(loading.is_sound(), "{loading:?}");
    assert_eq!(loading.missing, BTreeMap::from([(DOWN.to_owned(), down.clone())]));

    // Where it was deployed, that line fails.
    let with_down = held(FOLDER, |value| {
        value["files"][DOWN] = "cc".into();
        let file = json!({ "name": DOWN, "sha256": "cc", "replaced": false });
        value["deployed"]["files"].as_array_mut().unwrap().push(file);
    });
    let loading = judge(&with_down, &log(&[&uses("", &path), &down]));
    assert_eq!(loading.files[DOWN], FileUse::NotUsed { instead: Instead::Fallback, line: down });
    assert!(!loading.is_sound() && loading.missing.is_empty(), "{loading:?}");
}

#[test]
fn a_server_older_than_the_files_is_named_as_such() {
    let path = format!("{FOLDER}/{A}");
    let held = held(FOLDER, |_| {});
    let loading = judge(&held, &log_from(-10, &[&uses("", &path)]));
    assert_eq!((&loading.files[A], &loading.problem), (&FileUse::Before, &Some(Problem::OlderServer)));
    assert!(!loading.is_sound());
    assert_eq!(judge(&held, &log_from(-10, &["hello"])).problem, Some(Problem::OlderServer));
    // An old line of a log that goes on is no word of the server that is up now.
    let mut longer = log_from(-10, &[&default_line(&path)]);
    longer.add(&uses("", &path), Some(at(5)));
    assert!(judge(&held, &longer).is_sound());
    // One rank of the old server is none of the new.
    let mut fewer = log_from(-10, &[&uses(" TP1", &path)]);
    fewer.add(&uses("", &path), Some(at(5)));
    assert!(judge(&held, &fewer).is_sound());
}

#[test]
fn what_lies_there_now_must_be_what_was_deployed() {
    let path = format!("{FOLDER}/{A}");
    let log = log(&[&uses("", &path)]);
    let with = |change: fn(&mut serde_json::Value)| judge(&held(FOLDER, change), &log);
    let changed = with(|value| value["files"][A] = "dd".into());
    assert_eq!((&changed.files[A], changed.is_sound()), (&FileUse::Changed, false));
    let missing = with(|value| drop(value["files"].as_object_mut().unwrap().remove(A)));
    assert_eq!((&missing.files[A], missing.is_sound()), (&FileUse::Missing, false));
    let never = with(|value| value["deployed"] = json!(null));
    assert_eq!((never.problem.clone(), never.is_sound()), (Some(Problem::NothingDeployed), false));
    assert_eq!(with(|value| value["unfinished"] = true.into()).problem, Some(Problem::Unfinished));
}

#[test]
fn one_deployed_file_at_least_must_be_loaded() {
    let held = held(FOLDER, |_| {});
    assert_eq!(judge(&held, &log(&[])).problem, Some(Problem::NothingLoaded));
    let line = default_line(&format!("{FOLDER}/E=8,N=64.json"));
    let loading = judge(&held, &log(&[&line]));
    assert_eq!(loading.problem, Some(Problem::NothingLoaded));
    assert_eq!(loading.missing.keys().collect::<Vec<_>>(), ["E=8,N=64.json"]);
    let line = "Deterministic inference is enabled, using default MoE kernel config.";
    assert_eq!(judge(&held, &log(&[line])).problem, Some(Problem::NotLookedFor { line: line.into() }));
}

#[test]
fn the_folder_may_have_several_paths() {
    let held = held("/srv/tuned/configs/triton_3_5_0", |_| {});
    let log = log(&[&uses("", &format!("{FOLDER}/{A}"))]);
    let folders = vec!["/srv/tuned/configs/triton_3_5_0".into(), format!("{FOLDER}/")];
    let judged = loading(&[Served { held: &held, folders, log: &log }]);
    assert!(judged[0].is_sound(), "{judged:?}");
}

#[test]
fn the_first_rank_of_vllm_speaks_for_nodes_that_do_not_say_otherwise() {
    let folder = "/srv/tuned";
    let held = held(folder, |_| {});
    let line = format!("(Worker_TP0 pid=1) Using configuration from {folder}/{A} for MoE layer.");
    let default = format!(
        "(Worker_TP1 pid=1) Using default MoE config. Performance might be sub-optimal! Config file not found at \
         {folder}/{A}, /opt/vllm/{A}"
    );
    let logs = [log(&[&line]), log(&["up"]), log(&[&default]), log_from(-10, &["up"])];
    let of = |log| Served { held: &held, folders: vec![folder.into()], log };
    let nodes: Vec<Served<'_>> = logs.iter().map(of).collect();
    let each = loading(&nodes);
    assert_eq!(each[1].files[A], FileUse::SaidElsewhere);
    assert_eq!(each[1].files[B], FileUse::NotMentioned);
    assert_eq!(each.iter().map(Loading::is_sound).collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(each[3].problem, Some(Problem::OlderServer));
    // Without that rank's word silence is silence.
    assert_eq!(loading(&nodes[1..2])[0].problem, Some(Problem::NothingLoaded));
    // SGLang says it on every rank.
    let path = format!("{FOLDER}/{A}");
    let held = self::held(FOLDER, |_| {});
    let logs = [log(&[&uses("", &path)]), log(&["up"])];
    let of = |log| Served { held: &held, folders: vec![FOLDER.into()], log };
    let each = loading(&logs.iter().map(of).collect::<Vec<_>>());
    assert_eq!(each[1].problem, Some(Problem::NothingLoaded));
}
