use super::*;
use crate::bench::plan::{DataFile, Lengths, Protocol, RequestLimits, Sampling, Slo};
use crate::bench::record::Outcome as Ended;
use crate::events::Event;
use crate::failure::Kind;
use crate::mock::{RunningMock, Scenario, spawn};

/// Keeps nothing.
struct Nobody;

impl Observer for Nobody {
    fn on(&mut self, _: &Event) {}
}

fn mock() -> RunningMock {
    let fast = Duration::from_millis(2);
    spawn(Scenario { ttft: fast, itl: fast, ..Scenario::default() }, ([127, 0, 0, 1], 0).into()).unwrap()
}

fn plan(requests: u32, warmup: u32) -> LoadPlan {
    LoadPlan {
        profile: "test".into(),
        model: "mock".into(),
        protocol: Protocol::Chat,
        requests,
        workload: Workload::Random { input_tokens: 64, output_tokens: 3, lengths: Lengths::Exact },
        arrival: Arrival::ClosedLoop,
        concurrency: Some(2),
        warmup,
        seed: 1,
        sampling: Sampling { temperature: 0.0, ignore_eos: true, extra_body: serde_json::Map::new() },
        limits: RequestLimits {
            connect_s: 60.0,
            first_token_s: 60.0,
            stall_s: 60.0,
            request_s: 60.0,
            answer_bytes: 1 << 20,
            failed_share: 0.0,
            retries: 0,
        },
        slo: Slo::default(),
    }
}

fn words(failure: Box<dyn Failure>) -> String {
    failure.to_string()
}

async fn open(mock: &RunningMock) -> ServerUnderTest {
    ServerUnderTest::open(ServerTarget::new(&mock.url(), None).unwrap(), None, None)
        .await
        .map_err(words)
        .unwrap()
}

/// Measure with a disk that is full after so many records, and a stop at so many.
async fn measured(
    plan: &LoadPlan,
    full_after: usize,
    stop_at: usize,
) -> (Result<Measured>, Vec<RequestRecord>) {
    let mock = mock();
    let server = open(&mock).await;
    let load = server.prepare(plan, &Files::default(), None, 0).await.map_err(words).unwrap();
    assert_eq!((load.conversations.len(), load.warmup.len()), (plan.requests as usize, plan.warmup as usize));
    let stop = CancellationToken::new();
    if stop_at == 0 {
        stop.cancel();
    }
    let mut records = Vec::new();
    let mut keep = |record| -> Result<()> {
        if records.len() == full_after {
            return Err(runner::RunnerError::Thread(std::io::Error::other("no space left")).into());
        }
        records.push(record);
        if records.len() == stop_at {
            stop.cancel();
        }
        Ok(())
    };
    let manner = Manner { scrape_every: None, keep_text: false, part: LoadPart::WarmUp };
    let measured = server.measure(plan, load, &manner, &stop, &mut Nobody, &mut keep).await;
    (measured, records)
}

#[tokio::test]
async fn every_measured_request_is_kept_and_no_warm_up() {
    let (ended, records) = measured(&plan(5, 3), usize::MAX, usize::MAX).await;
    assert!(!ended.map_err(words).unwrap().stopped);
    assert!(records.len() == 5 && records.iter().all(RequestRecord::is_done), "{records:?}");
}

#[tokio::test]
async fn a_full_disk_ends_the_run_with_what_it_said() {
    let (ended, records) = measured(&plan(500, 0), 3, usize::MAX).await;
    assert!(words(ended.unwrap_err()).contains("no space left"));
    assert_eq!(records.len(), 3);
}

#[tokio::test]
async fn a_stop_before_or_in_the_warm_up_measures_nothing_and_is_no_failure() {
    let (ended, records) = measured(&plan(5, 3), usize::MAX, 0).await;
    assert!(ended.map_err(words).unwrap().stopped && records.is_empty());
}

#[tokio::test]
async fn a_stop_in_the_run_keeps_what_ended_and_what_was_in_flight() {
    let (ended, records) = measured(&plan(500, 0), usize::MAX, 4).await;
    assert!(ended.map_err(words).unwrap().stopped);
    assert!(records.len() >= 4 && records.len() < 500);
    assert!(records.iter().all(|record| !matches!(record.outcome, Ended::Failed { .. })));
}

#[tokio::test]
async fn a_data_file_that_changed_since_the_plan_was_made_is_refused() {
    let mock = mock();
    let server = open(&mock).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    crate::fs::write_atomic(&path, b"0\n1\n").unwrap();
    let file = DataFile { name: "data".into(), sha256: "0".repeat(64) };
    let jsonl =
        LoadPlan { workload: Workload::Jsonl { file: file.clone(), output_tokens: None }, ..plan(1, 0) };
    let trace = LoadPlan { arrival: Arrival::Trace { file, scale: 1.0 }, ..plan(1, 0) };
    for (plan, files) in [
        (jsonl, Files { workload: Some(path.clone()), ..Files::default() }),
        (trace, Files { trace: Some(path.clone()), ..Files::default() }),
    ] {
        let error = server.prepare(&plan, &files, None, 0).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(words(error).contains("has changed since the plan was made"));
    }
}
