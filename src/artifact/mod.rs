//! Config files: their names, their contents, the manifests beside them, and what is wrong with them.

pub mod check;
pub mod config_file;
pub mod index;
mod json;
pub mod manifest;
pub mod merge;
pub mod name;
pub mod pair;
mod problem;

pub use config_file::{ConfigFile, Entry};
pub use manifest::{Evidence, Manifest};
pub use name::ConfigName;
pub use problem::Problem;
