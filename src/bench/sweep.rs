//! One workload under rising load, and where its knee is.
//!
//! The knee is where Kleinrock's *power*, throughput over response time, is largest (Kleinrock, "Power and
//! deterministic rules of thumb for probabilistic problems in computer communications", ICC 1979): up to there
//! one percent more latency buys more than one percent of throughput, beyond it less. In a closed loop that is
//! where doubling the concurrency stops giving 1.4 times the throughput. Unlike the point furthest from a
//! chord (Kneedle) it depends on no normalisation, so that a point added far out in overload moves nothing.

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::{Arrival, LoadPlan};
use super::summary::{Distribution, Summary};

/// How much was asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum SweepLoad {
    /// This many conversations at a time.
    Concurrency {
        /// Conversations.
        limit: u32,
    },
    /// This many conversations a second.
    Rate {
        /// Per second.
        per_s: f64,
    },
    /// Neither is fixed: all at once, a ramp, a trace.
    Other,
}

/// A latency at one point, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub(crate) struct AtPoint {
    /// 50th percentile.
    pub median: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// One load of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct SweepPoint {
    /// How much was asked.
    pub load: SweepLoad,
    /// Output tokens per second: over the steady window where there is one, else over the run.
    pub output_tokens_per_s: f64,
    /// Requests per second over the same span.
    pub requests_per_s: f64,
    /// Time to first token, from schedule where there is one.
    pub ttft: Option<AtPoint>,
    /// Inter-token latency.
    pub itl: Option<AtPoint>,
    /// End to end, from schedule where there is one.
    pub e2e: Option<AtPoint>,
    /// Of the requests that ended, 0 to 1.
    pub failed_share: f64,
}

/// Where a sweep's knee is. Places are in the order of the points given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Knee {
    /// At this point.
    At {
        /// Its place.
        place: usize,
    },
    /// Power still rises at the heaviest load: the sweep ends too early to show a knee.
    Beyond,
    /// Power falls from the lightest load on: the knee is there or before.
    Before,
    /// Fewer than three usable points.
    TooFewPoints,
}

/// Points a knee needs: one with a neighbour on each side.
const POINTS: usize = 3;

impl SweepLoad {
    /// What a plan asks for.
    pub(crate) fn of(plan: &LoadPlan) -> Self {
        match &plan.arrival {
            Arrival::ClosedLoop => {
                plan.concurrency.map_or(SweepLoad::Other, |limit| SweepLoad::Concurrency { limit })
            }
            Arrival::Constant { rate } | Arrival::Poisson { rate } | Arrival::Gamma { rate, .. } => {
                SweepLoad::Rate { per_s: *rate }
            }
            Arrival::AllAtOnce => {
                plan.concurrency.map_or(SweepLoad::Other, |limit| SweepLoad::Concurrency { limit })
            }
            Arrival::Ramp { .. } | Arrival::Trace { .. } => SweepLoad::Other,
        }
    }

    /// The figure alone; none where there is none.
    pub(crate) fn figure(self) -> Option<f64> {
        match self {
            SweepLoad::Concurrency { limit } => Some(f64::from(limit)),
            SweepLoad::Rate { per_s } => Some(per_s),
            SweepLoad::Other => None,
        }
    }
}

impl std::fmt::Display for SweepLoad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SweepLoad::Concurrency { limit } => write!(f, "concurrency {limit}"),
            SweepLoad::Rate { per_s } => write!(f, "{per_s}/s"),
            SweepLoad::Other => f.write_str("-"),
        }
    }
}

impl SweepPoint {
    /// The point a run makes.
    pub(crate) fn of(plan: &LoadPlan, summary: &Summary) -> Self {
        let rates = summary.steady.unwrap_or(summary.throughput);
        let latencies = &summary.latency_ms;
        let at = |sent: &Option<Distribution>, due: &Option<Distribution>| {
            due.as_ref().or(sent.as_ref()).map(|it| AtPoint { median: it.median.value, p99: it.p99.value })
        };
        let counts = &summary.counts;
        let ended = f64::from(counts.completed + counts.failed);
        Self {
            load: SweepLoad::of(plan),
            output_tokens_per_s: rates.output_tokens,
            requests_per_s: rates.requests,
            ttft: at(&latencies.ttft, &latencies.ttft_from_schedule),
            itl: at(&latencies.itl, &None),
            e2e: at(&latencies.e2e, &latencies.e2e_from_schedule),
            failed_share: if ended > 0.0 { f64::from(counts.failed) / ended } else { 0.0 },
        }
    }

