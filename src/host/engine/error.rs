//! What an engine could not do, and what to do about it.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;

use bollard::errors::Error;

use super::transport::Endless;
use super::{EngineAddress, OLDEST_API};
use crate::failure::{Failure, Kind};
use crate::host::{EngineKind, HostError};
use crate::host_name::HostName;
use crate::tls::BadCertificate;

/// Something that the engine of a node could not do.
#[derive(Debug)]
pub struct EngineError {
    /// The node.
    pub on: HostName,
    /// What it could not do.
    pub what: EngineFailure,
}

/// What could not be done.
#[derive(Debug, thiserror::Error)]
pub enum EngineFailure {
    /// There is no such socket.
    #[error("no engine: the socket `{}` is not there", .0.display())]
    NoSocket(PathBuf),
    /// The socket is there, for others.
    #[error("the engine's socket `{}` may not be used by this account", .0.display())]
    NotPermitted(PathBuf),
    /// Nobody listens there.
    #[error("the engine at `{0}` is not running: the connection is refused")]
    NotRunning(String),
    /// Somebody listens there who speaks something else.
    #[error("what answers at `{at}` is no container engine: {why}")]
    NotAnEngine {
        /// Where.
        at: String,
        /// What it said.
        why: String,
    },
    /// An engine from before what is asked of it here.
    #[error(
        "{engine} {version} speaks version {api} of the API; the oldest that is spoken here is {OLDEST_API}"
    )]
    TooOld {
        /// Which engine.
        engine: EngineKind,
        /// Its version.
        version: String,
        /// The newest version of the API it speaks.
        api: String,
    },
    /// A certificate or key that cannot be used.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// No answer in time.
    #[error("no answer within {seconds} s while it was to {doing}")]
    TimedOut {
        /// What was asked.
        doing: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The connection was not made, or has ended.
    #[error("the connection to `{at}` is lost: {why}")]
    Lost {
        /// Where.
        at: String,
        /// What was noticed.
        why: String,
    },
    /// The engine says no.
    #[error("the engine cannot {doing}: {message}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// Its own words.
        message: String,
    },
    /// There is no such image on the node.
    #[error("the image `{0}` is not there")]
    NoImage(String),
    /// There is no such container on the node.
    #[error("the container `{0}` is not there")]
    NoContainer(String),
    /// An image in which nothing can be asked.
    #[error("the image `{0}` has no `python3`")]
    NoPython(String),
    /// The container does not run.
    #[error("the container `{0}` does not run")]
    NotUp(String),
    /// A text that no engine takes for a name.
    #[error(
        "`{0}` is no container's name: letters, digits, `_`, `.` and `-`, beginning with a letter or digit"
    )]
    BadName(String),
    /// The name is another container's.
    #[error("a container named `{0}` is there already")]
    NameTaken(String),
    /// Somebody else's container.
    #[error("the container `{0}` was not made by this program, which leaves it alone")]
    NotOurs(String),
    /// GPUs that the engine would leave out without a word.
    #[error("Podman {version} leaves GPUs out of containers that its Docker API creates")]
    GpusDropped {
        /// Podman's version.
        version: String,
    },
    /// A container came up without the GPUs it was to have.
    #[error("the container `{0}` came up without its GPUs")]
    WithoutGpus(String),
    /// A container that did not come up as it was to, and stays.
    #[error("{first}; and `{container}`, which is of no use, could not be removed: {why}")]
    LeftBehind {
        /// Its name.
        container: String,
        /// What was wrong with it.
        first: Box<EngineFailure>,
        /// Why it could not be removed.
        why: Box<EngineFailure>,
    },
    /// The engine's command could not be run on the node.
    #[error(transparent)]
    Command(#[from] HostError),
    /// What an image was to be loaded from.
    #[error("the bytes of the image break off: {why}")]
    Source {
        /// Why.
        why: String,
    },
}

impl EngineFailure {
    /// What `error` means for whoever wanted the engine at `at` to do something.
    pub(super) fn of(error: Error, doing: &'static str, at: &EngineAddress) -> Self {
        match error {
            Error::DockerResponseServerError { message, .. }
            | Error::DockerStreamError { error: message } => Self::refused(doing, &message),
            Error::IOError { err } => Self::of_io(err, at),
            Error::HyperResponseError { err } => Self::of_http(err, at),
            Error::JsonDataError { message, .. } => Self::garbled(at, message),
            Error::JsonSerdeError { err } => Self::garbled(at, err.to_string()),
            error => Self::Lost { at: at.to_string(), why: error.to_string() },
        }
    }

    pub(super) fn refused(doing: &'static str, message: &str) -> Self {
        Self::Refused { doing, message: first_line(message) }
    }

    fn of_io(error: io::Error, at: &EngineAddress) -> Self {
        match (error.kind(), at) {
            (io::ErrorKind::NotFound, EngineAddress::Unix(path)) => Self::NoSocket(path.clone()),
            (io::ErrorKind::PermissionDenied, EngineAddress::Unix(path)) => Self::NotPermitted(path.clone()),
            (io::ErrorKind::ConnectionRefused, _) => Self::NotRunning(at.to_string()),
            _ => Self::Lost { at: at.to_string(), why: error.to_string() },
        }
    }

