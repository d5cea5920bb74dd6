//! Why a run ended before its end.

use std::path::PathBuf;

use super::proofs::Unjudged;
use super::select::NothingLeft;
use super::write::WriteError;
use crate::failure::{Failure, Kind, forwards};
use crate::host_name::HostName;
use crate::journal::JournalError;
use crate::worker::WorkerError;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The run directory cannot be used.
    #[error("cannot use `{path}` as run directory: {source}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The last worker there was cannot go on.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// There is no node to work on.
    #[error("no node is left to work on")]
    NobodyLeft,
    /// A recording without a strategy: the caller's mistake.
    #[error("the plan names nothing to measure")]
    NothingToMeasure,
    /// The run was started with another compiler or kernel.
    #[error("this run was compiled with another {field}: {was}, now {now}")]
    OtherCompiler {
        /// What differs.
        field: &'static str,
        /// In the journal.
        was: String,
        /// Now.
        now: String,
    },
    /// Nodes that begin a run together and compile with something else.
    #[error("{other} has another {field} than {first}: {now}, there {was}")]
    UnlikeNodes {
        /// A node.
        first: HostName,
        /// One that is not like it.
        other: HostName,
        /// What differs.
        field: &'static str,
        /// What the first has.
        was: String,
        /// What the other has.
        now: String,
    },
    /// The compiler does not know the device at all.
    #[error("nothing can be compiled for {arch}: {message}")]
    UnsupportedTarget {
        /// The compile target.
        arch: String,
        /// The compiler's words.
        message: String,
    },
    /// Kernels of the choice ended without a word about themselves.
    #[error(transparent)]
    Unjudged(#[from] Unjudged),
    /// The journal's rounds are not what the strategy asks.
    #[error(
        "round {round} of the journal at batch size {batch_size} is not what this version's strategy asks there"
    )]
    OtherStrategy {
        /// Tokens in a forward pass.
        batch_size: u32,
        /// Which round of that batch size, from 1.
        round: usize,
    },
    /// The clock is held down.
    #[error("the GPU's clock is held at {clock_mhz:.0} MHz under load, its maximum is {max_mhz:.0}: {why}")]
    CappedClock {
        /// Under load.
        clock_mhz: f64,
        /// What it could be.
        max_mhz: f64,
        /// What holds it down, as far as the driver tells.
        why: String,
    },
    /// The same config's time moved too far.
    #[error(
        "the machine is not steady: the same config took {change:.1} % more or less within batch size {batch_size}"
    )]
    Unsteady {
        /// Per cent.
        change: f64,
        /// Where.
        batch_size: u32,
    },
    /// Workers died over and over while a batch size was raced.
    #[error("batch size {batch_size} cannot be measured: {why}")]
    Unmeasurable {
        /// Tokens in a forward pass.
        batch_size: u32,
        /// The last death.
        why: String,
    },
    /// Nothing works for a batch size.
    #[error(transparent)]
    NothingLeft(#[from] NothingLeft),
    /// A file could not be written, or not be written so that it would work.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The user stopped it.
    #[error("interrupted; every result so far is kept")]
    Interrupted,
}

forwards! {
    impl Failure for RunError forwarding Journal, Worker, Write {
        // `--out` names it: a file, or a place that cannot be written.
        Self::Directory { .. } => Kind::Input;
        Self::OtherCompiler { .. } | Self::OtherStrategy { .. } => Kind::Input, "start a new run";
        Self::UnlikeNodes { .. } => Kind::Environment, "sparktune image sync brings the same image to every node";
        Self::NobodyLeft | Self::NothingToMeasure => Kind::Environment;
        Self::UnsupportedTarget { .. } => Kind::Environment,
            "point TRITON_PTXAS_PATH at an assembler that knows the target, or drop --python";
        Self::Unjudged(_) => Kind::Incomplete,
            "resume with a larger --compile-timeout or fewer --jobs: they are tried again";
        Self::CappedClock { .. } => Kind::Environment,
            "a DGX Spark whose USB-PD negotiation failed caps its GPU at 500 to 850 MHz: take the power supply off \
             for a minute; times measured at a capped clock choose for a capped clock";
        Self::Unsteady { .. } => Kind::Environment,
            "end what else uses the GPU, or drop --strict to go on with a warning";
        Self::Unmeasurable { .. } => Kind::Environment;
        Self::NothingLeft(_) => Kind::CheckFailed;
        Self::Interrupted => Kind::Interrupted;
    }
}
