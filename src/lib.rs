//! Find, prove and ship fused-MoE kernel configs for small clusters of DGX Sparks.
//!
//! The map; calls go downwards only:
//!
//! | module | what lives there |
//! |---|---|
//! | [`cli`] | clap types, the printer, progress on a terminal, exit codes |
//! | [`commands`] | one file per subcommand: settings -> plan -> engine -> output |
//! | [`mod@bench`] | measuring an inference server: plan, requests, client, metrics |
//! | [`mock`] | a mock inference server that behaves exactly as told |
//! | [`tuner`] | plan, ranking, selection, proofs, the run that ties them together |
//! | [`report`] | SVG plots, the HTML page, Parquet tables; plain data in, called by `commands` only |
//! | [`serving`] | how a model comes up on the nodes: recipes, rules, launch plans |
//! | [`worker`] | the Python that runs beside the compiler: protocol, link, starters, environment |
//! | [`cluster`] | the machines that work together: which they are, what each is, what is put on them |
//! | [`host`] | a place where programs run and files lie; the only one that starts workers |
//! | [`artifact`] | config files: names, contents, manifests, merge, check, index |
//! | [`kernel`] | the search space, schedules, the shared-memory rule, the cost model |
//! | [`runtime`] | the serving runtime a file is for: defaults, row alignment, where it looks |
//! | [`device`] | what a GPU holds and moves |
//! | [`model`] | a model's config.json -> the shape of its MoE layers |
//! | [`shape`] | the words all of these share: a layer on one rank, a launch configuration |
//! | [`events`], [`journal`], [`log_file`], [`difference`], [`failure`], [`fs`], [`host_name`], [`run_dir`], [`secret`], [`span`], [`spelling`], [`tls`], [`toml_text`] | what everything above says, keeps and writes with |

// What only the crate uses says so, and the lint for dead code sees it.
#![warn(unreachable_pub)]
#![warn(clippy::unwrap_used)]
// Most of the map is the crate's own: `cargo doc --document-private-items` shows it whole.
#![allow(rustdoc::private_intra_doc_links)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod artifact;
pub mod bench;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod device;
pub(crate) mod difference;
pub mod events;
pub(crate) mod failure;
pub mod fs;
pub mod host;
pub mod host_name;
pub(crate) mod journal;
pub mod kernel;
pub(crate) mod log_file;
pub(crate) mod log_line;
pub mod mock;
pub(crate) mod model;
pub mod report;
pub(crate) mod run_dir;
pub mod runtime;
pub mod secret;
pub(crate) mod serving;
pub mod shape;
pub(crate) mod span;
pub(crate) mod spelling;
pub mod tls;
pub(crate) mod toml_text;
pub mod tuner;
pub mod worker;

#[cfg(test)]
#[path = "../tests/support/canned.rs"]
mod canned;
