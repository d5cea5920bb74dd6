//! The subcommands of `sparktune`.

pub mod check;
pub mod deploy;
pub mod devices;
pub(crate) mod doctor;
pub mod image;
pub mod init;
mod installation;
pub mod merge;
pub mod models;
pub mod moe;
pub(crate) mod nodes;
pub mod plan;
pub mod publish;
pub mod record;
pub mod replay;
pub mod report;
pub mod setup;
pub mod space;
pub mod subject;
mod table;
pub mod watch;
