//! Why an image or a node gives no compiler, and what to do about it.

use crate::cluster::connect::ConnectError;
use crate::cluster::inventory::InventoryError;
use crate::failure::{Failure, Kind, forwards};
use crate::host::EngineKind;
use crate::host::ask::AskError;
use crate::host::engine::{BadImageName, EngineError};
use crate::host_name::HostName;
use crate::runtime::{TritonVersion, UnknownRuntime};

/// An image, or the Python of a node without an engine, that gives no compiler.
#[derive(Debug, thiserror::Error)]
pub enum NoCompiler {
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
    /// There is no Python in the image.
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
    #[error("{holder} has no {package} that its Python finds")]
    Lacks {
        /// The image, or the node and its interpreter.
        holder: String,
        /// Which package.
        package: &'static str,
    },
    /// The rules of its runtime are not known.
    #[error("{holder}: {unknown}")]
    UnknownRuntime {
        /// The image, or the node and its interpreter.
        holder: String,
        /// Which runtime it has.
        unknown: UnknownRuntime,
    },
    /// What its Triton allocates is not known.
    #[error(
        "{holder} has Triton {found}; known: {} (what a tile takes was held against these)",
        TritonVersion::KNOWN.map(|version| version.to_string()).join(", ")
    )]
    UnknownTriton {
        /// The image, or the node and its interpreter.
        holder: String,
        /// Which Triton it has.
        found: String,
    },
    /// The user stopped it; no container is left.
    #[error("interrupted while a compiler was made ready")]
    Interrupted,
}

impl From<ConnectError> for NoCompiler {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

impl From<EngineError> for NoCompiler {
    fn from(error: EngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<AskError> for NoCompiler {
    fn from(error: AskError) -> Self {
        Self::Ask(Box::new(error))
    }
}

forwards! {
    impl Failure for NoCompiler forwarding Name, Inventory, Connect, Engine {
        // What goes by its ID was taken before under a name, which a registry needs.
        Self::NotThere { image, .. } if image.starts_with("sha256:") => Kind::Environment,
            "pull the image again by the name that the run began with, or start a new run";
        Self::NotThere { engine, image, .. } => Kind::Environment, format!("{} pull {image}", engine.program());
        Self::OtherArchitecture { .. } => Kind::Environment, "name an image that is built for that machine";
        Self::Lacks { package: "vLLM", .. } => Kind::Environment,
            "name an image that vLLM is served from, such as vllm/vllm-openai, or an interpreter that has it; of a node \
             without an engine its `virtualenv`, below `[bare]` in the inventory";
        Self::NoPython { .. } | Self::Lacks { .. } => Kind::Environment,
            "name an image that SGLang is served from, such as lmsysorg/sglang:spark; of a node without an engine its \
             `virtualenv`, below `[bare]` in the inventory";
        Self::UnknownRuntime { .. } | Self::UnknownTriton { .. } => Kind::Environment,
            "name an image with versions that are known, or leave --image out and say --sglang and --triton";
        Self::Ask(_) | Self::Garbled(_) => Kind::Environment;
        Self::Interrupted => Kind::Interrupted;
    }
}
