//! What a running server has said of config files: in the log of its container, or in files that it writes.
//!
//! A log may be of any length and lines too; neither is held in memory, and each is read for so long at most.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};
use crate::host::ask::{AskError, ask};
use crate::host::container_spec::NodePath;
use crate::host::engine::{ContainerLog, Engine, EngineError, LogPiece};
use crate::host::{Host, HostPath};
use crate::host_name::HostName;
use crate::runtime::{CONFIG_LINE_MARKS, ConfigLine, sglang_rank};

const PROGRAM: &str = include_str!("../../worker/node/log.py");
/// How long a log is read.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// How much longer a node may take to begin, and to answer.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a line that are looked at. The longest of those looked for name two files.
const MOST_OF_A_LINE: usize = 2048;
/// Lines that are kept: the last ones, because a log goes on from server to server.
const MOST_LINES: usize = 400;
/// Ranks that are told apart.
const MOST_RANKS: usize = 64;

/// What was found in the logs of one node's server.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerLog {
    /// What tells of config files, in its order.
    pub(crate) said: VecDeque<Said>,
    /// Ranks of SGLang that have said anything, and when last; none where there is one.
    pub(crate) ranks: BTreeMap<String, Option<Timestamp>>,
    /// When the log begins.
    pub(crate) began: Option<Timestamp>,
    /// Whether all of it was read.
    pub(crate) whole: bool,
    /// Folders and files of the node that the server sees by other paths: there, and its own.
    pub(crate) mounts: Vec<(HostPath, HostPath)>,
}

/// A line that tells of config files.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// When, at the latest, by the node's clock.
    pub(crate) at: Option<Timestamp>,
    /// What.
    pub(crate) config: ConfigLine,
    /// The line, fit to be shown.
    pub(crate) line: String,
}

impl ServerLog {
    /// Take in a line, and when it was written.
    pub(crate) fn add(&mut self, line: &str, at: Option<Timestamp>) {
        self.add_rank(line, at);
        self.add_config(line, at);
    }

    fn add_rank(&mut self, line: &str, at: Option<Timestamp>) {
        let Some(rank) = sglang_rank(line) else { return };
        if let Some(last) = self.ranks.get_mut(rank) {
            *last = at.or(*last);
        } else if self.ranks.len() < MOST_RANKS {
            self.ranks.insert(rank.to_owned(), at);
        }
    }

    fn add_config(&mut self, line: &str, at: Option<Timestamp>) {
        let Some(config) = ConfigLine::parse(line) else { return };
        if self.said.len() == MOST_LINES {
            self.said.pop_front();
        }
        self.said.push_back(Said { at, config, line: shown(line) });
    }
}

fn shown(line: &str) -> String {
    line.trim_end().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The log of a container since it was started.
pub(crate) async fn of_container(engine: &Engine, name: &str) -> Result<ServerLog, EngineError> {
    of_container_within(engine, name, READ_LIMIT).await
}

async fn of_container_within(engine: &Engine, name: &str, limit: Duration) -> Result<ServerLog, EngineError> {
    let ContainerLog { started, ended, mounts, mut pieces } = engine.log_since_start(name).await?;
    let mut log = ServerLog { began: Some(started), mounts, ..ServerLog::default() };
    let reading = async {
        let (mut output, mut errors) = (Line::default(), Line::default());
        while let Some(piece) = pieces.next().await {
            let (line, bytes) = match piece? {
                LogPiece::Output(bytes) => (&mut output, bytes),
                LogPiece::Error(bytes) => (&mut errors, bytes),
            };
            line.take(&bytes, |line| add_timed(&mut log, line, ended));
        }
        for line in [output, errors] {
            line.end(|line| add_timed(&mut log, line, ended));
        }
        Ok(())
    };
    let read = tokio::time::timeout(limit, reading).await;
    log.whole = read.is_ok();
    read.unwrap_or(Ok(()))?;
    Ok(log)
}

/// Add a line with the engine's time before it, unless it is of an earlier life of the container.
fn add_timed(log: &mut ServerLog, line: &str, ended: Option<Timestamp>) {
    let timed = line.split_once(' ').and_then(|(time, rest)| Some((time.parse::<Timestamp>().ok()?, rest)));
    match timed {
        Some((at, rest)) if ended.is_none_or(|ended| at > ended) => log.add(rest, Some(at)),
        // A line of that life, or the rest of one that was too long for the engine.
        Some(_) | None => {}
    }
}

/// Bytes that become lines. A line that is too long is cut.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
}

