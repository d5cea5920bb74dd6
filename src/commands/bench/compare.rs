//! `sparkbench compare`: runs held against each other.

use std::path::PathBuf;

use super::report::{ReadRuns, ReportError, save};
use super::report_page::comparison_page;
use super::words::pair_table;
use crate::bench::compare::{
    Basis, CompareOptions, Compared, ComparedPair, Comparison, MeasuredRun, compare,
};
use crate::commands::{CommandResult, Output, OutputError, Verdict};

/// What the user said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CompareSettings {
    /// What to compare with: a run's directory, or one that holds repeats or a sweep.
    pub a: PathBuf,
    /// What is judged.
    pub b: PathBuf,
    /// What counts as a regression: worse by more than this share, 0 to 1.
    pub threshold: f64,
    /// Compare although the plans differ.
    pub ignore_plan: bool,
    /// Write a page to this file too.
    pub html: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

/// Compare, print, and say no where anything is worse. `read` reads the runs of one directory.
pub(crate) fn run(
    settings: &CompareSettings,
    read: &ReadRuns<'_, Vec<MeasuredRun>>,
    out: &mut dyn Output,
) -> CommandResult {
    let options = CompareOptions {
        threshold: settings.threshold,
        ignore_plan: settings.ignore_plan,
        ..CompareOptions::default()
    };
    let comparison = compare(&read(&settings.a)?, &read(&settings.b)?, options)?;
    if let Some(path) = &settings.html {
        save(path, &comparison_page(&comparison).html()).map_err(ReportError)?;
    }
    if settings.json {
        let json = serde_json::to_value(&comparison).expect("plain data always serialises");
        out.json(&json).map_err(OutputError)?;
    } else {
        print(&comparison, out).map_err(OutputError)?;
    }
    let regressed = comparison.regressions().next().is_some();
    Ok(if regressed { Verdict::CheckSaidNo } else { Verdict::Done })
}

fn print(comparison: &Comparison, out: &mut dyn Output) -> std::io::Result<()> {
    for pair in &comparison.pairs {
        for note in &pair.notes {
            out.line(&format!("warning: {note}"))?;
        }
        let load = if pair.load.is_empty() { String::new() } else { format!(", {}", pair.load) };
        out.line(&format!("{} with {}{load}", pair.profile, pair.model))?;
        out.line(&format!("  A: {}", pair.runs_a.join(", ")))?;
        out.line(&format!("  B: {}", pair.runs_b.join(", ")))?;
        out.line(match pair.basis {
            Basis::Requests => {
                "  intervals: 95 %, from requests; how runs vary they cannot know (run --repeat)"
            }
            Basis::Repeats => "  intervals: 95 %, from how the runs vary",
        })?;
        out.line("")?;
        let table = pair_table(pair);
        let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
        out.table(&header, &table.rows)?;
        out.line("")?;
    }
    out.line(&last_line(comparison))
}

fn last_line(comparison: &Comparison) -> String {
    use crate::bench::compare::MetricVerdict;
    let names = |verdict| {
        let several = comparison.pairs.len() > 1;
        let name = |(pair, metric): (&ComparedPair, &Compared)| match several {
            true => format!("{} ({})", metric.metric, pair.load),
            false => metric.metric.clone(),
        };
        comparison.with(verdict).map(name).collect::<Vec<_>>()
    };
    let threshold = comparison.threshold * 100.0;
    let (worse, better) = (names(MetricVerdict::Worse), names(MetricVerdict::Better));
    let unclear = match comparison.with(MetricVerdict::Unclear).count() {
        0 => String::new(),
        count => format!("; {count} unclear"),
    };
    match (&worse[..], &better[..]) {
        ([], []) => format!("No metric is worse or better by more than {threshold} % for sure{unclear}."),
        ([], better) => format!("Better by more than {threshold} %: {}{unclear}.", better.join(", ")),
        (worse, _) => format!("REGRESSION, worse by more than {threshold} %: {}{unclear}.", worse.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bench::compare::made_up::{MadeUp, made_up};
    use crate::commands::bench::report::tests::Lines;
    use crate::failure::{Failure, Kind};

    fn settings() -> CompareSettings {
        CompareSettings {
            a: "a".into(),
            b: "b".into(),
            threshold: 0.05,
            ignore_plan: false,
            html: None,
            json: false,
        }
    }

    fn read(slowdown: f64) -> impl Fn(&Path) -> Result<Vec<MeasuredRun>, Box<dyn Failure>> {
        move |path| {
            let is_b = path == Path::new("b");
            let (seed, slowdown) = if is_b { (2, slowdown) } else { (1, 1.0) };
            Ok(vec![made_up(&MadeUp {
                seed,
                slowdown,
                requests: 200,
                output_tokens: 12,
                ..MadeUp::default()
            })])
        }
    }

    #[test]
    fn a_regression_says_no_and_names_what_is_worse() {
        let mut out = Lines::default();
        let verdict = run(&settings(), &read(1.3), &mut out).map_err(|error| error.to_string()).unwrap();
        assert_eq!(verdict, Verdict::CheckSaidNo);
        let last = out.0.last().unwrap();
        assert!(last.starts_with("REGRESSION") && last.contains("TPOT mean"), "{last}");
        let row = out.0.iter().find(|line| line.contains("TPOT mean, ms")).unwrap();
        assert!(row.contains("worse") && row.contains('['), "{row}");
        let mut out = Lines::default();
        let verdict = run(&settings(), &read(0.7), &mut out).map_err(|error| error.to_string()).unwrap();
        assert_eq!(verdict, Verdict::Done);
        assert!(out.0.last().unwrap().starts_with("Better"), "{:?}", out.0.last());
    }

    #[test]
    fn json_and_page_carry_the_same_verdicts() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("compare.html");
        let settings = CompareSettings { json: true, html: Some(page.clone()), ..settings() };
        let mut out = Lines::default();
        run(&settings, &read(1.3), &mut out).map_err(|error| error.to_string()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&out.0.concat()).unwrap();
        let metrics = json["pairs"][0]["metrics"].as_array().unwrap();
        let tpot = metrics.iter().find(|it| it["metric"] == "TPOT mean").unwrap();
        assert_eq!((&tpot["verdict"], &tpot["change"]["kind"]), (&"worse".into(), &"ratio".into()));
        let html = std::fs::read_to_string(page).unwrap();
        assert!(html.contains("Metrics worse") && html.matches("<svg").count() == 2);
    }

    #[test]
    fn wrong_input_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let html = Some(folder.path().join("compare.html"));
        let settings = CompareSettings { threshold: 5.0, html, ..settings() };
        let mut out = Lines::default();
        let error = run(&settings, &read(1.0), &mut out).unwrap_err();
        assert_eq!((error.kind(), out.0.len()), (Kind::Input, 0));
        assert_eq!(
            error.to_string(),
            "--threshold: `5` is no threshold; give a share above 0 and below 1, such as 0.05 for 5 %"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
