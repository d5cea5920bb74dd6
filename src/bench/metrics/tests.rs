//! Summaries of small runs, by hand.

use super::fixture::{answered, done, failed};
use super::*;
use crate::bench::plan::{Arrival, Lengths, Protocol, RequestLimits, Sampling, Slo, Workload};
use crate::bench::record::FailureClass;
use crate::bench::summary::MetricsSample;

pub(in crate::bench) fn plan(requests: u32, output_tokens: u32) -> LoadPlan {
    LoadPlan {
        profile: "test".into(),
        model: "m".into(),
        protocol: Protocol::Chat,
        requests,
        workload: Workload::Random { input_tokens: 10, output_tokens, lengths: Lengths::Exact },
        arrival: Arrival::AllAtOnce,
        concurrency: None,
        warmup: 0,
        seed: 3,
        sampling: Sampling { temperature: 0.0, ignore_eos: true, extra_body: Default::default() },
        limits: RequestLimits {
            connect_s: 1.0,
            first_token_s: 1.0,
            stall_s: 1.0,
            request_s: 1.0,
            answer_bytes: 1000,
            failed_share: 0.05,
            retries: 0,
        },
        slo: Slo::default(),
    }
}

fn sum(plan: &LoadPlan, records: &[RequestRecord]) -> Summary {
    summarise(plan, records, ClientHealth::default(), ServerView::default())
}

#[test]
fn latencies_are_as_defined() {
    // TTFT 100 ms, then gaps of 50, 50 and 200 ms; the end comes with the last token.
    let records = [answered(0, &[100_000, 150_000, 200_000, 400_000])];
    let latency = sum(&plan(1, 4), &records).latency_ms;
    let ttft = latency.ttft.unwrap();
    assert_eq!((ttft.count, ttft.mean.value, ttft.max.value), (1, 100.0, 100.0));
    assert_eq!(latency.tpot.unwrap().mean.value, 100.0);
    let itl = latency.itl.unwrap();
    assert_eq!((itl.count, itl.mean.value, itl.median.value, itl.max.value), (3, 100.0, 50.0, 200.0));
    assert_eq!(latency.e2e.unwrap().mean.value, 400.0);
    assert_eq!(latency.ttft_from_schedule, None);
}

#[test]
fn an_events_tokens_share_its_time() {
    let mut record = answered(0, &[100_000, 200_000, 260_000]);
    record.answer.chunk_tokens = vec![1.0, 4.0, 2.0];
    record.answer.output_tokens = 7;
    let itl = sum(&plan(1, 7), &[record]).latency_ms.itl.unwrap();
    // Four of 25 ms, two of 30 ms.
    assert_eq!((itl.count, itl.median.value, itl.max.value), (6, 25.0, 30.0));
    assert!((itl.mean.value - 160.0 / 6.0).abs() < 1e-9);
}

#[test]
fn an_event_without_tokens_gives_its_time_to_the_next() {
    let mut record = answered(0, &[100_000, 150_000, 200_000]);
    record.answer.chunk_tokens = vec![1.0, 0.0, 1.0];
    record.answer.output_tokens = 2;
    let itl = sum(&plan(1, 2), &[record]).latency_ms.itl.unwrap();
    assert_eq!((itl.count, itl.mean.value), (1, 100.0));
}

#[test]
fn waiting_for_the_schedule_is_seen() {
    let mut record = answered(300_000, &[100_000, 200_000]);
    record.scheduled_us = Some(50_000);
    let latency = sum(&plan(1, 2), &[record]).latency_ms;
    assert_eq!(latency.ttft.unwrap().mean.value, 100.0);
    assert_eq!(latency.ttft_from_schedule.unwrap().mean.value, 350.0);
    assert_eq!(latency.e2e_from_schedule.unwrap().mean.value, 450.0);
    assert_eq!(latency.queued.unwrap().mean.value, 250.0);
}

