//! The subcommands of `sparktune`.

pub mod check;
pub mod devices;
pub mod init;
pub mod merge;
pub mod models;
pub mod moe;
pub mod plan;
pub mod publish;
pub mod record;
pub mod replay;
pub mod setup;
pub mod space;
pub mod subject;
mod table;
