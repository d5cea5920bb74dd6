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
    /// Make an image with tuned config files in it, on one node, and copy it to the others
    Build(ImageBuildArgs),
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
from node to node where the inventory has fabric addresses of both, else through this machine, to eight nodes at once.
What is the same by content is skipped, whatever its ID.

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
    /// Let the bytes go through this machine, not over the fabric from node to node
    #[arg(long, conflicts_with = "pull")]
    pub through_here: bool,
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

/// `sparktune image build`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune image build --tuned results/RUN                        on top of the image of sparks.toml
  sparktune image build --tuned tuned-configs lmsysorg/sglang:spark --tag my-sglang:tuned
  sparktune image build --tuned results/RUN --on spark-2 --no-sync
  sparktune image build --tuned results/RUN --dry-run              the Dockerfile, and the commands that equal it

Files go where the runtime of the image itself looks: a container of it is asked, which sees nothing of the node and is
removed again, for a dry run too. Each file passes `sparktune check` first; files for another runtime, Triton or GPU
(expect_gpu) are left out. What is built is read back before it gets its name. What is there already is not built again.

Exit codes: 0 every node has it, 1 a file does not pass the check, 2 bad input, 3 it cannot be built or some nodes cannot
have it, 4 a link was lost: run it again.")]
pub(crate) struct ImageBuildArgs {
    /// The image to build on, which has to be on the node [default: the nodes' by the inventory]
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// A run's directory, a folder of config files or one file; may be repeated
    #[arg(long, value_name = "DIR", required = true)]
    pub tuned: Vec<PathBuf>,
    /// What the image is called [default: IMAGE with -tuned behind its tag]
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
    /// The inventory [default: sparks.toml here, else in the user's config folder, else this machine alone]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// The node that builds it [default: the head]
    #[arg(long, value_name = "NODE")]
    pub on: Option<String>,
    /// Leave it on that node alone
    #[arg(long)]
    pub no_sync: bool,
    /// Let the bytes go through this machine, not over the fabric from node to node
    #[arg(long, conflicts_with = "no_sync")]
    pub through_here: bool,
    /// Print the Dockerfile and the commands that equal it, and build nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Folder with profiles of your own (devices/)
    #[arg(long, value_name = "DIR")]
    pub profiles: Option<PathBuf>,
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
    /// Print the commands that equal it, and ask no node
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "dry_run")]
    pub json: bool,
}
