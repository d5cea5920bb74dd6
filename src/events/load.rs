//! A server under load.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Work;

/// News of measuring a server. Work counts requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LoadEvent {
    /// Prompts are made.
    Preparing {
        /// For so many requests.
        requests: u32,
    },
    /// They are made.
    Prepared {
        /// For so many requests.
        requests: u32,
    },
    /// Requests wait to be sent.
    Queued {
        /// Of which load.
        part: LoadPart,
        /// None of them has ended.
        work: Work,
    },
    /// What the load has come to so far, about five times a second.
    Sending {
        /// Which load.
        part: LoadPart,
        /// Requests ended, whole or failed.
        work: Work,
        /// Since its first request, seconds.
        seconds: f64,
        /// What came of it.
        live: LiveView,
    },
    /// No more of its requests are in flight or will be sent.
    Ended {
        /// Which load.
        part: LoadPart,
        /// Requests ended, whole or failed: fewer than all where it was stopped.
        work: Work,
        /// Since its first request, seconds.
        seconds: f64,
        /// What came of it.
        live: LiveView,
    },
    /// The client is held against a mock server under a load.
    Calibrating {
        /// Streams at once.
        streams: u32,
    },
    /// That load was measured.
    Calibrated {
        /// Streams at once.
        streams: u32,
        /// Whether the client's figures were right.
        right: bool,
    },
}

/// Which of the loads of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LoadPart {
    /// Requests before the measured ones.
    WarmUp,
    /// A measured run.
    Run {
        /// Its profile.
        profile: String,
        /// Which of its repeats, from 1.
        number: u32,
        /// How many repeats.
        of: u32,
    },
    /// A measured step of a sweep.
    Step {
        /// What changes from step to step: `concurrency` or `rate`.
        axis: Cow<'static, str>,
        /// Where on it.
        at: f64,
        /// Which step, from 1.
        number: u32,
        /// How many steps.
        of: u32,
    },
}

/// What a load has come to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveView {
    /// Requests sent, each counted once however often it was tried.
    pub sent: u32,
    /// Ended whole.
    pub done: u32,
    /// Failed.
    pub failed: u32,
    /// Output tokens that arrived, of all requests. Until a request ends its events may count as one each.
    pub tokens: u64,
    /// Mean time to first token so far, milliseconds.
    pub mean_ttft_ms: Option<f64>,
    /// Mean time per token after the first, of requests that ended, milliseconds.
    pub mean_itl_ms: Option<f64>,
}

/// `warm-up`, `quick`, `quick 2 of 3` or `concurrency 8 (2 of 4)`.
impl fmt::Display for LoadPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadPart::WarmUp => f.write_str("warm-up"),
            LoadPart::Run { profile, number: _, of: 1 } => f.write_str(profile),
            LoadPart::Run { profile, number, of } => write!(f, "{profile} {number} of {of}"),
            LoadPart::Step { axis, at, number, of } => write!(f, "{axis} {at} ({number} of {of})"),
        }
    }
}
