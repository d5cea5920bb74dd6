//! The arguments of `sparktune report`.

use std::path::PathBuf;

use clap::Args;

/// `sparktune report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune report results/RUN                              who did what for how long, and who decided what
  sparktune report results/RUN --html page.html             the same over time, on a page of its own
  sparktune report results/RUN --json | jq '.nodes[] | {node, utilisation}'

It reads the journal in the run's directory, of a run that ended, goes on or was killed. `sparktune moe` leaves the page
as report.html when it ends.")]
pub(crate) struct ReportArgs {
    /// The run directory
    #[arg(value_name = "RUN_DIR")]
    pub run: PathBuf,
    /// Write the page to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// A folder with devices/*.toml of your own, where the run's device is one of them
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_PROFILES")]
    pub profiles: Option<PathBuf>,
}
