//! `sparktune` on the command line.

mod args;
mod settings;

use self::args::{Cli, Command};
use super::audience::{Audience, EventForm};
use super::printer::Printer;
use super::signals::cancelled_by_signals;
use crate::commands::CommandResult;

impl super::Arguments for Cli {
    fn event_form(&self) -> EventForm {
        self.events
    }
}

/// Run the subcommand asked for.
pub(super) async fn dispatch(Cli { events: _, command }: Cli, audience: &mut Audience) -> CommandResult {
    use crate::commands::tune::{
        check, devices, merge, models, moe, plan, publish, record, replay, setup, space, subject,
    };
    let mut out = Printer::beside(audience.bars());
    let cancelled_by_signals = || cancelled_by_signals(audience.clone());
    let progress = &mut audience.clone();
    match command {
        Command::Moe(args) => {
            let settings = settings::moe(*args)?;
            moe::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        Command::Plan(args) => plan::run(&settings::plan(args)?, progress, &mut out).await,
        Command::Space(args) => {
            let settings = settings::space(args)?;
            space::run(&settings, progress, &mut out).await
        }
        Command::Check(args) => {
            let settings = settings::check(args)?;
            check::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        Command::Publish(args) => publish::run(&settings::publish(args), &mut out),
        Command::Merge(args) => merge::run(&settings::merge(args), progress, &mut out),
        Command::Record(args) => {
            let settings = settings::record(*args)?;
            record::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        Command::Replay(args) => replay::run(&settings::replay(args)?, &mut out).await,
        Command::Setup(args) => {
            let (environment, target, json) = settings::setup(args)?;
            setup::run(&environment, target, json, &cancelled_by_signals(), progress, &mut out).await
        }
        Command::Models(args) => models::run(args.profiles.as_deref(), args.json, &mut out),
        Command::Devices(args) => {
            devices::run(&subject::devices(args.profiles.as_deref())?, args.json, &mut out)
        }
    }
}
