//! Why it is not known what serves on a node, and what mends that.

use crate::cluster::connect::ConnectError;
use crate::cluster::installed::NoPlace;
use crate::failure::{Failure, Kind};
use crate::host::EngineKind;
use crate::host::engine::{BadImageName, EngineError};
use crate::host_name::HostName;

/// A node of which it is not known what serves there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRuntime {
    /// It cannot be reached, or its engine.
    #[error(transparent)]
    Connect(Box<ConnectError>),
    /// Its engine could not do it.
    #[error(transparent)]
    Engine(Box<EngineError>),
    /// The inventory names no image.
    #[error("{on}: {error}")]
    BadImage { on: HostName, error: BadImageName },
    /// It does not have the image.
    #[error("{on}: the image `{image}` is not there")]
    NotThere { on: HostName, engine: EngineKind, image: String },
    /// The image is another machine's.
    #[error("{on}: the image `{image}` is for {built_for}, and the node is {machine}")]
    OtherArchitecture { on: HostName, engine: EngineKind, image: String, built_for: String, machine: String },
    /// The image has no Python.
    #[error("{on}: the image `{image}` has no `python3`")]
    NoPython { on: HostName, image: String },
    /// The image serves nothing.
    #[error("{on}: the image `{image}` has neither SGLang nor vLLM")]
    Neither { on: HostName, image: String },
    /// Its Python gave no answer, or has no runtime.
    #[error(transparent)]
    Python(Box<NoPlace>),
    /// It took too long.
    #[error("{on}: what serves there was not said within {seconds} s")]
    Late { on: HostName, seconds: u64 },
    /// The user stopped it.
    #[error("interrupted while asking what serves there")]
    Interrupted,
}

impl NoRuntime {
    /// Why not, where the node is named beside it.
    pub(crate) fn problem(&self) -> String {
        match self {
            NoRuntime::Connect(error) => error.problem(),
            NoRuntime::Engine(error) => error.what.to_string(),
            NoRuntime::Python(error) => match &**error {
                NoPlace::Ask(error) => error.problem(),
                error => without_node(&error.to_string()),
            },
            error => without_node(&error.to_string()),
        }
    }
}

/// These errors begin with their node.
fn without_node(text: &str) -> String {
    text.split_once(": ").map_or(text, |(_, rest)| rest).to_owned()
}

impl From<ConnectError> for NoRuntime {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

impl From<EngineError> for NoRuntime {
    fn from(error: EngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<NoPlace> for NoRuntime {
    fn from(error: NoPlace) -> Self {
        Self::Python(Box::new(error))
    }
}

impl Failure for NoRuntime {
    fn kind(&self) -> Kind {
        match self {
            NoRuntime::Connect(error) => error.kind(),
            NoRuntime::Engine(error) => error.kind(),
            NoRuntime::Python(error) => error.kind(),
            NoRuntime::BadImage { .. } => Kind::Input,
            NoRuntime::Interrupted => Kind::Interrupted,
            NoRuntime::NotThere { .. }
            | NoRuntime::OtherArchitecture { .. }
            | NoRuntime::NoPython { .. }
            | NoRuntime::Neither { .. }
            | NoRuntime::Late { .. } => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            NoRuntime::Connect(error) => error.hint(),
            NoRuntime::Engine(error) => error.hint(),
            NoRuntime::Python(error) => match &**error {
                NoPlace::NoRuntime { .. } => Some(
                    "name its virtual environment in the inventory: `virtualenv`, below `[bare]`".to_owned(),
                ),
                error => error.hint(),
            },
            NoRuntime::NotThere { engine, image, .. }
            | NoRuntime::OtherArchitecture { engine, image, .. } => {
                Some(format!("{} pull {image}", engine.program()))
            }
            NoRuntime::NoPython { .. } | NoRuntime::Neither { .. } => Some(
                "name an image that a runtime is served from in the inventory, such as `image = \
                 \"lmsysorg/sglang:spark\"`"
                    .to_owned(),
            ),
            NoRuntime::Late { .. } => Some("try again: what it had to read is in memory now".to_owned()),
            NoRuntime::BadImage { error, .. } => error.hint(),
            NoRuntime::Interrupted => None,
        }
    }
}
