//! Why a model did not come up.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cluster::connect::ConnectError;
use crate::failure::{Failure, Kind};
use crate::host::container_spec::MissingSecrets;
use crate::host::detached::DetachedError;
use crate::host::engine::EngineError;
use crate::host::{AskError, HostError};
use crate::host_name::HostName;
use crate::serving::failures::Explanation;
use crate::serving::role::Role;

/// Why a model did not come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    /// Secrets that this program was not given; nothing was started.
    #[error("{on}: {missing}")]
    Secrets {
        /// The node that needs them.
        on: HostName,
        /// Which.
        missing: MissingSecrets,
    },
    /// Somebody listens where it is to listen; nothing was started.
    #[error("port {port} of {on} is taken{}", by(models))]
    PortTaken {
        /// The node.
        on: HostName,
        /// The port.
        port: u16,
        /// What is served there, where it says so.
        models: Vec<String>,
    },
    /// A node or its engine is out of reach.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A container did not come up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A process did not start.
    #[error(transparent)]
    Program(#[from] DetachedError),
    /// A node could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A node did not run what it was to run.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A process ended.
    #[error("{part} on {on} has ended ({how}) while it came up{}{}", last_of(last), known(explained))]
    Ended {
        /// Its node.
        on: HostName,
        /// What it was to the others.
        part: Role,
        /// How.
        how: String,
        /// Its last lines.
        last: Vec<String>,
        /// What they show, where that is known.
        explained: Option<Box<Explanation>>,
    },
    /// A process is out of reach.
    #[error("{part} on {on} is out of reach: {why}")]
    Lost {
        /// Its node.
        on: HostName,
        /// What it is to the others.
        part: Role,
        /// What was noticed.
        why: String,
    },
    /// It answers for another model.
    #[error("what answers on port {port} of {on} is another model: {why}")]
    AnotherModel {
        /// The first node.
        on: HostName,
        /// The port.
        port: u16,
        /// What it serves.
        why: String,
    },
    /// It takes too long.
    #[error("not up within {}: {doing}{}{}", crate::span::write(*limit), last_of(last), known(explained))]
    Late {
        /// How long it had.
        limit: Duration,
        /// What was waited for.
        doing: String,
        /// The last line of each process.
        last: Vec<String>,
        /// What their logs show, where that is known.
        explained: Option<Box<Explanation>>,
    },
    /// The user stopped it.
    #[error("stopped")]
    Stopped,
}

fn by(models: &[String]) -> String {
    match models {
        [] => String::new(),
        models => format!(" by a server of {}", models.join(", ")),
    }
}

fn last_of(lines: &[String]) -> String {
    let mut text = if lines.is_empty() { String::new() } else { ":".to_owned() };
    for line in lines {
        // A String takes whatever it is given.
        _ = write!(text, "\n  {line}");
    }
    text
}

fn known(explained: &Option<Box<Explanation>>) -> String {
    explained.as_ref().map_or_else(String::new, |known| {
        format!("\nknown failure `{}`: {} (by `{}`)", known.id, known.cause, known.line)
    })
}

impl Failure for UpError {
    fn kind(&self) -> Kind {
        match self {
            UpError::Secrets { .. } => Kind::Input,
            UpError::Connect(error) => error.kind(),
            UpError::Engine(error) => error.kind(),
            UpError::Program(error) => error.kind(),
            UpError::Ask(error) => error.kind(),
            UpError::Host(error) => error.kind(),
            UpError::PortTaken { .. }
            | UpError::Ended { .. }
            | UpError::Lost { .. }
            | UpError::AnotherModel { .. }
            | UpError::Late { .. } => Kind::Environment,
            UpError::Stopped => Kind::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            UpError::Connect(error) => error.hint(),
            UpError::Engine(error) => error.hint(),
            UpError::Program(error) => error.hint(),
            UpError::Ask(error) => error.hint(),
            UpError::Host(error) => error.hint(),
            UpError::PortTaken { .. } => Some(
                "`sparkbench status` shows what of ours is up; a recipe may name another `port`".to_owned(),
            ),
            UpError::Ended { explained: Some(known), .. } | UpError::Late { explained: Some(known), .. } => {
                Some(known.fix.clone())
            }
            UpError::Late { explained: None, .. } => Some("--startup-timeout gives it longer".to_owned()),
            UpError::Secrets { .. }
            | UpError::Ended { explained: None, .. }
            | UpError::Lost { .. }
            | UpError::AnotherModel { .. }
            | UpError::Stopped => None,
        }
    }
}
