//! The subcommands of `sparkbench`.
