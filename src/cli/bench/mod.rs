//! `sparkbench` on the command line.

mod args;

use self::args::Cli;
use crate::commands::CommandResult;

/// Run the subcommand asked for.
pub(super) async fn dispatch(Cli { command }: Cli) -> CommandResult {
    match command {}
}
