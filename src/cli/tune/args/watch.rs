//! The arguments of `sparktune watch`.

use std::path::PathBuf;

use clap::Args;

/// `sparktune watch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune watch results/RUN                    until it ends; Ctrl-C stops watching and not the run
  sparktune watch results/RUN --once --json | jq .state

It reads the log in the run's directory and asks whether somebody works there; the run notices nothing. The state is
running, ended, stopped (by an error or its user) or killed.")]
pub(crate) struct WatchArgs {
    /// The run directory
    #[arg(value_name = "RUN_DIR")]
    pub run: PathBuf,
    /// Say how it stands now, and end
    #[arg(long)]
    pub once: bool,
    /// Print one JSON object, at the end
    #[arg(long)]
    pub json: bool,
}
