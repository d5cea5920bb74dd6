//! The arguments of what records timings and replays them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{CompilerArgs, MeasuringArgs, ModelArgs, TargetArgs};

/// `sparktune record`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune record --model GLM-4.7-FP8 --batch-sizes 1,64,1024 --out recorded/glm --python /usr/bin/python3
  sparktune record --model GLM-4.7-FP8 --batch-sizes 1,64,1024 --resume recorded/glm
  sparktune replay --table recorded/glm/table.parquet --mask gb10")]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub compiler: CompilerArgs,
    /// Batch sizes to time [default: SGLang's 18, from 1 to 4096]
    #[arg(long, value_name = "LIST", help_heading = "Run")]
    pub batch_sizes: Option<String>,
    /// Only configs that fit this device too
    #[arg(long, value_name = "DEVICE", help_heading = "Run")]
    pub mask: Option<String>,
    /// Timed runs of each config in each session
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Run")]
    pub repeats: u32,
    /// Passes over the whole space
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "Run")]
    pub sessions: u32,
    #[command(flatten)]
    pub measuring: MeasuringArgs,
    /// Where the recording goes [default: results/recorded]
    #[arg(long, value_name = "DIR", conflicts_with = "resume", help_heading = "Run")]
    pub out: Option<PathBuf>,
    /// Go on with the recording in this directory, given the arguments it was started with
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub resume: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, help_heading = "Run")]
    pub json: bool,
}

/// `sparktune replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparktune replay --table convolution_A100.json.gz --seeds 1000
  sparktune replay --table glm.parquet --drift 0.1 --spikes 0.02 --noise 0.02
  sparktune replay --look-alike GLM-4.7-FP8 --seeds 20
  sparktune replay --table glm.parquet --identical      how often noise alone is adopted

Tables: Parquet files of `sparktune record`, or Kernel Tuner's cache files (JSON, plain or gzipped).")]
pub(crate) struct ReplayArgs {
    /// The recorded timings
    #[arg(long, value_name = "FILE", required_unless_present = "look_alike")]
    pub table: Option<PathBuf>,
    /// Instead of a table, the cost model's times for this catalogue model, bent and made noisy: how many
    /// runs a strategy needs at full size. Nothing of it was measured
    #[arg(long, value_name = "MODEL", conflicts_with = "table")]
    pub look_alike: Option<String>,
    /// Of a recorded table, only the configs that fit this device
    #[arg(long, value_name = "DEVICE", requires = "table")]
    pub mask: Option<String>,
    /// How to search
    #[arg(long, value_enum, default_value_t = StrategyArg::Race)]
    pub strategy: StrategyArg,
    /// How many times, each with other dice
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: u64,
    /// Which statistic of its repeats is a config's true time
    #[arg(long, value_enum, default_value_t = TruthArg::Mean)]
    pub truth: TruthArg,
    /// Let clocks wander: all times change by up to this share, up and down every 20 simulated seconds
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub drift: f64,
    /// Slow this share of runs down to 1.5 to 3 times their time
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub spikes: f64,
    /// Add noise to every run: standard deviation of the logarithm of its factor
    #[arg(long, value_name = "SD", default_value_t = 0.0)]
    pub noise: f64,
    /// Give every config the default's times: whatever is adopted then is noise
    #[arg(long)]
    pub identical: bool,
    /// Print one JSON object; regrets are fractions
    #[arg(long)]
    pub json: bool,
}

/// `--strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StrategyArg {
    /// Screen once, race the promising in pairs, confirm against the default
    Race,
    /// Every config, the mean of ten runs: SGLang's own tuner
    Exhaustive,
    /// A random tenth of the space, the mean of ten runs
    Random,
}

/// `--truth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TruthArg {
    /// The mean of all repeats
    Mean,
    /// Their median
    Median,
}
