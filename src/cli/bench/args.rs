//! The literal command line of `sparkbench`, as clap sees it. Nothing below `cli` knows these types.

mod load;
mod mock;
mod serving;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

pub(super) use self::load::{
    ArrivalArg, BackendArg, LengthsArg, LimitArgs, LoadArgs, PaceArgs, ProtocolArg, ServerArgs, WorkloadArgs,
};
pub(super) use self::mock::{MockArgs, ReasoningArg, RoleChunkArg};
pub(super) use self::serving::{
    AskedArgs, DownArgs, LogsArgs, ModelsArgs, PlanArgs, StartArgs, StatusArgs, SwitchArgs, UpArgs,
};
use super::values;
use crate::cli::global_options::GlobalOptions;

/// Measure inference servers with numbers that can be trusted.
#[derive(Debug, Parser)]
#[command(
    name = "sparkbench",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Examples:
  sparkbench run --profile quick                        a server at http://localhost:30000
  sparkbench run --base-url http://head:8000 -n 200 -i 512 -o 1024 -c 32
  sparkbench run --profile latency --dry-run            what would be sent, and where each value came from
  sparkbench profiles                                   what there is
  sparkbench models --cluster sparks.toml               the models that fit there
  sparkbench up GLM-4.7-FP8                             bring one up on the nodes of sparks.toml
  sparkbench status; sparkbench down                    what is up there; take it down

Exit codes: 0 done, 1 a check said no (too many requests failed, a regression), 2 bad arguments or input,
3 the environment cannot do it (no server), 4 incomplete, 130 interrupted.

Environment: SPARKBENCH_BASE_URL and SPARKBENCH_PROFILE stand for --base-url and --profile, which win over them;
SPARKBENCH_API_KEY, else OPENAI_API_KEY, is sent as a bearer token and shown nowhere."
)]
pub(crate) struct BenchArguments {
    #[command(flatten)]
    pub(in crate::cli) global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// List the models that can be served, and which fit a cluster
    Models(ModelsArgs),
    /// Show everything that would bring a model up, on which node and why
    Plan(PlanArgs),
    /// Bring a model up on the nodes, and wait until it answers
    Up(Box<UpArgs>),
    /// Show what is up on the nodes, by what they say
    Status(StatusArgs),
    /// Show what the processes that serve write
    Logs(LogsArgs),
    /// Take what is up down, and bring up another model
    Switch(Box<SwitchArgs>),
    /// Take down what is up, and see that nothing is left
    Down(DownArgs),
    /// Measure a server under one load
    Run(Box<RunArgs>),
    /// Measure a server under one load after another: more at a time, or more often
    Sweep(Box<SweepArgs>),
    /// Hold runs against each other: is one slower, beyond chance?
    Compare(CompareArgs),
    /// Show a run again, or write its page anew
    Report(ReportArgs),
    /// Find out what this client can measure on this machine, with no server
    Calibrate(CalibrateArgs),
    /// Start a server that behaves exactly as told, to try and calibrate load generators
    Mock(Box<MockArgs>),
    /// List the profiles
    Profiles(ProfilesArgs),
}

/// `sparkbench run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench run --profile quick
  sparkbench run --profile throughput -c 32                     the profile with another concurrency
  sparkbench run -n 200 -i 512 -o 1024 -c 32                    32 requests always in flight
  sparkbench run -i 512 -o 128 --rate 4 --slo ttft=500ms,tpot=50ms
  sparkbench run --dataset sharegpt:ShareGPT_V3.json -n 500 --rate inf
  sparkbench run -i 256 -o 128 --turns 4 --think 5s -n 80 -c 8
  sparkbench run --profile quick --cluster sparks.toml          what the nodes were like, beside the figures
  sparkbench run --profile ./mine.toml --dry-run --json

A flag overrides the one field it stands for; the rest of the profile stays. --rate makes a Poisson arrival of a
closed loop, whose concurrency stays as a cap; -c makes a closed loop of what is all at once.

Exit codes: 0 done, 1 more requests failed than --max-failed, 2 bad arguments or input, 3 no server, 130
interrupted (what was measured is kept).")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// Conversations in flight at most; `none` takes a profile's limit away. Alone, so many are always in flight
    #[arg(long, short, visible_alias = "max-concurrency", value_name = "N|none", help_heading = "Arrival", allow_negative_numbers = true, value_parser = values::limit)]
    pub concurrency: Option<values::Limit>,
    /// Conversations that begin in a second; `inf`: all at once
    #[arg(long, visible_alias = "request-rate", value_name = "R|inf", allow_hyphen_values = true, help_heading = "Arrival", value_parser = values::rate)]
    pub rate: Option<values::RateArg>,
    /// A Poisson rate that goes from one to another over the run, such as 1:10
    #[arg(long, value_name = "FROM:TO", allow_hyphen_values = true, help_heading = "Arrival", value_parser = values::ramp)]
    pub ramp: Option<(f64, f64)>,
    /// Send at the times in this file: seconds, one a line, or `timestamp` in a JSONL
    #[arg(long, value_name = "FILE", help_heading = "Arrival")]
    pub trace: Option<PathBuf>,
    /// Multiply a trace's times by this
    #[arg(long, value_name = "X", help_heading = "Arrival", allow_negative_numbers = true, value_parser = values::number)]
    pub trace_scale: Option<f64>,
    #[command(flatten)]
    pub pace: PaceArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Measure so many times, each a run of its own
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1, help_heading = "Output", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
}

