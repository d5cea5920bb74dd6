//! The page of a comparison: a forest of ratios, and the table behind it.

use super::{Plots, Report, card, footer};
use crate::bench::compare::{Basis, Change, ComparedPair, Comparison, MetricUnit, MetricVerdict};
use crate::commands::bench::words::pair_table;
use crate::commands::text_table::as_table;
use crate::report::html::{Block, Page, Section, Tone};
use crate::report::plot::{Axis, Forest, ForestRow, Scale};

/// One page over all pairs.
pub fn comparison_page(comparison: &Comparison) -> Report {
    let mut plots = Plots::default();
    let several = comparison.pairs.len() > 1;
    let sections = comparison
        .pairs
        .iter()
        .enumerate()
        .map(|(at, pair)| {
            let prefix = if several { format!("{}-", at + 1) } else { String::new() };
            section(pair, &prefix, &mut plots)
        })
        .collect();
    let count = |verdict| comparison.with(verdict).count();
    let threshold = format!("by more than {} %", comparison.threshold * 100.0);
    let verdict = |label, which, tone, note: &str| {
        let count = count(which);
        let tone = if count > 0 { tone } else { Tone::Neutral };
        card(label, count.to_string(), note.to_owned(), tone)
    };
    let title = match &comparison.pairs[..] {
        [pair] => format!("{} under {}: B against A", pair.model, pair.profile),
        _ => "B against A".to_owned(),
    };
    let page = Page {
        title,
        subtitle: "ratios B/A with 95 % intervals".into(),
        cards: vec![
            verdict("Metrics worse", MetricVerdict::Worse, Tone::Bad, &threshold),
            verdict("Metrics better", MetricVerdict::Better, Tone::Good, &threshold),
            verdict("The same", MetricVerdict::Same, Tone::Neutral, "within the threshold for sure"),
            verdict("Unclear", MetricVerdict::Unclear, Tone::Neutral, "the figures cannot tell"),
        ],
        sections,
        footer: footer(),
    };
    Report { page, plots: plots.0 }
}

fn section(pair: &ComparedPair, prefix: &str, plots: &mut Plots) -> Section {
    let forest = |unit: MetricUnit, axis: &str| {
        let rows: Vec<ForestRow> = pair
            .metrics
            .iter()
            .filter(|metric| metric.unit == unit)
            .filter_map(|metric| {
                let Change::Ratio { value, interval } = metric.change else { return None };
                // A forest's right side is its good one.
                let turned = |ratio: f64| if unit == MetricUnit::Milliseconds { 1.0 / ratio } else { ratio };
                Some(ForestRow {
                    label: metric.metric.clone(),
                    value: value.map(turned),
                    interval: interval.map(|(low, high)| (turned(low), turned(high))),
                })
            })
            .collect();
        (!rows.is_empty()).then(|| {
            Forest {
                title: axis.to_owned(),
                description: format!("{axis}, with 95 % intervals; right of 1 B is better."),
                axis: Axis::new(axis, Scale::Log2),
                label_heading: "metric".into(),
                reference: 1.0,
                rows,
            }
            .render()
        })
    };
    let basis = match pair.basis {
        Basis::Requests => {
            "Intervals rest on how requests vary within single runs; how runs vary they cannot know."
        }
        Basis::Repeats => "Intervals rest on how runs vary.",
    };
    let mut blocks =
        vec![Block::Prose(format!("A: {}. B: {}. {basis}", pair.runs_a.join(", "), pair.runs_b.join(", ")))];
    if !pair.notes.is_empty() {
        blocks.push(Block::Points(pair.notes.clone()));
    }
    for (name, caption, svg) in [
        (
            "rates",
            "Throughput: B's over A's. Right of 1 B is better. Colours say on which side of 1 an interval lies; \
             verdicts, in the table, ask for more than the threshold.",
            forest(MetricUnit::PerSecond, "B / A"),
        ),
        (
            "latencies",
            "Latencies: A's over B's, so that right of 1 B is better here too. Colours as above.",
            forest(MetricUnit::Milliseconds, "A / B"),
        ),
    ] {
        blocks.extend(svg.map(|svg| plots.block(&format!("{prefix}compared-{name}"), caption, svg)));
    }
    let mut table =
        as_table(pair_table(pair), "Ratios are B/A, shares are compared by difference in percentage points.");
    for (row, metric) in table.rows.iter_mut().zip(&pair.metrics) {
        if let Some(cell) = row.get_mut(4) {
            cell.tone = match metric.verdict {
                MetricVerdict::Better => Tone::Good,
                MetricVerdict::Worse => Tone::Bad,
                MetricVerdict::Same | MetricVerdict::Unclear => Tone::Neutral,
            };
        }
    }
    for (column, words) in table.columns.iter_mut().zip([true, false, false, false, true, true]) {
        if words {
            column.align = crate::report::html::Align::Text;
        }
    }
    blocks.push(Block::Table(table));
    let load = if pair.load.is_empty() { String::new() } else { format!(", {}", pair.load) };
    Section { title: format!("{} with {}{load}", pair.profile, pair.model), blocks }
}
