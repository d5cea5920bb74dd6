//! What a host could not do.

use std::fmt;
use std::io;

use super::ssh::{ForwardFailure, SshFailure};
use super::{BadProgram, HostPath};
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;

/// Something a host could not do. It alone says where, so that no error above it has to.
#[derive(Debug)]
pub struct HostError {
    /// The host.
    pub on: HostName,
    /// What it could not do.
    pub what: HostFailure,
}

/// What could not be done.
#[derive(Debug, thiserror::Error)]
pub enum HostFailure {
    /// A program that cannot be one.
    #[error(transparent)]
    BadProgram(#[from] BadProgram),
    /// The program did not start.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The program, without its arguments.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{source}")]
    Write {
        /// The file.
        path: HostPath,
        /// Why not, in words that name what could not be written.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: HostPath,
        /// Why not.
        source: io::Error,
    },
    /// A file holds more than was to be read.
    #[error("`{path}` holds more than {most} bytes")]
    TooLarge {
        /// The file.
        path: HostPath,
        /// The bytes that were allowed.
        most: u64,
    },
    /// The host does not answer.
    #[error("cannot be reached: {why}")]
    Unreachable {
        /// What was noticed.
        why: String,
    },
    /// ssh does not get there.
    #[error(transparent)]
    Ssh(Box<SshFailure>),
    /// ssh gets there, but not to a socket or port there.
    #[error(transparent)]
    Forward(#[from] ForwardFailure),
}

impl From<SshFailure> for HostFailure {
    fn from(failure: SshFailure) -> Self {
        // It has more to tell than the others, and every outcome would be as large.
        HostFailure::Ssh(Box::new(failure))
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A user with one machine need not be told which.
        if self.on != HostName::local() {
            write!(f, "{}: ", self.on)?;
        }
        self.what.fmt(f)
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.what.source()
    }
}

impl Failure for HostError {
    fn kind(&self) -> Kind {
        match self.what {
            HostFailure::BadProgram(_) | HostFailure::TooLarge { .. } => Kind::Input,
            HostFailure::Start { .. }
            | HostFailure::Write { .. }
            | HostFailure::Read { .. }
            | HostFailure::Unreachable { .. }
            | HostFailure::Ssh(_)
            | HostFailure::Forward(_) => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match &self.what {
            HostFailure::Ssh(failure) => failure.hint(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_named_and_this_one_is_not() {
        let error = |on| HostError { on, what: HostFailure::Unreachable { why: "no route".into() } };
        assert_eq!(error(HostName::local()).to_string(), "cannot be reached: no route");
        assert_eq!(error("spark-1".parse().unwrap()).to_string(), "spark-1: cannot be reached: no route");
        assert_eq!(error(HostName::local()).kind(), Kind::Environment);
    }
}
