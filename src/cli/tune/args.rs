//! The literal command line of `sparktune`, as clap sees it. Nothing below `cli` knows these types.

mod deploy;
mod doctor;
mod files;
mod image;
mod init;
mod nodes;
mod report;
mod timings;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use deploy::{DeployArgs, FamilyArg, PlaceArgs};
pub(crate) use doctor::DoctorArgs;
pub(crate) use files::{CheckArgs, MergeArgs, PublishArgs};
pub(crate) use image::{ImageArgs, ImageBuildArgs, ImageCommand, ImageListArgs, ImageSyncArgs};
pub(crate) use init::{EngineArg, InitArgs};
pub(crate) use nodes::NodesArgs;
pub(crate) use report::ReportArgs;
pub(crate) use timings::{RecordArgs, ReplayArgs, StrategyArg, TruthArg};
pub(crate) use watch::WatchArgs;

use crate::cli::global_options::GlobalOptions;

/// Find, prove and ship fused-MoE kernel configs for small GPU clusters.
#[derive(Debug, Parser)]
#[command(
    name = "sparktune",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Examples:
  sparktune moe --model GLM-4.7-FP8              write proven configs for four GB10s
  sparktune plan --model Qwen/Qwen3-30B-A3B-FP8  what that would do, and how long it takes
  sparktune check tuned-configs                  is every entry safe on its device?

Exit codes: 0 done, 1 a check said no, 2 bad arguments or input, 3 the environment cannot do it,
4 incomplete (can be resumed), 130 interrupted (can be resumed)."
)]
pub(crate) struct TuneArguments {
    #[command(flatten)]
    pub(in crate::cli) global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: TuneCommand,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum TuneCommand {
    /// Work out a model's MoE kernel configs, prove each entry and write the files
    Moe(Box<MoeArgs>),
    /// Show what a run is doing, from another terminal
    Watch(WatchArgs),
    /// Show what each node did for a run and when, and how its GPU was meanwhile
    Report(ReportArgs),
    /// Show shape, file names, search space and estimated durations; write nothing
    Plan(PlanArgs),
    /// List the search space with the shared memory of every config
    Space(SpaceArgs),
    /// Judge config files: would an entry crash, be wrong or be ignored?
    Check(CheckArgs),
    /// Check a run's files and copy them into the published collection
    Publish(PublishArgs),
    /// Merge partial config files of one layer
    Merge(MergeArgs),
    /// Time a whole search space on this machine's GPU, into a table that replays can use
    Record(Box<RecordArgs>),
    /// Try a search strategy on recorded timings: what it would choose, and at what cost
    Replay(ReplayArgs),
    /// Prepare the environment that compiles kernels (Triton, SGLang's kernel source, an assembler)
    Setup(SetupArgs),
    /// Write a cluster's inventory, sparks.toml: this machine, hosts given, or hosts found
    Init(InitArgs),
    /// Is every node ready? What is wrong, and what mends it, an item a node
    Doctor(DoctorArgs),
    /// Show what each node is, and what its runtime has to be told of the network
    Nodes(NodesArgs),
    /// Put config files on every node where its runtime looks: on all nodes or on none
    Deploy(DeployArgs),
    /// Bring the same container image to every node, and show which one each has
    Image(ImageArgs),
    /// List the models in the catalogue
    Models(ListArgs),
    /// List the devices in the catalogue
    Devices(ListArgs),
}

/// Which model, or its figures by hand.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Catalogue name, Hugging Face id, directory or config.json
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,
    /// Tensor parallelism [default: the catalogue's, else 1]
    #[arg(long, visible_alias = "tp-size", value_name = "N")]
    pub tp: Option<u32>,
    /// Expert parallelism [default: the catalogue's, else 1]
    #[arg(long, visible_alias = "ep-size", value_name = "N")]
    pub ep: Option<u32>,
    /// Experts of the whole model, by hand
    #[arg(long, value_name = "E")]
    pub experts: Option<u32>,
    /// Intermediate size of one expert of the whole model, by hand
    #[arg(long, value_name = "N")]
    pub intermediate: Option<u32>,
    /// Hidden size, by hand
    #[arg(long, value_name = "K")]
    pub hidden: Option<u32>,
    /// Experts a token is routed to, by hand
    #[arg(long, value_name = "N")]
    pub top_k: Option<u32>,
    /// Weights and activations: fp8_w8a8, int8_w8a8, int8_w8a16, int4_w4a16, bfloat16, float16, float32
    #[arg(long, value_name = "DTYPE")]
    pub dtype: Option<String>,
    /// Block-wise scales as N,K, such as 128,128 (0,128 for groups along K)
    #[arg(long, value_name = "N,K")]
    pub block_shape: Option<String>,
    /// One scale per output channel and token, by hand (also: --per-channel=false)
    #[arg(long, visible_alias = "per-channel-quant", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub per_channel: Option<bool>,
    /// Count the shared experts that the runtime fuses into the routed ones
    #[arg(long, value_enum, default_value_t = Fusion::Auto)]
    pub shared_experts_fusion: Fusion,
    /// A folder with models/*.toml and devices/*.toml of your own; they win over the built-in ones
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Download nothing: no model config, no compiler
    #[arg(long)]
    pub offline: bool,
}

