//! `sparktune deploy`, as clap sees it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `sparktune deploy`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune deploy tuned-configs                   on every node of sparks.toml, or on this machine
  sparktune deploy --cluster lab.toml results/RUN  the files of a run, on that cluster
  sparktune deploy --container sglang_node results/RUN
  sparktune deploy --host-dir /srv/tuned results/RUN
  sparktune deploy --dry-run results/RUN           the commands that equal it
  sparktune deploy --status                        what lies there, and whether somebody changed it
  sparktune deploy --verify                        whether the running servers have loaded it, by their logs
  sparktune deploy --rollback                      what was there before

Each node is asked where its runtime looks, unless --host-dir says it, and which GPU it has, unless `expect_gpu` of the
inventory says it. Files for another Triton, runtime or GPU are left out of a node; one for which none is left is refused.

Exit codes: 0 done, 1 a file does not pass the check, --status found a change or --verify a server that does not use
the files, 2 bad input, 3 a node cannot do it (nothing was changed), 4 the nodes differ: run it again or --rollback.")]
pub(crate) struct DeployArgs {
    /// A run directory, a collection, folders or files
    #[arg(value_name = "PATH", required_unless_present_any = ["status", "verify", "rollback"])]
    pub paths: Vec<PathBuf>,
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Say what was deployed, and whether it still lies there
    #[arg(long, conflicts_with_all = ["paths", "verify", "rollback"])]
    pub status: bool,
    /// Say whether every node's server has loaded what was deployed, by the log of its container or --log
    #[arg(long, conflicts_with_all = ["paths", "rollback"])]
    pub verify: bool,
    /// The log that a node's server writes, in the container where there is one [default: its container's own log]
    #[arg(long, value_name = "FILE", requires = "verify", conflicts_with_all = ["paths", "status", "rollback"])]
    pub log: Vec<String>,
    /// Restore what the last deployment took the place of
    #[arg(long, conflicts_with = "paths")]
    pub rollback: bool,
    /// Print the commands that equal it, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub place: PlaceArgs,
    /// This runtime, where a node has both
    #[arg(long, value_name = "RUNTIME", help_heading = "Where files go", value_enum)]
    pub runtime: Option<FamilyArg>,
    /// A folder with models/*.toml and devices/*.toml of your own
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "dry_run")]
    pub json: bool,
}

/// Where files go on every node.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where files go")]
pub(crate) struct PlaceArgs {
    /// Into this running container of every node [default: the one that the inventory names]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["virtualenv", "host_dir"])]
    pub container: Option<String>,
    /// Where the runtime in this virtual environment of every node looks
    #[arg(long, value_name = "DIR", conflicts_with = "host_dir")]
    pub virtualenv: Option<String>,
    /// Into this folder of every node, which the runtime is told of by SGLANG_MOE_CONFIG_DIR or VLLM_TUNED_CONFIG_FOLDER
    #[arg(long, value_name = "DIR")]
    pub host_dir: Option<String>,
}

/// `--runtime` of `sparktune deploy`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FamilyArg {
    /// SGLang
    Sglang,
    /// vLLM
    Vllm,
}
