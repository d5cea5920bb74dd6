//! `sparktune` on the command line.

mod args;
mod questions;
mod settings;

use self::args::{TuneArguments, TuneCommand};
use self::questions::Questions;
use super::audience::{Audience, EventForm};
use super::global_options::GlobalOptions;
use super::printer::Printer;
use super::signals::cancelled_by_signals;
use crate::commands::CommandResult;

impl super::Arguments for TuneArguments {
    fn global(&self) -> GlobalOptions {
        self.global
    }
}

/// Run the subcommand asked for.
pub(super) async fn dispatch(
    TuneArguments { global, command }: TuneArguments,
    audience: &mut Audience,
) -> CommandResult {
    use crate::commands::tune::{
        check, deploy, devices, doctor, image, init, merge, models, moe, nodes, plan, publish, record,
        replay, report, setup, space, subject, watch,
    };
    let mut out = Printer::beside(audience.bars());
    let cancelled_by_signals = || cancelled_by_signals(audience.clone());
    let progress = &mut audience.clone();
    match command {
        TuneCommand::Moe(args) => {
            let settings = settings::moe(*args)?;
            moe::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        TuneCommand::Init(args) => {
            let settings = settings::init(args)?;
            // Who reads events is a program, and answers no questions.
            let asks = !settings.yes && !settings.dry_run && global.events == EventForm::Text;
            let mut questions = Questions::of_terminal().filter(|_| asks);
            let dialogue = questions.as_mut().map(|questions| questions as &mut dyn init::Dialogue);
            init::run(&settings, dialogue, progress, &mut out).await
        }
        TuneCommand::Watch(args) => {
            watch::run(&settings::watch(args), cancelled_by_signals(), progress, &mut out).await
        }
        TuneCommand::Report(args) => {
            let (settings, devices) = settings::report(args)?;
            report::run(&settings, &devices, &mut out)
        }
        TuneCommand::Plan(args) => plan::run(&settings::plan(args)?, progress, &mut out).await,
        TuneCommand::Space(args) => {
            let settings = settings::space(args)?;
            space::run(&settings, progress, &mut out).await
        }
        TuneCommand::Check(args) => {
            let settings = settings::check(args)?;
            check::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        TuneCommand::Publish(args) => publish::run(&settings::publish(args), &mut out),
        TuneCommand::Merge(args) => merge::run(&settings::merge(args), progress, &mut out),
        TuneCommand::Record(args) => {
            let settings = settings::record(*args)?;
            record::run(&settings, cancelled_by_signals(), progress, &mut out).await
        }
        TuneCommand::Replay(args) => replay::run(&settings::replay(args)?, &mut out).await,
        TuneCommand::Setup(args) => {
            let (environment, target, json) = settings::setup(args)?;
            setup::run(&environment, target, json, &cancelled_by_signals(), progress, &mut out).await
        }
        TuneCommand::Nodes(args) => {
            nodes::run(&settings::nodes(args)?, cancelled_by_signals(), &mut out).await
        }
        TuneCommand::Doctor(args) => {
            doctor::run(&settings::doctor(args)?, cancelled_by_signals(), &mut out).await
        }
        TuneCommand::Deploy(args) => {
            deploy::run(&settings::deploy(args)?, cancelled_by_signals(), &mut out).await
        }
        TuneCommand::Image(args) => {
            image::run(&settings::image(args)?, cancelled_by_signals(), progress, &mut out).await
        }
        TuneCommand::Models(args) => models::run(args.profiles.as_deref(), args.json, &mut out),
        TuneCommand::Devices(args) => {
            devices::run(&subject::devices(args.profiles.as_deref())?, args.json, &mut out)
        }
    }
}
