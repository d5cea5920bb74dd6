//! Why an image gives no compiler, and what to do about it.

use crate::cluster::connect::ConnectError;
use crate::cluster::inventory::InventoryError;
use crate::failure::{Failure, Kind, forwards};
use crate::host::EngineKind;
use crate::host::ask::AskError;
use crate::host::engine::{BadImageName, EngineError};
use crate::host_name::HostName;
use crate::runtime::{TritonVersion, UnknownRuntime};

/// An image that gives no compiler.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Its name is none.
    #[error("--image: {0}")]
    Name(#[from] BadImageName),
    /// The inventory cannot be used.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The node or its engine cannot be reached.
    #[error(transparent)]
    Connect(Box<ConnectError>),
    /// The engine could not do it.
    #[error(transparent)]
    Engine(Box<EngineError>),
    /// The image is not on the node.
    #[error("the image `{image}` is not on {on}")]
    NotThere {
        /// The node.
        on: HostName,
        /// Its engine.
        engine: EngineKind,
        /// The image.
        image: String,
    },
    /// The image is for another machine.
    #[error("the image `{image}` is for {built_for}, {on} is {machine}")]
    OtherArchitecture {
        /// The node.
        on: HostName,
        /// The image.
        image: String,
        /// What it was built for.
        built_for: String,
        /// What the machine is.
        machine: String,
    },
    /// There is no Python in it.
    #[error("the image `{image}` has no `python3`")]
    NoPython {
        /// The image.
        image: String,
    },
    /// Its Python could not be asked.
    #[error(transparent)]
    Ask(Box<AskError>),
    /// Its Python says something else than what was asked.
    #[error("{0}")]
    Garbled(String),
    /// A package is missing.
    #[error("the image `{image}` has no {package} that its `python3` finds")]
    Lacks {
        /// The image.
        image: String,
        /// Which package.
        package: &'static str,
    },
    /// The rules of its SGLang are not known.
    #[error("the image `{image}`: {unknown}")]
    UnknownSglang {
        /// The image.
        image: String,
        /// Which SGLang it has.
        unknown: UnknownRuntime,
    },
    /// What its Triton allocates is not known.
    #[error(
        "the image `{image}` has Triton {found}; known: {} (what a tile takes was held against these)",
        TritonVersion::KNOWN.map(|version| version.to_string()).join(", ")
    )]
    UnknownTriton {
        /// The image.
        image: String,
        /// Which Triton it has.
        found: String,
    },
    /// The user stopped it; no container is left.
    #[error("interrupted while a container was made ready")]
    Interrupted,
}

impl From<ConnectError> for ImageError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

impl From<EngineError> for ImageError {
    fn from(error: EngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<AskError> for ImageError {
    fn from(error: AskError) -> Self {
        Self::Ask(Box::new(error))
    }
}

forwards! {
    impl Failure for ImageError forwarding Name, Inventory, Connect, Engine {
        // What goes by its ID was taken before under a name, which a registry needs.
        Self::NotThere { image, .. } if image.starts_with("sha256:") => Kind::Environment,
            "pull the image again by the name that the run began with, or start a new run";
        Self::NotThere { engine, image, .. } => Kind::Environment, format!("{} pull {image}", engine.program());
        Self::OtherArchitecture { .. } => Kind::Environment, "name an image that is built for that machine";
        Self::NoPython { .. } | Self::Lacks { .. } => Kind::Environment,
            "name an image that SGLang is served from, such as lmsysorg/sglang:spark";
        Self::UnknownSglang { .. } | Self::UnknownTriton { .. } => Kind::Environment,
            "name an image with versions that are known, or leave --image out and say --sglang and --triton";
        Self::Ask(_) | Self::Garbled(_) => Kind::Environment;
        Self::Interrupted => Kind::Interrupted;
    }
}