#[test]
fn failed_requests_are_counted_and_nothing_else() {
    let mut records = vec![failed(0, 500_000); 3];
    records.push(answered(0, &[100_000, 200_000]));
    records.push(RequestRecord { outcome: Outcome::Interrupted, ..done(0, 100) });
    let summary = sum(&plan(8, 2), &records);
    let counts = &summary.counts;
    assert_eq!((counts.completed, counts.failed, counts.interrupted, counts.unsent), (1, 3, 1, 3));
    assert_eq!(counts.failures, [(FailureClass::CutOff, 3)].into());
    assert_eq!((summary.output_tokens, summary.latency_ms.ttft.unwrap().count), (2, 1));
    let said = summary.warnings.join("\n");
    assert!(
        said.contains("3 of 4 requests failed (3 cut-off)") && said.contains("4 of 8 requests ended"),
        "{said}"
    );
}

#[test]
fn the_client_s_own_trouble_is_said_first() {
    let client = ClientHealth { complaints: vec!["it was busy".into()], ..Default::default() };
    let summary = summarise(&plan(1, 1), &[failed(0, 10)], client, ServerView::default());
    assert_eq!(summary.warnings[0], "the client was the bottleneck: it was busy");
    assert!(summary.warnings[1].contains("no request succeeded"));
}

#[test]
fn inexact_counts_wrong_lengths_and_short_answers_are_said() {
    let mut spread = answered(0, &[100_000, 200_000]);
    spread.answer.token_source = TokenSource::Spread;
    let mut uneven = spread.clone();
    uneven.answer.output_tokens = 3;
    uneven.answer.input_tokens = Some(12);
    let summary = sum(&plan(2, 4), &[spread, uneven]);
    assert_eq!(summary.exact_token_share, 0.5);
    assert_eq!(summary.input_length_error, Some(LengthError { mean: 0.1, max: 0.2, off: 1 }));
    let said = summary.warnings.join("\n");
    for words in ["50 % of the events", "off by 10.0 % on average", "5 tokens of 8", "too short to say"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn the_server_s_own_count_is_held_against_ours() {
    let name = "sglang:generation_tokens_total";
    let at = |at_s, value| MetricsSample { at_s, values: [(name.to_owned(), value)].into() };
    let records = [answered(0, &[100_000, 6_000_000])];
    let warnings = |generated| {
        let server =
            ServerView { samples: vec![at(-0.1, 5.0), at(6.1, 5.0 + generated)], ..Default::default() };
        summarise(&plan(1, 2), &records, ClientHealth::default(), server).warnings.join("\n")
    };
    assert!(warnings(40.0).contains("the server counted 40 generated tokens, the client 2"));
    assert!(!warnings(2.0).contains("counted"));
}

#[test]
fn accepted_tokens_are_weighted_by_steps() {
    let with = |tokens: u32, length| {
        let mut record = answered(0, &[1_000]);
        record.answer.output_tokens = tokens;
        record.answer.accept_length = Some(length);
        record
    };
    // 100 tokens in 50 steps and 100 in 25.
    let length = sum(&plan(2, 100), &[with(100, 2.0), with(100, 4.0)]).accept_length.unwrap();
    assert!((length - 200.0 / 75.0).abs() < 1e-12);
}

#[test]
fn nothing_sent_is_a_summary_too() {
    let summary = sum(&plan(5, 1), &[]);
    assert_eq!((summary.counts.unsent, summary.latency_ms), (5, Latencies::default()));
    assert_eq!(summary.throughput, Throughput::default());
}

#[test]
fn retries_uncounted_prompts_and_a_missing_steady_state_are_said() {
    let mut record = answered(0, &[100_000, 200_000]);
    record.attempts = 2;
    record.answer.input_tokens = None;
    let summary = sum(&plan(1, 2), &[record]);
    let said = summary.warnings.join("\n");
    for words in
        ["1 requests succeeded only when sent again", "prompt tokens of 1 requests", "1 requests ended under"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!((summary.input_tokens, summary.steady), (10, None));
}