/// `sparkbench sweep`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("axis").required(true).args(["concurrency", "rate"]),
    after_help = "Examples:
  sparkbench sweep --profile short --concurrency 1,2,4,8,16,32
  sparkbench sweep -i 512 -o 128 -n 200 --rate 0.5,1,2,4 --slo ttft=500ms

Each step is what `sparkbench run` does with that --concurrency or --rate.

Exit codes: 0 done, 1 more requests failed than --max-failed, 2 bad arguments or input, 3 no server, 130
interrupted (what was measured is kept)."
)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// Conversations in flight, one step each, such as 1,2,4,8
    #[arg(
        long,
        short,
        visible_alias = "max-concurrency",
        value_name = "LIST",
        help_heading = "Arrival",
        allow_hyphen_values = true
    )]
    pub concurrency: Option<String>,
    /// Conversations that begin in a second, one step each, such as 0.5,1,2
    #[arg(
        long,
        visible_alias = "request-rate",
        value_name = "LIST",
        help_heading = "Arrival",
        allow_hyphen_values = true
    )]
    pub rate: Option<String>,
    #[command(flatten)]
    pub pace: PaceArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is written, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Run directory, which must not be there yet [default: a new one below --results]
    #[arg(long, value_name = "DIR", conflicts_with = "results")]
    pub out: Option<PathBuf>,
    /// Where new run directories go
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Write the requests as a Parquet table too
    #[arg(long)]
    pub parquet: bool,
    /// Write no HTML page
    #[arg(long)]
    pub no_html: bool,
    /// Keep what the server answered
    #[arg(long)]
    pub keep_text: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Say what would be sent, and where each value came from; contact nobody, write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `sparkbench compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench compare results/A results/B
  sparkbench compare results/baseline results/new1 results/new2 --threshold 3%

The first is what the others are held against. Exit codes: 0 no regression, 1 a regression, 2 bad arguments, or
runs under different plans.")]
pub(crate) struct CompareArgs {
    /// The baseline: the directory of a run, of repeats or of a sweep
    #[arg(value_name = "BASELINE")]
    pub a: PathBuf,
    /// What is judged, the same kind of directory
    #[arg(value_name = "CANDIDATE")]
    pub b: PathBuf,
    /// What counts as a regression: worse by more than this
    #[arg(long, value_name = "SHARE", default_value = "5%", allow_hyphen_values = true, value_parser = values::share)]
    pub threshold: f64,
    /// Compare although the plans differ
    #[arg(long)]
    pub ignore_plan: bool,
    /// Write a page to this file too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `sparkbench report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench report results/RUN
  sparkbench report results/RUN --html page.html

Exit codes: 0 done, 2 no run, or a damaged one.")]
pub(crate) struct ReportArgs {
    /// The directory of a run, of repeats or of a sweep; a run that was killed has one, too
    #[arg(value_name = "RUN_DIR")]
    pub dir: PathBuf,
    /// Write the page to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write each plot as an SVG file to this folder
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
    /// Print what summary.json holds; of repeats a list of it, of a sweep its points and knee
    #[arg(long)]
    pub json: bool,
}

/// `sparkbench calibrate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench calibrate
  sparkbench calibrate --quick --json

Exit codes: 0 done, 3 this machine cannot do it.")]
pub(crate) struct CalibrateArgs {
    /// Fewer steps, for a first idea
    #[arg(long)]
    pub quick: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `sparkbench profiles`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sparkbench profiles
  sparkbench profiles --profiles ./my-profiles --json

Exit codes: 0 done, 2 a profile that does not read.")]
pub(crate) struct ProfilesArgs {
    /// A folder with bench/*.toml of your own; they win over the built-in ones
    #[arg(long, value_name = "DIR", env = "SPARKBENCH_PROFILES")]
    pub profiles: Option<PathBuf>,
    /// Print one JSON list
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Values that begin with a minus sign by mistake only: names, and words from a list.
    const WORDS: [&str; 17] = [
        "FILE",
        "DIR",
        "NAME",
        "URL",
        "KEY",
        "ADDRESS",
        "KIND:FILE",
        "JSON",
        "NAME|FILE",
        "FAULT",
        "RUNTIME",
        "WHEN",
        "RUN_DIR",
        "BASELINE",
        "CANDIDATE",
        "MODEL[:VARIANT]",
        "VERSION",
    ];

    #[test]
    fn a_negative_number_reaches_the_flag_it_was_given_to() {
        for command in BenchArguments::command().get_subcommands() {
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let name =
                    arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
                // Those without a name of their own are lists of words.
                if WORDS.contains(&name) || !arg.get_possible_values().is_empty() {
                    continue;
                }
                let open = arg.is_allow_negative_numbers_set() || arg.is_allow_hyphen_values_set();
                assert!(open, "{} --{}: clap calls `-1` an unknown flag", command.get_name(), arg.get_id());
            }
        }
    }
}
