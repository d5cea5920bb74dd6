//! Results written, cut, edited, of another version, and read back.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::environment::RunEnvironment;
use super::read::read;
use super::run_file::Ended;
use super::*;
use crate::bench::metrics::fixture::{answered, failed};
use crate::bench::metrics::{summarise, tests::plan};
use crate::bench::nodes::{GpuState, NodeState, NodesAround};
use crate::bench::record::{Outcome, RequestRecord};
use crate::bench::summary::{ClientHealth, MetricsSample, ServerView, Summary};
use crate::bench::target::ServerTarget;
use crate::failure::{Failure, Kind};
use crate::run_dir::Place;

fn records() -> Vec<RequestRecord> {
    let mut speculative = answered(200, &[100_000, 250_000, 300_000]);
    speculative.scheduled_us = Some(100);
    speculative.answer.chunk_tokens = vec![1.0, 1.5, 0.5];
    speculative.answer.accept_length = Some(1.7);
    let interrupted = RequestRecord { outcome: Outcome::Interrupted, ..answered(9, &[]) };
    vec![answered(0, &[100_000, 150_000]), speculative, failed(5, 90), interrupted]
}

fn server() -> ServerView {
    ServerView {
        runtime: "sglang".into(),
        version: Some("0.5.23".into()),
        info: Some(json!({"api_key": "hunter2", "tp_size": 2})),
        samples: vec![MetricsSample {
            at_s: 0.2,
            values: [("sglang:num_running_reqs".to_owned(), 3.0)].into(),
        }],
    }
}

fn run() -> RunFile {
    let target = ServerTarget::new("http://head:30000", None).unwrap();
    let began = "2026-01-31T10:20:30Z".parse().unwrap();
    let workload = json!({"corrected": 1});
    RunFile::new(plan(4, 2), &target, server(), RunEnvironment::default(), workload, 1, began)
}

fn dir(root: &Path) -> ResultsDir {
    ResultsDir::create(&Place::Exactly(root.to_owned()), run().started, "m", "test").unwrap()
}

/// A run whose requests are on disk, and nothing after them.
fn killed(root: &Path) -> ResultsDir {
    let dir = dir(root);
    dir.write_run(&run()).unwrap();
    let mut log = RequestLog::create(dir.path()).unwrap();
    let records = records();
    log.append(&records[..1]).unwrap();
    log.append(&records[1..]).unwrap();
    dir
}

fn nodes() -> NodesAround {
    let gpu = GpuState { name: "NVIDIA GB10".into(), max_clock_mhz: Some(3003.0), ..GpuState::default() };
    let state = |node: &str| NodeState { node: node.into(), gpus: vec![gpu.clone()], ..NodeState::default() };
    let unread = NodeState { unread: Some("no answer".into()), ..state("spark-2") };
    NodesAround {
        cluster: "lab".into(),
        before: vec![state("spark-1"), state("spark-2")],
        after: Some(vec![state("spark-1"), unread]),
    }
}

