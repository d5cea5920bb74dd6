//! What a run leaves behind: a directory with its plan, its requests and what they come to.
//!
//! | file | what it holds | when it is written |
//! |---|---|---|
//! | `run.json` | [`RunFile`]: format, plan, target, server, machine, how it ended | before the first request, and again at the end |
//! | `requests.jsonl` | one [`RequestRecord`] a line and nothing else | as requests end |
//! | `summary.json` | [`SummaryFile`]: the keys of `sglang.bench_serving`, and a [`Summary`] under `spark` | at the end |
//! | `summary.csv` | one row of [`csv::COLUMNS`] | at the end |
//! | `nodes.json` | [`NodesFile`]: the machines behind the server, where it was said which they are | before the first request, and again at the end |
//!
//! `requests.jsonl` has no header line, so that `jq` and data frames read it as it is. Its format is that of the
//! `run.json` beside it, which is there first; without one the directory is refused.

pub(crate) mod csv;
mod directory;
pub(crate) mod environment;
mod error;
mod nodes_file;
mod read;
mod request_log;
mod run_file;
#[cfg(test)]
mod schema;
mod summary_file;
pub(crate) mod table;

pub(crate) use self::directory::ResultsDir;
pub(crate) use self::error::ResultsError;
pub(crate) use self::nodes_file::NodesFile;
pub(crate) use self::read::{ResultsRead, read_all};
pub(crate) use self::request_log::RequestLog;
pub(crate) use self::run_file::{HowEnded, RunFile, plan_sha256};
pub(crate) use self::summary_file::SummaryFile;

#[cfg(doc)]
use super::{record::RequestRecord, summary::Summary};

/// The format this version writes and the only one it reads.
pub(crate) const FORMAT: u32 = 1;

/// The plan and how the run went.
pub(crate) const RUN: &str = "run.json";
/// One request a line.
pub(crate) const REQUESTS: &str = "requests.jsonl";
/// What they come to.
pub(crate) const SUMMARY: &str = "summary.json";
/// The same as one row.
pub(crate) const SUMMARY_CSV: &str = "summary.csv";
/// The machines behind the server.
pub(crate) const NODES: &str = "nodes.json";

#[cfg(test)]
mod tests;
