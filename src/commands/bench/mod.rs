//! The subcommands of `sparkbench`.

pub(crate) mod calibrate;
pub(crate) mod compare;
pub(crate) mod mock;
pub(crate) mod nodes;
mod nodes_table;
pub(crate) mod plan_table;
pub(crate) mod profiles;
pub(crate) mod report;
pub mod report_page;
pub(crate) mod run;
pub(crate) mod serving;
pub(crate) mod shared;
pub(crate) mod stored;
pub(crate) mod summary_table;
pub(crate) mod sweep;
mod words;
