use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;
use crate::bench::nodes::{GpuState, NodeState};
use crate::bench::profile::{Bound, Layer, Layers, WorkloadLayer, resolve};
use crate::bench::results::RUN;
use crate::events::{LoadPart, Silent};
use crate::mock::{RunningMock, Scenario, spawn};
use crate::run_dir::Place;

fn mock() -> RunningMock {
    let fast = Duration::from_millis(2);
    spawn(Scenario { ttft: fast, itl: fast, ..Scenario::default() }, ([127, 0, 0, 1], 0).into()).unwrap()
}

fn conditions(mock: &RunningMock) -> Conditions {
    let target = ServerTarget::new(&mock.url(), None).unwrap();
    Conditions { target, ca_cert: None, scrape_every: None, tokenizer: None, keep_text: false }
}

fn resolved() -> ResolvedPlan {
    let flags = Layer {
        requests: Some(3),
        concurrency: Some(Bound::At(2)),
        warmup: Some(0),
        workload: WorkloadLayer { input_tokens: Some(16), output_tokens: Some(2), ..Default::default() },
        ..Layer::default()
    };
    resolve(Layers { profile: None, flags: &flags }, &|_| panic!("no file is named")).unwrap()
}

/// Three runs below a new directory, of which number `breaks`, from 1, is stopped or fails.
async fn three(breaks: usize, stop_it: bool) -> (Vec<String>, RunSeries, ResultsDir, tempfile::TempDir) {
    let (mock, resolved, root) = (mock(), resolved(), tempfile::tempdir().unwrap());
    let conditions = conditions(&mock);
    let stop = CancellationToken::new();
    let opened = Campaign::open(&conditions, None, None, &stop, &mut Silent).await;
    let campaign = opened.map_err(|failure| failure.to_string()).unwrap();
    let place = Place::Below(root.path().join("results"));
    let parent = campaign.parent_dir(&place, &resolved, "repeats").map_err(|it| it.to_string()).unwrap();
    let runs = (0..3).map(|number| CampaignRun {
        resolved: &resolved,
        place: Place::Exactly(parent.path().join(format!("run-{}", number + 1))),
        repeat: number,
        round: number,
        part: LoadPart::Run { profile: "short".into(), number: number + 1, of: 3 },
    });
    let mut heard = Vec::new();
    let mut each = |run: &FinishedRun| {
        assert!(run.dir.join(RUN).exists(), "written before it is told");
        heard.push(run.dir.file_name().unwrap().to_string_lossy().into_owned());
        match heard.len() == breaks {
            true if stop_it => stop.cancel(),
            true => return Err(CampaignStopped::BeforeTheFirst.into()),
            false => {}
        }
        Ok(())
    };
    let series = campaign.measure_all(runs, &stop, &mut Silent, &mut each).await;
    (heard, series, parent, root)
}

#[tokio::test]
async fn runs_are_measured_one_after_the_other_and_told() {
    let (heard, series, parent, _root) = three(0, false).await;
    assert_eq!(heard, ["run-1", "run-2", "run-3"]);
    let seen: Vec<_> = series.runs().iter().map(|run| run.summary.counts.completed).collect();
    assert_eq!(seen, [3, 3, 3]);
    assert!(!series.too_many_failed(Some(&parent)).map_err(|it| it.to_string()).unwrap());
    let name = parent.path().file_name().unwrap().to_string_lossy();
    assert!(name.ends_with("-repeats"), "{name}");
}

#[tokio::test]
async fn a_failure_ends_the_series_and_keeps_what_was_measured_before() {
    let (heard, series, parent, _root) = three(2, false).await;
    assert_eq!(heard, ["run-1", "run-2"]);
    assert_eq!(series.runs().len(), 1, "the second is not said to be whole");
    assert!(!parent.path().join("run-3").exists());
    let failure = series.too_many_failed(Some(&parent)).unwrap_err();
    assert_eq!(failure.kind(), Kind::Interrupted);
    assert!(failure.to_string().contains(&parent.path().display().to_string()), "{failure}");
}

#[tokio::test]
async fn a_stop_between_two_runs_begins_no_other() {
    let (heard, series, parent, _root) = three(1, true).await;
    assert_eq!(heard, ["run-1"]);
    assert_eq!(series.runs().len(), 1);
    assert!(!parent.path().join("run-2").exists());
    assert!(!series.too_many_failed(Some(&parent)).map_err(|it| it.to_string()).unwrap());
}