/// `--shared-experts-fusion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fusion {
    /// As the runtime does it for this model
    Auto,
    /// As if the runtime fused
    On,
    /// As with SGLang's --disable-shared-experts-fusion
    Off,
}

/// For which runtime and device.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetArgs {
    /// SGLang version: 0.5.4.post2 or 0.5.23 [default: of --image or --python, else the catalogue's, else 0.5.4.post2]
    #[arg(long, value_name = "VERSION")]
    pub sglang: Option<String>,
    /// Triton version [default: of --image or --python, else the one that SGLang runs with]
    #[arg(long, value_name = "VERSION")]
    pub triton: Option<String>,
    /// Device: an id from `sparktune devices`, or a name as torch reports it [default: gb10]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// What compiles.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compiler")]
pub(crate) struct CompilerArgs {
    /// Use this Python, whose Triton (and SGLang, where it has one) the files are for, instead of the managed
    /// environment [environment: SPARKTUNE_PYTHON]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Take the kernel from this SGLang installation, checkout or unpacked wheel [environment: SPARKTUNE_SGLANG_ROOT]
    #[arg(long, value_name = "DIR")]
    pub sglang_root: Option<PathBuf>,
    /// Compilations at a time [default: every processor]
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<usize>,
    /// Time one compilation may take, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub compile_timeout: u64,
    /// Where environments and compile results are kept [default: the user's cache folder]
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_CACHE")]
    pub cache: Option<PathBuf>,
}

/// How far measuring goes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Measuring")]
pub(crate) struct MeasuringArgs {
    /// Measuring time of all nodes together, such as 10m or 90s: a run stops there with what it has and can be resumed
    #[arg(long, value_name = "TIME")]
    pub budget: Option<String>,
    /// End the run where the machine is not steady, instead of warning
    #[arg(long)]
    pub strict: bool,
    /// Wait for a GPU that others use until it is free, at most so long, such as 10m [without a time: 1h]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1h")]
    pub wait: Option<String>,
    /// Time one kernel run may take before its worker is replaced, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub run_timeout: u64,
}

/// `sparktune moe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune moe --model GLM-4.7-FP8
  sparktune moe --model GLM-4.7-FP8 --sglang 0.5.23
  sparktune moe --model ./my-model --tp 2 --policy best-predicted --evidence predicted
  sparktune moe --experts 64 --intermediate 1408 --hidden 2048 --top-k 6 --dtype bfloat16
  sparktune moe --resume results/20260101-120000-glm-4.7-fp8-tp4
  sparktune moe --model GLM-4.7-FP8 --image lmsysorg/sglang:spark
  sparktune moe --model GLM-4.7-FP8 --cluster sparks.toml            all nodes at once, in containers
  sparktune moe --model Qwen/Qwen3-30B-A3B-FP8 --tuner stock --cluster sparks.toml    SGLang's own tuner, resumable
  sparktune moe --model Qwen/Qwen3-30B-A3B-FP8 --tuner stock --vllm 0.33.0 --image vllm/vllm-openai:v0.33.0    vLLM's

  sparktune moe --model GLM-4.7-FP8 --python /usr/bin/python3 --budget 10m     on a GB10