fn whole(root: &Path) -> (RunFile, Summary) {
    let dir = killed(root);
    let health = ClientHealth { cpu_s: 0.25, ..Default::default() };
    let end = "2026-01-31T10:21:30Z".parse().unwrap();
    let run = run().ended(HowEnded::Finished, end, Some(health.clone()), server());
    let summary = summarise(&run.plan, &records(), health, run.server.clone());
    dir.write_run(&run).unwrap();
    dir.write_summary(&run, &SummaryFile::new(&run.plan, summary.clone())).unwrap();
    dir.write_nodes(&NodesFile::new(nodes())).unwrap();
    (run, summary)
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

#[test]
fn what_was_written_is_read_back() {
    let root = tempfile::tempdir().unwrap();
    let (run, summary) = whole(root.path());
    let back = read(root.path()).unwrap();
    assert_eq!((&back.run, &back.records), (&run, &records()));
    assert_eq!(back.summary.as_ref(), Some(&summary));
    assert_eq!(back.summarised(), summary);
    assert_eq!(back.nodes, Some(nodes()));
    for how in [HowEnded::Interrupted, HowEnded::Failed { reason: "too many".into() }] {
        let run = RunFile { ended: Some(Ended { at: run.started, how }), ..run.clone() };
        dir_of(root.path()).write_run(&run).unwrap();
        assert_eq!(read(root.path()).unwrap().run, run);
    }
}

fn dir_of(root: &Path) -> ResultsDir {
    std::fs::remove_file(root.join(RUN)).unwrap();
    dir(root)
}

#[test]
fn no_secret_is_written() {
    let root = tempfile::tempdir().unwrap();
    whole(root.path());
    for name in [RUN, REQUESTS, SUMMARY, SUMMARY_CSV, NODES] {
        let text = std::fs::read_to_string(root.path().join(name)).unwrap();
        assert!(!text.contains("hunter2"), "{name}: {text}");
    }
}

/// However many bytes of the last line reached the disk, every whole line is kept and summed up.
#[test]
fn a_run_killed_anywhere_keeps_the_requests_that_ended() {
    let root = tempfile::tempdir().unwrap();
    killed(root.path());
    let path = root.path().join(REQUESTS);
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for cut in last..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let back = read(root.path()).unwrap();
        assert_eq!((&back.records[..], &back.summary), (&records()[..3], &None), "cut at {cut}");
    }
    let back = read(root.path()).unwrap();
    let summary = back.summarised();
    assert_eq!((summary.counts.completed, summary.counts.failed, summary.counts.unsent), (2, 1, 1));
    assert!(summary.warnings[0].contains("killed"), "{:?}", summary.warnings);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read(root.path()).unwrap().records, []);
}

