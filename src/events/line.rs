//! Events as lines of JSON: what programs read.

use serde::{Deserialize, Serialize};

use super::Event;

/// The form of the lines. It is raised when a field or event is renamed, taken away or means something else;
/// readers must bear what is added.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    #[serde(flatten)]
    event: &'a Event,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

impl Event {
    /// One flat JSON object, without a line's end. `docs/events.md` has every field.
    pub fn to_line(&self) -> String {
        let line = Line { v: VERSION, event: self };
        serde_json::to_string(&line).expect("plain data with text keys always serialises")
    }

    /// The event that a line says; none for a line that is no event, or one that this version does not know.
    pub fn of_line(line: &str) -> Option<Self> {
        let Version { v } = serde_json::from_str(line).ok()?;
        (v == VERSION).then(|| serde_json::from_str(line).ok()).flatten()
    }
}
