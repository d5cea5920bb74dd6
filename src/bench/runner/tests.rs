use tokio::net::TcpListener;

use super::*;
use crate::bench::client::Connector;
use crate::bench::conversation::Prompt;
use crate::bench::plan::{Arrival, Lengths, Protocol, RequestLimits, Sampling, Slo, Workload};
use crate::bench::target::ServerTarget;
use crate::events::LiveView;
use crate::mock::Fault;
use crate::mock::{RunningMock, Scenario, spawn};

const LIMITS: RequestLimits = RequestLimits {
    connect_s: 60.0,
    first_token_s: 60.0,
    stall_s: 60.0,
    request_s: 60.0,
    answer_bytes: 1 << 20,
    failed_share: 0.0,
    retries: 0,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two tokens at once, unless `fault`.
fn mock(fault: Option<(Fault, u32)>) -> RunningMock {
    let (fault, fault_every) = fault.map_or((None, 1), |(fault, every)| (Some(fault), every));
    let scenario = Scenario { ttft: ms(5), itl: ms(2), fault, fault_every, ..Scenario::default() };
    spawn(scenario, ([127, 0, 0, 1], 0).into()).unwrap()
}

fn turn(pause: Duration) -> Turn {
    Turn { prompt: Prompt::Text("Hello.".into()), input_tokens: None, output_tokens: 2, pause }
}

/// Conversations of so many turns each.
fn conversations(count: u32, turns: usize) -> Vec<Conversation> {
    (0..count).map(|index| Conversation { index, turns: vec![turn(ms(3)); turns] }).collect()
}

fn a_run(conversations: Vec<Conversation>, schedule: Schedule, concurrency: Option<u32>) -> Run {
    let plan = LoadPlan {
        profile: "test".into(),
        model: "mock".into(),
        protocol: Protocol::Chat,
        requests: conversations.iter().map(|one| one.turns.len() as u32).sum(),
        workload: Workload::Random { input_tokens: 4, output_tokens: 2, lengths: Lengths::Exact },
        arrival: Arrival::ClosedLoop,
        concurrency,
        warmup: 0,
        seed: 0,
        sampling: Sampling { temperature: 0.0, ignore_eos: true, extra_body: serde_json::Map::new() },
        limits: LIMITS,
        slo: Slo::default(),
    };
    Run { plan, conversations, schedule, id: "test".into(), keep_text: false }
}

struct Ran {
    records: Vec<RequestRecord>,
    live: LiveView,
}

async fn run_at(url: &str, a_run: Run, stop: &CancellationToken, stop_after: usize) -> Ran {
    let target = ServerTarget::new(url, None).unwrap();
    let connector = Connector::new(&target, None).await.unwrap();
    let client = Client::new(&target, connector, a_run.plan.protocol, a_run.plan.limits, true).unwrap();
    let live = Arc::new(Live::default());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let running = run(a_run, move || client, live.clone(), sender, stop.clone());
    let collect = async {
        let mut records = Vec::new();
        while let Some(record) = receiver.recv().await {
            records.push(record);
            if records.len() == stop_after {
                stop.cancel();
            }
        }
        records
    };
    let both = async { tokio::join!(running, collect) };
    let (ended, records) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("it never ended");
    ended.unwrap();
    Ran { records, live: live.view() }
}

async fn run_all(mock: &RunningMock, a_run: Run) -> Ran {
    run_at(&mock.url(), a_run, &CancellationToken::new(), usize::MAX).await
}

#[tokio::test]
async fn a_closed_loop_sends_everything_once_and_keeps_its_limit() {
    let ran = run_all(&mock(None), a_run(conversations(12, 1), Schedule::Closed, Some(3))).await;
    let mut sent: Vec<u32> = ran.records.iter().map(|record| record.conversation).collect();
    sent.sort_unstable();
    assert_eq!(sent, (0..12).collect::<Vec<_>>());
    for record in &ran.records {
        assert!(record.is_done() && record.attempts == 1 && record.scheduled_us.is_none());
        assert!(record.sent_us <= record.ended_us);
        let beside =
            |other: &&RequestRecord| other.sent_us <= record.sent_us && other.ended_us > record.sent_us;
        assert!(ran.records.iter().filter(beside).count() <= 3, "{record:?}");
    }
    let LiveView { sent, done, failed, tokens, mean_ttft_ms, mean_itl_ms } = ran.live;
    assert_eq!((sent, done, failed, tokens), (12, 12, 0, 24));
    assert!(mean_ttft_ms.unwrap() >= 5.0 && mean_itl_ms.is_some());
}

#[tokio::test]
async fn an_open_loop_sends_when_due_and_waits_in_order_for_a_slot() {
    let times: Vec<Duration> = (0..8).map(|k| ms(k * 2)).collect();
    let ran = run_all(&mock(None), a_run(conversations(8, 1), Schedule::Open(times.clone()), Some(1))).await;
    assert_eq!(ran.records.len(), 8);
    // One at a time, so they end in the order in which they were due.
    for (place, record) in ran.records.iter().enumerate() {
        assert_eq!(record.conversation as usize, place);
        assert_eq!(record.scheduled_us, Some(times[place].as_micros() as u64));
        assert!(record.sent_us >= record.scheduled_us.unwrap(), "nothing is sent before it is due");
    }
}

#[tokio::test]
async fn a_later_turn_is_due_a_pause_after_the_answers_end() {
    let open = Schedule::Open(vec![Duration::ZERO; 2]);
    let ran = run_all(&mock(None), a_run(conversations(2, 3), open, None)).await;
    assert_eq!(ran.records.len(), 6);
    for record in ran.records.iter().filter(|record| record.turn > 0) {
        let before = (record.conversation, record.turn - 1);
        let earlier = ran.records.iter().find(|other| (other.conversation, other.turn) == before).unwrap();
        assert_eq!(record.scheduled_us, Some(earlier.ended_us + 3_000));
        assert!(record.sent_us >= earlier.ended_us + 3_000);
        assert!(record.answer.text.is_none(), "texts are for the history alone");
    }
    // The same without a schedule has none for later turns either.
    let ran = run_all(&mock(None), a_run(conversations(2, 2), Schedule::Closed, Some(2))).await;
    assert!(ran.records.len() == 4 && ran.records.iter().all(|record| record.scheduled_us.is_none()));
}

#[tokio::test]
async fn what_failed_before_its_first_token_is_tried_again_as_often_as_the_plan_says() {
    let mut again = a_run(conversations(6, 1), Schedule::Closed, Some(1));
    again.plan.limits.retries = 2;
    // Every third request: two go well, then one fails and is tried again.
    let ran = run_all(&mock(Some((Fault::Status(503), 3))), again).await;
    let attempts: Vec<u32> = ran.records.iter().map(|record| record.attempts).collect();
    assert_eq!(attempts, [1, 1, 2, 1, 2, 1]);
    assert!(ran.records.iter().all(RequestRecord::is_done));
    assert_eq!((ran.live.sent, ran.live.done, ran.live.failed), (6, 6, 0));

    let mut hopeless = a_run(conversations(2, 1), Schedule::Closed, Some(1));
    hopeless.plan.limits.retries = 2;
    let ran = run_all(&mock(Some((Fault::Status(503), 1))), hopeless).await;
    assert!(ran.records.iter().all(|record| record.attempts == 3 && !record.is_done()));
    assert_eq!((ran.live.sent, ran.live.done, ran.live.failed), (2, 0, 2));
}

#[tokio::test]
async fn what_failed_after_its_first_token_or_cannot_be_sent_is_not_tried_again() {
    let mut cut = a_run(conversations(1, 2), Schedule::Closed, Some(1));
    cut.plan.limits.retries = 5;
    let ran = run_all(&mock(Some((Fault::CutAfter(1), 1))), cut).await;
    assert_eq!(ran.records.len(), 1, "a turn that failed ends its conversation");
    assert_eq!(ran.records[0].attempts, 1);

    let mut unsendable = a_run(conversations(1, 1), Schedule::Closed, Some(1));
    unsendable.plan.limits.retries = 5;
    unsendable.conversations[0].turns[0].prompt = Prompt::Tokens(vec![1]);
    let ran = run_all(&mock(None), unsendable).await;
    assert_eq!(ran.records[0].attempts, 1);
    let Outcome::Failed { class, message } = &ran.records[0].outcome else { panic!("{:?}", ran.records) };
    assert!(*class == FailureClass::Malformed && message.contains("token ids"), "{message}");
}

#[tokio::test]
async fn a_stop_records_what_is_in_flight_and_sends_nothing_more() {
    let scenario = Scenario {
        ttft: ms(5),
        itl: ms(2),
        // The third and what comes after it say one token and then nothing.
        fault: Some(Fault::Stall(1, Some(Duration::from_secs(600)))),
        fault_every: 3,
        ..Scenario::default()
    };
    let mock = spawn(scenario, ([127, 0, 0, 1], 0).into()).unwrap();
    let stop = CancellationToken::new();
    let endless = a_run(conversations(50, 1), Schedule::Closed, Some(2));
    let ran = run_at(&mock.url(), endless, &stop, 3).await;
    let interrupted = ran.records.iter().filter(|record| record.outcome == Outcome::Interrupted);
    let done = ran.records.iter().filter(|record| record.is_done()).count();
    assert!(interrupted.clone().count() >= 1 && done >= 2, "{:?}", ran.records);
    assert!(ran.records.len() < 50, "nothing more was sent");
    let stalled = interrupted.max_by_key(|record| record.answer.chunk_us.len()).unwrap();
    assert_eq!(stalled.answer.output_tokens as usize, stalled.answer.chunk_us.len());
    assert_eq!(ran.live.failed, 0, "who is stopped has not failed");
}

#[tokio::test]
async fn a_run_stopped_before_it_began_sends_nothing() {
    let mock = mock(None);
    let times = vec![Duration::ZERO; 5];
    for (schedule, concurrency) in
        [(Schedule::Closed, Some(2)), (Schedule::Closed, None), (Schedule::Open(times), None)]
    {
        let stop = CancellationToken::new();
        stop.cancel();
        let ran = run_at(&mock.url(), a_run(conversations(5, 1), schedule, concurrency), &stop, 0).await;
        assert!(ran.records.is_empty() && ran.live.sent == 0, "{:?}", ran.records);
    }
    assert_eq!(mock.truth().streams().len(), 0);
}

#[tokio::test]
async fn a_stop_while_connections_are_opened_is_heard() {
    // Takes connections and never answers: TLS is never agreed on.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    let accepted = tokio::spawn(async move {
        let held = silent.accept().await;
        stopper.cancel();
        std::future::pending::<()>().await;
        drop(held);
    });
    let ran = run_at(&url, a_run(conversations(5, 1), Schedule::Closed, Some(2)), &stop, usize::MAX).await;
    assert!(ran.records.is_empty());
    accepted.abort();
}

