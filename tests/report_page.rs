//! A report page in a real browser: it renders whole, says nothing on the console, asks for nothing, and can
//! be read in light and dark. Its data is made up; that the page says so too is on purpose.
//!
//! The looks are ignored by default: they need Chromium.

#[path = "support/browser.rs"]
mod browser;

use browser::{asked_for, assert_readable, assert_renders, assert_self_contained, look};
use spark::report::html::{Block, Card, Cell, Column, Figure, Page, Section, Table, Tone};
use spark::report::plot::{
    Axis, Best, Cdf, Drawn, Forest, ForestRow, HeatMap, Lines, Mark, Point, Reference, Samples, Scale,
    Series, Svg, Within,
};

const BATCHES: [u32; 10] = [1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096];

/// A figure that is as irregular as a measurement and the same every time.
fn made_up(seed: u32) -> f64 {
    f64::from(seed.wrapping_mul(2_654_435_761) >> 16) / 65536.0
}

fn times_made_up() -> Svg {
    let series = |name: &str, factor: f64, seed: u32| Series {
        name: name.into(),
        points: BATCHES
            .iter()
            .map(|m| {
                let y = factor * (80.0 + f64::from(*m).powf(0.93)) * (0.95 + 0.1 * made_up(m + seed));
                Point::new(f64::from(*m), y).between(y * 0.92, y * 1.09)
            })
            .collect(),
        drawn: Drawn::Marked,
    };
    let (tuned, default) = (series("tuned", 1.0, 3), series("the runtime's default", 1.45, 5));
    let knee = tuned.points[6];
    Lines {
        title: "Time by batch size".into(),
        description: "The tuned kernel is faster at every batch size.".into(),
        x: Axis::new("batch size (tokens)", Scale::Log2),
        y: Axis::new("time (µs)", Scale::Log10),
        series: vec![tuned, default, series("best predicted", 1.15, 9)],
        reference: Some(Reference { y: 1000.0, label: "budget: 1000 µs".into() }),
        mark: Some(Mark { x: knee.x, y: knee.y, label: "knee at 64 tokens".into() }),
        ..Lines::default()
    }
    .render()
}

fn rates_made_up() -> Svg {
    let series = |n: u32| Series {
        name: format!("cluster of {n} with a long descriptive name"),
        points: (0..40)
            .map(|i| {
                let x = f64::from(i) * 0.5;
                Point::new(x, f64::from(n) * 900.0 * x / (x + 4.0) + 60.0 * made_up(i * 7 + n))
            })
            .collect(),
        drawn: Drawn::Plain,
    };
    Lines {
        title: "Throughput by request rate".into(),
        description: "Throughput saturates.".into(),
        x: Axis::new("request rate (requests/s)", Scale::Linear),
        y: Axis::new("output (tokens/s)", Scale::Linear).covering(0.0, 1.0),
        series: (1..=6).map(series).collect(),
        ..Lines::default()
    }
    .render()
}

fn tiles_made_up(rows: u32, best: Best) -> HeatMap {
    let cell = |row: u32, column: usize| {
        let value = 60.0 * 1.9f64.powi(column as i32) * (0.8 + made_up(row * 31 + column as u32));
        (made_up(row * 17 + column as u32 * 5) > 0.08).then_some(value)
    };
    HeatMap {
        title: "Time by tile and batch size".into(),
        description: "Small tiles win at small batch sizes.".into(),
        row_heading: "tile".into(),
        rows: (0..rows)
            .map(|r| format!("{}x{}x128 w{} s3", 16 << (r % 4), 64 << (r % 3), 4 << (r % 2)))
            .collect(),
        column_heading: "batch size (tokens)".into(),
        columns: BATCHES.iter().map(ToString::to_string).collect(),
        cells: (0..rows).map(|r| (0..BATCHES.len()).map(|c| cell(r, c)).collect()).collect(),
        value_label: "time (µs), logarithmic".into(),
        scale: Scale::Log10,
        best,
        within: if best == Best::Lowest { Within::Column } else { Within::Map },
    }
}

fn dense_map_made_up() -> Svg {
    HeatMap {
        columns: (0..48).map(|n| format!("node-{n:02}")).collect(),
        cells: (0..5).map(|r| (0..48).map(|c| Some(made_up(r * 100 + c) * 100.0)).collect()).collect(),
        column_heading: "node".into(),
        value_label: "utilisation (%)".into(),
        scale: Scale::Linear,
        ..tiles_made_up(5, Best::Highest)
    }
    .render()
}

fn speedups_made_up() -> Svg {
    let row = |m: &u32| {
        let value = 0.9 + 0.55 * made_up(m + 1);
        let half = 0.02 + 0.06 * made_up(m + 2);
        let value = (*m != 256).then_some(value);
        ForestRow { label: m.to_string(), value, interval: value.map(|v| (v - half, v + half)) }
    };
    Forest {
        title: "Speed-up of the tuned configs".into(),
        description: "Most batch sizes gain.".into(),
        axis: Axis::new("speed-up over the default (ratio, 95 % interval)", Scale::Log2),
        label_heading: "batch size".into(),
        rows: BATCHES.iter().map(row).collect(),
        ..Forest::default()
    }
    .render()
}

