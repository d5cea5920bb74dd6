//! The arguments of `sparktune init`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `sparktune init`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune init                                      asks, shows what it found, then writes
  sparktune init --engine none --yes                  this machine alone, without containers
  sparktune init --image lmsysorg/sglang:spark --node a=local --node b=nvidia@192.168.1.12
  sparktune init --discover --dry-run --engine none   who is near, and the file for it

Off a terminal nothing is asked: then --image (or --engine none) is needed, and --yes with --discover.
What is written is read back first; docs/clusters.md has every key of the file.")]
pub(crate) struct InitArgs {
    /// A node: NAME=DEST or DEST, which is `local` (this machine) or where ssh logs in; may be repeated [default: this machine]
    #[arg(long, value_name = "NODE")]
    pub node: Vec<String>,
    /// The head's name [default: this machine where it is a node, else the first node]
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,
    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "sparks")]
    pub name: String,
    /// What keeps the containers [default: docker]
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub engine: Option<EngineArg>,
    /// The containers' image
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Look for hosts by mDNS and among the neighbours on the fabric's link-local subnet
    #[arg(long)]
    pub discover: bool,
    /// The file to write
    #[arg(long, short, value_name = "FILE", default_value = "sparks.toml")]
    pub output: PathBuf,
    /// Overwrite a file that is there
    #[arg(long)]
    pub force: bool,
    /// Print the file and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Ask nothing, and take all hosts found
    #[arg(long, short)]
    pub yes: bool,
}

/// `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineArg {
    /// Containers of Docker
    Docker,
    /// Containers of Podman
    Podman,
    /// No containers: programs run on the nodes themselves
    None,
}
