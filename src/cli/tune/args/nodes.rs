//! The arguments of `sparktune nodes`.

use std::net::Ipv4Addr;
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
  sparktune nodes --json")]
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
    pub control: Option<Ipv4Addr>,
    /// The address for what runtimes send one another, instead of the one that is chosen
    #[arg(long, value_name = "ADDRESS", help_heading = "Given")]
    pub data: Option<Ipv4Addr>,
    /// A variable's value, instead of the one that is derived; may be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Given")]
    pub set: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
