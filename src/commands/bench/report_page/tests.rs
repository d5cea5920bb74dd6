use super::over_time::{Bins, failures};
use super::*;
use crate::bench::compare::made_up::{MadeUp, made_up};
use crate::bench::record::FailureClass;

fn eventful() -> MadeUp {
    MadeUp { failed_share: 0.015, stall_at_s: Some(20.0), ..MadeUp::default() }
}

#[test]
fn a_run_with_everything_has_every_plot() {
    let report = run_page(&made_up(&MadeUp { rate: Some(8.0), ..eventful() }));
    let names: Vec<&str> = report.plots.iter().map(|it| it.0.as_str()).collect();
    let expected = [
        "ttft-cdf",
        "tpot-cdf",
        "itl-cdf",
        "e2e-cdf",
        "ttft-over-time",
        "itl-over-time",
        "throughput-over-time",
        "in-flight-over-time",
        "failures-over-time",
    ];
    assert_eq!(names[..expected.len()], expected);
    assert!(names.contains(&"server-sglang-num-running-reqs"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("aborted")), "a metric that never changed is not shown");
    let html = report.html();
    assert!(html.contains("from schedule") && html.contains("Read this first"));
    assert!(!html.contains("NaN") && !html.contains("No data"));
}

#[test]
fn a_run_of_nothing_is_still_a_page() {
    for (requests, failed_share) in [(0, 0.0), (1, 0.0), (3, 1.0)] {
        let html = run_page(&made_up(&MadeUp { requests, failed_share, ..MadeUp::default() })).html();
        assert!(html.contains("<h1>") && !html.contains("NaN") && !html.contains("No data"), "{requests}");
    }
}

#[test]
fn repeats_of_nothing_are_still_a_page() {
    let run = |requests, failed_share| made_up(&MadeUp { requests, failed_share, ..MadeUp::default() });
    for runs in [[run(0, 0.0), run(0, 0.0), run(0, 0.0)], [run(3, 1.0), run(3, 0.0), run(3, 0.0)]] {
        let html = repeats_page(&runs).html();
        assert!(html.contains("<h1>") && !html.contains("NaN") && !html.contains("inf"), "{html}");
    }
}

#[test]
fn ten_thousand_requests_make_no_larger_page() {
    let of = |requests| {
        let run = made_up(&MadeUp { requests, output_tokens: 8, failed_share: 0.2, ..MadeUp::default() });
        run_page(&run).plots
    };
    for (name, svg) in of(10_000) {
        assert!(svg.as_str().len() < 100_000, "{name}: {} bytes", svg.as_str().len());
    }
}

#[test]
fn bins_are_round_and_few() {
    for (requests, concurrency) in [(1, 1), (30, 4), (3000, 16)] {
        let run = made_up(&MadeUp { requests, concurrency, output_tokens: 4, ..MadeUp::default() });
        let bins = Bins::over(&run.records);
        assert!(bins.count <= 91, "{bins:?}");
        let mantissa = bins.width / 10f64.powf(bins.width.log10().floor());
        assert!([1.0, 2.0, 5.0, 10.0].iter().any(|it| (it - mantissa).abs() < 1e-6), "{bins:?}");
    }
    assert_eq!(Bins::over(&[]).count, 1);
}

#[test]
fn nothing_is_lost_over_time() {
    let run = made_up(&MadeUp { requests: 200, ..eventful() });
    let bins = Bins::over(&run.records);
    let end = run.records.iter().map(|it| it.ended_us).max().unwrap();
    // Requests ended, summed up over bins; the last one's rate is over a part of it.
    let rates = bins.rates(run.records.iter().map(|it| (it.ended_us, 1.0)), end);
    let sum: f64 = rates.iter().take(bins.count - 1).map(|it| it.y * bins.width).sum();
    let before =
        run.records.iter().filter(|it| (it.ended_us as f64) < (bins.count - 1) as f64 * bins.width * 1e6);
    assert!((sum - before.count() as f64).abs() < 1e-6);
    // The area below the curve is the time requests were in flight.
    let in_flight: f64 = bins.in_flight(&run.records).iter().map(|it| it.y * bins.width).sum();
    let busy: f64 = run.records.iter().map(|it| (it.ended_us - it.sent_us) as f64 / 1e6).sum();
    assert!((in_flight / busy - 1.0).abs() < 1e-9, "{in_flight} {busy}");
    let most = bins.in_flight(&run.records).iter().map(|it| it.band.unwrap().1).fold(0.0, f64::max);
    assert_eq!(most, 16.0);
    let failed = failures(&run.records);
    let last = |class| failed.get(&class).and_then(|points| points.last()).map_or(0.0, |it| it.y);
    let count = run.records.iter().filter(|it| !it.is_done()).count() as f64;
    assert_eq!(last(FailureClass::HttpStatus) + last(FailureClass::CutOff), count);
}

/// SPARK_REPORT_LOOK names a folder to look at the pages in.
#[test]
fn pages_to_look_at() {
    let sweep: Vec<_> = [1, 2, 4, 8, 16, 32, 64, 128]
        .map(|concurrency| {
            made_up(&MadeUp { concurrency, requests: 60 + concurrency * 4, ..MadeUp::default() })
        })
        .into();
    let side = |seed, slowdown| made_up(&MadeUp { seed, slowdown, ..eventful() });
    let compared =
        crate::bench::compare::compare(&[side(1, 1.0)], &[side(2, 1.08)], Default::default()).unwrap();
    let pages = [
        ("run", run_page(&made_up(&eventful()))),
        ("open", run_page(&made_up(&MadeUp { rate: Some(8.0), ..eventful() }))),
        ("sweep", sweep_page(&sweep)),
        (
            "repeats",
            repeats_page(&[1, 2, 3, 4, 5].map(|seed| side(seed, 1.0 + f64::from(seed as u32) * 0.01))),
        ),
        ("compare", comparison_page(&compared)),
    ];
    for (name, report) in pages {
        let html = report.html();
        assert!(!html.contains("NaN") && !html.contains("src="), "{name}");
        if let Some(folder) = std::env::var_os("SPARK_REPORT_LOOK") {
            std::fs::write(std::path::Path::new(&folder).join(format!("bench-{name}.html")), html).unwrap();
        }
    }
}