impl Line {
    fn take(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MOST_OF_A_LINE - self.bytes.len();
            self.bytes.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                line(&String::from_utf8_lossy(&self.bytes));
                self.bytes.clear();
            }
        }
    }

    fn end(self, mut line: impl FnMut(&str)) {
        if !self.bytes.is_empty() {
            line(&String::from_utf8_lossy(&self.bytes));
        }
    }
}

/// Log files that could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The node could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The file cannot be read there.
    #[error("{on}: log `{path}`: {message}")]
    File {
        /// The node.
        on: HostName,
        /// The file.
        path: String,
        /// Why not.
        message: String,
    },
    /// The node answers something else.
    #[error("{on}: its answer is none of ours: {why}")]
    Garbled {
        /// The node.
        on: HostName,
        /// What is wrong with it.
        why: String,
    },
}

impl Failure for LogError {
    fn kind(&self) -> Kind {
        match self {
            LogError::Ask(error) => error.kind(),
            LogError::File { .. } | LogError::Garbled { .. } => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            LogError::Ask(error) => error.hint(),
            LogError::File { .. } | LogError::Garbled { .. } => None,
        }
    }
}

#[derive(Serialize)]
struct Order {
    paths: Vec<String>,
    marks: &'static [&'static str],
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Answer { logs: Vec<FileLog> },
    Failed { path: String, message: String },
}

#[derive(Deserialize)]
struct FileLog {
    began_ns: Option<i64>,
    modified_ns: i64,
    whole: bool,
    ranks: Vec<FileLine>,
    lines: Vec<FileLine>,
}

#[derive(Deserialize)]
struct FileLine {
    at_ns: Option<i64>,
    text: String,
}

/// Log files of a host, one after the other.
pub(crate) async fn of_files(
    host: &dyn Host,
    python: &HostPath,
    files: &[NodePath],
) -> Result<ServerLog, LogError> {
    let on = || host.name().clone();
    let paths = files.iter().map(ToString::to_string).collect();
    let order = Order { paths, marks: &CONFIG_LINE_MARKS, seconds: READ_LIMIT.as_secs() };
    let mut input = serde_json::to_vec(&order).expect("orders are plain data");
    input.push(b'\n');
    let limit = READ_LIMIT + ASK_LIMIT;
    let answer = ask(host, python, PROGRAM, &[&input], limit).await?;
    let garbled = |error: serde_json::Error| LogError::Garbled { on: on(), why: error.to_string() };
    match serde_json::from_slice(&answer).map_err(garbled)? {
        Reply::Answer { logs } => Ok(joined(logs)),
        Reply::Failed { path, message } => Err(LogError::File { on: on(), path, message }),
    }
}

fn joined(logs: Vec<FileLog>) -> ServerLog {
    let time = |ns: i64| Timestamp::from_nanosecond(i128::from(ns)).ok();
    let mut joined = ServerLog { whole: true, ..ServerLog::default() };
    for log in logs {
        let modified = time(log.modified_ns);
        // A log without times is as old as its last line.
        let began = log.began_ns.and_then(time).or(modified);
        joined.began = joined.began.into_iter().chain(began).min();
        joined.whole &= log.whole;
        let at = |line: &FileLine| line.at_ns.and_then(time).or(modified);
        log.ranks.iter().for_each(|line| joined.add_rank(&line.text, at(line)));
        log.lines.iter().for_each(|line| joined.add_config(&line.text, at(line)));
    }
    joined
}

#[cfg(test)]
mod tests;
