//! The metrics, one after the other.

use super::latency::{Latency, LatencySamples};
use super::pairing::{Paired, load};
use super::rates::{CountedRate, certainty, half_width};
use super::repeats;
use super::shares::{self, Share};
use super::verdict::{Good, leaning, on_difference, on_ratio};
use super::{Basis, Change, CompareOptions, Compared, ComparedPair, MeasuredRun, MetricUnit, MetricVerdict};
use crate::bench::metrics::goodput::is_good;
use crate::bench::nodes::differences;
use crate::bench::plan::Slo;
use crate::bench::record::Outcome;
use crate::bench::summary::{Distribution, Estimate, Latencies, Summary};

/// Requests a mean or median needs for an interval.
const REQUESTS: usize = 20;

/// Requests a p99 needs: of fewer, even the largest lies below the true p99 more often than once in forty
/// (0.99^368 = 0.0248), so that no sample is a 97.5 % upper limit.
const REQUESTS_OF_P99: usize = 368;

/// The same for latencies of which a request has many. Their tail lies in few requests all the same.
const REQUESTS_OF_TOKENS_P99: usize = 100;

/// Of the threshold, what a share of failures may differ by: half a percentage point at the usual 5 %.
const OF_FAILURES: f64 = 0.1;

/// What all metrics of a pair are judged with.
struct Judge<'a> {
    paired: &'a Paired<'a>,
    options: &'a CompareOptions,
    basis: Basis,
}

/// Compare two sides metric by metric.
pub(super) fn judge(paired: &Paired<'_>, options: &CompareOptions) -> ComparedPair {
    let runs = paired.a.len() + paired.b.len();
    let basis = if runs >= repeats::RUNS { Basis::Repeats } else { Basis::Requests };
    let judge = Judge { paired, options, basis };
    let first = &paired.a[0].plan;
    let names = |side: &[&MeasuredRun]| side.iter().map(|run| run.name.clone()).collect();
    ComparedPair {
        profile: first.profile.clone(),
        model: first.model.clone(),
        load: load(first),
        runs_a: names(&paired.a),
        runs_b: names(&paired.b),
        basis,
        notes: notes(paired),
        metrics: judge.metrics(),
    }
}

fn notes(paired: &Paired<'_>) -> Vec<String> {
    let mut notes: Vec<String> = paired.differs.clone().into_iter().collect();
    for run in paired.a.iter().chain(&paired.b) {
        if run.summary.counts.interrupted + run.summary.counts.unsent > 0 {
            notes.push(format!("`{}` was stopped before its end", run.name));
        }
        notes.extend(run.summary.warnings.iter().map(|warning| format!("`{}`: {warning}", run.name)));
    }
    // Runs of one side are of one server; the first that knows its machines speaks for all.
    let machines = |side: &[&MeasuredRun]| side.iter().find_map(|run| run.nodes.clone());
    if let (Some(a), Some(b)) = (machines(&paired.a), machines(&paired.b)) {
        notes.extend(differences(&a, &b));
    }
    notes
}

