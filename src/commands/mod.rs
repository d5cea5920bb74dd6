//! A folder per program, one file per subcommand: settings -> plan -> engine -> output. No clap type gets
//! this far.

pub mod bench;
mod from_here;
#[cfg(test)]
mod shown;
mod text_table;
pub mod tune;

use std::io;

use crate::failure::{Failure, Kind};

/// Where a command's data goes. Progress goes to an [`Observer`](crate::events::Observer).
pub trait Output {
    /// One line of text.
    fn line(&mut self, text: &str) -> io::Result<()>;
    /// Bytes as they are.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// A table for people.
    fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> io::Result<()>;

    /// One JSON value, indented.
    fn json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        self.line(&format!("{value:#}"))
    }
}

/// How a command that ran to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Done,
    /// A check said no; what it found is in the output.
    CheckSaidNo,
}

/// A command's result.
pub type CommandResult = Result<Verdict, Box<dyn Failure>>;

/// Output that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output: {0}")]
pub struct OutputError(#[from] io::Error);

impl Failure for OutputError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}
