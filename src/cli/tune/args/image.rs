//! `sparktune image`, as clap sees it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `sparktune image`.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ImageCommand,
}

/// Its subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Bring the same image to every node: copied from one that has it, or pulled on each
    Sync(ImageSyncArgs),
    /// Show which image each node has, and whether it is the same
    List(ImageListArgs),
}

/// `sparktune image sync`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune image sync                              the image of sparks.toml, on all its nodes
  sparktune image sync --cluster lab.toml my-sglang:tuned
  sparktune image sync --from spark-2               as spark-2 has it
  sparktune image sync --pull                       each node fetches it from its registry
  sparktune image sync --dry-run                    the commands that equal it

Without --from the head's image is the right one; where it has none, what the others have, if it is one. The bytes go
through this machine, to eight nodes at once. What is the same by content is skipped, whatever its ID.

Exit codes: 0 every node has it, 2 bad input, 3 some nodes cannot (the others have it), 4 a link was lost: run it again.")]
pub(crate) struct ImageSyncArgs {
    /// The image, by its tag [default: each node's by the inventory]
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// The node that has the right one
    #[arg(long, value_name = "NODE", conflicts_with = "pull")]
    pub from: Option<String>,
    /// Fetch it from its registry on every node instead
    #[arg(long)]
    pub pull: bool,
    /// Print the commands that equal it, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "dry_run")]
    pub json: bool,
}

/// `sparktune image list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune image list
  sparktune image list --cluster lab.toml lmsysorg/sglang:spark --json

Exit codes: 0 the same everywhere, 1 another one or none on some node, 2 bad input, 3 a node does not say.")]
pub(crate) struct ImageListArgs {
    /// The image [default: each node's by the inventory]
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
