//! The arguments of what serves models.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::bench::values;
use crate::host_name::HostName;
use crate::serving::Release;

/// `sparkbench models`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench models
  sparkbench models --cluster sparks.toml      which of them fit there, by what the inventory says
  sparkbench models --profiles ./mine --json   recipes of your own beside the built-in ones

Exit codes: 0 done, 2 a recipe, a rule or an inventory that does not read.")]
pub(crate) struct ModelsArgs {
    /// Say which fit the nodes of this inventory
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// A folder with models/*.toml and rules/*.toml of your own; they win over the built-in ones
    #[arg(long, value_name = "DIR", env = "SPARKBENCH_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Print one JSON list
    #[arg(long)]
    pub json: bool,
}

/// `sparkbench plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench plan GLM-4.7-FP8 --cluster sparks.toml             every step on every node, with its reason
  sparkbench plan GLM-4.7-FP8:eagle                             a variant of its recipe
  sparkbench plan gpt-oss-120b --node spark-1 --node spark-2
  sparkbench plan GLM-4.7-FP8 --dry-run > up.sh                 a shell script that would do the same by hand
  sparkbench plan GLM-4.7-FP8 --offline --json                  by the inventory alone
  sparkbench plan organisation/model                            without a recipe: derived from its config.json

Nothing is started. Exit codes: 0 done, 2 a model, recipe, rule or inventory by which nothing can be served, 3 a
node that cannot be asked.")]
pub(crate) struct PlanArgs {
    /// The model, as `sparkbench models` lists it; else an id of the hub, a folder or a config.json
    #[arg(value_name = "MODEL[:VARIANT]")]
    pub model: String,
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Only this node of it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub node: Vec<HostName>,
    /// Ask no node: what the inventory says is all there is
    #[arg(long)]
    pub offline: bool,
    /// The engine's release in the image, for the rules [default: the one the recipe names]
    #[arg(long, value_name = "VERSION")]
    pub release: Option<Release>,
    /// A folder with models/*.toml and rules/*.toml of your own; they win over the built-in ones
    #[arg(long, value_name = "DIR", env = "SPARKBENCH_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Print a shell script that would do the same, and do nothing
    #[arg(long, conflicts_with = "json")]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Which model is brought up, and where: what `up` and `switch` share.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// The model, as `sparkbench models` lists it, or its number
    #[arg(value_name = "MODEL[:VARIANT]")]
    pub model: String,
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Only this node of it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub node: Vec<HostName>,
    /// The engine's release in the image, for the rules [default: the one the recipe names]
    #[arg(long, value_name = "VERSION")]
    pub release: Option<Release>,
    /// A folder with models/*.toml and rules/*.toml of your own; they win over the built-in ones
    #[arg(long, value_name = "DIR", env = "SPARKBENCH_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// How long it may take until it answers
    #[arg(long, value_name = "TIME", default_value = "1h", allow_hyphen_values = true, value_parser = values::pause)]
    pub startup_timeout: Duration,
    /// Take it down again, with exit code 1, unless every process has loaded a tuned config file for its MoE kernels
    #[arg(long)]
    pub require_tuned: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `sparkbench up`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench up GLM-4.7-FP8 --cluster sparks.toml
  sparkbench up GLM-4.7-FP8:eagle                           a variant of its recipe
  sparkbench up gpt-oss-120b --node spark-1 --node spark-2
  sparkbench plan GLM-4.7-FP8 --dry-run                     the commands that it stands for

A model that is up already is left as it is; another one on these nodes is refused (`sparkbench switch`). What does not
come up is taken down again.

Exit codes: 0 it answers, 1 not tuned as --require-tuned wants it, 2 a model or inventory by which nothing can be served, or another model is up, 3 it did not
come up, or a node that cannot be asked, 130 interrupted.")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub start: StartArgs,
}

/// `sparkbench switch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench switch gpt-oss-120b
  sparkbench switch 3                                       by the number that `sparkbench models` shows

What is up on the nodes of the new model is taken down first, on all its nodes; a model that cannot be served touches
nothing.

Exit codes: those of `sparkbench up`.")]
pub(crate) struct SwitchArgs {
    #[command(flatten)]
    pub start: StartArgs,
}

/// Which nodes are asked.
#[derive(Debug, Args)]
pub(crate) struct AskedArgs {
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Only this node of it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub node: Vec<HostName>,
}

/// `sparkbench status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench status
  sparkbench status --cluster sparks.toml --json

Exit codes: 0 what is up is well, or on its way up, or nothing is up; 1 something is broken, or a node cannot be asked;
2 an inventory that does not read.")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub asked: AskedArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `sparkbench logs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench logs                                           the last lines of every process
  sparkbench logs -f --node spark-2                         what is written on one node, until Ctrl-C

Exit codes: 0 done, 1 a node or a log that cannot be read, 2 an inventory that does not read.")]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub asked: AskedArgs,
    /// Go on with what is written from now on
    #[arg(long, short)]
    pub follow: bool,
    /// The last lines of each process, 0 to 100000
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub lines: u32,
}

/// `sparkbench down`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench down
  sparkbench down --node spark-3 --json

The server ends first, then who serves with it, then their containers; afterwards every node is looked at again.

Exit codes: 0 nothing is left, 1 something is, 2 an inventory that does not read, 3 a node that cannot be asked, or
somebody else is starting or stopping a model.")]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub asked: AskedArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
