//! `sparktune doctor`, as clap sees it.

use std::path::PathBuf;

use clap::Args;

/// `sparktune doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune doctor                          is every node of sparks.toml, or this machine, ready?
  sparktune doctor --cluster lab.toml       the same of that cluster
  sparktune doctor --node spark-2 --verbose everything about one node, what is fine too
  sparktune doctor --model GLM-4.7-FP8      can every node load that model, too?
  sparktune doctor --load                   do the GPUs run as fast as they should?
  sparktune doctor --json                   one JSON object

A fix is for the node of its line; where ssh does not get there, for this machine. Nothing stays changed on any node.
docs/clusters.md has every item.

Exit codes: 0 nothing failed (warnings do not count), 1 an item failed, 2 bad input, 3 no node could be asked.")]
pub(crate) struct DoctorArgs {
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Only this node; may be repeated
    #[arg(long, value_name = "NAME")]
    pub node: Vec<String>,
    /// A model that is to be served, as `moe` takes it: is it there, whole, and is there room for it? May be repeated
    #[arg(long, short, value_name = "MODEL")]
    pub model: Vec<String>,
    /// Tensor parallelism of these models [default: the catalogue's, else the number of nodes]
    #[arg(long, visible_alias = "tp-size", value_name = "N", requires = "model")]
    pub tp: Option<u32>,
    /// A folder with models/*.toml of your own; they win over the built-in ones
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Keep every GPU busy for about 10 s: does its clock go up, what slows it down? Disturbs whoever works there
    #[arg(long)]
    pub load: bool,
    /// Where what images said is kept [default: the user's cache folder]
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_CACHE")]
    pub cache: Option<PathBuf>,
    /// Print the commands that equal it, and do nothing
    #[arg(long, conflicts_with = "json")]
    pub dry_run: bool,
    /// Show what is fine too
    #[arg(long, short)]
    pub verbose: bool,
    /// Print one JSON object, with what is fine
    #[arg(long)]
    pub json: bool,
}
