//! `sparkbench`: measure inference servers with numbers that can be trusted.

use std::process::ExitCode;

fn main() -> ExitCode {
    spark::cli::sparkbench()
}
