use std::time::Duration;

use super::*;
use crate::artifact::Evidence;
use crate::commands::shown::Shown;
use crate::journal;
use crate::tuner::fleet::tests::{carry_out, four};
use crate::tuner::run::tests::measured::confirmed;
use crate::tuner::run::tests::{glm, look_alike};

fn reported(settings: &ReportSettings) -> (CommandResult, String) {
    let mut shown = Shown::default();
    (run(settings, DeviceCatalogue::embedded(), &mut shown), shown.0)
}

fn settings(run: &Path) -> ReportSettings {
    ReportSettings { run: run.to_owned(), html: None, json: false }
}

/// A run of four nodes in trouble, killed once. Nodes, GPUs and compiler are look-alikes.
async fn a_run(dir: &Path) {
    let plan = Plan { batch_sizes: vec![1, 16, 64, 160, 1024, 4096], ..confirmed() };
    let mut open = OpenRun::start(dir, &plan).unwrap();
    let life = Duration::from_secs(30);
    let killed = tokio::time::timeout(life, carry_out(&plan, &mut open, four(&plan, 1, 0.02))).await;
    assert!(killed.is_err());
    drop(open);
    let mut open = OpenRun::resume(dir, &plan).unwrap();
    carry_out(&plan, &mut open, four(&plan, 2, 0.02)).await.unwrap();
}

