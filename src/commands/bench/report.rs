//! `sparkbench report`: a run, or those of repeats or a sweep, shown again.

use std::io;
use std::path::{Path, PathBuf};

use super::report_page::{Report, repeats_page, run_page, sweep_page, warnings};
use super::summary_table;
use crate::bench::compare::MeasuredRun;
use crate::bench::repeats::{are_repeats, repeated};
use crate::bench::results::SummaryFile;
use crate::bench::sweep::knee;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::{Failure, Kind};
use crate::fs::write_atomic;

/// What the user said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportSettings {
    /// The directory of a run, of repeats or of a sweep.
    pub dir: PathBuf,
    /// Write the page to this file.
    pub html: Option<PathBuf>,
    /// Write each plot to this folder, which is made where it is missing.
    pub plots: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

/// Reads what lies in a directory.
pub(crate) type ReadRuns<'a, T> = dyn Fn(&Path) -> Result<T, Box<dyn Failure>> + 'a;

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ReportError(pub io::Error);

impl Failure for ReportError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

/// Show what `read` finds in the directory: one run, repeats, or a sweep.
pub(crate) fn run(
    settings: &ReportSettings,
    read: &ReadRuns<'_, Vec<MeasuredRun>>,
    out: &mut dyn Output,
) -> CommandResult {
    let ReportSettings { dir, html, plots, json } = settings;
    show(&read(dir)?, html.as_deref(), plots.as_deref(), *json, out)?;
    Ok(Verdict::Done)
}

/// Show runs, and write their page and plots where that is asked for.
pub(super) fn show(
    runs: &[MeasuredRun],
    html: Option<&Path>,
    plots: Option<&Path>,
    json: bool,
    out: &mut dyn Output,
) -> Result<(), Box<dyn Failure>> {
    if html.is_some() || plots.is_some() {
        let report = match runs {
            [run] => run_page(run),
            runs if are_repeats(runs) => repeats_page(runs),
            runs => sweep_page(runs),
        };
        write(&report, html, plots).map_err(ReportError)?;
    }
    let printed = match runs {
        [run] if json => out.json(&summary_json(run)),
        [run] => summary_table::print(run, out),
        runs if are_repeats(runs) => repeats(runs, json, out),
        runs => sweep(runs, json, out),
    };
    Ok(printed.map_err(OutputError)?)
}

/// The object that a run's summary.json holds.
pub(super) fn summary_json(run: &MeasuredRun) -> serde_json::Value {
    let file = SummaryFile::new(&run.plan, run.summary.clone());
    serde_json::to_value(file).expect("plain data always serialises")
}

fn repeats(runs: &[MeasuredRun], json: bool, out: &mut dyn Output) -> io::Result<()> {
    use super::report_page::repeats::{explained, named, table};
    if json {
        return out.json(&runs.iter().map(summary_json).collect());
    }
    for warning in warnings(runs) {
        out.line(&format!("warning: {warning}"))?;
    }
    let plan = &runs[0].plan;
    out.line(&format!("{} with {}: {} runs of one plan", plan.profile, plan.model, runs.len()))?;
    for run in named(runs) {
        out.line(&format!("  {run}"))?;
    }
    out.line("")?;
    let table = table(&repeated(runs));
    let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
    out.table(&header, &table.rows)?;
    out.line("")?;
    out.line(&explained(runs.len()))
}

fn sweep(runs: &[MeasuredRun], json: bool, out: &mut dyn Output) -> io::Result<()> {
    use super::report_page::sweep::{explained, points, table};
    let points = points(runs);
    let found = knee(&points);
    if json {
        return out.json(&serde_json::json!({ "points": points, "knee": found }));
    }
    for warning in warnings(runs) {
        out.line(&format!("warning: {warning}"))?;
    }
    let table = table(&points);
    let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
    out.table(&header, &table.rows)?;
    out.line(&explained(found, &points))
}

/// Write a report's page and plots, each where it is asked for.
pub(crate) fn write(report: &Report, html: Option<&Path>, plots: Option<&Path>) -> io::Result<()> {
    if let Some(folder) = plots {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot make `{}`: {error}", folder.display()))
        };
        std::fs::create_dir_all(folder).map_err(named)?;
        for (name, svg) in &report.plots {
            write_atomic(&folder.join(format!("{name}.svg")), svg.as_str().as_bytes())?;
        }
    }
    html.map_or(Ok(()), |path| save(path, &report.html()))
}

