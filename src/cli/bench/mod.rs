//! `sparkbench` on the command line.

mod args;
mod settings;
mod values;
mod variables;

use self::args::{BenchArguments, BenchCommand};
use self::variables::Variables;
use super::audience::Audience;
use super::global_options::GlobalOptions;
use super::printer::Printer;
use super::signals::cancelled_by_signals;
use crate::commands::CommandResult;
use crate::commands::bench::serving::{down, logs, models, plan, status, up};
use crate::commands::bench::{calibrate, compare, mock, profiles, report, run, stored, sweep};

impl super::Arguments for BenchArguments {
    fn global(&self) -> GlobalOptions {
        self.global
    }
}

/// Run the subcommand asked for.
pub(super) async fn dispatch(
    BenchArguments { global: _, command }: BenchArguments,
    audience: &mut Audience,
) -> CommandResult {
    let mut out = Printer::beside(audience.bars());
    let cancelled_by_signals = || cancelled_by_signals(audience.clone());
    let progress = &mut audience.clone();
    let variables = || Variables::read(|name| std::env::var_os(name));
    match command {
        BenchCommand::Run(args) => {
            let settings = settings::run(*args, &variables()?)?;
            run::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        BenchCommand::Sweep(args) => {
            let settings = settings::sweep(*args, &variables()?)?;
            sweep::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        BenchCommand::Compare(args) => compare::run(&settings::compare(args), &stored::stored, &mut out),
        BenchCommand::Report(args) => report::run(&settings::report(args), &stored::stored, &mut out),
        BenchCommand::Calibrate(args) => {
            let settings = settings::calibrate(args);
            calibrate::run(settings, cancelled_by_signals(), progress, &mut out).await
        }
        BenchCommand::Mock(args) => {
            let settings = settings::mock(*args)?;
            mock::run(settings, cancelled_by_signals(), progress, &mut out).await
        }
        BenchCommand::Models(args) => models::run(&settings::models(args), &mut out),
        BenchCommand::Plan(args) => plan::run(&settings::plan(args), cancelled_by_signals(), &mut out).await,
        BenchCommand::Up(args) => {
            up::run(&settings::up(*args), cancelled_by_signals(), progress, &mut out).await
        }
        BenchCommand::Switch(args) => {
            up::run(&settings::switch(*args), cancelled_by_signals(), progress, &mut out).await
        }
        BenchCommand::Status(args) => {
            status::run(&settings::status(args), cancelled_by_signals(), &mut out).await
        }
        BenchCommand::Logs(args) => {
            logs::run(&settings::logs(args), cancelled_by_signals(), progress, &mut out).await
        }
        BenchCommand::Down(args) => {
            down::run(&settings::down(args), cancelled_by_signals(), progress, &mut out).await
        }
        BenchCommand::Profiles(args) => profiles::run(&settings::profiles(args), &mut out),
    }
}
