use super::made_up::{MadeUp, made_up};
use super::*;
use crate::failure::{Failure, Kind};

fn against(a: &[MadeUp], b: &[MadeUp]) -> Comparison {
    let runs = |side: &[MadeUp]| side.iter().map(made_up).collect::<Vec<_>>();
    compare(&runs(a), &runs(b), CompareOptions::default()).unwrap()
}

fn metric<'a>(comparison: &'a Comparison, name: &str) -> &'a Compared {
    let metrics = &comparison.pairs[0].metrics;
    metrics.iter().find(|it| it.metric == name).unwrap_or_else(|| panic!("no {name} in {metrics:#?}"))
}

/// Pairs of runs, the second `slowdown` times slower, and how often each metric got each verdict.
fn trials(count: u64, slowdown: f64, base: &MadeUp) -> Vec<Comparison> {
    (0..count)
        .map(|seed| {
            let a = MadeUp { seed: seed * 2 + 100, ..base.clone() };
            let b = MadeUp { seed: seed * 2 + 101, slowdown, ..base.clone() };
            against(&[a], &[b])
        })
        .collect()
}

/// Quick enough for many: every request makes a handful of tokens.
fn short() -> MadeUp {
    MadeUp { requests: 400, output_tokens: 12, ..MadeUp::default() }
}

#[test]
fn identical_servers_are_rarely_called_different() {
    let trials = trials(40, 1.0, &short());
    let (mut alarms, mut beyond, mut intervals) = (0, 0, 0);
    for comparison in &trials {
        alarms += usize::from(comparison.regressions().next().is_some());
        for metric in &comparison.pairs[0].metrics {
            if let Change::Ratio { interval: Some((low, high)), .. } = metric.change {
                intervals += 1;
                beyond += usize::from(low > 1.0 || high < 1.0);
            }
        }
    }
    // Any of some 20 metrics worse by more than 5 %.
    assert!(alarms <= 2, "{alarms} of {} comparisons of identical servers raised an alarm", trials.len());
    let missed = beyond as f64 / intervals as f64;
    assert!(missed < 0.08, "{missed:.3} of the 95 % intervals miss the truth");
    assert!(missed > 0.005, "intervals that hardly ever miss are too wide: {missed:.3}");
}

#[test]
fn a_tenth_slower_is_found() {
    let trials = trials(10, 1.10, &MadeUp { requests: 600, ..short() });
    let share = |name: &str, verdict: MetricVerdict| {
        let hits = trials.iter().filter(|it| metric(it, name).verdict == verdict).count();
        hits as f64 / trials.len() as f64
    };
    for (name, least) in [("TPOT mean", 0.8), ("ITL mean", 0.9)] {
        let found = share(name, MetricVerdict::Worse);
        assert!(found >= least, "{name}: {found}");
    }
    for comparison in &trials {
        assert_eq!(comparison.with(MetricVerdict::Better).count(), 0);
    }
}

#[test]
fn small_differences_that_are_sure_are_the_same() {
    let trials = trials(5, 1.005, &MadeUp { requests: 800, ..short() });
    let same = trials.iter().filter(|it| metric(it, "TPOT mean").verdict == MetricVerdict::Same).count();
    assert!(same >= 4, "{same} of 5");
}

#[test]
fn the_same_runs_give_the_same_answer_and_swapping_mirrors_it() {
    let (a, b) = (short(), MadeUp { seed: 2, slowdown: 1.2, ..short() });
    let once = against(std::slice::from_ref(&a), std::slice::from_ref(&b));
    assert_eq!(once, against(std::slice::from_ref(&a), std::slice::from_ref(&b)));
    let back = against(&[b], &[a]);
    assert_eq!(metric(&once, "TPOT mean").verdict, MetricVerdict::Worse);
    assert_eq!(metric(&back, "TPOT mean").verdict, MetricVerdict::Better);
    assert!(once.regressions().count() > 3);
    let ratio = |it: &Comparison| match metric(it, "TPOT mean").change {
        Change::Ratio { value: Some(value), .. } => value,
        other => panic!("{other:?}"),
    };
    assert!((ratio(&once) * ratio(&back) - 1.0).abs() < 1e-9);
}

