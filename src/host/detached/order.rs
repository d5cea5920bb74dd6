//! What the program on the host is told, and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{
    Detached, DetachedEnding, DetachedError, DetachedFailure, DetachedId, DetachedPrograms, DetachedState,
    LIMIT,
};
use crate::host::ask::ask;
use crate::host::container_spec::Labels;
use crate::host::{HostPath, Program};

/// One text: each part uses what stands before it.
pub(super) const PROGRAM: &str = concat!(
    include_str!("../../../worker/node/detached/processes.py"),
    include_str!("../../../worker/node/detached/records.py"),
    include_str!("../../../worker/node/detached/keeper.py"),
    include_str!("../../../worker/node/detached/orders.py"),
);

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Order<'a> {
    Start {
        id: &'a DetachedId,
        argv: &'a [String],
        directory: Option<&'a HostPath>,
        set: BTreeMap<&'a str, &'a str>,
        unset: Vec<&'a str>,
        labels: BTreeMap<String, String>,
        watch_s: f64,
    },
    List {
        labels: BTreeMap<String, String>,
    },
    Log {
        id: &'a DetachedId,
        lines: usize,
        follow: bool,
    },
    End {
        id: &'a DetachedId,
        grace_s: f64,
    },
    Forget {
        id: &'a DetachedId,
    },
}

impl<'a> Order<'a> {
    pub(super) fn start(id: &'a DetachedId, program: &'a Program, labels: &Labels, watch: Duration) -> Self {
        let (set, unset) = program.changes();
        Order::Start {
            id,
            argv: &program.argv,
            directory: program.directory.as_ref(),
            set,
            unset,
            labels: labels.pairs(),
            watch_s: watch.as_secs_f64(),
        }
    }
}

#[derive(Serialize)]
struct Addressed<'a> {
    records: Option<&'a HostPath>,
    #[serde(flatten)]
    order: &'a Order<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply<T> {
    Answer(T),
    Failed {
        what: String,
        path: Option<String>,
        message: String,
        #[serde(default)]
        pids: Vec<i32>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Began {
    Running {},
    AtOnce { how: DetachedEnding, log: Vec<String> },
}

#[derive(Deserialize)]
pub(super) struct Programs {
    pub(super) folder: HostPath,
    pub(super) programs: Vec<ListedProgram>,
    pub(super) damaged: Vec<HostPath>,
}

#[derive(Deserialize)]
pub(super) struct ListedProgram {
    id: DetachedId,
    labels: BTreeMap<String, String>,
    argv: Option<Vec<String>>,
    started_ns: Option<i64>,
    state: StateAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateAnswer {
    Running { pid: i32 },
    Ended { how: DetachedEnding, at_ns: Option<i64>, left: usize },
}

#[derive(Deserialize)]
pub(super) struct Done {
    pub(super) state: StateAnswer,
    pub(super) killed: usize,
}

#[derive(Deserialize)]
pub(super) struct Forgotten {}

impl ListedProgram {
    pub(super) fn read(self) -> Detached {
        let state = match self.state {
            StateAnswer::Running { pid } => DetachedState::Running { pid },
            StateAnswer::Ended { how, at_ns, left } => DetachedState::Ended { how, at: time(at_ns), left },
        };
        Detached { id: self.id, labels: self.labels, argv: self.argv, started: time(self.started_ns), state }
    }
}

fn time(nanoseconds: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(nanoseconds?)).ok()
}

impl DetachedPrograms<'_> {
    /// Have `order` done there, which may take so long by itself.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        order: &Order<'_>,
        takes: Duration,
    ) -> Result<T, DetachedError> {
        let limit = LIMIT.saturating_add(takes);
        let answer = ask(self.host, &self.python, PROGRAM, &[&self.line(order)], limit).await;
        answer.map_err(|error| self.fail(error.into())).and_then(|answer| self.read(&answer))
    }

    pub(super) fn line(&self, order: &Order<'_>) -> Vec<u8> {
        let addressed = Addressed { records: self.records.as_ref(), order };
        let mut line = serde_json::to_vec(&addressed).expect("orders are plain data");
        line.push(b'\n');
        line
    }

    /// What an answer says.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, DetachedError> {
        match serde_json::from_slice(answer) {
            Ok(Reply::Answer(answer)) => Ok(answer),
            Ok(Reply::Failed { what, path, message, pids }) => {
                let path = path.unwrap_or_default();
                Err(self.fail(DetachedFailure::told(&what, path, message, pids)))
            }
            Err(error) => Err(self.fail(DetachedFailure::Garbled(error.to_string()))),
        }
    }
}
