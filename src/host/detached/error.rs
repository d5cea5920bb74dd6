//! What a host could not do with programs that outlive the connection.

use std::fmt;

use super::{DetachedEnding, DetachedId};
use crate::failure::{Failure, Kind};
use crate::host::{AskError, BadProgram, HostPath};
use crate::host_name::HostName;

/// What went wrong, and where.
#[derive(Debug)]
pub(crate) struct DetachedError {
    /// The host.
    pub(crate) on: HostName,
    /// What went wrong.
    pub(crate) what: DetachedFailure,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetachedFailure {
    /// The host could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A program that cannot be one.
    #[error(transparent)]
    BadProgram(#[from] BadProgram),
    /// A program that may run for so long only, which nobody is there to end.
    #[error("a program that outlives its connection cannot have a time limit")]
    Limited,
    /// The program did not start; nothing of it is left.
    #[error("cannot start `{program}`: {message}")]
    Start {
        /// The program, without its arguments.
        program: String,
        /// The system's words, with the folder to start in where that is what is missing.
        message: String,
    },
    /// The program had ended before it was looked at again. Its record and its log stay.
    #[error("`{program}` ended at once ({how}){}", last_of(.log))]
    EndedAtOnce {
        /// Which.
        id: DetachedId,
        /// The program, without its arguments.
        program: String,
        /// How it ended.
        how: DetachedEnding,
        /// The last lines it wrote, each cut to a length that can be shown.
        log: Vec<String>,
    },
    /// systemd-logind ends what this user's sessions have left, and the program would be that.
    #[error("what `{user}` starts there ends as soon as nobody is logged in: KillUserProcesses is set")]
    EndsAtLogout {
        /// The user there.
        user: String,
    },
    /// The folder of the records may not be written; nothing was started.
    #[error("cannot keep a record of a program in `{path}`: {message}")]
    Denied {
        /// What could not be written.
        path: HostPath,
        /// The system's words.
        message: String,
    },
    /// The disk has no room for a record; nothing was started.
    #[error("no room for `{path}`: {message}")]
    Full {
        /// What could not be written.
        path: HostPath,
        /// The system's words.
        message: String,
    },
    /// There is no such program.
    #[error("there is no record of a program `{0}`, and no process of it")]
    NoProgram(HostPath),
    /// Something of the program still runs.
    #[error("`{0}` is not to be forgotten while anything of the program runs")]
    Runs(HostPath),
    /// Some of the program's processes do not end.
    #[error("its processes {} do not end, not even by SIGKILL", numbers(.pids))]
    Survives {
        /// These.
        pids: Vec<i32>,
    },
    /// Its keeper lives, and neither starts it nor notes its end.
    #[error("its keeper, process {}, neither starts it nor notes its end", numbers(.pids))]
    Stuck {
        /// The keeper.
        pids: Vec<i32>,
    },
    /// Something there is not as it must be.
    #[error("`{path}`: {message}")]
    Refused {
        /// What.
        path: HostPath,
        /// Why.
        message: String,
    },
    /// The host answers something else.
    #[error("its answer about programs is none of ours: {0}")]
    Garbled(String),
}

impl DetachedFailure {
    /// As `worker/node/detached/` calls it.
    pub(super) fn told(what: &str, path: String, message: String, pids: Vec<i32>) -> Self {
        match what {
            "start" => Self::Start { program: path, message },
            "logout" => Self::EndsAtLogout { user: path },
            "survives" => Self::Survives { pids },
            "stuck" => Self::Stuck { pids },
            _ => {
                let path = HostPath::new(path);
                match what {
                    "denied" => Self::Denied { path, message },
                    "full" => Self::Full { path, message },
                    "none" => Self::NoProgram(path),
                    "runs" => Self::Runs(path),
                    _ => Self::Refused { path, message },
                }
            }
        }
    }
}

fn last_of(log: &[String]) -> String {
    log.last().map(|line| format!(" and said `{line}`")).unwrap_or_default()
}

fn numbers(pids: &[i32]) -> String {
    pids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for DetachedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What asks names the host, and a user with one machine need not be told which.
        if !matches!(self.what, DetachedFailure::Ask(_)) && self.on != HostName::local() {
            write!(f, "{}: ", self.on)?;
        }
        self.what.fmt(f)
    }
}

impl std::error::Error for DetachedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.what.source()
    }
}

impl Failure for DetachedError {
    fn kind(&self) -> Kind {
        match &self.what {
            DetachedFailure::Ask(error) => error.kind(),
            DetachedFailure::BadProgram(_)
            | DetachedFailure::Limited
            | DetachedFailure::NoProgram(_)
            | DetachedFailure::Runs(_) => Kind::Input,
            DetachedFailure::Start { .. }
            | DetachedFailure::EndedAtOnce { .. }
            | DetachedFailure::EndsAtLogout { .. }
            | DetachedFailure::Denied { .. }
            | DetachedFailure::Full { .. }
            | DetachedFailure::Survives { .. }
            | DetachedFailure::Stuck { .. }
            | DetachedFailure::Refused { .. }
            | DetachedFailure::Garbled(_) => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match &self.what {
            DetachedFailure::Ask(error) => error.hint(),
            DetachedFailure::EndsAtLogout { user } => Some(format!(
                "set KillUserProcesses=no, or KillExcludeUsers=root {user}, in /etc/systemd/logind.conf there and restart \
                 systemd-logind"
            )),
            DetachedFailure::Denied { .. } => Some(
                "make that folder writable for the user there, or set XDG_STATE_HOME there to a folder that is".into(),
            ),
            DetachedFailure::Full { .. } => Some("make room on that disk".into()),
            DetachedFailure::Survives { .. } => {
                Some("such a process waits for a device, or is another user's; `ps` there says which".into())
            }
            DetachedFailure::Stuck { .. } => {
                Some("such a process mostly waits for a disk; end the program again once that answers".into())
            }
            _ => None,
        }
    }
}
