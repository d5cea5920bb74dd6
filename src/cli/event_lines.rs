//! Events told to programs: one JSON object a line on stderr.

use super::stderr;
use crate::events::{Event, Observer};

/// Writes each event as it comes.
#[derive(Debug, Default)]
pub(super) struct EventLines;

impl Observer for EventLines {
    fn on(&mut self, event: &Event) {
        stderr::line(&event.to_line());
    }
}
