//! What can go wrong with a worker.

use std::time::Duration;

use super::lines::LONGEST_LINE;
use super::log::Log;
use super::protocol;
use crate::failure::{Failure, Kind, forwards};
use crate::host::{Ending, HostError, HostFailure};
use crate::host_name::HostName;

/// The worker's names for problems that no other argument would solve.
const NOT_INPUT: [&str; 6] =
    ["bad_time", "internal_error", "no_gpu", "out_of_memory", "ptxas_missing", "torch_missing"];

/// What can go wrong with a worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its host could not lay its files out, or not start it.
    #[error("the worker did not start: {0}")]
    Host(#[from] HostError),
    /// It started and said nothing a worker says.
    #[error("`{program}` did not answer as a worker: {detail}{log}")]
    NoHello {
        /// The interpreter.
        program: String,
        /// What it did instead.
        detail: String,
        /// Its last words.
        log: Log,
    },
    /// It speaks another protocol.
    #[error("the worker speaks protocol {found}, this program {expected}", expected = protocol::VERSION)]
    OtherProtocol {
        /// What it speaks.
        found: u32,
    },
    /// It said something that is no message.
    #[error("the worker sent a line that is no message: {line}")]
    Garbled {
        /// The line, cut short.
        line: String,
    },
    /// It said something without end.
    #[error("the worker sent a line of more than {LONGEST_LINE} bytes: {line}")]
    LineTooLong {
        /// How the line begins.
        line: String,
    },
    /// It was to be asked more than it may be asked at once.
    #[error("a request of {bytes} bytes is too long; the worker takes {LONGEST_LINE}")]
    RequestTooLong {
        /// The request's length.
        bytes: usize,
    },
    /// It ended in the middle of a request, by itself or by whoever killed it.
    #[error("the worker ended in the middle of a request ({ending}){log}")]
    Died {
        /// How it ended.
        ending: Ending,
        /// Its last words.
        log: Log,
    },
    /// Workers ended one after another, and none had a result.
    #[error("{deaths} workers in a row ended on {on} before they had any result; of the last: {last}")]
    AlwaysDies {
        /// Their host.
        on: HostName,
        /// How many.
        deaths: u32,
        /// How the last one ended.
        last: Box<WorkerError>,
    },
    /// The link to it is gone. What it was asked says nothing about what it was asked for.
    #[error("the link to the worker on {on} is lost: {why}")]
    Lost {
        /// The worker's host.
        on: HostName,
        /// What was noticed.
        why: String,
    },
    /// Nothing comes over the link to it, not even answers to pings: the same as lost.
    #[error("the worker on {on} was not heard for {} s", after.as_secs())]
    Silent {
        /// The worker's host.
        on: HostName,
        /// For how long.
        after: Duration,
    },
    /// It answers pings, and what it was asked stands still.
    #[error("the worker on {on} got nowhere with a request for {} s", after.as_secs())]
    Stalled {
        /// The worker's host.
        on: HostName,
        /// For how long.
        after: Duration,
    },
    /// It refused the request.
    #[error("{message}")]
    Refused {
        /// The worker's name for the problem.
        code: String,
        /// Its words.
        message: String,
    },
}

impl WorkerError {
    /// Whether the worker, or the way to it, was lost through no fault of what it was asked to do: the same request
    /// may succeed elsewhere, and nobody's name is to suffer.
    pub fn is_loss(&self) -> bool {
        match self {
            WorkerError::Lost { .. } | WorkerError::Silent { .. } | WorkerError::Stalled { .. } => true,
            WorkerError::Host(error) => {
                matches!(error.what, HostFailure::Unreachable { .. } | HostFailure::Ssh(_))
            }
            _ => false,
        }
    }
}

forwards! {
    impl Failure for WorkerError forwarding Host {
        Self::Refused { code, .. } if code == "no_gpu" => Kind::Environment,
            "measure on a machine with the device, or prove without one: --evidence compiled";
        Self::Refused { code, .. } if code == "torch_missing" => Kind::Environment,
            "name the Python that SGLang runs in with --python, or drop measuring: --evidence compiled";
        Self::Refused { code, .. } if code == "disk_full" => Kind::Environment,
            "make room there: a compiler writes below TMPDIR, or /tmp";
        Self::Refused { code, .. } if code == "gpu_in_use" => Kind::Environment,
            "--wait waits until it is free";
        Self::AlwaysDies { .. } => Kind::Environment,
            "is there memory for so many --jobs? The kernel's log (dmesg) says whom it ended for want of it";
        // What the machine lacks, or a fault of the worker's own, is no input.
        Self::Refused { code, .. } if NOT_INPUT.contains(&code.as_str()) => Kind::Environment;
        // The user named the kernel or the interpreter: what is wrong with them is input.
        Self::Refused { .. } => Kind::Input;
        Self::NoHello { .. } | Self::OtherProtocol { .. } | Self::Garbled { .. } | Self::LineTooLong { .. }
        | Self::RequestTooLong { .. } | Self::Died { .. } | Self::Lost { .. } | Self::Silent { .. }
        | Self::Stalled { .. } => Kind::Environment;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{BadProgram, HostError, SshFailure};

    #[test]
    fn a_host_out_of_reach_is_a_loss_and_a_program_that_cannot_be_one_is_not() {
        let is_loss = |what| WorkerError::Host(HostError { on: HostName::local(), what }).is_loss();
        assert!(is_loss(HostFailure::Unreachable { why: "no route".into() }));
        assert!(is_loss(SshFailure::Lost { why: "no route".into() }.into()));
        assert!(!is_loss(BadProgram::Nameless.into()));
    }
}
