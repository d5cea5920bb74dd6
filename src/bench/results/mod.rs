//! What a run leaves behind: a directory with its plan, its requests and what they come to.
//!
//! | file | what it holds | when it is written |
//! |---|---|---|
//! | `run.json` | [`RunFile`]: format, plan, target, server, machine, how it ended | before the first request, and again at the end |
//! | `requests.jsonl` | one [`RequestRecord`] a line and nothing else | as requests end |
//! | `summary.json` | [`SummaryFile`]: the keys of `sglang.bench_serving`, and a [`Summary`] under `spark` | at the end |
//! | `summary.csv` | one row of [`csv::COLUMNS`] | at the end |
//!
//! `requests.jsonl` has no header line, so that `jq` and data frames read it as it is. Its format is that of the
//! `run.json` beside it, which is there first; without one the directory is refused.

pub mod csv;
mod directory;
pub mod environment;
mod error;
mod read;
mod request_log;
mod run_file;
pub mod schema;
mod summary_file;
pub mod table;

pub use self::directory::ResultsDir;
pub use self::error::ResultsError;
pub use self::read::{ResultsRead, read, read_all};
pub use self::request_log::RequestLog;
pub use self::run_file::{Ended, HowEnded, RunFile, plan_sha256};
pub use self::summary_file::{RequestRate, SummaryFile};

#[cfg(doc)]
use super::{record::RequestRecord, summary::Summary};

/// The format this version writes and the only one it reads.
pub const FORMAT: u32 = 1;

/// The plan and how the run went.
pub const RUN: &str = "run.json";
/// One request a line.
pub const REQUESTS: &str = "requests.jsonl";
/// What they come to.
pub const SUMMARY: &str = "summary.json";
/// The same as one row.
pub const SUMMARY_CSV: &str = "summary.csv";

#[cfg(test)]
mod tests;
