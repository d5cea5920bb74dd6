//! One run's summary as tables: on a terminal and on a page the same words and figures.

use super::nodes_table;
use super::words::{percent, short};
use crate::bench::compare::MeasuredRun;
use crate::bench::summary::{Distribution, Estimate, Summary, Throughput};
use crate::commands::Output;
use crate::commands::text_table::TextTable;
use crate::commands::tune::subject::grouped;

/// Print all of it: warnings first, since without them the figures mislead.
pub(crate) fn print(run: &MeasuredRun, out: &mut dyn Output) -> std::io::Result<()> {
    let summary = &run.summary;
    for warning in &summary.warnings {
        out.line(&format!("warning: {warning}"))?;
    }
    out.line(&format!("{} with {}: {}", summary.profile, summary.model, requests(summary)))?;
    for table in [throughput(summary), latency(summary)] {
        if !table.rows.is_empty() {
            out.line("")?;
            let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
            out.table(&header, &table.rows)?;
        }
    }
    out.line("")?;
    for line in facts(summary) {
        out.line(&line)?;
    }
    if let Some(nodes) = &run.nodes {
        out.line("")?;
        let table = nodes_table::table(nodes);
        let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
        out.table(&header, &table.rows)?;
    }
    Ok(())
}

/// How the requests ended, in a line.
pub(crate) fn requests(summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut parts = vec![format!("{} of {} requests done", counts.completed, counts.planned)];
    let others =
        [(counts.failed, "failed"), (counts.interrupted, "interrupted"), (counts.unsent, "never sent")];
    parts.extend(others.into_iter().filter(|it| it.0 > 0).map(|(count, how)| format!("{count} {how}")));
    parts.join(", ")
}

/// Rates, over the whole run and the steady window.
pub(crate) fn throughput(summary: &Summary) -> TextTable {
    let row = |name: &str, it: &Throughput| {
        let rates = [it.output_tokens, it.input_tokens, it.total_tokens, it.requests].map(short);
        let span = format!("{:.1} s to {:.1} s", it.from_s, it.from_s + it.duration_s);
        [vec![name.to_owned()], rates.to_vec(), vec![span]].concat()
    };
    let mut rows = vec![row("whole run", &summary.throughput)];
    rows.extend(summary.steady.iter().map(|steady| row("steady", steady)));
    TextTable::new(&["per second", "output tokens", "input tokens", "all tokens", "requests", "span"], rows)
}

/// Latencies in milliseconds, those that the run has.
pub(crate) fn latency(summary: &Summary) -> TextTable {
    let it = &summary.latency_ms;
    let row = |name: &str, of: &Option<Distribution>| {
        let of = of.as_ref()?;
        let rest = [of.median, of.p90, of.p95, of.p99, of.max].map(|it| short(it.value));
        Some([vec![name.to_owned(), with_interval(of.mean)], rest.to_vec()].concat())
    };
    let rows = [
        row("TTFT", &it.ttft),
        row("TPOT", &it.tpot),
        row("ITL", &it.itl),
        row("E2E", &it.e2e),
        row("TTFT from schedule", &it.ttft_from_schedule),
        row("E2E from schedule", &it.e2e_from_schedule),
        row("queued by the client", &it.queued),
    ];
    let header = ["latency, ms", "mean", "median", "p90", "p95", "p99", "max"];
    TextTable::new(&header, rows.into_iter().flatten().collect())
}

/// The figure and half its interval; both ends where the interval is lopsided.
fn with_interval(it: Estimate) -> String {
    let (down, up) = (it.value - it.low, it.high - it.value);
    match down.max(up) {
        none if none <= 0.0 => short(it.value),
        wider if (down - up).abs() <= 0.2 * wider => format!("{} ± {}", short(it.value), short(wider)),
        _ => format!("{} ({} to {})", short(it.value), short(it.low), short(it.high)),
    }
}

/// Everything else, a line each, where the run has it.
pub(crate) fn facts(summary: &Summary) -> Vec<String> {
    let mut facts = vec![format!(
        "concurrency: {} on average, {} at most; {} output tokens in the busiest second",
        short(summary.mean_concurrency),
        summary.peak_concurrency,
        short(summary.peak_output_tokens_per_s)
    )];
    if let Some(goodput) = summary.goodput {
        facts.push(format!(
            "goodput: {} requests/s within the SLOs, {} of all",
            short(goodput.requests),
            percent(goodput.share)
        ));
    }
    if let Some(accepted) = summary.accept_length {
        facts.push(format!("accept length: {} tokens a verification step", short(accepted)));
    }
    if let Some(cached) = summary.cached_tokens {
        let share = if summary.input_tokens > 0 { cached as f64 / summary.input_tokens as f64 } else { 0.0 };
        facts.push(format!("cached prompt tokens: {}, {} of all", grouped(cached), percent(share)));
    }
    if summary.exact_token_share < 1.0 {
        facts.push(format!("tokens counted exactly: {} of events", percent(summary.exact_token_share)));
    }
    let client = &summary.client;
    let health = match &client.complaints[..] {
        [] => "kept up".to_owned(),
        complaints => format!("could NOT keep up: {}", complaints.join("; ")),
    };
    facts.push(format!(
        "client: {health}; {} of a core, woke up {} ms late at p99, {} sends late{}",
        percent(client.cpu_share),
        short(client.lag_ms.p99),
        client.late_sends,
        client
            .kernel_times
            .map_or(String::new(), |share| format!(", {} of times the kernel's", percent(share)))
    ));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::made_up::{MadeUp, made_up};
    use crate::commands::bench::report::tests::Lines;

    #[test]
    fn warnings_come_first_and_every_figure_has_its_place() {
        let mut run = made_up(&MadeUp { failed_share: 0.05, rate: Some(5.0), ..MadeUp::default() });
        run.summary.client.complaints.push("the event loop stood still for 80 ms".into());
        let mut out = Lines::default();
        print(&run, &mut out).unwrap();
        let text = out.0.join("\n");
        assert!(out.0[0].starts_with("warning: ") && out.0[0].contains("failed"), "{text}");
        for word in [
            "whole run",
            "steady",
            "TTFT",
            "TPOT",
            "ITL",
            "E2E",
            "from schedule",
            "p99",
            "±",
            "goodput",
            "accept length",
            "cached prompt tokens",
            "could NOT keep up: the event loop stood still",
        ] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        assert!(!text.contains("NaN"), "{text}");
    }

    #[test]
    fn a_run_without_anything_is_still_shown() {
        let mut run = made_up(&MadeUp { failed_share: 1.0, requests: 3, ..MadeUp::default() });
        let summary = &mut run.summary;
        (summary.goodput, summary.accept_length, summary.cached_tokens) = (None, None, None);
        assert!(latency(summary).rows.is_empty());
        let mut out = Lines::default();
        print(&run, &mut out).unwrap();
        assert!(out.0.iter().any(|line| line.contains("0 of 3 requests done, 3 failed")), "{:?}", out.0);
    }

    #[test]
    fn lopsided_intervals_show_both_ends() {
        let shown = |low, high| with_interval(Estimate { value: 100.0, low, high });
        assert_eq!(shown(98.0, 102.0), "100 ± 2.00");
        assert_eq!(shown(99.0, 120.0), "100 (99.0 to 120)");
        assert_eq!(shown(100.0, 100.0), "100");
    }
}
