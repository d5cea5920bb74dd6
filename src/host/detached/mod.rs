//! Programs of a host that go on when the connection to it, or this program, ends: started, found again from any
//! machine, listened to, ended with all they started, forgotten.
//!
//! [`Host::start`] is for what ends with us. Here a small process of the host's own, a keeper, starts the program, stays
//! with it and notes how it ends; `worker/node/detached/` is all of that. What is ours says so in its environment, and
//! nothing else is ever ended. A program's log grows for as long as it writes: how much that is, is its own matter.
//!
//! Serving runs on them, on nodes as in containers (`serving::live`).

mod error;
mod log;
mod order;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use error::{DetachedError, DetachedFailure};
pub(crate) use log::DetachedLog;

use self::order::{Began, Done, ListedProgram, Order, Programs, StateAnswer};
use super::container_spec::Labels;
use super::remote::chance;
use super::{Host, HostPath, Program};

/// How long a host may take beyond what an order itself takes: a slow login, a disk that flushes.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a program is watched after its start: one that cannot work has mostly said so by then.
const WATCH: Duration = Duration::from_millis(500);
/// How long SIGKILL, and the note of the end, may take there.
const KILL_LIMIT: Duration = Duration::from_secs(20);

/// The programs of a host that outlive the connection.
#[derive(Debug, Clone)]
pub(crate) struct DetachedPrograms<'a> {
    /// The host.
    pub(crate) host: &'a dyn Host,
    /// The interpreter there.
    pub(crate) python: HostPath,
    /// The folder there in which their records and logs lie, which is for this alone and made where it is not there;
    /// `sparktune/programs` in the user's state folder where not given.
    pub(crate) records: Option<HostPath>,
}

/// A program, in whatever state: another one for every start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DetachedId(String);

impl DetachedId {
    fn new() -> Self {
        Self(chance())
    }

    #[cfg(test)]
    pub(crate) fn of_test(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for DetachedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detached {
    /// Which.
    pub(crate) id: DetachedId,
    /// Its labels, as [`Labels::pairs`] has them.
    pub(crate) labels: BTreeMap<String, String>,
    /// What was started; none where its record is lost, and it is known by its mark alone.
    pub(crate) argv: Option<Vec<String>>,
    /// When it was started, by the host's clock; none where its record is lost.
    pub(crate) started: Option<Timestamp>,
    /// What has become of it.
    pub(crate) state: DetachedState,
}

/// What has become of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DetachedState {
    /// It runs.
    Running {
        /// Its process.
        pid: i32,
    },
    /// It has ended.
    Ended {
        /// How.
        how: DetachedEnding,
        /// When, by the host's clock; none where nobody saw it.
        at: Option<Timestamp>,
        /// Processes that it has left behind and that still run.
        left: usize,
    },
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DetachedEnding {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody saw it: the machine was restarted, or its keeper was ended too.
    Unseen,
}

impl fmt::Display for DetachedEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DetachedEnding::Exit(status) => write!(f, "exit status: {status}"),
            DetachedEnding::Signal(signal) => write!(f, "signal: {signal}"),
            DetachedEnding::Unseen => f.write_str("nobody saw how"),
        }
    }
}

/// What a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachedList {
    /// The folder of the records.
    pub(crate) folder: HostPath,
    /// The programs, the oldest first, those without a record at the end.
    pub(crate) programs: Vec<Detached>,
    /// Records that cannot be read. A program of theirs that runs is among `programs`, by its mark.
    pub(crate) damaged: Vec<HostPath>,
}

/// A program that was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Downed {
    /// How the program ended.
    pub(crate) how: DetachedEnding,
    /// Processes that had to be killed.
    pub(crate) killed: usize,
}

impl DetachedPrograms<'_> {
    /// Start `program`, which writes to a log of its own and reads nothing. Returns once it has run for half a second.
    ///
    /// Where no answer comes, or this is dropped before it comes, the program may run: its labels find it.
    ///
    /// # Errors
    /// A program that does not start, of which nothing is left; one that ended at once, whose log and record stay; a host
    /// that would end it as soon as nobody is logged in ([`DetachedFailure::EndsAtLogout`]); no place for the record.
    pub(crate) async fn start(
        &self,
        program: &Program,
        labels: &Labels,
    ) -> Result<DetachedId, DetachedError> {
        program.check().map_err(|error| self.fail(error.into()))?;
        if program.limit.is_some() {
            return Err(self.fail(DetachedFailure::Limited));
        }
        let id = DetachedId::new();
        match self.ask::<Began>(&Order::start(&id, program, labels, WATCH), WATCH).await? {
            Began::Running {} => Ok(id),
            Began::AtOnce { how, log } => {
                let program = program.name().to_owned();
                Err(self.fail(DetachedFailure::EndedAtOnce { id, program, how, log }))
            }
        }
    }

    /// Our programs there, running or ended, that have all of `labels`; keys are whole, as in [`Labels::pairs`].
    pub(crate) async fn list(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<DetachedList, DetachedError> {
        let mut wanted = labels.clone();
        wanted.insert(format!("{}project", Labels::PREFIX), Labels::PROJECT.to_owned());
        let Programs { folder, programs, damaged } =
            self.ask(&Order::List { labels: wanted }, Duration::ZERO).await?;
        let mut programs: Vec<_> = programs.into_iter().map(ListedProgram::read).collect();
        programs.sort_by_key(|program| (program.started.is_none(), program.started));
        Ok(DetachedList { folder, programs, damaged })
    }

    /// The last `lines` of the program's log, of its last MiB at most.
    pub(crate) async fn log(&self, id: &DetachedId, lines: usize) -> Result<Vec<u8>, DetachedError> {
        let mut log = self.listen(id, lines, false).await?;
        let mut said = Vec::new();
        while let Some(piece) = log.next().await {
            said.extend_from_slice(&piece?);
        }
        Ok(said)
    }

    /// The last `lines` of the program's log, and then what it writes, until it ends.
    pub(crate) async fn follow(&self, id: &DetachedId, lines: usize) -> Result<DetachedLog, DetachedError> {
        self.listen(id, lines, true).await
    }

    /// Ask the program, and all that it started, to end (SIGTERM), and kill what is left after `grace`. One that has ended
    /// already is fine; what it has left behind is ended too.
    ///
    /// Dropping this may leave it asked and not killed. What belongs to it is known by its mark, its session and its
    /// keeper's children; a process that left all three before its keeper ended is not found.
    ///
    /// # Errors
    /// No such program; one of whose processes some do not end, which are named; one whose keeper does not say that it
    /// has ended.
    pub(crate) async fn end(&self, id: &DetachedId, grace: Duration) -> Result<Downed, DetachedError> {
        let order = Order::End { id, grace_s: grace.as_secs_f64() };
        let ended: Done = self.ask(&order, grace.saturating_add(KILL_LIMIT)).await?;
        match ended.state {
            StateAnswer::Ended { how, .. } => Ok(Downed { how, killed: ended.killed }),
            StateAnswer::Running { pid } => Err(self.fail(DetachedFailure::Stuck { pids: vec![pid] })),
        }
    }

    /// Remove the record and the log of a program that has ended.
    ///
    /// # Errors
    /// No such record, and a program of which anything still runs.
    pub(crate) async fn forget(&self, id: &DetachedId) -> Result<(), DetachedError> {
        self.ask::<order::Forgotten>(&Order::Forget { id }, Duration::ZERO).await.map(drop)
    }

    fn fail(&self, what: DetachedFailure) -> DetachedError {
        DetachedError { on: self.host.name().clone(), what }
    }
}
