//! The edge: clap types, the printer, progress on a terminal, exit codes. Nothing else knows clap.

mod args;
mod printer;
mod progress;
