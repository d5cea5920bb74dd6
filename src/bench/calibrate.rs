//! What this client can measure on this machine: its figures held against what a mock server really sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::arrival::Schedule;
use super::client::{Client, Connector};
use super::conversation::{Conversation, Prompt, Turn};
use super::plan::{Arrival, Lengths, LoadPlan, Protocol, RequestLimits, Sampling, Slo, Workload};
use super::record::RequestRecord;
use super::runner::{self, Live, Run};
use super::summary::ClientHealth;
use super::target::ServerTarget;
use crate::failure::Failure;
use crate::mock::truth::StreamTruth;
use crate::mock::{Scenario, spawn};

/// From a request's arrival to its first token.
pub(crate) const TTFT: Duration = Duration::from_millis(200);

/// From token to token: 50 tokens a second and stream.
pub(crate) const ITL: Duration = Duration::from_millis(20);

/// A load is measured right where p50 and p99 of TTFT and ITL are this near the truth: both the share of the
/// true value and the milliseconds must hold.
pub(crate) const WITHIN_MS: f64 = 1.0;
/// See [`WITHIN_MS`].
pub(crate) const WITHIN_SHARE: f64 = 0.01;

/// One load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CalibrationStep {
    /// Streams at once, 50 tokens a second each.
    pub streams: u32,
    /// Output tokens, all streams together.
    pub tokens: u64,
    /// Time to first token.
    pub ttft: Errors,
    /// Inter-token latency.
    pub itl: Errors,
    /// Tokens the client took in a second of its own CPU time.
    pub tokens_per_cpu_s: f64,
    /// Whether it kept up, as it says itself.
    pub client: ClientHealth,
    /// Whether p50 and p99 of both latencies are within 1 ms and 1 % of the truth.
    pub right: bool,
}

/// How far one latency's quantiles are off the truth, milliseconds; positive where the client says more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Errors {
    /// The true median.
    pub true_p50: f64,
    /// The true 99th percentile.
    pub true_p99: f64,
    /// Median measured, less the true one.
    pub p50: f64,
    /// 99th percentile measured, less the true one.
    pub p99: f64,
    /// Median of the differences token by token (request by request): what reading late adds.
    pub bias: f64,
}

impl Errors {
    /// Within 1 ms, and within 1 % of the true value.
    fn right(&self) -> bool {
        [(self.p50, self.true_p50), (self.p99, self.true_p99)]
            .iter()
            .all(|(off, truth)| off.abs() <= WITHIN_MS && off.abs() <= WITHIN_SHARE * truth)
    }
}

/// Measure so many streams of `tokens` tokens each against a mock server in this process.
///
/// # Errors
/// No port, no thread, too many files, or a request that failed.
pub(crate) async fn step(
    streams: u32,
    tokens: u32,
    stop: &CancellationToken,
) -> Result<CalibrationStep, Box<dyn Failure>> {
    let scenario = Scenario { ttft: TTFT, itl: ITL, ..Scenario::default() };
    let mock = spawn(scenario, ([127, 0, 0, 1], 0).into())?;
    let target = ServerTarget::new(&mock.url(), None)?;
    let connector = Connector::new(&target, None).await?;
    let plan = plan(streams, tokens);
    let limits = plan.limits;
    let client = Client::new(&target, connector, plan.protocol, limits, false)?;
    let run = Run {
        conversations: (0..streams).map(|index| conversation(index, tokens)).collect(),
        // Spread over one step, as requests of a running server are: a burst would measure how fast the mock
        // takes in requests.
        schedule: Schedule::Open((0..streams).map(|k| ITL * k / streams).collect()),
        plan,
        id: "calibrate".into(),
        keep_text: false,
    };
    let (records, mut ended) = mpsc::unbounded_channel();
    let end = runner::run(run, move || client, Arc::<Live>::default(), records, stop.clone()).await?;
    let mut records = Vec::new();
    while let Some(record) = ended.recv().await {
        records.push(record);
    }
    Ok(judge(streams, &records, &mock.truth().streams(), end.client))
}