    fn of_http(error: hyper::Error, at: &EngineAddress) -> Self {
        let mut cause = error.source();
        while let Some(inner) = cause {
            let endless = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<Endless>());
            if inner.downcast_ref::<io::Error>().is_some_and(endless) {
                return Self::garbled(at, Endless.to_string());
            }
            cause = inner.source();
        }
        if error.is_parse() {
            return Self::garbled(at, format!("its answer is no HTTP ({error})"));
        }
        let why = match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        Self::Lost { at: at.to_string(), why }
    }

    pub(super) fn garbled(at: &EngineAddress, why: String) -> Self {
        Self::NotAnEngine { at: at.to_string(), why }
    }
}

/// Some answers are whole pages.
fn first_line(message: &str) -> String {
    const MOST: usize = 500;
    let line = message.trim().lines().next().unwrap_or("no reason given");
    line.chars().take(MOST).collect()
}

impl EngineError {
    pub(super) fn new(on: &HostName, what: EngineFailure) -> Self {
        Self { on: on.clone(), what }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It names its place itself.
        if let EngineFailure::Command(error) = &self.what {
            return error.fmt(f);
        }
        // A user with one machine need not be told which.
        if self.on != HostName::local() {
            write!(f, "{}: ", self.on)?;
        }
        self.what.fmt(f)
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.what.source()
    }
}

impl Failure for EngineError {
    fn kind(&self) -> Kind {
        match &self.what {
            EngineFailure::Certificate(error) => error.kind(),
            EngineFailure::Command(error) => error.kind(),
            EngineFailure::BadName(_) => Kind::Input,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match &self.what {
            EngineFailure::NoSocket(_) => {
                "start the engine (`systemctl start docker`, `systemctl start podman.socket`), or name its socket"
            }
            EngineFailure::NotPermitted(_) => {
                "add the user to the group of the socket (`sudo usermod -aG docker $USER`) and log in again"
            }
            EngineFailure::NotRunning(_) => "start the engine on that node: `systemctl start docker`",
            EngineFailure::NotAnEngine { .. } => {
                "name the socket of Docker or Podman, or the port of its API"
            }
            EngineFailure::TooOld { .. } => "update the engine on that node",
            EngineFailure::NoImage(_) => "pull the image on that node, or copy it there",
            EngineFailure::NoPython(_) => "name an image that SGLang or vLLM is served from",
            EngineFailure::NameTaken(_) => "remove that container, or choose another name",
            EngineFailure::GpusDropped { .. } => {
                "update Podman to 5.4 or newer, use Docker on that node, or let `podman create` do it over ssh"
            }
            EngineFailure::LeftBehind { container, .. } => {
                return Some(format!(
                    "remove it by hand, before anything runs in it: `rm -f {container}` of that engine"
                ));
            }
            EngineFailure::WithoutGpus(_) => {
                "install NVIDIA's container toolkit on that node and write its CDI file: `nvidia-ctk cdi generate`"
            }
            EngineFailure::Certificate(_)
            | EngineFailure::TimedOut { .. }
            | EngineFailure::Lost { .. }
            | EngineFailure::Refused { .. }
            | EngineFailure::Command(_)
            | EngineFailure::Source { .. }
            | EngineFailure::NoContainer(_)
            | EngineFailure::NotUp(_)
            | EngineFailure::BadName(_)
            | EngineFailure::NotOurs(_) => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostFailure;

    #[test]
    fn a_container_that_stays_is_named_with_why_and_what_to_do() {
        let first = Box::new(EngineFailure::WithoutGpus("tune".into()));
        let why = Box::new(EngineFailure::TimedOut { doing: "remove a container", seconds: 30 });
        let what = EngineFailure::LeftBehind { container: "tune".into(), first, why };
        let error = EngineError::new(&"spark-1".parse().unwrap(), what);
        assert_eq!(
            error.to_string(),
            "spark-1: the container `tune` came up without its GPUs; and `tune`, which is of no use, could not be \
             removed: no answer within 30 s while it was to remove a container"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("rm -f tune")));
        assert_eq!(error.kind(), Kind::Environment);
    }

    #[test]
    fn the_node_is_named_once() {
        let on: HostName = "spark-1".parse().unwrap();
        let error = |what| EngineError::new(&on, what).to_string();
        assert_eq!(error(EngineFailure::NoImage("a:b".into())), "spark-1: the image `a:b` is not there");
        let what = HostFailure::Unreachable { why: "no route".into() };
        let failed = HostError { on: on.clone(), what };
        assert_eq!(error(failed.into()), "spark-1: cannot be reached: no route");
        let here = EngineError::new(&HostName::local(), EngineFailure::NoImage("a:b".into()));
        assert_eq!(here.to_string(), "the image `a:b` is not there");
    }

    #[test]
    fn a_page_in_a_messages_place_is_cut() {
        let page = format!("<html>{}\n<body>", "x".repeat(1000));
        let EngineFailure::Refused { message, .. } = EngineFailure::refused("x", &page) else { panic!() };
        assert!(message.starts_with("<html>xxx") && message.len() == 500, "{message}");
    }
}