impl Judge<'_> {
    fn metrics(&self) -> Vec<Compared> {
        let mut metrics = vec![
            self.rate("output tokens/s", CountedRate::OutputTokens, |it| Some(it.throughput.output_tokens)),
            self.rate("total tokens/s", CountedRate::TotalTokens, |it| Some(it.throughput.total_tokens)),
            self.rate("requests/s", CountedRate::Requests, |it| Some(it.throughput.requests)),
        ];
        if self.everywhere(|run| run.summary.steady.is_some()) {
            let steady = |it: &Summary| it.steady.map(|steady| steady.output_tokens);
            metrics.push(self.rate("output tokens/s, steady", CountedRate::OutputTokens, steady));
        }
        for (index, latency) in Latency::ALL.into_iter().enumerate() {
            self.latency(latency, index as u64, &mut metrics);
        }
        if self.everywhere(|run| run.plan.slo != Slo::default()) {
            let goodput = |it: &Summary| it.goodput.map(|goodput| goodput.requests);
            metrics.push(self.rate("good requests/s", CountedRate::GoodRequests, goodput));
            let good = self.share("good requests", Good::High, self.options.threshold, |run| {
                Share::new(&run.records, run.summary.mean_concurrency, |it| is_good(it, &run.plan.slo))
            });
            metrics.push(good);
        }
        let margin = self.options.threshold * OF_FAILURES;
        metrics.push(self.share("failed requests", Good::Low, margin, |run| {
            let failed =
                |it: &crate::bench::record::RequestRecord| matches!(it.outcome, Outcome::Failed { .. });
            Share::new(&run.records, run.summary.mean_concurrency, failed)
        }));
        metrics
    }

    fn everywhere(&self, holds: impl Fn(&MeasuredRun) -> bool) -> bool {
        self.paired.a.iter().chain(&self.paired.b).all(|run| holds(run))
    }

    fn rate(&self, name: &str, rate: CountedRate, value: impl Fn(&Summary) -> Option<f64>) -> Compared {
        let spread = || {
            let sure = |side: &[&MeasuredRun]| {
                side.iter().map(|run| certainty(rate, run)).collect::<Option<Vec<_>>>()
            };
            let (a, b) = (sure(&self.paired.a), sure(&self.paired.b));
            let (a, b) =
                a.zip(b).ok_or_else(|| "too little happened to say how the rate varies".to_owned())?;
            let half = half_width(&a, &b);
            Ok((-half, half))
        };
        self.ratio(name, MetricUnit::PerSecond, Good::High, value, spread)
    }

    fn latency(&self, latency: Latency, index: u64, metrics: &mut Vec<Compared>) {
        let of = |summary: &Summary| distribution(latency, &summary.latency_ms).cloned();
        if !self.paired.a.iter().chain(&self.paired.b).any(|run| of(&run.summary).is_some()) {
            return;
        }
        let samples = |side: &[&MeasuredRun]| -> Vec<LatencySamples> {
            let of =
                |run: &&MeasuredRun| LatencySamples::new(latency, &run.records, run.summary.mean_concurrency);
            side.iter().map(of).collect()
        };
        let (a, b, fewest) = match self.basis {
            Basis::Repeats => (Vec::new(), Vec::new(), 0),
            Basis::Requests => {
                let (a, b) = (samples(&self.paired.a), samples(&self.paired.b));
                let fewest = a.iter().chain(&b).map(LatencySamples::requests).min().unwrap_or(0);
                (a, b, fewest)
            }
        };
        let spreads = (fewest >= REQUESTS)
            .then(|| super::latency::spread(&a, &b, self.options.seed.wrapping_add(index)));
        let tail = if latency == Latency::Itl { REQUESTS_OF_TOKENS_P99 } else { REQUESTS_OF_P99 };
        type Figure = fn(&Distribution) -> Estimate;
        let figures: [(&str, Figure, usize); 3] = [
            ("mean", |it| it.mean, REQUESTS),
            ("median", |it| it.median, REQUESTS),
            ("p99", |it| it.p99, tail),
        ];
        for (at, (figure, value, needed)) in figures.into_iter().enumerate() {
            let spread = || match spreads {
                Some(spreads) if fewest >= needed => Ok(spreads[at]),
                _ => Err(format!("{fewest} requests have no interval here; {needed} do")),
            };
            let value = |summary: &Summary| of(summary).map(|it| value(&it).value);
            let name = format!("{} {figure}", latency.name());
            metrics.push(self.ratio(&name, MetricUnit::Milliseconds, Good::Low, value, spread));
        }
    }

    /// `spread` is how far the ratio's logarithm may be off, from the runs' own requests.
    fn ratio(
        &self,
        name: &str,
        unit: MetricUnit,
        good: Good,
        value: impl Fn(&Summary) -> Option<f64>,
        spread: impl FnOnce() -> Result<(f64, f64), String>,
    ) -> Compared {
        let values =
            |side: &[&MeasuredRun]| side.iter().map(|run| value(&run.summary)).collect::<Option<Vec<f64>>>();
        let (values_a, values_b) = (values(&self.paired.a), values(&self.paired.b));
        let (a, b) = (values_a.as_deref().map(geometric), values_b.as_deref().map(geometric));
        let ratio = a.zip(b).map(|(a, b)| b / a).filter(|ratio| ratio.is_finite());
        let mut because = None;
        let interval = match (ratio, values_a, values_b) {
            (Some(ratio), Some(a), Some(b)) if ratio > 0.0 => {
                let logs = |side: Vec<f64>| side.into_iter().map(f64::ln).collect::<Vec<_>>();
                let ends = match self.basis {
                    Basis::Repeats => repeats::difference(&logs(a), &logs(b))
                        .map(|(_, half)| (-half, half))
                        .ok_or_else(|| "a run has no figure above zero".to_owned()),
                    Basis::Requests => spread(),
                };
                let ends = ends.map_err(|why| because = Some(why)).ok();
                ends.map(|(down, up)| (ratio * down.exp(), ratio * up.exp()))
            }
            (Some(_), ..) => {
                because = Some("a ratio of zero has no interval".into());
                None
            }
            _ => {
                because = Some("there is no figure above zero to compare with".into());
                None
            }
        };
        let interval = interval.filter(|(low, high)| low.is_finite() && high.is_finite());
        let verdict = on_ratio(interval, self.options.threshold, good);
        if let (MetricVerdict::Unclear, Some(interval)) = (verdict, interval) {
            because = leaning(interval, self.options.threshold);
        }
        let change = Change::Ratio { value: ratio, interval };
        Compared { metric: name.into(), unit, a, b, change, verdict, because }
    }

    fn share(&self, name: &str, good: Good, margin: f64, of: impl Fn(&MeasuredRun) -> Share) -> Compared {
        let shares = |side: &[&MeasuredRun]| side.iter().map(|run| of(run)).collect::<Vec<_>>();
        let (shares_a, shares_b) = (shares(&self.paired.a), shares(&self.paired.b));
        let (a, b) = (Share::of_all(shares_a.iter().copied()), Share::of_all(shares_b.iter().copied()));
        let mut found = shares::difference(a, b);
        if self.basis == Basis::Repeats {
            // Runs may differ by more than their requests do; where they differ by less, or have no failures
            // at all, requests are what is known. The wider of both holds.
            let values = |side: &[Share]| side.iter().filter_map(|it| it.value()).collect::<Vec<_>>();
            let runs = repeats::difference(&values(&shares_a), &values(&shares_b));
            found = found.zip(runs).map(|((value, (low, high)), (_, half))| {
                (value, (low.min(value - half), high.max(value + half)))
            });
        }
        let interval = found.map(|it| it.1);
        let verdict = on_difference(interval, margin, good);
        Compared {
            metric: name.into(),
            unit: MetricUnit::Share,
            a: a.value(),
            b: b.value(),
            change: Change::Difference { value: found.map(|it| it.0), interval },
            verdict,
            because: None,
        }
    }
}

fn geometric(values: &[f64]) -> f64 {
    match values {
        [one] => *one,
        _ => (values.iter().map(|it| it.ln()).sum::<f64>() / values.len() as f64).exp(),
    }
}

/// One latency's distribution, where the run has it.
pub(crate) fn distribution(latency: Latency, latencies: &Latencies) -> Option<&Distribution> {
    match latency {
        Latency::Ttft => latencies.ttft.as_ref(),
        Latency::Tpot => latencies.tpot.as_ref(),
        Latency::Itl => latencies.itl.as_ref(),
        Latency::E2e => latencies.e2e.as_ref(),
        Latency::TtftFromSchedule => latencies.ttft_from_schedule.as_ref(),
        Latency::E2eFromSchedule => latencies.e2e_from_schedule.as_ref(),
    }
}
