//! A run's figures as tables and lines, for a terminal and a page alike.

use std::collections::BTreeMap;

use crate::artifact::manifest::ManifestSpeedup;
use crate::commands::text_table::TextTable;
use crate::commands::tune::moe::output::interval;
use crate::span::in_words;
use crate::tuner::history::{Doing, History, NodeHistory};
use crate::tuner::run::Raced;
use crate::tuner::strategy::paired::median;
use crate::tuner::verdict::Verdict;
use crate::worker::protocol::GpuState;

/// What there is no figure of.
const NONE: &str = "-";

/// Every node with its time and its work.
pub(super) fn work(history: &History) -> TextTable {
    let row = |(name, node): (_, &NodeHistory)| {
        let spent = |doing| in_words(node.spent_ms(doing) as f64 / 1e3);
        let mut proven = node.proven.to_string();
        if node.kept > 0 {
            proven += &format!(" + {} kept", node.kept);
        }
        vec![
            format!("{name}"),
            percent(node.utilisation()),
            spent(Doing::Measuring),
            spent(Doing::Compiling),
            spent(Doing::Idle),
            spent(Doing::Away),
            proven,
            node.binaries.to_string(),
            node.taken.to_string(),
            node.rounds.to_string(),
            (node.restarts + node.replaced).to_string(),
        ]
    };
    let header = [
        "node",
        "used",
        "measuring",
        "compiling",
        "idle",
        "away",
        "proven",
        "binaries",
        "taken",
        "rounds",
        "restarts",
    ];
    TextTable::new(&header, history.nodes.iter().map(row).collect())
}

/// Every node that measured, with what its GPU said of itself and how its sentinels moved.
pub(super) fn gpus(history: &History) -> TextTable {
    let row = |(name, node): (_, &NodeHistory)| {
        let readings = |of: fn(&GpuState) -> Option<f64>| -> Vec<f64> {
            node.readings.iter().filter_map(|(_, state)| of(state)).collect()
        };
        let (mut clocks, mut warmth) = (readings(|it| it.clock_mhz), readings(|it| it.temperature_c));
        let whole = |figure: Option<f64>| figure.map_or(NONE.to_owned(), |it| format!("{it:.0}"));
        let lowest = clocks.iter().copied().reduce(f64::min);
        vec![
            format!("{name}"),
            whole(median(&mut clocks)),
            whole(lowest),
            whole(node.gpu.as_ref().and_then(|gpu| gpu.max_clock_mhz)),
            whole(median(&mut warmth)),
            whole(warmth.iter().copied().reduce(f64::max)),
            format!("{} of {}", node.throttled().count(), node.readings.len()),
            node.looks.len().to_string(),
            node.furthest_drift().map_or(NONE.to_owned(), |ratio| format!("{:+.1} %", (ratio - 1.0) * 100.0)),
        ]
    };
    let header = [
        "node",
        "SM MHz",
        "lowest",
        "possible",
        "\u{b0}C",
        "highest",
        "throttled",
        "looks",
        "furthest drift",
    ];
    TextTable::new(
        &header,
        history.nodes.iter().filter(|(_, node)| !node.readings.is_empty()).map(row).collect(),
    )
}

/// Every batch size that is decided, with who said so.
pub(super) fn verdicts(raced: &Raced) -> TextTable {
    let saw = |speedup: Option<&ManifestSpeedup>| speedup.map_or(NONE.to_owned(), interval);
    let row = |(batch_size, verdict): (&u32, &Verdict)| {
        let second = verdict.second.as_ref();
        vec![
            batch_size.to_string(),
            verdict.on.to_string(),
            saw(verdict.speedup.as_ref()),
            second.map_or(NONE.to_owned(), |it| it.on.to_string()),
            second.map_or(NONE.to_owned(), |it| saw(it.speedup.as_ref())),
            second.map_or(NONE, |it| if it.agrees { "agrees" } else { "does not agree" }).to_owned(),
        ]
    };
    let header =
        ["batch size", "decided on", "speed-up there", "second node", "speed-up there", "its verdict"];
    TextTable::new(&header, raced.verdicts.iter().map(row).collect())
}

/// What went wrong, a line each; what went wrong alike is counted.
pub(super) fn troubles(history: &History) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, node) in &history.nodes {
        let mut left: BTreeMap<String, u64> = BTreeMap::new();
        for (_, how) in &node.departures {
            *left.entry(how.why()).or_default() += 1;
        }
        lines.extend(left.into_iter().map(|(why, count)| format!("{name} left {}: {why}", times(count))));
        if node.broken_off > 0 {
            lines.push(format!(
                "{name} left {} of {} orders unfinished: that work was done again",
                node.broken_off, node.orders
            ));
        }
        lines.extend(
            node.given_up.iter().map(|kernel| format!("given up, the last time on {name}: {kernel}")),
        );
        if node.without_binary > 0 {
            lines.push(format!("{name} found {} kernels that do not compile", node.without_binary));
        }
        for (failure, count) in &node.failures {
            lines.push(format!("{name} could not time a config {}: {}", times(*count), failure.name()));
        }
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for reason in node.throttled().flat_map(|(_, state)| &state.throttle) {
            *reasons.entry(reason).or_default() += 1;
        }
        lines.extend(reasons.into_iter().map(|(reason, count)| {
            format!("{name} held its clock down in {count} of {} readings: {reason}", node.readings.len())
        }));
    }
    lines
}

/// A share in per cent.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or(NONE.to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
