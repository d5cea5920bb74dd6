//! The edge: clap types, the printer, progress on a terminal, exit codes. Nothing else knows clap.

mod args;
mod printer;
mod progress;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use self::args::{Cli, Command};
use self::printer::Printer;
use self::progress::Progress;
use crate::commands::{CommandResult, Verdict};
use crate::failure::{Failure, Kind};

/// Run `sparktune` on the process's arguments.
pub fn sparktune() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
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
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(Kind::Environment.exit_code());
        }
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::CheckSaidNo) => ExitCode::from(Kind::CheckFailed.exit_code()),
        Err(failure) => {
            complain(failure.as_ref());
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

async fn dispatch(command: Command) -> CommandResult {
    use crate::commands::{
        check, devices, merge, models, moe, plan, publish, record, replay, setup, space, subject,
    };
    let mut out = Printer::default();
    let mut progress = Progress::default();
    match command {
        Command::Moe(args) => {
            let settings = settings::moe(*args)?;
            moe::run(&settings, cancelled_by_signals(), &mut progress, &mut out).await
        }
        Command::Plan(args) => plan::run(&settings::plan(args)?, &mut progress, &mut out).await,
        Command::Space(args) => {
            let settings = settings::space(args)?;
            space::run(&settings, &mut progress, &mut out).await
        }
        Command::Check(args) => {
            let settings = settings::check(args)?;
            check::run(&settings, cancelled_by_signals(), &mut progress, &mut out).await
        }
        Command::Publish(args) => publish::run(&settings::publish(args), &mut out),
        Command::Merge(args) => merge::run(&settings::merge(args), &mut progress, &mut out),
        Command::Record(args) => {
            let settings = settings::record(*args)?;
            record::run(&settings, cancelled_by_signals(), &mut progress, &mut out).await
        }
        Command::Replay(args) => replay::run(&settings::replay(args)?, &mut out).await,
        Command::Setup(args) => {
            let (environment, target, json) = settings::setup(args)?;
            setup::run(&environment, target, json, &cancelled_by_signals(), &mut progress, &mut out).await
        }
        Command::Models(args) => models::run(args.profiles.as_deref(), args.json, &mut out),
        Command::Devices(args) => {
            devices::run(&subject::devices(args.profiles.as_deref())?, args.json, &mut out)
        }
    }
}

/// A token that is cancelled by the first Ctrl-C or SIGTERM. The second ends the program at once.
fn cancelled_by_signals() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        signalled().await;
        eprintln!("stopping: results so far are kept ...");
        cancel.cancel();
        signalled().await;
        end_at_once();
    });
    token
}

/// Wait for a Ctrl-C or SIGTERM.
async fn signalled() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Without a handler SIGTERM ends the program as it always did.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// The user asked twice. What is on disk is whole at any moment, and a worker ends with its input.
#[expect(clippy::disallowed_methods, reason = "there is nothing left to wait for")]
fn end_at_once() -> ! {
    std::process::exit(i32::from(Kind::Interrupted.exit_code()))
}

fn complain(failure: &dyn Failure) {
    eprintln!("error: {failure}");
    if let Some(hint) = failure.hint() {
        eprintln!("hint: {hint}");
    }
}
