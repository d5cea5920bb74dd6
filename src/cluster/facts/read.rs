//! Reading nodes: one program on each, all at once, none for longer than a limit.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;

use super::NodeFacts;
use super::reading::{BadAnswer, NodeReading};
use crate::failure::{Failure, Kind};
use crate::host::ask::{AskError, ask};
use crate::host::{Host, HostPath};
use crate::host_name::HostName;

/// Time for a node's answer where a command has no reason for another: its tools have 5 s, the rest is the way there and
/// a busy machine.
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(20);

/// The program that reads a node.
const READER: &str = include_str!("../../../worker/node/facts.py");

/// A node's answer, and when it was asked and had answered by this machine's clock, seconds since 1970.
#[derive(Debug)]
pub(crate) struct NodeAnswer {
    /// What it said.
    pub(crate) reading: NodeReading,
    /// When the reader was started.
    pub(crate) asked_s: f64,
    /// When its answer was whole.
    pub(crate) answered_s: f64,
}

impl NodeAnswer {
    /// Seconds by which the node's clock is ahead of this machine's: not less, not more. It read its clock after it was
    /// asked and before its answer was here.
    pub(crate) fn clock_ahead_s(&self, facts: &NodeFacts) -> [f64; 2] {
        [facts.time_s - self.answered_s, facts.time_s - self.asked_s]
    }
}

/// A node that could not be read.
#[derive(Debug)]
pub(crate) enum NodeReadError {
    /// It did not answer.
    Ask(AskError),
    /// What it answered is no answer.
    BadAnswer {
        /// The node.
        on: HostName,
        /// Why not.
        what: BadAnswer,
    },
}

impl NodeReadError {
    /// Why not, where the node is named beside it.
    pub(crate) fn problem(&self) -> String {
        match self {
            NodeReadError::Ask(error) => error.problem(),
            NodeReadError::BadAnswer { what, .. } => what.to_string(),
        }
    }
}

impl fmt::Display for NodeReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeReadError::Ask(error) => error.fmt(f),
            NodeReadError::BadAnswer { on, what } if *on == HostName::local() => what.fmt(f),
            NodeReadError::BadAnswer { on, what } => write!(f, "{on}: {what}"),
        }
    }
}

impl std::error::Error for NodeReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            NodeReadError::Ask(error) => error.source(),
            NodeReadError::BadAnswer { what, .. } => what.source(),
        }
    }
}

impl Failure for NodeReadError {
    fn kind(&self) -> Kind {
        match self {
            NodeReadError::Ask(error) => error.kind(),
            NodeReadError::BadAnswer { what, .. } => what.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            NodeReadError::Ask(error) => error.hint(),
            NodeReadError::BadAnswer { what, .. } => what.hint(),
        }
    }
}

/// Read every node, at once. Each has `limit`; the answers come in the order of the hosts.
pub(crate) async fn read_all(
    hosts: &[Arc<dyn Host>],
    limit: Duration,
) -> Vec<Result<NodeAnswer, NodeReadError>> {
    join_all(hosts.iter().map(|host| read(host.as_ref(), limit))).await
}

/// The names of the GPUs of `host`; none where it does not say what it is.
pub(crate) async fn gpu_names(host: &Arc<dyn Host>) -> Option<Vec<String>> {
    let answer = read(host.as_ref(), READ_LIMIT).await.ok()?;
    let gpus = NodeFacts::of(&answer.reading).gpus;
    Some(gpus.into_iter().map(|gpu| gpu.name).collect())
}

/// Read one node within `limit`.
async fn read(host: &dyn Host, limit: Duration) -> Result<NodeAnswer, NodeReadError> {
    let asked_s = now_s();
    let answer =
        ask(host, &HostPath::new("python3"), READER, &[], limit).await.map_err(NodeReadError::Ask)?;
    let answered_s = now_s();
    match NodeReading::parse(&answer) {
        Ok(reading) => Ok(NodeAnswer { reading, asked_s, answered_s }),
        Err(what) => Err(NodeReadError::BadAnswer { on: host.name().clone(), what }),
    }
}

fn now_s() -> f64 {
    // Before 1970 no clock is right; what is shown then is as wrong as it.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