    /// Throughput over response time. `None` where either is missing or not positive.
    fn power(&self) -> Option<f64> {
        let e2e = self.e2e.map(|it| it.median).filter(|it| *it > 0.0)?;
        let power = self.output_tokens_per_s / e2e;
        (power.is_finite() && power > 0.0).then_some(power)
    }
}

/// Where the knee of a sweep is, its points given from the lightest load to the heaviest.
pub(crate) fn knee(points: &[SweepPoint]) -> Knee {
    let usable: Vec<(usize, f64)> =
        points.iter().enumerate().filter_map(|(place, point)| Some((place, point.power()?))).collect();
    if usable.len() < POINTS {
        return Knee::TooFewPoints;
    }
    // Of equals the first: as much power for less load.
    let best = usable.iter().enumerate().rev().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map_or(0, |it| it.0);
    match best {
        0 => Knee::Before,
        last if last + 1 == usable.len() => Knee::Beyond,
        inner => Knee::At { place: usable[inner].0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(load: SweepLoad, throughput: f64, e2e: Option<f64>) -> SweepPoint {
        SweepPoint {
            load,
            output_tokens_per_s: throughput,
            requests_per_s: throughput / 100.0,
            ttft: None,
            itl: None,
            e2e: e2e.map(|median| AtPoint { median, p99: median * 2.0 }),
            failed_share: 0.0,
        }
    }

    /// A closed loop whose throughput saturates: X = most * n / (n + half).
    fn closed(loads: &[u32], most: f64, half: f64) -> Vec<SweepPoint> {
        let at = |n: f64| most * n / (n + half);
        loads
            .iter()
            .map(|limit| {
                let n = f64::from(*limit);
                // Little's law: latency is concurrency over rate.
                point(SweepLoad::Concurrency { limit: *limit }, at(n), Some(n / at(n) * 1e5))
            })
            .collect()
    }

    #[test]
    fn a_saturating_server_bends_at_half_its_throughput() {
        // Power X²/n of that law is largest where n = half, and nowhere else.
        let points = closed(&[1, 2, 4, 8, 16, 32, 64, 128], 3000.0, 16.0);
        assert_eq!(knee(&points), Knee::At { place: 4 });
        let further = closed(&[1, 2, 4, 8, 16, 32, 64, 128, 1024, 4096], 3000.0, 16.0);
        assert_eq!(knee(&further), Knee::At { place: 4 }, "points far out move nothing");
        assert_eq!(knee(&closed(&[1, 2, 4, 8], 3000.0, 1000.0)), Knee::Beyond);
        assert_eq!(knee(&closed(&[8, 16, 32], 3000.0, 1.0)), Knee::Before);
    }

    #[test]
    fn an_open_queue_bends_at_half_its_capacity() {
        // M/M/1: response time 1/(capacity - rate), power rate * (capacity - rate).
        let rates = [1.0, 3.0, 5.0, 7.0, 9.0];
        let points: Vec<_> = rates
            .map(|rate| point(SweepLoad::Rate { per_s: rate }, rate * 100.0, Some(1e3 / (10.0 - rate))))
            .into();
        assert_eq!(knee(&points), Knee::At { place: 2 });
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_places_stay() {
        let mut points = closed(&[1, 4, 16, 64, 256], 3000.0, 16.0);
        points[0].e2e = None;
        points.insert(0, point(SweepLoad::Other, f64::NAN, Some(1.0)));
        assert_eq!(knee(&points), Knee::At { place: 3 });
        points.truncate(4);
        assert_eq!(knee(&points), Knee::TooFewPoints);
        assert_eq!(knee(&[]), Knee::TooFewPoints);
        let flat = vec![point(SweepLoad::Other, 1.0, Some(1.0)); 4];
        assert_eq!(knee(&flat), Knee::Before, "of equals the lightest");
    }
}