#[tokio::test]
async fn a_panic_on_the_measuring_thread_is_no_good_end() {
    let a_run = a_run(conversations(1, 1), Schedule::Closed, Some(1));
    let (sender, _receiver) = mpsc::unbounded_channel();
    let ended = run(a_run, || panic!("for the test"), Arc::default(), sender, CancellationToken::new()).await;
    assert!(matches!(ended, Err(RunnerError::Panicked)));
}

#[tokio::test]
#[should_panic(expected = "for the test")]
async fn a_panic_in_a_conversation_is_passed_on() {
    let ended = tokio::spawn(async { panic!("for the test") }).await;
    not_panicked(ended);
}

#[test]
fn open_files_are_raised_as_far_as_they_may() {
    let other = OTHER_FILES;
    // Enough, and enough for every connection to be replaced while it is read to its end.
    assert!(matches!(open_files(100, Some(1024), Some(4096)), Ok(None)));
    assert!(matches!(open_files(100, None, None), Ok(None)));
    assert!(matches!(open_files(1000, Some(1024), Some(4096)), Ok(Some(wanted)) if wanted == 2000 + other));
    assert!(matches!(open_files(3000, Some(1024), Some(4096)), Ok(Some(4096))));
    assert!(matches!(open_files(3000, Some(4096), Some(4096)), Ok(None)));
    assert!(matches!(open_files(3000, Some(1024), None), Ok(Some(wanted)) if wanted == 6000 + other));
    let error = open_files(4096, Some(1024), Some(4096)).unwrap_err();
    let words = format!("4096 requests in flight need {} open files, and the limit is 4096", 4096 + other);
    assert!(error.to_string().starts_with(&words), "{error}");
    assert!(error.hint().unwrap().contains("--concurrency"));
}
