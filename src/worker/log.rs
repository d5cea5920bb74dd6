//! What a worker writes to its standard error.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::lines::{BoundedLines, Piece};
use crate::host::BoxRead;
use crate::host_name::HostName;

/// Log lines kept to explain a death.
const LOG_LINES: usize = 30;
/// The longest part of a log line that is kept in one piece, bytes.
const LOG_LINE_BYTES: usize = 4096;

/// The last lines a worker logged, shown below an error's message.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    pub(super) fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Keep what comes over `stream`, and log it whole, until it ends.
    pub(super) async fn keep(self, stream: BoxRead, on: HostName) {
        // Bytes, not text: a compiler may say anything, and a reader that gives up would close the
        // worker's log under it.
        let mut lines = BoundedLines::new(stream, LOG_LINE_BYTES);
        while let Ok(Some(Piece::Whole(line) | Piece::Part(line))) = lines.next().await {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            tracing::info!(target: "worker", host = %on, "{line}");
            self.push(line);
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}