fn judge(
    streams: u32,
    records: &[RequestRecord],
    truth: &[StreamTruth],
    client: ClientHealth,
) -> CalibrationStep {
    let truth: BTreeMap<&str, &StreamTruth> =
        truth.iter().filter_map(|stream| Some((stream.request_id.as_deref()?, stream))).collect();
    let (mut ttft, mut itl, mut tokens) = (Pairs::default(), Pairs::default(), 0);
    for record in records.iter().filter(|record| record.is_done()) {
        let id = format!("calibrate-{}-{}-{}", record.conversation, record.turn, record.attempts);
        let Some(stream) = truth.get(id.as_str()) else { continue };
        tokens += u64::from(record.answer.output_tokens);
        ttft.extend(record.ttft_us().zip(stream.event_us.first()).map(|(ours, true_us)| (ours, *true_us)));
        let ours = record.answer.chunk_us.windows(2).map(|pair| pair[1] - pair[0]);
        let theirs = stream.event_us.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        itl.extend(ours.zip(theirs));
    }
    let (ttft, itl) = (ttft.errors(), itl.errors());
    let whole = records.len() == streams as usize && records.iter().all(RequestRecord::is_done);
    CalibrationStep {
        streams,
        tokens,
        ttft,
        itl,
        tokens_per_cpu_s: if client.cpu_s > 0.0 { tokens as f64 / client.cpu_s } else { 0.0 },
        right: whole && ttft.right() && itl.right(),
        client,
    }
}

/// Measured and true values, microseconds.
#[derive(Debug, Default)]
struct Pairs {
    ours: Vec<f64>,
    truth: Vec<f64>,
    off: Vec<f64>,
}

impl Pairs {
    fn extend(&mut self, pairs: impl IntoIterator<Item = (u64, u32)>) {
        for (ours, truth) in pairs {
            let (ours, truth) = (ours as f64 / 1e3, f64::from(truth) / 1e3);
            self.ours.push(ours);
            self.truth.push(truth);
            self.off.push(ours - truth);
        }
    }

    fn errors(mut self) -> Errors {
        let quantile = |values: &mut Vec<f64>, share: f64| {
            values.sort_by(f64::total_cmp);
            let last = values.len().saturating_sub(1) as f64;
            values.get((last * share).round() as usize).copied().unwrap_or(f64::NAN)
        };
        let (true_p50, true_p99) = (quantile(&mut self.truth, 0.5), quantile(&mut self.truth, 0.99));
        Errors {
            true_p50,
            true_p99,
            p50: quantile(&mut self.ours, 0.5) - true_p50,
            p99: quantile(&mut self.ours, 0.99) - true_p99,
            bias: quantile(&mut self.off, 0.5),
        }
    }
}

fn conversation(index: u32, tokens: u32) -> Conversation {
    let prompt = Prompt::Text(format!("Tell me about number {index}."));
    let turn = Turn { prompt, input_tokens: None, output_tokens: tokens, pause: Duration::ZERO };
    Conversation { index, turns: vec![turn] }
}

fn plan(streams: u32, tokens: u32) -> LoadPlan {
    let seconds = (TTFT + ITL * tokens).as_secs_f64();
    LoadPlan {
        profile: "calibrate".into(),
        model: Scenario::default().model,
        protocol: Protocol::Chat,
        requests: streams,
        workload: Workload::Random { input_tokens: 16, output_tokens: tokens, lengths: Lengths::Exact },
        arrival: Arrival::Constant { rate: f64::from(streams) / ITL.as_secs_f64() },
        concurrency: None,
        warmup: 0,
        seed: 0,
        sampling: Sampling { temperature: 0.0, ignore_eos: true, extra_body: serde_json::Map::new() },
        limits: RequestLimits {
            connect_s: 10.0,
            first_token_s: 30.0,
            stall_s: 30.0,
            request_s: 60.0 + seconds,
            answer_bytes: 1 << 30,
            failed_share: 0.0,
            retries: 0,
        },
        slo: Slo::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_token_is_held_against_the_mocks_own_time() {
        let step = step(4, 6, &CancellationToken::new()).await.unwrap();
        assert_eq!(step.tokens, 24);
        // Nothing is read before it was sent.
        assert!(step.ttft.bias >= 0.0 && step.ttft.true_p50 >= 200.0, "{step:?}");
        assert!((step.itl.true_p50 - 20.0).abs() < 5.0, "{step:?}");
    }

    #[test]
    fn right_means_both_a_millisecond_and_a_hundredth() {
        let errors = |p50, p99| Errors { true_p50: 20.0, true_p99: 200.0, p50, p99, bias: 0.0 };
        assert!(errors(0.1, -0.9).right());
        assert!(!errors(0.3, 0.0).right() && !errors(0.0, 1.5).right());
        assert!(!Errors { p50: f64::NAN, ..Errors::default() }.right());
    }

    #[test]
    fn a_stream_that_is_missing_is_not_right() {
        let none = judge(1, &[], &[], ClientHealth::default());
        assert!(!none.right && none.tokens == 0);
    }
}
