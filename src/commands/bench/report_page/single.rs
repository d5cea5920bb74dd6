//! The page of one run.

use super::{Plots, Report, card, figures, footer, server};
use crate::bench::compare::MeasuredRun;
use crate::bench::nodes::NodesAround;
use crate::bench::summary::Summary;
use crate::commands::bench::words::{duration, percent, short};
use crate::commands::bench::{nodes_table, summary_table};
use crate::commands::text_table::as_table;
use crate::report::html::{Block, Card, Page, Section, Tone};

/// What a run came to, with its course.
pub fn run_page(run: &MeasuredRun) -> Report {
    let mut plots = Plots::default();
    let summary = &run.summary;
    let mut sections = Vec::new();
    let mut section = |title: &str, blocks: Vec<Block>| {
        if !blocks.is_empty() {
            sections.push(Section { title: title.into(), blocks });
        }
    };
    if !summary.warnings.is_empty() {
        section("Read this first", vec![Block::Points(summary.warnings.clone())]);
    }
    section("Figures", tables(summary));
    section("Latencies", figures::distributions(run, &mut plots));
    section("Over time", figures::course(run, &mut plots));
    section("The server's own view", server::blocks(&summary.server, &mut plots));
    section("The machines behind the server", machines(run));
    section("How this was measured", plan(run));
    let page = Page {
        title: format!("{} under {}", summary.model, summary.profile),
        subtitle: subtitle(run),
        cards: cards(summary),
        sections,
        footer: footer(),
    };
    Report { page, plots: plots.0 }
}

fn subtitle(run: &MeasuredRun) -> String {
    let server = &run.summary.server;
    let runtime = match &server.version {
        Some(version) => format!("{} {version}", server.runtime),
        None => server.runtime.clone(),
    };
    let load = crate::bench::compare::load(&run.plan);
    [runtime, load, summary_table::requests(&run.summary)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" | ")
}

fn cards(summary: &Summary) -> Vec<Card> {
    let rates = &summary.throughput;
    let mut cards = vec![card(
        "Output tokens/s",
        short(rates.output_tokens),
        format!("{} requests/s over {:.1} s", short(rates.requests), rates.duration_s),
        Tone::Neutral,
    )];
    let latency = &summary.latency_ms;
    let scheduled = latency.ttft_from_schedule.as_ref();
    let ttft = if scheduled.is_some() { "TTFT from schedule, median" } else { "TTFT, median" };
    for (label, of) in [
        (ttft, scheduled.or(latency.ttft.as_ref())),
        ("ITL, median", latency.itl.as_ref()),
        ("E2E, median", latency.e2e.as_ref()),
    ] {
        if let Some(of) = of {
            let p99 = format!("p99 {}", duration(of.p99.value));
            cards.push(card(label, duration(of.median.value), p99, Tone::Neutral));
        }
    }
    if let Some(goodput) = summary.goodput {
        let note = format!("{} requests/s within the SLOs", short(goodput.requests));
        cards.push(card("Good requests", percent(goodput.share), note, Tone::Neutral));
    }
    let counts = &summary.counts;
    let tone = if counts.failed > 0 { Tone::Bad } else { Tone::Neutral };
    let ended = counts.completed + counts.failed;
    cards.push(card("Failed requests", counts.failed.to_string(), format!("of {ended} that ended"), tone));
    cards
}

fn tables(summary: &Summary) -> Vec<Block> {
    let mut blocks: Vec<Block> = [
        (summary_table::throughput(summary), "Rates count successful requests only."),
        (
            summary_table::latency(summary),
            "Of successful requests, with 95 % bootstrap intervals of the means. ITL is weighted by tokens.",
        ),
    ]
    .into_iter()
    .filter(|(table, _)| !table.rows.is_empty())
    .map(|(table, caption)| Block::Table(as_table(table, caption)))
    .collect();
    if !summary.counts.failures.is_empty() {
        let classes = summary.counts.failures.iter();
        blocks.push(Block::Points(
            classes.map(|(class, count)| format!("{count} failed: {}", class.name())).collect(),
        ));
    }
    blocks.push(Block::Points(summary_table::facts(summary)));
    blocks
}

fn machines(run: &MeasuredRun) -> Vec<Block> {
    let table = |nodes: &NodesAround| {
        let caption = format!("Nodes of {}, read before the run and after it.", nodes.cluster);
        Block::Table(as_table(nodes_table::table(nodes), &caption))
    };
    run.nodes.iter().map(table).collect()
}

pub(super) fn plan(run: &MeasuredRun) -> Vec<Block> {
    let json = serde_json::to_value(&run.plan).expect("a plan is plain data");
    vec![
        Block::Prose(
            "Two runs can be compared when their plans are equal. The requests themselves, one line each, are in \
             requests.jsonl beside this page."
                .into(),
        ),
        Block::Details { summary: "The plan".into(), blocks: vec![Block::Verbatim(format!("{json:#}"))] },
    ]
}
