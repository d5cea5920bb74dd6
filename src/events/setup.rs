//! The managed environment.

use serde::{Deserialize, Serialize};

/// A step of making the environment that compiles kernels begins, or it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SetupEvent {
    /// Another run makes it: this one waits.
    Waiting,
    /// A virtual environment is made.
    VirtualEnvironment {
        /// For which Triton.
        triton: String,
    },
    /// Triton is fetched and installed, about 200 MB.
    InstallTriton {
        /// Which.
        triton: String,
    },
    /// An assembler that knows the device is fetched and installed, about 40 MB.
    InstallAssembler,
    /// SGLang's wheel is fetched.
    FetchSglang {
        /// Its version.
        version: String,
    },
    /// The wheel is unpacked.
    UnpackSglang {
        /// Its version.
        version: String,
    },
    /// The environment is whole.
    Ready,
}