#[test]
fn figures_are_those_of_the_summaries() {
    let run = made_up(&short());
    let comparison =
        compare(std::slice::from_ref(&run), std::slice::from_ref(&run), CompareOptions::default()).unwrap();
    let ttft = run.summary.latency_ms.ttft.as_ref().unwrap();
    assert_eq!(metric(&comparison, "TTFT p99").a, Some(ttft.p99.value));
    assert_eq!(metric(&comparison, "TTFT mean").b, Some(ttft.mean.value));
    assert_eq!(metric(&comparison, "output tokens/s").a, Some(run.summary.throughput.output_tokens));
    assert_eq!(comparison.regressions().count(), 0);
    // The samples this module draws from are those the summary is of.
    for (latency, of) in [
        (latency::Latency::Ttft, &run.summary.latency_ms.ttft),
        (latency::Latency::Tpot, &run.summary.latency_ms.tpot),
        (latency::Latency::Itl, &run.summary.latency_ms.itl),
        (latency::Latency::E2e, &run.summary.latency_ms.e2e),
    ] {
        let all: Vec<(f64, f64)> = run.records.iter().flat_map(|record| latency.of(record)).collect();
        let weight: f64 = all.iter().map(|it| it.1).sum();
        let mean = all.iter().map(|it| it.0 * it.1).sum::<f64>() / weight;
        assert!((mean / of.as_ref().unwrap().mean.value - 1.0).abs() < 1e-9, "{latency:?}");
        assert_eq!(weight, of.as_ref().unwrap().count as f64, "{latency:?}");
    }
}

#[test]
fn few_requests_have_no_verdict() {
    let few = |requests| MadeUp { requests, ..short() };
    let comparison = against(&[few(100)], &[MadeUp { seed: 2, slowdown: 3.0, ..few(100) }]);
    let p99 = metric(&comparison, "TTFT p99");
    assert_eq!(p99.verdict, MetricVerdict::Unclear);
    assert_eq!(p99.because.as_deref(), Some("100 requests have no interval here; 368 do"));
    assert_eq!(metric(&comparison, "TTFT mean").verdict, MetricVerdict::Worse);
    let comparison = against(&[few(10)], &[MadeUp { seed: 2, slowdown: 3.0, ..few(10) }]);
    assert_eq!(metric(&comparison, "E2E mean").verdict, MetricVerdict::Unclear);
    let sure = comparison.pairs[0].metrics.iter().filter(|it| it.verdict != MetricVerdict::Unclear);
    // Ten good requests against none are enough to tell.
    assert_eq!(sure.map(|it| it.metric.as_str()).collect::<Vec<_>>(), ["good requests"]);
}

#[test]
fn no_successful_request_is_no_panic() {
    let none = MadeUp { failed_share: 1.0, ..short() };
    for (a, b) in [(none.clone(), none.clone()), (short(), none.clone()), (none, short())] {
        let comparison = against(std::slice::from_ref(&a), std::slice::from_ref(&b));
        let failed = metric(&comparison, "failed requests");
        let expected = match (a.failed_share, b.failed_share) {
            (0.0, _) => MetricVerdict::Worse,
            (_, 0.0) => MetricVerdict::Better,
            _ => MetricVerdict::Unclear,
        };
        assert!(failed.verdict == expected || expected == MetricVerdict::Unclear, "{failed:?}");
        // Where neither side has a latency there is no row for it.
        let latencies = comparison.pairs[0].metrics.iter().filter(|it| it.metric.starts_with("TTFT"));
        assert!(latencies.clone().all(|it| it.verdict == MetricVerdict::Unclear && it.because.is_some()));
        assert_eq!(latencies.count() > 0, a.failed_share < 1.0 || b.failed_share < 1.0);
    }
}

#[test]
fn failures_count_and_a_few_do_not() {
    let base = MadeUp { requests: 500, ..short() };
    let with = |failed_share| MadeUp { seed: 7, failed_share, ..base.clone() };
    let verdict =
        |share| metric(&against(std::slice::from_ref(&base), &[with(share)]), "failed requests").verdict;
    assert_eq!(verdict(0.05), MetricVerdict::Worse);
    assert_eq!(verdict(0.006), MetricVerdict::Unclear);
    let base = MadeUp { requests: 2000, ..base.clone() };
    let none = metric(
        &against(std::slice::from_ref(&base), &[MadeUp { seed: 3, ..base.clone() }]),
        "failed requests",
    )
    .verdict;
    assert_eq!(none, MetricVerdict::Same);
}

