//! The subcommands of `sparkbench`.

pub mod calibrate;
pub mod compare;
pub mod mock;
pub mod plan_table;
pub mod profiles;
pub mod report;
pub mod report_page;
pub mod run;
pub mod shared;
pub mod stored;
pub mod summary_table;
pub mod sweep;
mod words;
