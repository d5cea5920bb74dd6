//! How figures are said, on a terminal and on a page alike.

use crate::bench::compare::{Change, Compared, ComparedPair, MetricUnit};
use crate::commands::text_table::TextTable;
use crate::commands::tune::subject::grouped;

/// A figure with about three digits, as a card or a cell shows it: `1,234`, `56.7`, `0.123`.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        size if size >= 1000.0 => grouped(value.round() as u64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Milliseconds, or seconds where these say it shorter.
pub(super) fn duration(ms: f64) -> String {
    if ms.abs() >= 10_000.0 { format!("{} s", short(ms / 1e3)) } else { format!("{} ms", short(ms)) }
}

/// A share as percent.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        some => format!("{} %", short(some)),
    }
}

/// The metrics of a pair, a row each.
pub(super) fn pair_table(pair: &ComparedPair) -> TextTable {
    let header = ["metric", "A", "B", "B/A or B-A", "verdict", "because"].map(String::from).to_vec();
    let row = |metric: &Compared| {
        vec![
            label(&metric.metric, metric.unit),
            figure(metric.unit, metric.a),
            figure(metric.unit, metric.b),
            change(metric.change),
            metric.verdict.name().to_owned(),
            metric.because.clone().unwrap_or_default(),
        ]
    };
    TextTable { header, rows: pair.metrics.iter().map(row).collect() }
}

/// A metric's name with its unit.
pub(super) fn label(metric: &str, unit: MetricUnit) -> String {
    format!("{metric}{}", if unit == MetricUnit::Milliseconds { ", ms" } else { "" })
}

/// A metric's figure, without its unit.
pub(super) fn figure(unit: MetricUnit, value: Option<f64>) -> String {
    match (unit, value) {
        (_, None) => "-".to_owned(),
        (MetricUnit::Share, Some(share)) => percent(share),
        (_, Some(value)) => short(value),
    }
}

fn change(change: Change) -> String {
    let points = |difference: f64| format!("{:+.2}", difference * 100.0);
    match change {
        Change::Ratio { value: None, .. } | Change::Difference { value: None, .. } => "-".to_owned(),
        Change::Ratio { value: Some(value), interval: None } => format!("{value:.3}"),
        Change::Ratio { value: Some(value), interval: Some((low, high)) } => {
            format!("{value:.3} [{low:.3}, {high:.3}]")
        }
        Change::Difference { value: Some(value), interval: None } => format!("{} points", points(value)),
        Change::Difference { value: Some(value), interval: Some((low, high)) } => {
            format!("{} points [{}, {}]", points(value), points(low), points(high))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let cases = [
            (0.0, "0.00"),
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (56.78, "56.8"),
            (999.4, "999"),
            (12345.6, "12,346"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!(short(f64::NAN), "-");
        assert_eq!((duration(12_345.0), percent(0.0125)), ("12.3 s".to_owned(), "1.25 %".to_owned()));
    }
}
