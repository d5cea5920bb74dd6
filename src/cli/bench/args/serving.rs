//! The arguments of what serves models.

use std::path::PathBuf;

use clap::Args;

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
