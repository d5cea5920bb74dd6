//! Why there is no tuned image.

use std::io;

use crate::cluster::deploy::ConfigFolderError;
use crate::cluster::installed::NoPlace;
use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::host::engine::{BadImageName, EngineError, ImageName};
use crate::host_name::HostName;

/// A tuned image that was not built.
#[derive(Debug, thiserror::Error)]
pub enum ImageBuildError {
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is nothing to build on.
    #[error("{on}: the image `{image}` is not there, and a tuned one is built on it")]
    NoBase {
        /// The node.
        on: HostName,
        /// The base.
        image: ImageName,
    },
    /// It cannot be asked where its runtime looks.
    #[error("{on}: the image `{image}` is for {built_for}, and its engine runs programs for {node}")]
    Architecture {
        /// The node.
        on: HostName,
        /// The base.
        image: ImageName,
        /// What the base is for.
        built_for: String,
        /// What the node runs.
        node: String,
    },
    /// Files would pile up.
    #[error("`{image}` is a tuned image itself, on top of `{base}`")]
    BaseIsTuned {
        /// The image that was to be the base.
        image: ImageName,
        /// The base of that.
        base: String,
    },
    /// The name is taken by what this program did not build.
    #[error("{on}: the image `{tag}` is there, and it is no tuned image: its name is not taken from it")]
    TagTaken {
        /// The node.
        on: HostName,
        /// The name.
        tag: ImageName,
    },
    /// It is not known where files go.
    #[error("the image `{image}` does not say where config files go: {error}")]
    Place {
        /// The base.
        image: ImageName,
        /// Why not.
        error: Box<NoPlace>,
    },
    /// The image cannot be asked.
    #[error("{on}: the image `{image}` has no `python3`")]
    NoPython {
        /// The node.
        on: HostName,
        /// The image.
        image: ImageName,
    },
    /// The runtime would see another folder.
    #[error(
        "{on}: `{folder}`, where the image's runtime looks, is hidden by the inventory's volume `{volume}`"
    )]
    Mounted {
        /// The node.
        on: HostName,
        /// The folder in the image.
        folder: HostPath,
        /// What is mounted over it.
        volume: String,
    },
    /// One image cannot be right for all.
    #[error("the image's runtime would look in `{folder}` on {first} and in `{other}` on {second}")]
    Folders {
        /// A node.
        first: HostName,
        /// Where the runtime looks there.
        folder: HostPath,
        /// Another.
        second: HostName,
        /// Where it looks there.
        other: HostPath,
    },
    /// Nobody would have it.
    #[error("no node is to have the image")]
    NoNode,
    /// The engine names images as nobody does.
    #[error("the engine's ID of an image is none: {0}")]
    Id(BadImageName),
    /// The files could not be put together.
    #[error("the files of the image do not go into a tar: {0}")]
    Context(io::Error),
    /// What was built does not say what it holds.
    #[error("{on}: the image was built, and what is in it cannot be read back: {error}")]
    Look {
        /// The node.
        on: HostName,
        /// Why not.
        error: ConfigFolderError,
    },
    /// What was built is not what it should be.
    #[error("{on}: the image was built, and `{folder}` in it has no such file `{name}`, or another one")]
    NotInIt {
        /// The node.
        on: HostName,
        /// The folder in the image.
        folder: HostPath,
        /// The file.
        name: String,
    },
}

impl Failure for ImageBuildError {
    fn kind(&self) -> Kind {
        match self {
            ImageBuildError::Engine(error) => error.kind(),
            ImageBuildError::BaseIsTuned { .. }
            | ImageBuildError::TagTaken { .. }
            | ImageBuildError::Mounted { .. }
            | ImageBuildError::Folders { .. } => Kind::Input,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ImageBuildError::Engine(error) => error.hint(),
            ImageBuildError::NoBase { image, .. } => Some(format!(
                "build on a node that has it (--on NODE), or bring it there: sparktune image sync {image}"
            )),
            ImageBuildError::BaseIsTuned { base, .. } => Some(format!("name its base: {base}")),
            ImageBuildError::TagTaken { .. } => Some("name another with --tag".into()),
            ImageBuildError::NoPython { .. } => {
                Some("name an image that SGLang or vLLM is served from".into())
            }
            ImageBuildError::Mounted { .. } => {
                Some("put the files into that folder of the nodes: sparktune deploy --host-dir".into())
            }
            ImageBuildError::Folders { .. } => Some(
                "SGLANG_MOE_CONFIG_DIR and VLLM_TUNED_CONFIG_FOLDER must be the same on all nodes".into(),
            ),
            _ => None,
        }
    }
}
