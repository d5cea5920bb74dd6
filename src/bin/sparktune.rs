//! `sparktune`: find, prove and ship fused-MoE kernel configs.

use std::process::ExitCode;

fn main() -> ExitCode {
    spark::cli::sparktune()
}
