//! One plan measured several times: what the runs say together, and how far they scatter.

use super::compare::latency::Latency;
use super::compare::repeats::{deviation, half_width, mean};
use super::compare::{MeasuredRun, MetricUnit, distribution};
use super::results::plan_sha256;
use super::summary::{Distribution, Summary};

/// One metric of several runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Repeated {
    /// Its name, as comparisons have it: `TTFT p99`.
    pub metric: String,
    /// The unit of its figures.
    pub unit: MetricUnit,
    /// The figure of each run that has one, in the order of the runs.
    pub each: Vec<Option<f64>>,
    /// What they come to. Absent where a run has no figure: the others alone say nothing of all.
    pub over: Option<OverRuns>,
}

/// What several runs come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OverRuns {
    /// Their mean.
    pub mean: f64,
    /// Half the width of its 95 % t-interval, from three runs on.
    pub half_width: Option<f64>,
    /// The standard deviation of the runs, from two on.
    pub deviation: Option<f64>,
}

/// Whether runs are repeats: several, all under one plan. A sweep's differ in their load.
pub(crate) fn are_repeats(runs: &[MeasuredRun]) -> bool {
    let plans: Vec<String> = runs.iter().map(|run| plan_sha256(&run.plan)).collect();
    plans.len() > 1 && plans.iter().all(|plan| *plan == plans[0])
}

/// Every metric that some run has.
pub(crate) fn repeated(runs: &[MeasuredRun]) -> Vec<Repeated> {
    let mut metrics = Vec::new();
    let mut add = |metric: String, unit, of: &dyn Fn(&Summary) -> Option<f64>| {
        let each: Vec<Option<f64>> =
            runs.iter().map(|run| of(&run.summary).filter(|figure| figure.is_finite())).collect();
        if each.iter().any(Option::is_some) {
            metrics.push(Repeated { metric, unit, over: over(unit, &each), each });
        }
    };
    add("output tokens/s".into(), MetricUnit::PerSecond, &|it| Some(it.throughput.output_tokens));
    add("total tokens/s".into(), MetricUnit::PerSecond, &|it| Some(it.throughput.total_tokens));
    add("requests/s".into(), MetricUnit::PerSecond, &|it| Some(it.throughput.requests));
    let steady = |it: &Summary| it.steady.map(|steady| steady.output_tokens);
    add("output tokens/s, steady".into(), MetricUnit::PerSecond, &steady);
    type Figure = fn(&Distribution) -> f64;
    let figures: [(&str, Figure); 3] =
        [("mean", |it| it.mean.value), ("median", |it| it.median.value), ("p99", |it| it.p99.value)];
    for latency in Latency::ALL {
        for (name, figure) in figures {
            let of = |it: &Summary| distribution(latency, &it.latency_ms).map(figure);
            add(format!("{} {name}", latency.name()), MetricUnit::Milliseconds, &of);
        }
    }
    add("good requests/s".into(), MetricUnit::PerSecond, &|it| it.goodput.map(|good| good.requests));
    add("good requests".into(), MetricUnit::Share, &|it| it.goodput.map(|good| good.share));
    let failed = |it: &Summary| {
        let ended = it.counts.completed + it.counts.failed;
        (ended > 0).then(|| f64::from(it.counts.failed) / f64::from(ended))
    };
    add("failed requests".into(), MetricUnit::Share, &failed);
    metrics
}

fn over(unit: MetricUnit, each: &[Option<f64>]) -> Option<OverRuns> {
    let all: Vec<f64> = each.iter().copied().collect::<Option<_>>()?;
    // Runs without a single failure do not prove that none is possible.
    let known = |half: &f64| unit != MetricUnit::Share || *half > 0.0;
    Some(OverRuns {
        mean: mean(&all),
        half_width: half_width(&all).filter(known),
        deviation: deviation(&all),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::made_up::{MadeUp, made_up};

    #[test]
    fn equal_plans_are_repeats_whatever_the_runs_are_called() {
        let run = |seed, concurrency| {
            made_up(&MadeUp { seed, concurrency, requests: 5, output_tokens: 3, ..MadeUp::default() })
        };
        assert!(are_repeats(&[run(1, 8), run(2, 8), run(3, 8)]));
        assert!(!are_repeats(&[run(1, 8), run(1, 8), run(3, 16)]));
        assert!(!are_repeats(&[run(1, 8)]) && !are_repeats(&[]), "one run repeats nothing");
    }

    #[test]
    fn every_metric_has_its_mean_and_its_scatter() {
        let run = |seed, failed_share| {
            made_up(&MadeUp { seed, failed_share, requests: 60, output_tokens: 8, ..MadeUp::default() })
        };
        let runs = [run(1, 0.0), run(2, 0.0), run(3, 0.0)];
        let found = repeated(&runs);
        let named = |found: &[Repeated], name: &str| {
            found.iter().find(|it| it.metric == name).unwrap_or_else(|| panic!("{name}")).clone()
        };
        for name in ["output tokens/s", "TTFT mean", "TPOT median", "ITL p99", "E2E p99"] {
            let metric = named(&found, name);
            let all: Vec<f64> = metric.each.iter().map(|it| it.unwrap()).collect();
            let over = metric.over.unwrap();
            assert!((over.mean - all.iter().sum::<f64>() / 3.0).abs() < 1e-9, "{name}");
            assert!(over.half_width.unwrap() >= over.deviation.unwrap(), "{name}");
        }
        let rates = named(&found, "output tokens/s");
        assert_eq!(rates.each[1], Some(runs[1].summary.throughput.output_tokens));
        let failed = named(&found, "failed requests").over.unwrap();
        assert_eq!((failed.mean, failed.half_width, failed.deviation), (0.0, None, Some(0.0)));
        assert!(
            !found.iter().any(|it| it.metric.contains("from schedule")),
            "there is none in a closed loop"
        );
        // Two runs scatter, but have no interval.
        let over = named(&repeated(&runs[..2]), "ITL mean").over.unwrap();
        assert!(over.half_width.is_none() && over.deviation.is_some());
        // Where a run has no latency, the others' mean would stand for all.
        let found = repeated(&[run(1, 0.0), run(2, 1.0)]);
        let ttft = named(&found, "TTFT mean");
        assert!(ttft.each[0].is_some() && ttft.each[1].is_none() && ttft.over.is_none());
        assert_eq!(named(&found, "failed requests").each, [Some(0.0), Some(1.0)]);
    }
}
