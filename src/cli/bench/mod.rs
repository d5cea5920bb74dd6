//! `sparkbench` on the command line.

mod args;
mod environment;
mod settings;
mod values;

use self::args::{Cli, Command};
use self::environment::Environment;
use super::audience::{Audience, EventForm};
use super::printer::Printer;
use super::signals::cancelled_by_signals;
use crate::commands::CommandResult;
use crate::commands::bench::{calibrate, compare, mock, profiles, report, run, stored, sweep};

impl super::Arguments for Cli {
    fn event_form(&self) -> EventForm {
        self.events
    }
}

/// Run the subcommand asked for.
pub(super) async fn dispatch(Cli { events: _, command }: Cli, audience: &mut Audience) -> CommandResult {
    let mut out = Printer::beside(audience.bars());
    let cancelled_by_signals = || cancelled_by_signals(audience.clone());
    let progress = &mut audience.clone();
    let environment = || Environment::read(|name| std::env::var_os(name));
    match command {
        Command::Run(args) => {
            let settings = settings::run(*args, &environment()?)?;
            run::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        Command::Sweep(args) => {
            let settings = settings::sweep(*args, &environment()?)?;
            sweep::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        Command::Compare(args) => compare::run(&settings::compare(args), &stored::stored, &mut out),
        Command::Report(args) => report::run(&settings::report(args), &stored::stored, &mut out),
        Command::Calibrate(args) => {
            let settings = settings::calibrate(args);
            calibrate::run(settings, cancelled_by_signals(), progress, &mut out).await
        }
        Command::Mock(args) => {
            let settings = settings::mock(*args)?;
            mock::run(settings, cancelled_by_signals(), progress, &mut out).await
        }
        Command::Profiles(args) => profiles::run(&settings::profiles(args), &mut out),
    }
}
