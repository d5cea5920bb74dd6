//! The command as a whole.

use serde::{Deserialize, Serialize};

/// How a command comes to an early end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CommandEvent {
    /// The user asked for an orderly stop.
    Stopping,
    /// It failed, and ends.
    Failed {
        /// The code the program exits with.
        exit_code: u8,
        /// What went wrong.
        message: String,
        /// What lies behind it, as far as the message does not say it, the outermost first.
        causes: Vec<String>,
        /// What to try next, where that is known.
        hint: Option<String>,
    },
}
