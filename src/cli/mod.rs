//! The edge: clap types, the printer, readers of events, exit codes. Nothing else knows clap.

mod audience;
mod bench;
mod event_lines;
mod global_options;
mod printer;
mod progress;
mod run_log;
mod signals;
mod stderr;
mod tune;

use std::process::ExitCode;

use clap::Parser;

use self::audience::Audience;
use self::global_options::GlobalOptions;
use crate::commands::{CommandResult, Verdict};
use crate::events::{CommandEvent, Observer};
use crate::failure::{Failure, Kind, causes};

/// Run `sparktune` on the process's arguments.
pub fn sparktune() -> ExitCode {
    program(tune::dispatch)
}

/// Run `sparkbench` on the process's arguments.
pub fn sparkbench() -> ExitCode {
    program(bench::dispatch)
}

/// A program's literal arguments.
trait Arguments: Parser {
    /// What they have in common with the other program's.
    fn global(&self) -> GlobalOptions;
}

fn program<A: Arguments>(dispatch: impl AsyncFnOnce(A, &mut Audience) -> CommandResult) -> ExitCode {
    let arguments = match A::try_parse() {
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
    let mut audience = Audience::of(arguments.global().events);
    match runtime.block_on(dispatch(arguments, &mut audience)) {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::CheckSaidNo) => ExitCode::from(Kind::CheckFailed.exit_code()),
        Err(failure) => {
            complain(failure.as_ref(), &mut audience);
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

fn complain(failure: &dyn Failure, observer: &mut dyn Observer) {
    observer.say(CommandEvent::Failed {
        exit_code: failure.kind().exit_code(),
        message: failure.to_string(),
        causes: causes(failure),
        hint: failure.hint(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Event, What};

    #[derive(Debug, thiserror::Error)]
    #[error("cannot fetch the wheel")]
    struct NoWheel(#[source] std::io::Error);

    impl Failure for NoWheel {
        fn kind(&self) -> Kind {
            Kind::Environment
        }

        fn hint(&self) -> Option<String> {
            Some("try again".into())
        }
    }

    #[test]
    fn a_complaint_has_message_causes_and_hint_apart() {
        let mut told: Vec<Event> = Vec::new();
        complain(&NoWheel(std::io::Error::other("connection refused")), &mut told);
        let failed = CommandEvent::Failed {
            exit_code: 3,
            message: "cannot fetch the wheel".into(),
            causes: vec!["connection refused".into()],
            hint: Some("try again".into()),
        };
        assert_eq!(told.into_iter().map(|event| event.what).collect::<Vec<_>>(), [What::Command(failed)]);
    }
}