Where nvidia-smi shows the device and --python is given, configs are raced on it; that Python needs torch,
as in SGLang's image.
Without a GPU nothing is measured: an entry is `predicted` (fits by the exact rule) or `compiled`
(also compiled by Triton for the device, its allocation read back). The runtime's own default is kept
wherever it fits, and replaced only where it would crash; --policy best-predicted ranks everywhere.")]
pub(crate) struct MoeArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub compiler: CompilerArgs,
    /// How far entries are to get [default: confirmed where the device is at hand (on this machine with --python or
    /// --image, or on a node of --cluster), else compiled]
    #[arg(long, value_enum, help_heading = "Run")]
    pub evidence: Option<EvidenceArg>,
    /// Take SGLang, Triton and the compiler from a container of this image, on this machine's engine or, with --cluster, on
    /// every node's
    #[arg(long, value_name = "IMAGE", help_heading = "Compiler", conflicts_with_all = ["python", "sglang_root"])]
    pub image: Option<String>,
    /// Work on all nodes of this inventory at once, in containers of its image; without it on this machine
    #[arg(long, value_name = "FILE", help_heading = "Compiler", conflicts_with_all = ["python", "sglang_root"])]
    pub cluster: Option<PathBuf>,
    /// A config file in use whose entries are heard too (its _down file is taken along), may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Measuring")]
    pub incumbent: Vec<PathBuf>,
    #[command(flatten)]
    pub measuring: MeasuringArgs,
    /// Who chooses: this program's race, or the runtime's own script (SGLang's tuning_fused_moe_triton.py, vLLM's
    /// benchmark_moe.py), one batch size a process [default: race, or a resumed run's]
    #[arg(long, value_enum, help_heading = "Run")]
    pub tuner: Option<TunerArg>,
    /// Tune for this release of vLLM, 0.10.0 to 0.33.*, by its own script: with --tuner stock alone
    #[arg(long, value_name = "VERSION", help_heading = "Stock tuner", conflicts_with = "sglang")]
    pub vllm: Option<String>,
    /// The script of the stock tuner, or a checkout of the runtime that has it [default: where that lies in the image or
    /// beside --python]
    #[arg(long, value_name = "PATH", help_heading = "Stock tuner")]
    pub stock_script: Option<PathBuf>,
    /// Time a process of the stock tuner may write nothing before it counts as hung, such as 45m [default: 30m]
    #[arg(long, value_name = "TIME", help_heading = "Stock tuner")]
    pub stock_silence: Option<String>,
    /// How entries are chosen where nothing was measured [default: runtime-default]
    #[arg(long, value_enum, help_heading = "Run")]
    pub policy: Option<PolicyArg>,
    /// Keys of the files [default: SGLang's 18, from 1 to 4096]
    #[arg(long, value_name = "LIST", help_heading = "Run")]
    pub batch_sizes: Option<String>,
    /// Run directory [default: results/<time>-<model>]
    #[arg(long, value_name = "DIR", conflicts_with = "resume", help_heading = "Run")]
    pub out: Option<PathBuf>,
    /// Go on with the run in this directory
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Run",
        conflicts_with_all = ["experts", "intermediate", "hidden", "top_k", "dtype", "block_shape", "per_channel", "shared_experts_fusion"]
    )]
    pub resume: Option<PathBuf>,
    /// Then bring the files to every node of --cluster, or to none; whether that can be done is asked first
    #[arg(long, help_heading = "Run", requires = "cluster")]
    pub deploy: bool,
    /// Say what would be done and do nothing
    #[arg(long, help_heading = "Run")]
    pub dry_run: bool,
    /// Print the result as one JSON object; with --deploy a second one, as `sparktune deploy` prints it
    #[arg(long, help_heading = "Run")]
    pub json: bool,
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `--evidence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvidenceArg {
    /// Fits by the exact rule, ranked by the cost model
    Predicted,
    /// Also compiled by Triton for the device, allocation read back
    Compiled,
    /// Also raced on this machine's GPU, and taken only where it beats the runtime's default
    Confirmed,
}

/// `--tuner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TunerArg {
    /// This program
    Race,
    /// SGLang's own script
    Stock,
}

/// `--policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyArg {
    /// Keep the runtime's default wherever it fits and compiles
    RuntimeDefault,
    /// Take the best predicted config everywhere
    BestPredicted,
}

/// `sparktune plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune plan --model GLM-4.7-FP8
  sparktune plan --model zai-org/GLM-4.7-FP8 --sglang 0.5.23 --nodes 4 --json")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub target: TargetArgs,
    /// Keys of the files [default: SGLang's 18, from 1 to 4096]
    #[arg(long, value_name = "LIST")]
    pub batch_sizes: Option<String>,
    /// The Python that the server runs in: the files are for its SGLang and Triton
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Nodes that share the work
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub nodes: u32,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `sparktune space`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune space --model GLM-4.7-FP8 --distinct
  sparktune space --dtype fp8_w8a8 --block-shape 128,128 --format csv > space.csv
  sparktune space --dtype bfloat16 --device rtx-5090 --format json")]
pub(crate) struct SpaceArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub target: TargetArgs,
    /// One row a distinct tile: GROUP_SIZE_M left out, as it changes no binary
    #[arg(long)]
    pub distinct: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = FormatArg::Table)]
    pub format: FormatArg,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// For people
    Table,
    /// Comma-separated, with a header
    Csv,
    /// A list of objects
    Json,
}

/// `sparktune setup`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune setup
  sparktune setup --sglang 0.5.23")]
pub(crate) struct SetupArgs {
    /// SGLang version: 0.5.4.post2 or 0.5.23
    #[arg(long, value_name = "VERSION", default_value = "0.5.4.post2")]
    pub sglang: String,
    /// Triton version [default: the one that SGLang runs with]
    #[arg(long, value_name = "VERSION")]
    pub triton: Option<String>,
    #[command(flatten)]
    pub compiler: CompilerArgs,
    /// Download nothing: say what is missing
    #[arg(long)]
    pub offline: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `sparktune models` and `sparktune devices`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// A folder with models/*.toml and devices/*.toml of your own
    #[arg(long, value_name = "DIR", env = "SPARKTUNE_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Print a JSON list
    #[arg(long)]
    pub json: bool,
}
