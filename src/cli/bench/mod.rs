//! `sparkbench` on the command line.

mod args;
mod environment;
mod settings;
mod values;

use self::args::{Cli, Command};
use self::environment::Environment;
use super::printer::Printer;
use super::progress::Progress;
use super::signals::cancelled_by_signals;
use crate::commands::CommandResult;
use crate::commands::bench::{mock, not_built, profiles, run, sweep};

/// Run the subcommand asked for.
pub(super) async fn dispatch(Cli { command }: Cli) -> CommandResult {
    let mut out = Printer::default();
    let mut progress = Progress::default();
    let environment = || Environment::read(|name| std::env::var_os(name));
    match command {
        Command::Run(args) => run::run(&settings::run(*args, &environment()?)?, &mut out),
        Command::Sweep(args) => sweep::run(&settings::sweep(*args, &environment()?)?, &mut out),
        Command::Compare(args) => not_built::compare(&settings::compare(args)),
        Command::Report(args) => not_built::report(&settings::report(args)),
        Command::Calibrate(args) => not_built::calibrate(&settings::calibrate(args)),
        Command::Mock(args) => {
            let settings = settings::mock(*args);
            mock::run(settings, cancelled_by_signals(), &mut progress, &mut out).await
        }
        Command::Profiles(args) => profiles::run(&settings::profiles(args), &mut out),
    }
}