#[test]
fn repeats_know_what_requests_do_not() {
    // Servers that differ from run to run by some percent: the requests of one run see nothing of it.
    let factors = [1.00, 1.06, 0.95, 1.04];
    let run = |n: usize| MadeUp { seed: n as u64, slowdown: factors[n], requests: 600, ..short() };
    let single = against(&[run(2)], &[run(1)]);
    assert_eq!(
        metric(&single, "TPOT mean").verdict,
        MetricVerdict::Worse,
        "single runs are taken at their word"
    );
    assert_eq!(single.pairs[0].basis, Basis::Requests);
    let repeated = against(&[run(0), run(2)], &[run(1), run(3)]);
    assert_eq!(repeated.pairs[0].basis, Basis::Repeats);
    assert_eq!(metric(&repeated, "TPOT mean").verdict, MetricVerdict::Unclear);
    // p99 needs no number of requests: each run gives one figure.
    let Change::Ratio { interval: Some(_), .. } = metric(&repeated, "TTFT p99").change else {
        panic!("{repeated:#?}")
    };
}

#[test]
fn repeats_find_what_is_there() {
    let side = |slowdown: f64, from: u64| -> Vec<MadeUp> {
        (from..from + 3).map(|seed| MadeUp { seed, slowdown, ..short() }).collect()
    };
    let worse = against(&side(1.0, 0), &side(1.15, 10));
    assert_eq!(metric(&worse, "TPOT mean").verdict, MetricVerdict::Worse);
    let same = against(&side(1.0, 0), &side(1.0, 20));
    assert_eq!(same.regressions().count(), 0, "{:?}", same.regressions().collect::<Vec<_>>());
    assert_eq!(metric(&same, "TPOT mean").verdict, MetricVerdict::Same);
    assert_eq!(metric(&same, "failed requests").verdict, MetricVerdict::Same);
}

#[test]
fn what_was_not_measured_alike_is_refused() {
    let a = made_up(&short());
    let refused = |b: MeasuredRun, options: CompareOptions| {
        compare(std::slice::from_ref(&a), &[b], options).unwrap_err()
    };
    let mut other = a.clone();
    other.name = "results/other".into();
    other.plan.limits.stall_s = 10.0;
    let error = refused(other.clone(), CompareOptions::default());
    assert_eq!(
        error.to_string(),
        "plans differ in `limits.stall_s`: 30.0 in `results/made-up-1`, 10.0 in `results/other`"
    );
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.hint().unwrap().contains("--ignore-plan"));
    let ignore = CompareOptions { ignore_plan: true, ..CompareOptions::default() };
    let comparison = compare(std::slice::from_ref(&a), &[other.clone()], ignore).unwrap();
    assert!(comparison.pairs[0].notes[0].contains("limits.stall_s"), "{:?}", comparison.pairs[0].notes);

    other.plan = a.plan.clone();
    other.plan.model = "another".into();
    let error = refused(other.clone(), ignore).to_string();
    assert!(error.contains("model `made-up/model`") && error.contains("`chat` with `another`"), "{error}");
    other.plan.model = a.plan.model.clone();
    other.plan.profile = "long-context".into();
    let error = refused(other, ignore);
    assert!(matches!(error, Refused::NoPartner { side: Side::B, .. }), "{error}");
    assert_eq!(compare(&[], std::slice::from_ref(&a), ignore), Err(Refused::NoRuns(Side::A)));
    assert_eq!(compare(std::slice::from_ref(&a), &[], ignore), Err(Refused::NoRuns(Side::B)));
    for threshold in [0.0, -0.1, 1.0, f64::NAN, f64::INFINITY] {
        let error = refused(a.clone(), CompareOptions { threshold, ..CompareOptions::default() });
        assert!(error.to_string().starts_with("--threshold: `"), "{error}");
    }
}

#[test]
fn sweeps_are_paired_load_by_load() {
    let side = |from: u64, loads: &[u32]| -> Vec<MeasuredRun> {
        let run = |n: usize| MadeUp { seed: from + n as u64, concurrency: loads[n], requests: 60, ..short() };
        (0..loads.len()).map(|n| made_up(&run(n))).collect()
    };
    let comparison = compare(&side(1, &[2, 4, 8]), &side(10, &[8, 2, 4]), CompareOptions::default()).unwrap();
    let loads: Vec<&str> = comparison.pairs.iter().map(|pair| pair.load.as_str()).collect();
    assert_eq!(loads, ["concurrency 2", "concurrency 4", "concurrency 8"]);
    let error = compare(&side(1, &[2, 4]), &side(10, &[2, 4, 8]), CompareOptions::default()).unwrap_err();
    assert!(error.to_string().contains("concurrency"), "{error}");
}
