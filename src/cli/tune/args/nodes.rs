//! The arguments of `sparktune nodes`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

/// `sparktune nodes`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune nodes                              what each node of sparks.toml is, and why its network is used so
  sparktune nodes --cluster lab.toml           the same of another cluster; without an inventory of this machine
  sparktune nodes --env --node a > node.env    one node's variables, for `docker run --env-file`
  sparktune nodes --env --data 192.168.100.11  the same for another network
  sparktune nodes --env --set NCCL_IB_HCA=rocep1s0f1
  sparktune nodes --json
  sparktune nodes --options                    the options that each node's server takes
  sparktune nodes --options -- vllm serve M --tensor-parallel-size 4    would it take these? exit 1 where not

An image is asked once, in a container without a network that goes again; what it said is kept below --cache.")]
pub(crate) struct NodesArgs {
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Only this node of it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub node: Vec<String>,
    /// Print the variables for the node's runtime, each with its reason as a comment
    #[arg(long, conflicts_with = "json")]
    pub env: bool,
    /// The address to reach the node at, instead of the one that is chosen
    #[arg(long, value_name = "ADDRESS", help_heading = "Given")]
    pub control: Option<IpAddr>,
    /// The address for what runtimes send one another, instead of the one that is chosen
    #[arg(long, value_name = "ADDRESS", help_heading = "Given")]
    pub data: Option<IpAddr>,
    /// A variable's value, instead of the one that is derived; may be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Given")]
    pub set: Vec<String>,
    /// Show the options that each node's server takes, by its help or its source
    #[arg(long, conflicts_with = "env", help_heading = "Runtime")]
    pub options: bool,
    /// A server's command line, or its arguments, to hold against those
    #[arg(last = true, value_name = "COMMAND", requires = "options", help_heading = "Runtime")]
    pub command: Vec<String>,
    /// Ask images again that were asked before
    #[arg(long, conflicts_with = "env", help_heading = "Runtime")]
    pub fresh: bool,
    /// Where what images said is kept [default: the user's cache folder]
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_CACHE", help_heading = "Runtime")]
    pub cache: Option<PathBuf>,
    /// Print the commands that equal it, and do nothing
    #[arg(long, conflicts_with_all = ["env", "json"])]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
