//! Config files: their names, their contents, the manifests beside them, and what is wrong with them.

pub(crate) mod check;
pub(crate) mod config_file;
pub(crate) mod index;
mod json;
pub(crate) mod manifest;
pub(crate) mod merge;
pub(crate) mod name;
pub(crate) mod pair;
mod problem;

pub use config_file::{ConfigFile, Entry};
pub use manifest::{Evidence, Manifest};
pub use name::ConfigName;
pub use problem::Problem;
