//! Questions on the terminal: asked on stderr, because stdout is data.

use std::io::{self, IsTerminal};

use crate::cli::stderr;
use crate::commands::tune::init::Dialogue;

/// The longest answer, bytes.
const MAX_BYTES: u64 = 4096;

/// The person at the terminal.
#[derive(Debug)]
pub(super) struct Questions(());

impl Questions {
    /// None where nobody is there to answer.
    pub(super) fn of_terminal() -> Option<Self> {
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then_some(Self(()))
    }
}

impl Dialogue for Questions {
    fn say(&mut self, text: &str) {
        stderr::line(text);
    }

    fn ask(&mut self, question: &str) -> io::Result<Option<String>> {
        stderr::question(question);
        let mut line = Vec::new();
        crate::fs::read_line_at_most(io::stdin().lock(), MAX_BYTES, &mut line)?;
        let answer = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
        Ok((!line.is_empty()).then_some(answer))
    }
}
