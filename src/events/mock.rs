//! The mock server.

use serde::{Deserialize, Serialize};

/// News of a mock server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MockEvent {
    /// It answers.
    Listening {
        /// Its base URL.
        url: String,
        /// The model it says it serves.
        model: String,
    },
}