/// Nodes whose user loses patience while they are read after the first run.
#[derive(Debug)]
struct SlowNodes {
    stop: CancellationToken,
    looks: AtomicU32,
}

impl ServingNodes for SlowNodes {
    fn cluster(&self) -> &str {
        "lab"
    }

    fn look(&self) -> BoxFuture<'_, Vec<NodeState>> {
        async {
            if self.looks.fetch_add(1, Ordering::Relaxed) == 1 {
                self.stop.cancel();
                std::future::pending::<()>().await;
            }
            Vec::new()
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_series_that_is_stopped_while_nodes_are_read_is_not_whole() {
    let (mock, resolved, root) = (mock(), resolved(), tempfile::tempdir().unwrap());
    let conditions = conditions(&mock);
    let stop = CancellationToken::new();
    let nodes = SlowNodes { stop: stop.clone(), looks: AtomicU32::new(0) };
    let opened = Campaign::open(&conditions, None, Some(&nodes), &stop, &mut Silent).await;
    let campaign = opened.map_err(|failure| failure.to_string()).unwrap();
    let runs = (0..3).map(|number| CampaignRun {
        resolved: &resolved,
        place: Place::Exactly(root.path().join(format!("run-{number}"))),
        repeat: number,
        round: number,
        part: LoadPart::Run { profile: "short".into(), number: number + 1, of: 3 },
    });
    let series = campaign.measure_all(runs, &stop, &mut Silent, &mut |_| Ok(())).await;
    assert_eq!(series.runs().len(), 1);
    assert_eq!(series.too_many_failed(None).unwrap_err().kind(), Kind::Interrupted);
    // What was known before is kept.
    let kept = std::fs::read_to_string(root.path().join("run-0/nodes.json")).unwrap();
    assert!(kept.contains("\"after\": null"), "{kept}");
}

/// Nodes of one kind whose limits differ.
#[derive(Debug)]
struct UnlikeNodes;

impl ServingNodes for UnlikeNodes {
    fn cluster(&self) -> &str {
        "lab"
    }

    fn look(&self) -> BoxFuture<'_, Vec<NodeState>> {
        let state = |node: &str, clock| {
            let gpu =
                GpuState { name: "NVIDIA GB10".into(), max_clock_mhz: Some(clock), ..Default::default() };
            NodeState { node: node.into(), gpus: vec![gpu], ..NodeState::default() }
        };
        std::future::ready(vec![state("a", 3003.0), state("b", 2100.0)]).boxed()
    }
}

#[tokio::test]
async fn what_is_to_be_known_of_the_nodes_stands_in_the_summary() {
    let (mock, resolved, root) = (mock(), resolved(), tempfile::tempdir().unwrap());
    let conditions = conditions(&mock);
    let stop = CancellationToken::new();
    let opened = Campaign::open(&conditions, None, Some(&UnlikeNodes), &stop, &mut Silent).await;
    let campaign = opened.map_err(|failure| failure.to_string()).unwrap();
    let run = CampaignRun {
        resolved: &resolved,
        place: Place::Exactly(root.path().join("run")),
        repeat: 0,
        round: 0,
        part: LoadPart::Run { profile: "short".into(), number: 1, of: 1 },
    };
    let measured = campaign.measure(run, &stop, &mut Silent).await.map_err(|it| it.to_string()).unwrap();
    let said = "the nodes' clock limits of NVIDIA GB10 differ: a 3003 MHz, b 2100 MHz";
    assert_eq!(measured.run.summary.warnings.iter().filter(|it| *it == said).count(), 1);
    let summary = std::fs::read_to_string(root.path().join("run/summary.json")).unwrap();
    assert_eq!(summary.matches(said).count(), 1, "{summary}");
    // Of a killed run there is no summary, and the nodes were read before.
    std::fs::remove_file(root.path().join("run/summary.json")).unwrap();
    let [(_, read)] = &crate::bench::results::read_all(root.path()).unwrap()[..] else { panic!("one run") };
    assert_eq!(read.summarised().warnings.iter().filter(|it| *it == said).count(), 1);
}
