// Runs that no server ever made, as irregular as measured ones and the same every time. Used by the tests of
// comparisons and report pages, inside the library and beside it: included, so no inner documentation.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use spark::bench::compare::MeasuredRun;
use spark::bench::plan::*;
use spark::bench::record::*;
use spark::bench::summary::*;

/// What to make up.
#[derive(Debug, Clone)]
pub(crate) struct MadeUp {
    pub seed: u64,
    pub requests: u32,
    /// Conversations at a time: a closed loop.
    pub concurrency: u32,
    /// With a rate, arrivals follow Poisson instead.
    pub rate: Option<f64>,
    pub output_tokens: u32,
    /// All of the server's times are multiplied by this.
    pub slowdown: f64,
    pub failed_share: f64,
    /// The server does nothing for two seconds from here on.
    pub stall_at_s: Option<f64>,
    /// Standard deviation of the server's speed between one second and the next, which all requests share.
    pub weather: f64,
}

impl Default for MadeUp {
    fn default() -> Self {
        Self {
            seed: 1,
            requests: 500,
            concurrency: 16,
            rate: None,
            output_tokens: 60,
            slowdown: 1.0,
            failed_share: 0.0,
            stall_at_s: None,
            weather: 0.03,
        }
    }
}

const STALL_S: f64 = 2.0;

/// Standard normal, by the sum of twelve uniforms.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
}

/// The run.
pub(crate) fn made_up(options: &MadeUp) -> MeasuredRun {
    let plan = plan(options);
    let records = records(options);
    let summary = summary(&plan, &records);
    MeasuredRun { name: format!("results/made-up-{}", options.seed), plan, summary, records, nodes: None }
}

fn plan(options: &MadeUp) -> LoadPlan {
    LoadPlan {
        profile: "chat".into(),
        model: "made-up/model".into(),
        protocol: Protocol::Chat,
        requests: options.requests,
        workload: Workload::Random {
            input_tokens: 512,
            output_tokens: options.output_tokens,
            lengths: Lengths::Uniform { range_ratio: 0.5 },
        },
        arrival: options.rate.map_or(Arrival::ClosedLoop, |rate| Arrival::Poisson { rate }),
        concurrency: options.rate.is_none().then_some(options.concurrency),
        warmup: 4,
        seed: 1,
        sampling: Sampling { temperature: 0.0, ignore_eos: true, extra_body: serde_json::Map::new() },
        limits: RequestLimits {
            connect_s: 5.0,
            first_token_s: 60.0,
            stall_s: 30.0,
            request_s: 300.0,
            answer_bytes: 1 << 24,
            failed_share: 0.05,
            retries: 0,
        },
        slo: Slo { ttft_ms: Some(400.0), tpot_ms: Some(40.0), e2e_ms: None },
    }
}

