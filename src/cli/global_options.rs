//! Options that every subcommand of both programs takes.

use clap::Args;

use super::audience::EventForm;

/// They may stand before the subcommand or behind it.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct GlobalOptions {
    /// How progress and errors are told on stderr (docs/events.md)
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM",
        help_heading = "Global options"
    )]
    pub events: EventForm,
}
