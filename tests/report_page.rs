//! A report page in a real browser: it renders whole, says nothing on the console, asks for nothing, and can
//! be read in light and dark. Its data is made up; that the page says so too is on purpose.
//!
//! The looks are ignored by default: they need Chromium.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// Where to leave what was seen: `SPARK_REPORT_LOOK`, for people who want to look too.
fn kept() -> Option<PathBuf> {
    std::env::var_os("SPARK_REPORT_LOOK").map(PathBuf::from)
}

struct Seen {
    dom: String,
    log: String,
    netlog: String,
    png: Vec<u8>,
}

/// Open `page` in a browser of its own that cannot resolve any name.
fn look(page: &Path, dark: bool, width: u32) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let (shot, netlog) = (folder.path().join("shot.png"), folder.path().join("net.json"));
    // Other systems call it otherwise.
    let browser = std::env::var_os("SPARK_CHROMIUM").unwrap_or_else(|| "chromium".into());
    // A window is never narrower than 500 pixels, a frame is.
    let framed = folder.path().join("framed.html");
    let frame =
        format!("<iframe src=\"file://{}\" width=\"{width}\" height=\"8000\"></iframe>", page.display());
    std::fs::write(
        &framed,
        format!("<!doctype html><meta name=\"color-scheme\" content=\"light dark\"><style>*{{margin:0;border:0}}</style>{frame}"),
    )
    .unwrap();
    let run = |page: &Path, last: &[String]| {
        let mut command = Command::new(&browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--enable-logging=stderr", "--v=0"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND")
            // 0 is dark, 1 is light (Blink's PreferredColorScheme).
            .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .args(last)
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null());
        let output = command.output().expect("chromium: install it (.ci/run does) or leave --ignored out");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (dom, mut log) = run(page, &["--dump-dom".into(), format!("--log-net-log={}", netlog.display())]);
    let height = if width < 600 { 8100 } else { 5600 };
    let shown = if width < 600 { &framed } else { page };
    log +=
        &run(shown, &[format!("--screenshot={}", shot.display()), format!("--window-size={width},{height}")])
            .1;
    let png = std::fs::read(&shot).unwrap();
    Seen { dom, log, netlog: std::fs::read_to_string(&netlog).unwrap_or_default(), png }
}

/// What a page asked the network for. Chromium's own requests (updates, time, accounts), which no switch
/// turns off altogether, all go to Google, as no page of ours could.
fn asked_for(netlog: &str) -> Vec<&str> {
    assert!(netlog.contains("\"events\""), "no record of the network");
    let urls = netlog.split("\"url\":\"").skip(1).filter_map(|after| after.split('"').next());
    urls.filter(|url| url.starts_with("http"))
        .filter(|url| {
            let host = url.split('/').nth(2).unwrap_or_default();
            !host.ends_with(".google.com") && !host.ends_with(".googleapis.com")
        })
        .collect()
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
    let html = page_made_up().render();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, &html).unwrap();
    let mut shots = Vec::new();
    for (dark, width) in [(false, 1200), (true, 1200), (false, 420), (true, 420)] {
        let seen = look(&page, dark, width);
        assert_eq!(seen.dom.matches("<svg ").count(), html.matches("<svg ").count());
        assert_eq!(seen.dom.matches("<section ").count(), 4);
        assert!(seen.dom.trim_end().ends_with("</html>"));
        assert!(!seen.log.contains("CONSOLE"), "{}", seen.log);
        assert_eq!(asked_for(&seen.netlog), [""; 0]);
        if let Some(folder) = kept() {
            let name = format!("{}-{width}.png", if dark { "dark" } else { "light" });
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), &seen.png).unwrap();
            std::fs::write(folder.join("page.html"), &html).unwrap();
        }
        shots.push(seen.png);
    }
    assert_ne!(shots[0], shots[1], "dark looks like light");
}

#[test]
fn nothing_outside_the_page_is_asked_for() {
    let html = page_made_up().render();
    for word in ["src=", "url(", "@import", "<script", "<iframe", "<object"] {
        assert!(!html.contains(word), "{word}");
    }
    for address in html.split("://").skip(1) {
        assert!(address.starts_with("www.w3.org/2000/svg\""), "{address:.60}");
    }
    for target in html.split("href=\"").skip(1) {
        assert!(target.starts_with("#part-") || target.starts_with("data:,\""), "{target:.60}");
    }
}

/// The colours of `html`'s variables: light, then dark.
fn variables(html: &str) -> [Vec<(String, [f64; 3])>; 2] {
    let (mut light, mut dark) = (Vec::new(), Vec::new());
    for line in html.lines().filter(|line| line.contains(":#")) {
        let mut rest = line;
        let mut in_dark = false;
        while let Some(start) = rest.find("--") {
            in_dark |= rest[..start].contains("prefers-color-scheme:dark");
            rest = &rest[start..];
            let Some((name, after)) = rest.split_once(':') else { break };
            if let Some(hex) = after.strip_prefix('#') {
                let part = |i: usize| f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0;
                let colour = (name.to_owned(), [part(0), part(2), part(4)]);
                if in_dark { dark.push(colour) } else { light.push(colour) }
            }
            rest = &rest[2..];
        }
    }
    [light, dark]
}

/// WCAG 2.2's contrast ratio.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |rgb: [f64; 3]| {
        let [r, g, b] = rgb.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    (a / b).max(b / a)
}

#[test]
fn colours_can_be_told_from_the_background_in_both_schemes() {
    let schemes = variables(&page_made_up().render());
    for (scheme, colours) in ["light", "dark"].into_iter().zip(&schemes) {
        let of = |name: &str| {
            colours.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{scheme} lacks {name}")).1
        };
        assert_eq!(of("--paper"), of("--plot-paper"), "a plot's halo is the page's background");
        for text in ["--ink", "--quiet", "--link", "--good", "--bad"] {
            for behind in ["--paper", "--raised"] {
                let ratio = contrast(of(text), of(behind));
                assert!(ratio >= 4.5, "{scheme}: {text} on {behind} has {ratio:.2}");
            }
        }
        for text in ["--plot-ink", "--plot-quiet"] {
            assert!(contrast(of(text), of("--plot-paper")) >= 4.5, "{scheme}: {text}");
        }
        let graphics =
            ["--plot-0", "--plot-1", "--plot-2", "--plot-3", "--plot-4", "--plot-5", "--plot-axis"];
        for mark in graphics {
            let ratio = contrast(of(mark), of("--plot-paper"));
            assert!(ratio >= 3.0, "{scheme}: {mark} has {ratio:.2}");
        }
    }
}