fn records(options: &MadeUp) -> Vec<RequestRecord> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let weather: Vec<f64> = (0..10_000).map(|_| (options.weather * normal(&mut rng)).exp()).collect();
    let slots = options.concurrency.max(1) as usize;
    let mut free = vec![0.0; slots];
    let mut due = 0.0;
    let mut records = Vec::new();
    // More requests at a time make each slower, as a batch does.
    let crowd = |in_flight: f64| 1.0 + in_flight / 40.0;
    for conversation in 0..options.requests {
        let sent = match options.rate {
            Some(rate) => {
                due += -(1.0 - rng.random_range(0.0..1.0f64)).ln() / rate;
                due
            }
            None => free.iter().copied().fold(f64::INFINITY, f64::min),
        };
        let in_flight = free.iter().filter(|end| **end > sent).count() as f64;
        let scale = options.slowdown * crowd(in_flight.max(options.concurrency as f64 * 0.5));
        let after_stall = |at: f64| match options.stall_at_s {
            Some(stall) if (stall..stall + STALL_S).contains(&at) => stall + STALL_S,
            _ => at,
        };
        let speed = |at: f64| weather[(at.max(0.0) as usize).min(weather.len() - 1)];
        let tokens = rng.random_range(options.output_tokens / 2..=options.output_tokens).max(2);
        let mut now = sent + 0.12 * scale * speed(sent) * (0.45 * normal(&mut rng)).exp();
        now = after_stall(now);
        let (mut chunk_us, mut chunk_tokens, mut made) = (Vec::new(), Vec::new(), 0);
        let us = |at: f64| ((at - sent) * 1e6) as u64;
        while made < tokens {
            let several = if rng.random_range(0.0..1.0) < 0.2 { 2.min(tokens - made) } else { 1 };
            chunk_us.push(us(now));
            chunk_tokens.push(several as f32);
            made += several;
            now = after_stall(now + 0.018 * scale * speed(now) * (0.2 * normal(&mut rng)).exp());
        }
        let mut outcome = Outcome::Done;
        let mut ended = chunk_us.last().copied().unwrap_or(0);
        if rng.random_range(0.0..1.0) < options.failed_share {
            let class = if conversation % 3 == 0 { FailureClass::HttpStatus } else { FailureClass::CutOff };
            let message = if class == FailureClass::CutOff {
                "the stream ended without a finish reason"
            } else {
                "503 Service Unavailable: no worker <is> free"
            };
            outcome = Outcome::Failed { class, message: message.into() };
            let kept = if class == FailureClass::CutOff { chunk_us.len() / 2 } else { 0 };
            chunk_us.truncate(kept);
            chunk_tokens.truncate(kept);
            ended = chunk_us.last().copied().unwrap_or(3_000);
        }
        let sent_us = (sent * 1e6).round() as u64;
        let earliest = (0..slots).min_by(|a, b| free[*a].total_cmp(&free[*b])).unwrap();
        free[earliest] = (sent_us + ended) as f64 / 1e6;
        records.push(RequestRecord {
            conversation,
            turn: 0,
            scheduled_us: options.rate.map(|_| sent_us.saturating_sub(200)),
            sent_us,
            ended_us: sent_us + ended,
            attempts: 1,
            planned_input_tokens: Some(512),
            planned_output_tokens: tokens,
            answer: Answer {
                input_tokens: Some(512),
                cached_tokens: Some(64),
                output_tokens: chunk_tokens.iter().sum::<f32>() as u32,
                reasoning_tokens: None,
                token_source: TokenSource::Cumulative,
                chunk_us,
                chunk_tokens,
                accept_length: Some(1.2),
                finish_reason: Some("length".into()),
                text: None,
            },
            outcome,
        });
    }
    records
}

