//! The page of a sweep: what throughput costs in latency, and where that stops being worth it.

use super::{Plots, Report, card, footer, warnings};
use crate::bench::compare::MeasuredRun;
use crate::bench::sweep::{AtPoint, Knee, SweepPoint, knee};
use crate::commands::bench::words::{duration, percent, short};
use crate::commands::text_table::{TextTable, as_table};
use crate::report::html::{Block, Card, Page, Section, Table, Tone};
use crate::report::plot::{Axis, Drawn, Lines, Mark, Point, Scale, Series};

/// One page over runs that differ in their load alone, from the lightest to the heaviest.
pub fn sweep_page(runs: &[MeasuredRun]) -> Report {
    let points = points(runs);
    let found = knee(&points);
    let mut plots = Plots::default();
    let latencies: [(&str, &str, Of); 3] = [
        ("ttft-by-throughput", "time to first token", |point| point.ttft),
        ("itl-by-throughput", "inter-token latency", |point| point.itl),
        ("e2e-by-throughput", "end-to-end latency", |point| point.e2e),
    ];
    let figures = latencies
        .into_iter()
        .filter(|(.., of)| points.iter().any(|point| of(point).is_some()))
        .map(|(name, words, of)| figure(name, words, of, &points, found, &mut plots))
        .collect();
    let warnings = warnings(runs);
    let section = |title: &str, blocks| Section { title: title.into(), blocks };
    let mut sections = vec![
        section("Throughput against latency", figures),
        section("Point by point", vec![Block::Table(unbroken(table(&points)))]),
        section("The knee", vec![Block::Prose(explained(found, &points))]),
    ];
    if !warnings.is_empty() {
        sections.insert(0, section("Read this first", vec![Block::Points(warnings)]));
    }
    let of = runs.first().map(|run| (run.plan.model.clone(), run.plan.profile.clone())).unwrap_or_default();
    let page = Page {
        title: format!("{} under rising load", of.0),
        subtitle: format!("{} | {} loads", of.1, points.len()),
        cards: cards(&points, found),
        sections,
        footer: footer(),
    };
    Report { page, plots: plots.0 }
}

type Of = fn(&SweepPoint) -> Option<AtPoint>;

/// The runs as points, from the lightest load to the heaviest. Loads without a figure keep their order.
pub(crate) fn points(runs: &[MeasuredRun]) -> Vec<SweepPoint> {
    let mut points: Vec<SweepPoint> =
        runs.iter().map(|run| SweepPoint::of(&run.plan, &run.summary)).collect();
    points.sort_by(|a, b| {
        a.load.figure().zip(b.load.figure()).map_or(std::cmp::Ordering::Equal, |(a, b)| a.total_cmp(&b))
    });
    points
}

/// Every load with its figures.
pub(crate) fn table(points: &[SweepPoint]) -> TextTable {
    let header = [
        "load",
        "output tokens/s",
        "requests/s",
        "TTFT ms",
        "TTFT p99",
        "ITL ms",
        "ITL p99",
        "E2E ms",
        "E2E p99",
        "failed",
    ];
    let rows = points.iter().map(|point| {
        let two = |at: Option<AtPoint>| match at {
            Some(at) => [short(at.median), short(at.p99)],
            None => ["-".to_owned(), "-".to_owned()],
        };
        let mut row =
            vec![point.load.to_string(), short(point.output_tokens_per_s), short(point.requests_per_s)];
        row.extend([two(point.ttft), two(point.itl), two(point.e2e)].concat());
        row.push(percent(point.failed_share));
        row
    });
    TextTable { header: header.map(String::from).to_vec(), rows: rows.collect() }
}

fn figure(name: &str, words: &str, of: Of, points: &[SweepPoint], found: Knee, plots: &mut Plots) -> Block {
    let series = |name: &str, value: fn(AtPoint) -> f64| Series {
        name: name.into(),
        points: points
            .iter()
            .filter_map(|point| Some(Point::new(point.output_tokens_per_s, value(of(point)?))))
            .collect(),
        drawn: Drawn::Marked,
    };
    let series = vec![series("median", |at| at.median), series("p99", |at| at.p99)];
    let all = series.iter().flat_map(|it| &it.points).map(|point| point.y).filter(|y| *y > 0.0);
    let (low, high) =
        all.fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    let scale = if high > 15.0 * low { Scale::Log10 } else { Scale::Linear };
    let at = |point: &SweepPoint| of(point).map(|at| (point.output_tokens_per_s, at.median));
    let mark = match found {
        Knee::At { place } => {
            at(&points[place]).map(|(x, y)| Mark { x, y, label: format!("knee: {}", points[place].load) })
        }
        _ => None,
    };
    let marked = mark.as_ref().map(|mark| (mark.x, mark.y));
    let labels = points
        .iter()
        .filter_map(|point| Some((at(point)?, point.load.figure()?)))
        .filter(|(place, _)| marked != Some(*place))
        .map(|((x, y), load)| Mark { x, y, label: load.to_string() })
        .collect();
    let svg = Lines {
        title: format!("Throughput against {words}"),
        description: format!("Median and p99 {words} at each load, by output tokens per second."),
        x: Axis::new("output tokens per second", Scale::Linear).covering(0.0, 0.0),
        // From zero where the scale can: distances are then what they say, and labels have room below.
        y: Axis::new(format!("{words} (ms)"), scale).covering(0.0, 0.0),
        series,
        reference: None,
        mark,
        labels,
    }
    .render();
    let caption = format!("What throughput costs in {words}. Figures beside points are loads.");
    plots.block(name, caption, svg)
}

/// The table for a page, with loads that stay on one line.
fn unbroken(mut table: TextTable) -> Table {
    for row in &mut table.rows {
        row[0] = row[0].replace(' ', "\u{a0}");
    }
    as_table(table, "Medians and p99 in milliseconds; rates over the steady window where there is one.")
}

/// The knee in words.
pub(crate) fn explained(found: Knee, points: &[SweepPoint]) -> String {
    let verdict = match found {
        Knee::At { place } => format!("It is at {}.", points[place].load),
        Knee::Beyond => "It was not reached: power still rises at the heaviest load.".into(),
        Knee::Before => "It is at the lightest load or before: power falls from there on.".into(),
        Knee::TooFewPoints => "Fewer than three loads show no knee.".into(),
    };
    format!(
        "The knee is where power, output tokens per second over median end-to-end latency, is largest \
         (Kleinrock): beyond it each further percent of latency buys less than one percent of throughput. \
         {verdict}"
    )
}

fn cards(points: &[SweepPoint], found: Knee) -> Vec<Card> {
    let mut cards = Vec::new();
    let most = points.iter().max_by(|a, b| a.output_tokens_per_s.total_cmp(&b.output_tokens_per_s));
    if let Some(most) = most {
        let value = short(most.output_tokens_per_s);
        cards.push(card("Most output tokens/s", value, format!("at {}", most.load), Tone::Neutral));
    }
    let (value, note) = match found {
        Knee::At { place } => {
            let point = &points[place];
            let e2e = point.e2e.map_or(String::new(), |at| format!(", E2E {}", duration(at.median)));
            (point.load.to_string(), format!("{} output tokens/s{e2e}", short(point.output_tokens_per_s)))
        }
        Knee::Beyond => ("not reached".into(), "power still rises at the heaviest load".into()),
        Knee::Before => ("before".into(), "power falls from the lightest load on".into()),
        Knee::TooFewPoints => ("-".into(), "three loads are needed".into()),
    };
    cards.push(card("Knee", value, note, Tone::Neutral));
    cards
}
