//! Latencies of one run and how they would vary had other requests come: a block bootstrap over requests.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::bench::metrics::bootstrap::{Draws, RESAMPLES, middle};
use crate::bench::metrics::latency;
use crate::bench::metrics::pool::{Figures, Pool, Sample};
use crate::bench::record::RequestRecord;

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

/// The samples of one latency in one run, in the order in which their requests were sent.
#[derive(Debug)]
pub(super) struct LatencySamples {
    /// None where no request has one.
    pool: Option<Pool>,
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

impl LatencySamples {
    /// Those of the successful requests among `records`, of which about `in_flight` were so at once.
    pub(super) fn new(latency: Latency, records: &[RequestRecord], in_flight: f64) -> Self {
        let mut done: Vec<&RequestRecord> = records.iter().filter(|record| record.is_done()).collect();
        done.sort_by_key(|record| (record.sent_us, record.conversation, record.turn));
        let of = |(request, record): (u32, &RequestRecord)| {
            latency.of(record).into_iter().map(move |(value, weight)| Sample { request, value, weight })
        };
        let pool = Pool::new(&(0..).zip(done).flat_map(of).collect::<Vec<_>>());
        let most = (pool.as_ref().map_or(0, Pool::requests) / BLOCKS).max(1);
        Self { pool, block: (in_flight.round() as usize).clamp(1, most) }
    }

    /// Requests that have a sample.
    pub(super) fn requests(&self) -> usize {
        self.pool.as_ref().map_or(0, Pool::requests)
    }
}

/// How far the logarithm of B/A may be from what was seen: lower and upper end, for mean, median and p99.
/// None of a side may be empty.
pub(super) fn spread(a: &[LatencySamples], b: &[LatencySamples], seed: u64) -> [(f64, f64); 3] {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let pools =
        |side: &[LatencySamples]| side.iter().filter_map(|it| it.pool.as_ref()).map(Pool::figures).collect();
    let seen = |side: &[LatencySamples]| mean_logs(pools(side));
    let (seen_a, seen_b) = (seen(a), seen(b));
    let (mut draws_a, mut draws_b) = (draws(a), draws(b));
    let mut off: [Vec<f64>; 3] = Default::default();
    for _ in 0..RESAMPLES {
        let mut drawn =
            |side: &mut [Draws<'_>]| mean_logs(side.iter_mut().map(|it| it.draw(&mut random)).collect());
        let (drawn_a, drawn_b) = (drawn(&mut draws_a), drawn(&mut draws_b));
        for (figure, off) in off.iter_mut().enumerate() {
            off.push((drawn_b[figure] - drawn_a[figure]) - (seen_b[figure] - seen_a[figure]));
        }
    }
    off.map(|off| middle(off).unwrap_or((f64::NEG_INFINITY, f64::INFINITY)))
}

fn draws(side: &[LatencySamples]) -> Vec<Draws<'_>> {
    side.iter().filter_map(|it| Some(Draws::new(it.pool.as_ref()?, it.block))).collect()
}

/// The mean over runs of the logarithms of mean, median and p99.
fn mean_logs(runs: Vec<Figures>) -> [f64; 3] {
    let mut logs = [0.0; 3];
    for it in &runs {
        for (log, value) in logs.iter_mut().zip([it.mean, it.median, it.p99]) {
            *log += value.ln() / runs.len() as f64;
        }
    }
    logs
}
