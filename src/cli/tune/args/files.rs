//! The arguments of what works on config files that are there.

use std::path::PathBuf;

use clap::Args;

use super::CompilerArgs;

/// `sparktune check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune check tuned-configs
  sparktune check ./configs --device gb10 --for sglang-0.5.4
  sparktune check 'triton_3_5_0/E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json' --compile

Exit code 1 if anything would crash, be wrong, be ignored or be found only by falling back.")]
pub(crate) struct CheckArgs {
    /// Config files, or folders of them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Judge against this device [default: the one each file's name says]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Judge by this runtime's rules: sglang-0.5.4, sglang-0.5.23 or vllm [default: the manifest's]
    #[arg(long = "for", value_name = "RUNTIME")]
    pub runtime: Option<String>,
    /// The Triton that will run [default: the one of --for, else the manifest's]
    #[arg(long, value_name = "VERSION")]
    pub triton: Option<String>,
    /// Also compile every entry with the real compiler (needs a manifest beside the file)
    #[arg(long)]
    pub compile: bool,
    #[command(flatten)]
    pub compiler: CompilerArgs,
    /// A folder with devices/*.toml of your own
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Download nothing
    #[arg(long)]
    pub offline: bool,
    /// Show every finding, notes too
    #[arg(long, short)]
    pub verbose: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `sparktune publish`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune publish results/20260101-120000-glm-4.7-fp8-tp4
  sparktune publish results/RUN --into ../our-configs --dry-run")]
pub(crate) struct PublishArgs {
    /// The run directory
    #[arg(value_name = "RUN_DIR")]
    pub run: PathBuf,
    /// The collection to publish into
    #[arg(long, value_name = "DIR", default_value = "tuned-configs")]
    pub into: PathBuf,
    /// Put the files into a folder of their own below the collection: for a layer whose file name
    /// another layer (with another K) has already taken
    #[arg(long, value_name = "NAME")]
    pub apart: Option<String>,
    /// A folder with devices/*.toml of your own, where the run was for one of them
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Say what would be copied and copy nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `sparktune merge`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune merge node*/E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json --into triton_3_5_0
  sparktune merge old/FILE.json new/FILE.json --prefer new/FILE.json --into merged")]
pub(crate) struct MergeArgs {
    /// The partial files, all of the same name
    #[arg(required = true, num_args = 2.., value_name = "FILE")]
    pub parts: Vec<PathBuf>,
    /// The folder the merged file goes to
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// The file that wins where two differ; without it a difference is an error
    #[arg(long, value_name = "FILE")]
    pub prefer: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