#[test]
fn a_bad_line_is_named_with_its_field() {
    let root = tempfile::tempdir().unwrap();
    killed(root.path());
    let path = root.path().join(REQUESTS);
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to, words) in [
        ("\"sent_us\":200", "\"sent_us\":\"x\"", &["line 2: ", "invalid type"][..]),
        ("\"ended_us\":300200", "\"ended_us\":3", &["line 2: ended_us: is 3, before it was sent at 200"]),
        ("[1.0,1.5,0.5]", "[1.0,1.5]", &["line 2: chunk_tokens: has 2 entries, and chunk_us 3"]),
        ("[1.0,1.5,0.5]", "[1.0,-1.5,0.5]", &["line 2: chunk_tokens: holds -1.5"]),
        ("[100000,250000,300000]", "[100000,350000,300000]", &["line 2: chunk_us: goes back"]),
        ("\"cut-off\"", "\"gone\"", &["line 3: ", "gone", "cut-off"]),
        ("\n{", "\nnot json {", &["line 2: "]),
        ("}\n", "} {}\n", &["line 1: .: trailing characters"]),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = read(root.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        for word in words.iter().chain(&["requests.jsonl"]) {
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn other_formats_and_edited_plans_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let set = |name: &str, change: &dyn Fn(&mut Value)| {
        whole_again(root.path());
        edit(&root.path().join(name), change);
        read(root.path()).unwrap_err().to_string()
    };
    for name in [RUN, SUMMARY] {
        let error = set(name, &|value| value["format"] = json!(2));
        assert!(error.contains(name) && error.contains("format is 2, this version reads 1"), "{error}");
        let error = set(name, &|value| value["format"] = json!("x"));
        assert!(error.contains("format is \"x\""), "{error}");
        let error = set(name, &|value| drop(value.as_object_mut().unwrap().remove("format")));
        assert!(error.contains("format: is missing"), "{error}");
    }
    let error = set(RUN, &|value| value["plan"]["seed"] = json!(4));
    assert!(error.contains("plan_sha256") && error.contains("edited"), "{error}");
    let error = set(RUN, &|value| value["plan"]["requests"] = json!("many"));
    assert!(error.contains("plan.requests") && error.contains("run.json"), "{error}");
    let error = set(SUMMARY, &|value| value["spark"]["counts"]["failed"] = json!(-1));
    assert!(error.contains("summary.json") && error.contains("spark"), "{error}");
    std::fs::write(root.path().join(RUN), "{").unwrap();
    assert!(read(root.path()).unwrap_err().to_string().contains("run.json"));
}

fn whole_again(root: &Path) {
    for name in [RUN, REQUESTS, SUMMARY, SUMMARY_CSV] {
        let _ = std::fs::remove_file(root.join(name));
    }
    whole(root);
}

#[test]
fn a_directory_without_a_run_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for path in [root.path().to_owned(), root.path().join("nowhere")] {
        let error = read(&path).unwrap_err();
        assert!(matches!(error, ResultsError::Missing { .. }), "{error}");
        assert!(error.hint().is_some());
    }
    RequestLog::create(root.path()).unwrap();
    assert!(matches!(RequestLog::create(root.path()).unwrap_err(), ResultsError::Exists { .. }));
}

#[test]
fn a_full_disk_is_named_and_leaves_whole_lines() {
    let root = tempfile::tempdir().unwrap();
    let disk = root.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=16k,nr_inodes=32", "tmpfs"];
    if !Command::new("mount").args(mount).arg(&disk).output().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI cannot mount a tmpfs");
        eprintln!("skipped: this user may not mount a tmpfs, so there is no full disk to write to");
        return;
    }
    let dir = dir(&disk);
    dir.write_run(&run()).unwrap();
    let mut log = RequestLog::create(dir.path()).unwrap();
    let mut kept = 0;
    let error = loop {
        match log.append(&records()) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    let back = read(&disk).map(|back| back.records.len());
    let summary = summarise(&plan(4, 2), &records(), ClientHealth::default(), server());
    let full = dir.write_summary(&run(), &SummaryFile::new(&run().plan, summary));
    let left = disk.join(SUMMARY).exists();
    drop(log);
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    assert_eq!(error.kind(), Kind::Environment);
    assert!(
        error.to_string().contains("disk/requests.jsonl") && error.to_string().contains("No space"),
        "{error}"
    );
    assert_eq!(back.unwrap(), kept * records().len());
    let full = full.unwrap_err().to_string();
    assert!(full.contains("disk/summary.json") && full.contains("No space") && !left, "{full}");
}

/// `sglang.bench_serving` 0.5.23, `benchmark/serving.py`, lines 1855-1918.
const SGLANGS: &str = "tag backend dataset_name request_rate max_concurrency sharegpt_output_len random_input_len \
    random_output_len random_range_ratio server_info duration completed total_input_tokens total_input_text_tokens \
    total_input_vision_tokens total_output_tokens total_output_tokens_retokenized request_throughput \
    input_throughput output_throughput total_throughput concurrency accept_length max_output_tokens_per_s \
    max_concurrent_requests max_itl_ms";

#[test]
fn the_summary_has_sglangs_keys_and_their_values() {
    let root = tempfile::tempdir().unwrap();
    let (_, summary) = whole(root.path());
    let file: Value = serde_json::from_slice(&std::fs::read(root.path().join(SUMMARY)).unwrap()).unwrap();
    let mut keys: Vec<String> = SGLANGS.split_whitespace().map(str::to_owned).collect();
    for latency in ["e2e_latency", "ttft", "tpot", "itl"] {
        keys.extend(
            ["mean", "median", "std", "p90", "p95", "p99"].map(|what| format!("{what}_{latency}_ms")),
        );
    }
    for key in &keys {
        assert!(file.as_object().unwrap().contains_key(key), "{key}");
    }
    assert_eq!(file["mean_ttft_ms"], json!(100.0));
    assert_eq!(file["total_output_tokens"], json!(summary.output_tokens));
    assert_eq!(file["p99_itl_ms"], json!(summary.latency_ms.itl.unwrap().p99.value));
    assert_eq!((&file["backend"], &file["request_rate"]), (&json!("sglang-oai-chat"), &json!("inf")));
    assert_eq!(file["server_load"]["running_requests"], json!(3.0));
    assert_eq!(file["server_info"]["tp_size"], json!(2));
}

#[test]
fn a_run_without_a_success_is_written_and_read_too() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(root.path());
    let summary = summarise(&plan(1, 2), &[failed(0, 9)], ClientHealth::default(), ServerView::default());
    dir.write_run(&run()).unwrap();
    dir.write_summary(&run(), &SummaryFile::new(&run().plan, summary.clone())).unwrap();
    assert_eq!(read(root.path()).unwrap().summary, Some(summary));
    validate(root.path());
}