/// SPARK_REPORT_LOOK names a folder to look at the page in.
#[tokio::test(start_paused = true)]
async fn a_run_is_told_in_words_in_json_and_on_a_page() {
    let dir = tempfile::tempdir().unwrap();
    a_run(dir.path()).await;
    let html = dir.path().join("page.html");
    let (result, shown) = reported(&ReportSettings { html: Some(html.clone()), ..settings(dir.path()) });
    result.unwrap();
    assert!(shown.contains("  4 nodes, 2 sessions, "), "{shown}");
    for header in ["node | used | measuring", "node | SM MHz", "batch size | decided on"] {
        assert!(shown.contains(header), "{shown}");
    }
    assert!(
        shown.contains("spark-4 held its clock down in ") && shown.contains("sw thermal slowdown"),
        "{shown}"
    );
    assert!(shown.contains(" left ") && shown.contains("the cable"), "{shown}");

    let page = std::fs::read_to_string(html).unwrap();
    if let Some(folder) = std::env::var_os("SPARK_REPORT_LOOK") {
        std::fs::write(Path::new(&folder).join("nodes.html"), &page).unwrap();
    }
    assert!(!page.contains("NaN") && !page.contains("No data"), "{page}");
    // Four of the race, the nodes' time, clocks, temperatures, drift.
    assert_eq!(page.matches("<svg").count(), 8);
    for title in ["Nodes", "GPUs over time", "Sentinel drift", "Who decided", "What went wrong"] {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    assert!(page.contains("throttled") && page.contains("a session opened on "));

    let (result, shown) = reported(&ReportSettings { json: true, ..settings(dir.path()) });
    result.unwrap();
    let told: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&told["running"], told["sessions"].as_array().unwrap().len()), (&false.into(), 2));
    let nodes = told["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    for node in nodes {
        let seconds = |what: &str| node[what].as_f64().unwrap();
        let [measuring, compiling, idle] = ["measuring_s", "compiling_s", "idle_s"].map(seconds);
        let used = (measuring + compiling) / (measuring + compiling + idle);
        assert!((used - seconds("utilisation")).abs() < 1e-9 && used <= 1.0, "{node}");
        let all = measuring + compiling + idle + seconds("away_s");
        assert!((all - told["seconds"].as_f64().unwrap()).abs() < 1e-6, "{node}");
        assert_eq!(node["gpu"]["name"], "NVIDIA GB10");
    }
    let verdicts = told["verdicts"].as_array().unwrap();
    assert_eq!(verdicts.len(), 6);
    assert_eq!(verdicts[0]["second"]["agrees"], true);
    assert_ne!(verdicts[0]["second"]["node"], verdicts[0]["decided_on"]);
    assert!(verdicts[0]["speedup"]["lower"].as_f64().unwrap() > 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_measured_nothing_says_so() {
    let plan = glm();
    assert_eq!(plan.evidence, Evidence::Compiled);
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let html = dir.path().join("page.html");
    let with_page = ReportSettings { html: Some(html.clone()), ..settings(dir.path()) };
    // Nobody has begun.
    let (result, shown) = reported(&with_page);
    result.unwrap();
    assert!(shown.contains("another process") || shown.contains("goes on with it"), "{shown}");
    assert!(shown.contains("no node has worked for it"), "{shown}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("No node has worked for this run.") && !page.contains("<svg"));

    carry_out(&plan, &mut open, four(&plan, 1, 0.0)).await.unwrap();
    drop(open);
    let (result, shown) = reported(&with_page);
    result.unwrap();
    assert!(shown.contains("  nothing was measured") && !shown.contains("goes on"), "{shown}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("Nothing was measured") && !page.contains("No data") && !page.contains("NaN"));
    assert_eq!(page.matches("<svg").count(), 1, "the nodes' time alone");
    let (result, shown) = reported(&ReportSettings { json: true, ..settings(dir.path()) });
    result.unwrap();
    let told: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(told["verdicts"], serde_json::Value::Null);
}

/// Some look-alikes end at once, as processes that are very fast do.
#[tokio::test(start_paused = true)]
async fn a_run_of_no_time_is_still_a_page() {
    let plan = glm();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let cache = tempfile::tempdir().unwrap();
    crate::tuner::run::tests::go(&plan, &mut open, &mut look_alike(), cache.path()).await.unwrap();
    let html = dir.path().join("page.html");
    let (result, shown) = reported(&ReportSettings { html: Some(html.clone()), ..settings(dir.path()) });
    result.unwrap();
    assert!(shown.contains("localhost | -"), "{shown}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(!page.contains("NaN") && !page.contains("inf %"), "{page}");
}

#[test]
fn what_is_no_run_of_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |says: &str| {
        let error = reported(&settings(dir.path())).0.unwrap_err();
        assert_eq!(error.kind(), Kind::Input, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        error
    };
    refused("holds no run: it has no journal.jsonl");
    let journal = dir.path().join(journal::FILE_NAME);
    for (text, says) in [
        ("", "line 1: no whole header line"),
        ("{}\n", "line 1: not a journal header"),
        (
            "{\"format\":2,\"plan\":{},\"plan_sha256\":\"\"}\n",
            "journal format 2, this version reads format 3: an older",
        ),
    ] {
        std::fs::write(&journal, text).unwrap();
        refused(says);
    }
    std::fs::remove_file(&journal).unwrap();
    drop(OpenRun::start(dir.path(), &glm()).unwrap());
    let header = std::fs::read_to_string(&journal).unwrap();
    let session = "{\"at_ms\":1,\"record\":\"session\",\"opened\":\"2026-01-31T10:20:30Z\"}\n";
    for (line, says) in [
        ("{\"at_ms\":-1,\"record\":\"batch_ended\",\"on\":\"a\"}\n", "line 3: "),
        ("{\"record\":\"batch_ended\",\"on\":\"a\"}\n", "line 3: missing field `at_ms`"),
        ("{\"at_ms\":1,\"record\":\"nonsense\"}\n", "line 3: unknown variant `nonsense`"),
        ("garbage\n", "line 3: "),
    ] {
        std::fs::write(&journal, format!("{header}{session}{line}{session}")).unwrap();
        refused(says);
    }
    // What was cut off while it was written is forgiven.
    std::fs::write(&journal, format!("{header}{session}{{\"at_ms\":2")).unwrap();
    assert!(reported(&settings(dir.path())).1.contains("no node has worked for it"));
    // A page that cannot be written.
    let html = Some(dir.path().join("missing/page.html"));
    let error = reported(&ReportSettings { html, ..settings(dir.path()) }).0.unwrap_err();
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.to_string().contains("page.html"), "{error}");
}

#[test]
fn a_run_of_the_stock_tuner_has_no_such_report() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join(journal::FILE_NAME),
        "{\"format\":1,\"plan_sha256\":\"\",\"plan\":{\"tuner\":\"stock\"}}\n",
    )
    .unwrap();
    let error = reported(&settings(dir.path())).0.unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().contains("SGLang's own tuner"), "{error}");
    assert!(error.hint().unwrap().contains("sparktune watch --once"));
}
