//! The subcommands of `sparkbench`.

pub mod compare;
pub mod report;
pub mod report_page;
pub mod summary_table;