/// Roughly what the metrics make of it: enough to look at, not to be right to the last digit.
fn summary(plan: &LoadPlan, records: &[RequestRecord]) -> Summary {
    let done: Vec<&RequestRecord> = records.iter().filter(|it| it.is_done()).collect();
    let ms = |us: u64| us as f64 / 1e3;
    let ttft = distribution(done.iter().filter_map(|it| it.ttft_us()).map(ms).collect());
    let e2e = distribution(done.iter().map(|it| ms(it.ended_us - it.sent_us)).collect());
    let tpot = distribution(
        done.iter()
            .map(|it| {
                ms(it.ended_us - it.sent_us - it.ttft_us().unwrap()) / f64::from(it.answer.output_tokens - 1)
            })
            .collect(),
    );
    let itl = distribution(
        done.iter()
            .flat_map(|it| {
                let gaps = it.answer.chunk_us.windows(2).zip(&it.answer.chunk_tokens[1..]);
                gaps.flat_map(|(pair, tokens)| {
                    let each = ms(pair[1] - pair[0]) / f64::from(*tokens);
                    std::iter::repeat_n(each, *tokens as usize)
                })
            })
            .collect(),
    );
    let scheduled = records.iter().any(|it| it.scheduled_us.is_some());
    let end = records.iter().map(|it| it.ended_us).max().unwrap_or(1) as f64 / 1e6;
    let rates = |from_s: f64, to_s: f64| {
        let ended: Vec<_> =
            done.iter().filter(|it| (from_s..=to_s).contains(&(it.ended_us as f64 / 1e6))).collect();
        let duration_s = to_s - from_s;
        let output = ended.iter().map(|it| f64::from(it.answer.output_tokens)).sum::<f64>() / duration_s;
        let input = ended.len() as f64 * 512.0 / duration_s;
        Throughput {
            from_s,
            duration_s,
            requests: ended.len() as f64 / duration_s,
            input_tokens: input,
            output_tokens: output,
            total_tokens: input + output,
        }
    };
    let failed = records.len() - done.len();
    let mut failures = BTreeMap::new();
    for record in records {
        if let Outcome::Failed { class, .. } = &record.outcome {
            *failures.entry(*class).or_insert(0) += 1;
        }
    }
    let busy: u64 = records.iter().map(|it| it.ended_us - it.sent_us).sum();
    let good = done.iter().filter(|it| it.ttft_us().unwrap() < 400_000).count() as f64;
    Summary {
        profile: plan.profile.clone(),
        model: plan.model.clone(),
        warnings: if failed > 0 {
            vec![format!("{failed} requests failed; latencies are those of the rest")]
        } else {
            vec![]
        },
        counts: Counts {
            planned: plan.requests,
            completed: done.len() as u32,
            failed: failed as u32,
            interrupted: 0,
            unsent: 0,
            failures,
        },
        input_tokens: done.len() as u64 * 512,
        output_tokens: done.iter().map(|it| u64::from(it.answer.output_tokens)).sum(),
        cached_tokens: Some(done.len() as u64 * 64),
        accept_length: Some(1.2),
        exact_token_share: 1.0,
        input_length_error: Some(LengthError { mean: 0.0, max: 0.0, off: 0 }),
        throughput: rates(0.0, end),
        steady: Some(rates(end * 0.1, end * 0.9)),
        latency_ms: Latencies {
            ttft_from_schedule: ttft.clone().filter(|_| scheduled),
            e2e_from_schedule: e2e.clone().filter(|_| scheduled),
            queued: None,
            ttft,
            tpot,
            itl,
            e2e,
        },
        mean_concurrency: busy as f64 / 1e6 / end,
        peak_concurrency: plan.concurrency.unwrap_or(30),
        peak_output_tokens_per_s: 812.0,
        goodput: Some(Goodput { requests: good / end, share: good / records.len() as f64 }),
        client: ClientHealth {
            cpu_s: 1.3,
            cpu_share: 0.02,
            lag_ms: LagMs { median: 0.05, p99: 0.4, max: 2.1 },
            late_sends: 0,
            latest_send_ms: 0.0,
            kernel_times: Some(1.0),
            complaints: vec![],
        },
        server: ServerView {
            runtime: "sglang".into(),
            version: Some("0.5.4.post2".into()),
            info: None,
            samples: samples(end),
        },
    }
}

fn samples(end: f64) -> Vec<MetricsSample> {
    let at = |at_s: f64| MetricsSample {
        at_s,
        values: BTreeMap::from([
            ("sglang:num_running_reqs".to_owned(), (14.0 + 2.0 * (at_s / 7.0).sin()).round()),
            ("sglang:token_usage".to_owned(), 0.3 + 0.2 * (at_s / 11.0).sin().abs()),
            ("sglang:generation_tokens_total".to_owned(), 1000.0 + at_s.max(0.0) * 640.0),
            ("sglang:num_aborted_requests_total".to_owned(), 0.0),
        ]),
    };
    std::iter::once(-1.0).chain((0..=(end / 2.0) as u32).map(|n| f64::from(n) * 2.0)).map(at).collect()
}

fn distribution(mut values: Vec<f64>) -> Option<Distribution> {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let max = *values.last()?;
    let mean = values.iter().sum::<f64>() / count as f64;
    let std = (values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
    let around = |value: f64, half: f64| Estimate { value, low: value - half, high: value + half };
    let half = 1.96 * std / (count as f64).sqrt();
    let at = |share: f64| {
        let rank = ((count as f64 * share).ceil() as usize).clamp(1, count) - 1;
        around(values[rank], half * 1.3)
    };
    Some(Distribution {
        count: count as u64,
        mean: around(mean, half),
        median: at(0.5),
        std: around(std, half * 0.7),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        max: around(max, 0.0),
    })
}
