//! The literal command line of `sparkbench`, as clap sees it. Nothing below `cli` knows these types.

use clap::{Parser, Subcommand};

/// Measure inference servers with numbers that can be trusted.
#[derive(Debug, Parser)]
#[command(name = "sparkbench", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {}
