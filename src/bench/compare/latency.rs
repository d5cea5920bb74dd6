//! Latencies of one run and how they would vary had other requests come: a block bootstrap over requests.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bench::metrics::latency;
use crate::bench::record::RequestRecord;

/// Samples looked at by all resamples of one latency together: keeps 10,000 long answers to seconds.
const WORK: usize = 200_000_000;

/// Resamples at least and at most. 2.5 % of 400 are 10 values: enough for an interval's end.
const RESAMPLES: (usize, usize) = (400, 1000);

/// Blocks there are at least, whatever the concurrency: fewer say too little about how blocks vary.
const BLOCKS: usize = 25;

/// The latencies that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latency {
    Ttft,
    Tpot,
    Itl,
    E2e,
    TtftFromSchedule,
    E2eFromSchedule,
}

/// The figures of a latency that are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    pub(super) mean: f64,
    pub(super) median: f64,
    pub(super) p99: f64,
}

/// The samples of one latency in one run, milliseconds, each known by the request it belongs to.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    /// Value, weight, request: by value.
    sorted: Vec<(f64, f64, u32)>,
    /// Sum of weights and of weighted values by request, in the order they were sent.
    requests: Vec<(f64, f64)>,
    /// Neighbours that are drawn together.
    block: usize,
}

impl Latency {
    pub(crate) const ALL: [Latency; 6] = [
        Latency::Ttft,
        Latency::TtftFromSchedule,
        Latency::Tpot,
        Latency::Itl,
        Latency::E2e,
        Latency::E2eFromSchedule,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Latency::Ttft => "TTFT",
            Latency::TtftFromSchedule => "TTFT from schedule",
            Latency::Tpot => "TPOT",
            Latency::Itl => "ITL",
            Latency::E2e => "E2E",
            Latency::E2eFromSchedule => "E2E from schedule",
        }
    }

    /// The samples one successful request gives: milliseconds and weight.
    pub(crate) fn of(self, record: &RequestRecord) -> Vec<(f64, f64)> {
        let one = |ms: Option<f64>| ms.map(|ms| (ms, 1.0)).into_iter().collect();
        match self {
            Latency::Ttft => one(latency::ttft_ms(record)),
            Latency::TtftFromSchedule => one(latency::ttft_from_schedule_ms(record)),
            Latency::E2e => one(Some(latency::e2e_ms(record))),
            Latency::E2eFromSchedule => one(latency::e2e_from_schedule_ms(record)),
            Latency::Tpot => one(latency::tpot_ms(record)),
            Latency::Itl => latency::itl_ms(record).collect(),
        }
    }
}

impl Samples {
    /// Those of the successful requests among `records`, of which about `in_flight` were so at once.
    pub(super) fn new(latency: Latency, records: &[RequestRecord], in_flight: f64) -> Self {
        let mut done: Vec<&RequestRecord> = records.iter().filter(|record| record.is_done()).collect();
        done.sort_by_key(|record| (record.sent_us, record.conversation, record.turn));
        let mut samples = Self::default();
        for record in done {
            let own = latency.of(record);
            let weight: f64 = own.iter().map(|it| it.1).sum();
            if weight > 0.0 {
                let request = samples.requests.len() as u32;
                samples.requests.push((weight, own.iter().map(|it| it.0 * it.1).sum()));
                samples.sorted.extend(own.into_iter().map(|(value, weight)| (value, weight, request)));
            }
        }
        samples.sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let most = (samples.requests.len() / BLOCKS).max(1);
        samples.block = (in_flight.round() as usize).clamp(1, most);
        samples
    }

    /// Requests that have a sample.
    pub(super) fn requests(&self) -> usize {
        self.requests.len()
    }

    /// The figures when the nth request counts `times[n]` times.
    fn figures(&self, times: &[u32]) -> Figures {
        let (mut weight, mut sum) = (0.0, 0.0);
        for (request, times) in self.requests.iter().zip(times) {
            weight += request.0 * f64::from(*times);
            sum += request.1 * f64::from(*times);
        }
        let (mut median, mut p99) = (f64::NAN, f64::NAN);
        let mut below = 0.0;
        for (value, own, request) in &self.sorted {
            below += own * f64::from(times[*request as usize]);
            if median.is_nan() && below >= weight * 0.5 {
                median = *value;
            }
            if below >= weight * 0.99 {
                p99 = *value;
                break;
            }
        }
        Figures { mean: sum / weight, median, p99 }
    }

    fn resampled(&self, rng: &mut ChaCha8Rng, times: &mut Vec<u32>) -> Figures {
        let count = self.requests.len();
        times.clear();
        times.resize(count, 0);
        let mut drawn = 0;
        while drawn < count {
            let start = rng.random_range(0..count);
            // Blocks go round the end, so that every request is as likely as any other.
            for step in 0..self.block.min(count - drawn) {
                times[(start + step) % count] += 1;
            }
            drawn += self.block;
        }
        self.figures(times)
    }
}

/// How far the logarithm of B/A may be from what was seen: lower and upper end, for mean, median and p99.
/// None of a side may be empty.
pub(super) fn spread(a: &[Samples], b: &[Samples], seed: u64) -> [(f64, f64); 3] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let size: usize = a.iter().chain(b).map(|samples| samples.sorted.len()).sum();
    let resamples = (WORK / size.max(1)).clamp(RESAMPLES.0, RESAMPLES.1);
    let seen =
        |side: &[Samples]| mean_logs(side, |samples| samples.figures(&vec![1; samples.requests.len()]));
    let (seen_a, seen_b) = (seen(a), seen(b));
    let mut off: [Vec<f64>; 3] = Default::default();
    let mut times = Vec::new();
    for _ in 0..resamples {
        let drawn_a = mean_logs(a, |samples| samples.resampled(&mut rng, &mut times));
        let drawn_b = mean_logs(b, |samples| samples.resampled(&mut rng, &mut times));
        for figure in 0..3 {
            off[figure].push((drawn_b[figure] - drawn_a[figure]) - (seen_b[figure] - seen_a[figure]));
        }
    }
    off.map(|mut off| {
        off.sort_by(f64::total_cmp);
        let tail = (resamples as f64 * 0.025) as usize;
        (off[tail], off[resamples - 1 - tail])
    })
}

/// The mean over runs of the figures' logarithms.
fn mean_logs(side: &[Samples], mut figures: impl FnMut(&Samples) -> Figures) -> [f64; 3] {
    let mut logs = [0.0; 3];
    for samples in side {
        let it = figures(samples);
        for (log, value) in logs.iter_mut().zip([it.mean, it.median, it.p99]) {
            *log += value.ln() / side.len() as f64;
        }
    }
    logs
}