#[test]
fn every_column_of_the_csv_has_a_place() {
    let root = tempfile::tempdir().unwrap();
    let (run, summary) = whole(root.path());
    let text = std::fs::read_to_string(root.path().join(SUMMARY_CSV)).unwrap();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let named = |name: &str| row.get(header.iter().position(|column| column == name).unwrap()).unwrap();
    assert_eq!((named("model"), named("mean_ttft_ms"), named("ended")), ("m", "100.0", "finished"));
    assert_eq!(named("warnings"), summary.warnings.len().to_string());
    // What this small run has no value for; every other place must lead somewhere.
    let absent = ["max_concurrency", "goodput", "goodput_share"];
    for (name, _) in csv::COLUMNS {
        let empty = absent.contains(name) || name.starts_with("steady_");
        assert_eq!(named(name).is_empty(), empty, "{name}");
    }
    let names: std::collections::BTreeSet<_> = csv::COLUMNS.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), csv::COLUMNS.len());
    let file = SummaryFile::new(&run.plan, summary);
    assert_eq!(csv::table([(&run, &file), (&run, &file)]).lines().count(), 3);
}

#[test]
fn a_table_has_a_cell_for_every_request() {
    let columns = table::columns(&records());
    assert!(columns.iter().all(|column| column.cells.len() == records().len()));
    let cells = |name| columns.iter().find(|column| column.name == name).unwrap().cells.clone();
    let words = ["done", "done", "cut-off", "interrupted"].map(str::to_owned).to_vec();
    assert_eq!(cells("outcome"), table::Cells::Text(words));
    assert_eq!(cells("has_ttft"), table::Cells::Bool(vec![true, true, true, false]));
    assert_eq!(cells("tpot_ms"), table::Cells::F64(vec![50.0, 100.0, 0.0, 0.0]));
}

/// `SPARK_UPDATE_SCHEMAS=1 cargo test --lib bench::results` writes them anew.
#[test]
fn published_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    for (name, schema) in schema::schemas() {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("SPARK_UPDATE_SCHEMAS").is_some() {
            crate::fs::write_atomic(&folder.join(name), text.as_bytes()).unwrap();
        }
        let published = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(published == text, "docs/schemas/{name} is stale: run this test with SPARK_UPDATE_SCHEMAS=1");
    }
}

fn validate(root: &Path) {
    for ((_, schema), name) in schema::schemas().iter().zip([RUN, REQUESTS, SUMMARY, NODES]) {
        let validator = jsonschema::validator_for(schema).unwrap();
        let Ok(text) = std::fs::read_to_string(root.join(name)) else { continue };
        let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        for value in values.map(Result::unwrap) {
            let errors: Vec<_> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert_eq!(errors, Vec::<String>::new(), "{name}");
        }
    }
}

#[test]
fn written_files_are_as_their_schemas_say() {
    let root = tempfile::tempdir().unwrap();
    whole(root.path());
    validate(root.path());
    let schemas = schema::schemas();
    let refuses =
        |place: usize, value: Value| !jsonschema::validator_for(&schemas[place].1).unwrap().is_valid(&value);
    let line = std::fs::read_to_string(root.path().join(REQUESTS)).unwrap();
    let mut record: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert!(!refuses(1, record.clone()));
    record["sent_us"] = json!("soon");
    assert!(refuses(1, record) && [0, 2, 3].into_iter().all(|place| refuses(place, json!({}))));
}