/// Write a page.
pub(super) fn save(path: &Path, html: &str) -> io::Result<()> {
    write_atomic(path, html.as_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::compare::made_up::{MadeUp, made_up};

    /// What was printed, line by line, cells of a table apart by two spaces.
    #[derive(Default)]
    pub(crate) struct Lines(pub(crate) Vec<String>);

    impl Output for Lines {
        fn line(&mut self, text: &str) -> io::Result<()> {
            self.0.push(text.to_owned());
            Ok(())
        }

        fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.line(&String::from_utf8_lossy(bytes))
        }

        fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
            self.0.push(header.join("  "));
            self.0.extend(rows.iter().map(|row| row.join("  ")));
            Ok(())
        }
    }

    fn settings(folder: &Path) -> ReportSettings {
        ReportSettings {
            dir: "results/x".into(),
            html: Some(folder.join("report.html")),
            plots: Some(folder.join("plots")),
            json: false,
        }
    }

    fn run_of(concurrency: u32) -> MeasuredRun {
        made_up(&MadeUp { concurrency, requests: 120, output_tokens: 12, ..MadeUp::default() })
    }

    #[test]
    fn page_and_plots_are_written_where_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Lines::default();
        run(&settings(folder.path()), &|_| Ok(vec![run_of(8)]), &mut out)
            .map_err(|error| error.to_string())
            .unwrap();
        assert!(std::fs::read_to_string(folder.path().join("report.html")).unwrap().contains("<svg"));
        for name in ["ttft-cdf", "itl-over-time", "throughput-over-time", "in-flight-over-time"] {
            let svg = std::fs::read_to_string(folder.path().join(format!("plots/{name}.svg"))).unwrap();
            assert!(svg.starts_with("<svg") && !svg.contains("No data"), "{name}");
        }
        assert!(out.0.iter().any(|line| line.contains("TTFT")));
    }

    #[test]
    fn a_sweep_is_shown_by_load_and_its_knee_named() {
        let folder = tempfile::tempdir().unwrap();
        let read = |_: &Path| Ok([64, 2, 8, 32].map(run_of).to_vec());
        let mut out = Lines::default();
        run(&settings(folder.path()), &read, &mut out).map_err(|error| error.to_string()).unwrap();
        let loads: Vec<&str> = out.0[1..5].iter().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(loads, ["concurrency 2", "concurrency 8", "concurrency 32", "concurrency 64"]);
        assert!(out.0.last().unwrap().contains("The knee is where power"));
        let html = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert_eq!(html.matches("<svg").count(), 3);
        let json = ReportSettings { json: true, html: None, plots: None, ..settings(folder.path()) };
        let mut out = Lines::default();
        run(&json, &read, &mut out).map_err(|error| error.to_string()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&out.0.concat()).unwrap();
        assert_eq!(json["points"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn repeats_are_shown_together_and_have_no_knee() {
        let folder = tempfile::tempdir().unwrap();
        let repeat = |seed| {
            made_up(&MadeUp {
                seed,
                requests: 120,
                output_tokens: 12,
                failed_share: 0.02,
                ..MadeUp::default()
            })
        };
        let read = |_: &Path| Ok([1, 2, 3].map(repeat).to_vec());
        let mut out = Lines::default();
        run(&settings(folder.path()), &read, &mut out).map_err(|error| error.to_string()).unwrap();
        let text = out.0.join("\n");
        assert!(text.contains("3 runs of one plan") && text.contains("run 2: results/made-up-2"), "{text}");
        let tokens = out.0.iter().find(|line| line.starts_with("output tokens/s  ")).unwrap();
        let cells: Vec<&str> = tokens.split("  ").collect();
        assert!(cells[1].contains(" ± ") && cells[2].ends_with(" %"), "{cells:?}");
        assert_eq!(cells[3].split("; ").count(), 3, "{cells:?}");
        let failed = out.0.iter().find(|line| line.starts_with("failed requests  ")).unwrap();
        assert!(failed.contains(" points  "), "{failed}");
        assert!(!text.contains("knee") && !text.contains("concurrency 16 "), "{text}");
        let html = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert!(html.contains("3 runs of one plan") && !html.contains("knee"));
        assert_eq!(html.matches("<svg").count(), 1);
        assert!(folder.path().join("plots/run-by-run.svg").exists());
        let json = ReportSettings { json: true, html: None, plots: None, ..settings(folder.path()) };
        let mut out = Lines::default();
        run(&json, &read, &mut out).map_err(|error| error.to_string()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&out.0.concat()).unwrap();
        assert_eq!(json[2], summary_json(&repeat(3)));
    }

    #[test]
    fn a_page_that_cannot_be_written_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let html = folder.path().join("missing").join("report.html");
        let settings = ReportSettings { html: Some(html.clone()), plots: None, ..settings(folder.path()) };
        let mut out = Lines::default();
        let error = run(&settings, &|_| Ok(vec![run_of(2)]), &mut out).unwrap_err();
        assert!(error.to_string().contains(&html.display().to_string()), "{error}");
        assert_eq!((error.kind(), out.0.len()), (Kind::Environment, 0));
    }
}
