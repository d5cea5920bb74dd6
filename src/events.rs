//! What happens while a command works, said once. Progress bars, logs and JSON are its readers.

use crate::shape::Role;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Something the user should know that stops nothing.
    Warning(String),
    /// A step of making the managed environment began.
    SetupStep(String),
    /// The managed environment is whole.
    SetupDone,
    /// Compilation of a batch begins.
    CompileStarted {
        /// Units to compile.
        units: usize,
    },
    /// One unit ended.
    Compiled {
        /// Which kernel.
        role: Role,
        /// Which tile, as `64x128x128 w4 s3`.
        tile: String,
        /// Why there is no binary, where there is none.
        failed: Option<String>,
    },
    /// Nothing more is compiled for now.
    CompileDone,
    /// Measuring begins.
    SearchStarted {
        /// Batch sizes to decide.
        batch_sizes: usize,
    },
    /// One round was measured.
    Measured {
        /// At which batch size.
        batch_size: u32,
        /// Kernel launches so far.
        launches: u64,
        /// Measuring time so far, seconds.
        seconds: f64,
    },
    /// Batch sizes are decided.
    Decided {
        /// How many so far.
        batch_sizes: usize,
    },
    /// Nothing more is measured.
    SearchDone,
    /// A mock server answers.
    Listening {
        /// Its base URL.
        url: String,
        /// The model it says it serves.
        model: String,
    },
    /// A benchmark's requests begin.
    LoadStarted {
        /// Which, such as `warm-up` or `run 2 of 3`.
        what: String,
        /// Requests to send.
        requests: u32,
    },
    /// What a benchmark has come to so far.
    Load(LiveView),
    /// No more requests are sent.
    LoadDone,
    /// A file is on disk.
    FileWritten {
        /// Its path relative to the run directory.
        path: String,
        /// The weakest rung among its entries.
        evidence: String,
    },
}

/// What a benchmark has come to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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

/// Somebody who wants to know.
pub trait Observer {
    /// Called for every event, in order.
    fn on(&mut self, event: &Event);
}

/// Hears nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&mut self, _: &Event) {}
}

impl Observer for Vec<Event> {
    fn on(&mut self, event: &Event) {
        self.push(event.clone());
    }
}
