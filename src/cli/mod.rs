//! The edge: clap types, the printer, progress on a terminal, exit codes. Nothing else knows clap.

mod bench;
mod printer;
mod progress;
mod signals;
mod stderr;
mod tune;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::{CommandResult, Verdict};
use crate::failure::{Failure, Kind};

/// Run `sparktune` on the process's arguments.
pub fn sparktune() -> ExitCode {
    program(tune::dispatch)
}

/// Run `sparkbench` on the process's arguments.
pub fn sparkbench() -> ExitCode {
    program(bench::dispatch)
}

fn program<Arguments: Parser>(dispatch: impl AsyncFnOnce(Arguments) -> CommandResult) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no failures; clap prints both kinds where they belong.
            let code = if error.use_stderr() { Kind::Input.exit_code() } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            stderr::line(&format!("error: cannot start: {error}"));
            return ExitCode::from(Kind::Environment.exit_code());
        }
    };
    match runtime.block_on(dispatch(arguments)) {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::CheckSaidNo) => ExitCode::from(Kind::CheckFailed.exit_code()),
        Err(failure) => {
            complain(failure.as_ref());
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

fn complain(failure: &dyn Failure) {
    stderr::line(&format!("error: {failure}"));
    if let Some(hint) = failure.hint() {
        stderr::line(&format!("hint: {hint}"));
    }
}