fn latencies_made_up() -> Svg {
    let samples = |name: &str, base: f64, seed: u32| Samples {
        name: name.into(),
        values: (0..400).map(|i| base / (1.02 - made_up(i * 13 + seed)).powf(0.7)).collect(),
    };
    Cdf {
        title: "Time to first token".into(),
        description: "The tuned server is faster at every percentile.".into(),
        x: Axis::new("time to first token (ms)", Scale::Log10),
        series: vec![samples("tuned", 90.0, 1), samples("default", 130.0, 2)],
    }
    .render()
}

fn page_made_up() -> Page {
    let figure = |svg: Svg, caption: &str| Block::Figure(Figure { caption: caption.into(), svg });
    let card = |label: &str, value: &str, note: &str, tone| Card {
        label: label.into(),
        value: value.into(),
        note: note.into(),
        tone,
    };
    let row = |m: &u32| {
        let gain = 0.9 + 0.55 * made_up(m + 1);
        let tone = if gain > 1.0 { Tone::Good } else { Tone::Bad };
        vec![
            m.to_string().into(),
            "64x128x128 w4 s3".into(),
            format!("{:.1}", 120.0 * gain).into(),
            "120.0".into(),
            Cell { text: format!("{gain:.3}×"), tone },
        ]
    };
    let table = Table {
        caption: "Times are medians of made-up repeats.".into(),
        columns: vec![
            Column::number("Batch size"),
            Column::text("Tile"),
            Column::number("Default (µs)"),
            Column::number("Tuned (µs)"),
            Column::number("Speed-up"),
        ],
        rows: BATCHES.iter().map(row).collect(),
    };
    let prose = "Every figure on this page is made up; it is there to look at the page. A paragraph of prose \
                 runs over several lines, so that the length of lines and their spacing can be judged.";
    let section = |title: &str, blocks: Vec<Block>| Section { title: title.into(), blocks };
    Page {
        title: "Fused-MoE tuning with made-up data".into(),
        subtitle: "E=160, N=384, fp8_w8a8 on no device at all".into(),
        cards: vec![
            card("Median speed-up", "1.31×", "over the default, 10 batch sizes", Tone::Good),
            card("Batch sizes that lose", "1 of 10", "256 was not timed", Tone::Bad),
            card("Kernels compiled", "1,284", "12 did not fit", Tone::Neutral),
            card("Evidence", "measured", "paired, 95 % intervals", Tone::Neutral),
        ],
        sections: vec![
            section(
                "Speed-ups",
                vec![
                    Block::Prose(prose.into()),
                    figure(
                        speedups_made_up(),
                        "Ratio of the default's time to the tuned time; right is better.",
                    ),
                    Block::Table(table),
                ],
            ),
            section(
                "Times",
                vec![
                    figure(times_made_up(), "Time of one layer by batch size, with 95 % bands."),
                    figure(rates_made_up(), "Throughput by request rate for six clusters."),
                    figure(latencies_made_up(), "How the time to first token is distributed."),
                ],
            ),
            section(
                "Tiles",
                vec![
                    figure(tiles_made_up(8, Best::Lowest).render(), "Time by tile and batch size."),
                    figure(dense_map_made_up(), "Utilisation by tile on 48 nodes."),
                    Block::Points(vec!["Small tiles win early.".into(), "Large tiles win late.".into()]),
                ],
            ),
            section(
                "How this was made",
                vec![
                    Block::Verbatim("cargo test --test report_page -- --ignored".into()),
                    Block::Details {
                        summary: "Plots of little data".into(),
                        blocks: vec![
                            figure(Cdf::default().render(), "Nothing to show."),
                            figure(
                                Forest {
                                    rows: vec![ForestRow {
                                        label: "1".into(),
                                        value: Some(1.2),
                                        interval: None,
                                    }],
                                    axis: Axis::new("ratio", Scale::Linear),
                                    ..Forest::default()
                                }
                                .render(),
                                "One row.",
                            ),
                        ],
                    },
                ],
            ),
        ],
        footer: "Made by tests/report_page.rs from made-up data.".into(),
    }
}

#[test]
#[ignore = "opens Chromium; CI runs it"]
fn a_page_that_asks_for_something_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let script = "<script>console.error('found out')</script>";
    std::fs::write(&page, format!("<!doctype html><img src=\"http://example.test/a.png\">{script}")).unwrap();
    let seen = look(&page, false, 1200);
    assert!(asked_for(&seen.netlog).contains(&"http://example.test/a.png"), "{}", seen.netlog);
    assert!(seen.log.contains("CONSOLE") && seen.log.contains("found out"), "{}", seen.log);
}

#[test]
#[ignore = "opens Chromium; CI runs it"]
fn a_page_of_made_up_data_in_a_browser() {
    assert_renders("page", &page_made_up().render(), 4);
}

#[test]
fn nothing_outside_the_page_is_asked_for() {
    assert_self_contained(&page_made_up().render());
}

#[test]
fn colours_can_be_told_from_the_background_in_both_schemes() {
    assert_readable(&page_made_up().render());
}
