//! What a command shows, kept for its tests.

use std::io;

use super::Output;

/// What was printed, tables cell by cell with ` | ` between.
#[derive(Debug, Default)]
pub(crate) struct Shown(pub String);

impl Output for Shown {
    fn line(&mut self, text: &str) -> io::Result<()> {
        self.0.push_str(text);
        self.0.push('\n');
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.push_str(&String::from_utf8_lossy(bytes));
        Ok(())
    }

    fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        self.line(&header.join(" | "))?;
        rows.iter().try_for_each(|row| self.line(&row.join(" | ")))
    }
}
