//! The page of repeats: what runs of one plan come to together, and how far they scatter.

use super::single::plan;
use super::{Plots, Report, card, footer};
use crate::bench::compare::{MeasuredRun, MetricUnit, load};
use crate::bench::repeats::{Repeated, repeated};
use crate::commands::bench::summary_table;
use crate::commands::bench::words::{duration, figure, label, percent, short};
use crate::commands::text_table::{TextTable, as_table};
use crate::report::html::{Align, Block, Card, Page, Section, Tone};
use crate::report::plot::{Axis, Drawn, Lines, Point, Reference, Scale, Series};

/// Runs from which on their course is worth a plot: two are read faster than drawn.
const RUNS_OF_PLOT: usize = 3;

/// What is drawn run by run.
const DRAWN: [&str; 4] = ["output tokens/s", "TTFT median", "ITL median", "E2E median"];

/// One page over runs of the same plan.
pub fn repeats_page(runs: &[MeasuredRun]) -> Report {
    let metrics = repeated(runs);
    let mut plots = Plots::default();
    let section = |title: &str, blocks| Section { title: title.into(), blocks };
    let mut sections = Vec::new();
    let warnings = super::warnings(runs);
    if !warnings.is_empty() {
        sections.push(section("Read this first", vec![Block::Points(warnings)]));
    }
    let mut over = as_table(table(&metrics), "Figures of single runs are in the order of the runs.");
    if let Some(each) = over.columns.last_mut() {
        each.align = Align::Text;
    }
    sections.push(section("Over the runs", vec![Block::Prose(explained(runs.len())), Block::Table(over)]));
    let mut each = vec![Block::Points(named(runs))];
    if runs.len() >= RUNS_OF_PLOT {
        each.insert(0, course(&metrics, &mut plots));
    }
    sections.push(section("Run by run", each));
    sections.extend(runs.first().map(|run| section("How this was measured", plan(run))));
    let (title, load) = runs
        .first()
        .map(|run| (format!("{} under {}", run.plan.model, run.plan.profile), load(&run.plan)))
        .unwrap_or_default();
    let page = Page {
        title,
        subtitle: [format!("{} runs of one plan", runs.len()), load]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" | "),
        cards: cards(&metrics, runs.len()),
        sections,
        footer: footer(),
    };
    Report { page, plots: plots.0 }
}

/// Every metric: its mean over the runs, how far they scatter, each run's figure.
pub(crate) fn table(metrics: &[Repeated]) -> TextTable {
    let row = |metric: &Repeated| {
        let each: Vec<String> = metric.each.iter().map(|one| figure(metric.unit, *one)).collect();
        vec![label(&metric.metric, metric.unit), mean(metric), spread(metric), each.join("; ")]
    };
    let header = ["metric", "mean", "spread", "each run"].map(String::from).to_vec();
    TextTable { header, rows: metrics.iter().map(row).collect() }
}

fn mean(metric: &Repeated) -> String {
    let Some(over) = metric.over else { return "-".to_owned() };
    let mean = figure(metric.unit, Some(over.mean));
    match over.half_width {
        Some(half) => format!("{mean} ± {}", figure(metric.unit, Some(half))),
        None => mean,
    }
}

/// A share's scatter in points: relative to a mean near zero it would say nothing.
fn spread(metric: &Repeated) -> String {
    let Some((over, deviation)) = metric.over.and_then(|over| Some((over, over.deviation?))) else {
        return "-".to_owned();
    };
    match metric.unit {
        MetricUnit::Share => format!("{} points", short(deviation * 100.0)),
        _ if over.mean > 0.0 => percent(deviation / over.mean),
        _ => "-".to_owned(),
    }
}

/// What the table's columns are.
pub(crate) fn explained(runs: usize) -> String {
    let interval = match runs {
        0..=2 => "Two runs give no interval of the mean; from three on there is one.",
        _ => "± is half the 95 % interval of the mean, from how the runs vary (Student's t).",
    };
    format!("{interval} Spread is the standard deviation of the runs, as a share of their mean.")
}

/// The runs by number, and how their requests ended.
pub(crate) fn named(runs: &[MeasuredRun]) -> Vec<String> {
    let one = |(at, run): (usize, &MeasuredRun)| {
        format!("run {}: {}, {}", at + 1, run.name, summary_table::requests(&run.summary))
    };
    runs.iter().enumerate().map(one).collect()
}

/// Each figure over the mean of its runs: a machine that warms up or tires shows as a slope.
fn course(metrics: &[Repeated], plots: &mut Plots) -> Block {
    let series = DRAWN.iter().filter_map(|name| {
        let metric = metrics.iter().find(|it| it.metric == *name)?;
        let mean = metric.over?.mean;
        let relative = |(at, one): (usize, &Option<f64>)| Some(Point::new(at as f64 + 1.0, (*one)? / mean));
        Some(Series {
            name: (*name).into(),
            points: metric.each.iter().enumerate().filter_map(relative).collect(),
            drawn: Drawn::Marked,
        })
    });
    let svg = Lines {
        title: "Run by run".into(),
        description: "Throughput and median latencies of each run, over the mean of all runs.".into(),
        // What is within a few percent shall look level.
        x: Axis::new("run", Scale::Linear).covering(0.0, metrics[0].each.len() as f64 + 1.0),
        y: Axis::new("over the mean of the runs", Scale::Linear).covering(0.95, 1.05),
        series: series.collect(),
        reference: Some(Reference { y: 1.0, label: "mean".into() }),
        mark: None,
        labels: Vec::new(),
    }
    .render();
    let caption = "Each run's figures over their mean. A slope is a machine that warms up or tires.";
    plots.block("run-by-run", caption, svg)
}

fn cards(metrics: &[Repeated], runs: usize) -> Vec<Card> {
    let find = |name: &str| {
        let metric = metrics.iter().find(|it| it.metric == name)?;
        Some((metric.over?, metric))
    };
    let mut cards = Vec::new();
    for (title, name) in [
        ("Output tokens/s", "output tokens/s"),
        ("TTFT, median", "TTFT median"),
        ("ITL, median", "ITL median"),
        ("E2E, median", "E2E median"),
    ] {
        let Some((over, metric)) = find(name) else { continue };
        let shown =
            |value| if metric.unit == MetricUnit::Milliseconds { duration(value) } else { short(value) };
        let note = over.half_width.map(|half| format!("± {} over {runs} runs", shown(half)));
        let note = note.unwrap_or_else(|| format!("mean of {runs} runs"));
        cards.push(card(title, shown(over.mean), note, Tone::Neutral));
    }
    if let Some((over, _)) = find("failed requests") {
        let tone = if over.mean > 0.0 { Tone::Bad } else { Tone::Neutral };
        cards.push(card("Failed requests", percent(over.mean), format!("mean of {runs} runs"), tone));
    }
    cards
}
